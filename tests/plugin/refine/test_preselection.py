"""The model that fits the coarse map is preselected, and one that cannot refine it says so."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from c2f_core.classes.editing import with_class
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.refine.fitting import general_refiner
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.refine import request as requests
from napari_c2f.widgets.choices import TITLES
from napari_c2f.widgets.model_choice import KNOWLEDGE

FASSEG = ClassTable.preset("fasseg")
GENERAL = general_refiner()


def add_map(viewer, table, labels=None, name="coarse"):
    labels = np.full((64, 64), table.classes[0].index, np.uint8) if labels is None else labels
    data, keywords, _ = labels_layer_data(labels, table, name)
    return viewer.add_labels(data, **keywords)


def add_pair(viewer, table=SHAPES):
    pair = synthetic_pair(64)
    viewer.add_image(pair.image, name="image", rgb=True)
    return add_map(viewer, table, table.to_labels(pair.coarse))


@pytest.fixture
def unopened(monkeypatch):
    """No refiner may be opened."""
    monkeypatch.setattr(requests, "open_refiner", lambda *_: pytest.fail("It was opened."))


def test_the_model_follows_the_classes_of_the_coarse_map(docked):
    viewer, widget = docked
    assert widget.model.value() == GENERAL
    face = add_map(viewer, FASSEG, name="face")
    assert widget.model.value() == widget.request().model.name == "fasseg"
    add_map(viewer, SHAPES, name="shapes")
    assert widget.model.value() == widget.request().model.name == GENERAL
    widget.coarse.value = face
    assert widget.model.value() == "fasseg"
    widget.class_table.setValue("camvid")
    assert widget.model.value() == GENERAL
    widget.class_table.setValue("From the coarse map")
    assert widget.model.value() == "fasseg"


def test_a_model_chosen_by_hand_stays_while_it_can_refine_the_map(docked):
    viewer, widget = docked
    face = add_map(viewer, FASSEG, name="face")
    widget.model.setValue("watershed")
    shapes = add_map(viewer, SHAPES, name="shapes")
    widget.coarse.value = face
    assert widget.model.value() == "watershed"
    widget.model.setValue("fasseg")
    widget.coarse.value = shapes
    assert widget.model.value() == GENERAL
    assert f"The model is now '{TITLES[GENERAL]}'" in widget.status.text()
    assert "'Faces' does not know 'ground'" in widget.status.text()
    widget.coarse.value = face
    assert widget.model.value() == "fasseg"


def test_a_class_added_but_not_drawn_yet_leaves_the_model_chosen_by_hand(docked):
    viewer, widget = docked
    add_map(viewer, SHAPES, name="shapes")
    table = with_class(FASSEG, "beard")
    beard = next(entry.index for entry in table.classes if entry.name == "beard")
    face = add_map(viewer, table, name="face")
    assert widget.model.value() == GENERAL
    widget.model.setValue("fasseg")
    assert widget.status.text() == widget.state.misfit == ""
    face.features = face.features
    assert widget.model.value() == "fasseg"
    face.data[3:9, 3:9] = beard
    face.features = face.features
    assert widget.model.value() == GENERAL


def test_a_model_that_cannot_refine_the_map_says_so_at_once(docked, qtbot, unopened):
    viewer, widget = docked
    add_pair(viewer)
    usual = widget.refine_button.toolTip()
    widget.model.setValue("fasseg")
    sentence = widget.state.misfit
    assert sentence.startswith("'Faces' does not know 'ground'")
    assert widget.status.text() == widget.refine_button.toolTip() == sentence
    widget.status.setText("")
    qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
    assert not widget.state.busy
    assert widget.state.message == sentence
    widget.model.setValue("watershed")
    assert widget.refine_button.toolTip() == usual
    assert widget.status.text() == widget.state.misfit == ""


def test_live_mode_says_at_once_that_the_model_cannot_refine_the_map(docked, unopened, qtbot):
    viewer, widget = docked
    add_pair(viewer)
    widget.model.setValue("fasseg")
    qtbot.mouseClick(widget.live, Qt.MouseButton.LeftButton)
    assert "'Faces' does not know 'ground'" in widget.status.text()


def test_every_model_says_what_it_knows(docked):
    _, widget = docked
    model = widget.model
    texts = [model.itemText(row) for row in range(model.count() - 1)]
    assert [text for text in texts if text != "Any classes"] == [
        "Faces",
        "From this image",
        "Watershed (baseline)",
        "Random walker (baseline)",
    ]
    for row in range(model.count() - 1):
        name, tip = model.itemData(row), model.itemData(row, Qt.ItemDataRole.ToolTipRole)
        assert tip == f"{TITLES[name]} - {KNOWLEDGE[name]}"
        model.setValue(name)
        assert widget.knowledge.text().lower() == KNOWLEDGE[name].lower()
