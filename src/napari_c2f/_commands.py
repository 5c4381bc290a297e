"""What `napari.yaml` names: imported when it is first used, while the window is drawn."""

from typing import Any

from napari_c2f.base.imports import import_responsively

MODULES = {
    "DrawWidget": "napari_c2f.draw.widget",
    "RefineWidget": "napari_c2f.refine.widget",
    "ReviewWidget": "napari_c2f.review.widget",
    "TrainWidget": "napari_c2f.train.widget",
    "ProjectWidget": "napari_c2f.project.widget",
    "get_reader": "napari_c2f._reader",
    "astronaut": "napari_c2f._sample_data",
    "shapes": "napari_c2f._sample_data",
}
"""Module of each widget, reader and sample. Writers are used when layers are there already."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_responsively(MODULES[name]), name)
