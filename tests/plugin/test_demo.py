"""The demo opens with its sample and the Refine widget."""

import runpy
from pathlib import Path

import napari

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "demo.py"


def test_the_window_opens_with_the_astronaut_and_refine(make_napari_viewer, monkeypatch):
    viewer = make_napari_viewer()
    monkeypatch.setattr(napari, "Viewer", lambda: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    runpy.run_path(str(DEMO))["open_window"]()
    assert [name for name in viewer.window.dock_widgets if "napari-c2f" in name] == [
        "Refine (napari-c2f)"
    ]
    assert {"astronaut", "astronaut coarse"} <= {layer.name for layer in viewer.layers}
