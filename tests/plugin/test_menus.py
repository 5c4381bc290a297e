"""Where napari's menus show what the plugin brings."""

import pytest

OURS = "Coarse-to-Fine Refine"
WIDGETS = ["Draw", "Refine", "Review", "Train", "Project"]
SAMPLES = ["Astronaut's face with a coarse map", "Synthetic scene with a coarse map"]


def entries(viewer, *path):
    """Return the actions of a menu by their texts, opening the menus that lead to it."""
    menu = viewer.window._qt_window.menuBar()
    for title in path:
        menu = next(action for action in menu.actions() if action.text().strip("&") == title).menu()
        menu.aboutToShow.emit()
    return {action.text(): action for action in menu.actions()}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        (("Plugins", OURS), WIDGETS),
        (("Layers", "Segment", OURS), WIDGETS),
        (("File", "Open Sample", OURS), SAMPLES),
    ],
)
def test_menus_show_widgets_and_samples(make_napari_viewer, path, texts):
    assert list(entries(make_napari_viewer(), *path)) == texts


def test_refine_opens_from_the_segment_menu(make_napari_viewer):
    viewer = make_napari_viewer()
    entries(viewer, "Layers", "Segment", OURS)["Refine"].trigger()
    (widget,) = viewer.window.dock_widgets.values()
    assert type(widget).__name__ == "RefineWidget"


def test_a_sample_opens_from_its_menu(make_napari_viewer):
    viewer = make_napari_viewer()
    entries(viewer, "File", "Open Sample", OURS)[SAMPLES[1]].trigger()
    assert [layer.name for layer in viewer.layers] == [
        "shapes-3",
        "shapes-3 coarse",
        "shapes-3 ground truth",
    ]
