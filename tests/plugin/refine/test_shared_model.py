"""Models from bioimage.io packages and ONNX files in the Refine widget."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from c2f_core.models.bundled import bundled_file
from c2f_core.models.sharing import share_model
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.refine.widget import RefineWidget
from napari_c2f.widgets.choices import FROM_FILE

pytest.importorskip("bioimageio.spec")
pytest.importorskip("onnxruntime")

PLUGIN = "napari-c2f"


@pytest.mark.parametrize("name", ["faces.zip", "faces.onnx"])
def test_a_shared_model_is_chosen_refines_and_is_remembered(
    docked, refine, qtbot, tmp_path, monkeypatch, name
):
    path = str(share_model(bundled_file("fasseg"), tmp_path / name))
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "astronaut")
    patterns = []

    def choose(_parent, _title, _folder, pattern):
        patterns.append(pattern)
        return path, pattern

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    widget.model.setCurrentIndex(widget.model.findData(FROM_FILE))
    widget.model.activated.emit(widget.model.currentIndex())
    assert widget.model.value() == path
    assert "*.onnx *.zip rdf.yaml" in patterns[0]
    assert widget.knowledge.text() == "Knows background, hair, skin, eyes, nose, mouth"
    refine(widget, path)
    assert "% of the pixels changed" in widget.status.text()
    coarse, fine = (viewer.layers[f"astronaut {kind}"].data for kind in ("coarse", "fine"))
    assert 0 < (coarse != fine).mean() < 0.2
    assert RECENT_MODELS.paths()[0] == path
    another = RefineWidget(viewer)
    qtbot.addWidget(another)
    assert another.model.findData(path, Qt.ItemDataRole.UserRole) >= 0
