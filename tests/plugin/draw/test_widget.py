"""The Draw widget, driven by mouse and keys on a real viewer."""

import numpy as np
import pytest
from napari.layers import Labels
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QColorDialog,
    QInputDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
)

from c2f_core.classes.editing import with_class
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES
from napari_c2f.draw.controller import KEYS
from napari_c2f.draw.table import COLOUR, NAME, SHARE
from napari_c2f.layers.convert import TABLE_KEY, labels_layer_data
from napari_c2f.layers.locks import LOCK_KEY
from napari_c2f.layers.session import Session
from napari_c2f.widgets.choices import NEW_CLASSES

PLUGIN = "napari-c2f"
FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, EYES, NOTHING = 1, 2, 3, 255
CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def docked(viewer, dock):
    """A viewer with the Draw widget."""
    return viewer, dock("Draw")


def add_face(viewer, size=(60, 90), **spatial):
    """Add a photo and its map: the left third is hair, the middle skin."""
    viewer.add_image(np.zeros((*size, 3), np.uint8), name="face", **spatial)
    index_map = np.full(size, NOTHING, np.uint8)
    index_map[:, : size[1] // 3], index_map[:, size[1] // 3 : 2 * size[1] // 3] = HAIR, SKIN
    data, keywords, _ = labels_layer_data(index_map, FASSEG, "face coarse")
    return viewer.add_labels(data, **keywords, **spatial)


def click_cell(qtbot, widget, row, column=NAME, twice=False):
    """Click a cell of the palette with the mouse."""
    table = widget.table
    place = table.visualItemRect(table.item(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    if twice:
        qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def texts(widget, column=NAME):
    table = widget.table
    return [table.item(row, column).text() for row in range(table.rowCount())]


def type_name(qtbot, widget, name):
    """Type into the open editor of a name."""
    editors = widget.table.viewport().findChildren(QLineEdit)
    (editor,) = (editor for editor in editors if editor.isVisible())
    editor.selectAll()
    qtbot.keyClicks(editor, name)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()  # Qt queues what was typed.


def press(qtbot, viewer, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, key, modifier)


def test_a_click_chooses_the_class_that_the_mouse_then_draws(docked, qtbot, drag):
    viewer, widget = docked
    layer = add_face(viewer)
    viewer.layers.selection.active = viewer.layers["face"]
    assert texts(widget) == [*FASSEG.names, "unlabelled (eraser)"]
    click_cell(qtbot, widget, FASSEG.names.index("eyes"))
    assert layer.selected_label == EYES
    assert viewer.layers.selection.active is layer
    assert "Press 2" in widget.status.text()
    layer.mode = "paint"
    click_cell(qtbot, widget, FASSEG.names.index("eyes"))
    assert widget.status.text() == ""
    layer.brush_size = 5
    drag(viewer, (30, 10), (30, 50), (30, 80))
    assert (layer.data[30, 10:80] == EYES).all()
    assert (layer.data[10] != EYES).all()
    click_cell(qtbot, widget, len(FASSEG.names))
    drag(viewer, (30, 10), (30, 50))
    assert (layer.data[30, 10:50] == NOTHING).all()
    assert layer.data[30, 70] == EYES


def test_the_palette_follows_what_napari_chooses(docked, qtbot):
    viewer, widget = docked
    layer = add_face(viewer)
    layer.selected_label = SKIN
    assert widget.table.value() == SKIN
    layer.selected_label = 77
    assert widget.table.value() is None
    other = viewer.add_labels(np.full((9, 9), 4), name="plain")
    assert texts(widget) == ["class 4", "unlabelled (eraser)"]
    viewer.layers.selection.active = layer
    assert len(texts(widget)) == 7
    viewer.layers.remove(layer)
    assert widget.map.value is other


@pytest.mark.window
def test_pixel_shares_follow_drawing_and_undo(docked, qtbot, drag):
    viewer, widget = docked
    layer = add_face(viewer)
    thirds = ["0.0 %", "33.3 %", "33.3 %", "0.0 %", "0.0 %", "0.0 %", "33.3 %"]
    qtbot.waitUntil(lambda: texts(widget, SHARE) == thirds, timeout=5000)
    click_cell(qtbot, widget, EYES)
    layer.mode = "fill"
    drag(viewer, (30, 45))
    changed = ["0.0 %", "33.3 %", "0.0 %", "33.3 %", "0.0 %", "0.0 %", "33.3 %"]
    qtbot.waitUntil(lambda: texts(widget, SHARE) == changed, timeout=5000)
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: texts(widget, SHARE) == thirds, timeout=5000)


def test_a_class_is_renamed_in_place(docked, qtbot):
    viewer, widget = docked
    layer = add_face(viewer)
    before = layer.data.copy()
    click_cell(qtbot, widget, SKIN, twice=True)
    type_name(qtbot, widget, "face")
    assert layer.metadata[TABLE_KEY].names[SKIN] == "face"
    assert list(layer.features["name"])[SKIN] == "face"
    assert texts(widget)[SKIN] == "face"
    np.testing.assert_array_equal(layer.data, before)
    click_cell(qtbot, widget, SKIN, twice=True)
    type_name(qtbot, widget, "hair")
    assert "the name hair occurs twice" in widget.status.text()
    assert texts(widget)[SKIN] == "face"


def test_the_refine_widget_reports_the_new_classes(docked, dock, click):
    viewer, widget = docked
    refine = dock("Refine")
    add_face(viewer)
    widget._controller.rename(SKIN, "cheek", None)
    assert "cheek" in refine.legend.text()


def test_a_class_is_recoloured_with_the_dialog(docked, qtbot, click, monkeypatch):
    viewer, widget = docked
    layer = add_face(viewer)
    layer.selected_label, layer.show_selected_label = SKIN, True
    answers = [QColor(10, 20, 30), QColor(), QColor(255, 0, 0)]
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: answers.pop(0))
    click_cell(qtbot, widget, SKIN, COLOUR, twice=True)
    assert layer.metadata[TABLE_KEY].classes[SKIN].colour == (10, 20, 30)
    np.testing.assert_allclose(layer.get_color(SKIN), (10 / 255, 20 / 255, 30 / 255, 1))
    assert layer.colormap.use_selection
    icon = widget.table.item(SKIN, COLOUR).icon().pixmap(18, 18).toImage()
    shown = icon.pixelColor(icon.rect().center()).getRgb()
    np.testing.assert_allclose(shown, (10, 20, 30, 255), atol=7)  # of a screen of 16 bits
    click(widget.colour_button)  # and cancel
    assert layer.metadata[TABLE_KEY].classes[SKIN].colour == (10, 20, 30)
    click(widget.colour_button)
    assert "occurs twice" in widget.status.text()
    assert layer.metadata[TABLE_KEY].classes[SKIN].colour == (10, 20, 30)


def test_an_added_class_has_the_next_free_label_and_is_named_at_once(docked, qtbot, click, drag):
    viewer, widget = docked
    layer = add_face(viewer)
    click(widget.add_button)
    type_name(qtbot, widget, "beard")
    assert layer.metadata[TABLE_KEY].classes[-1].name == "beard"
    assert layer.selected_label == 6
    layer.mode = "paint"
    drag(viewer, (30, 10), (30, 20))
    assert layer.data[30, 15] == 6
    assert layer.get_color(6)[3] == 1


def test_a_class_that_is_added_in_a_fine_map_is_one_of_the_coarse_map_too(docked, click):
    viewer, widget = docked
    coarse = add_face(viewer)
    made = {
        name: viewer.add_labels(coarse.data.copy(), metadata={TABLE_KEY: table}, name=name)
        for name, table in (("other", SHAPES), ("fine", FASSEG))
    }
    for layer in made.values():
        Session.of(viewer).lineage.add_fine(layer, coarse)
    alone = viewer.add_labels(coarse.data.copy(), metadata={TABLE_KEY: FASSEG}, name="alone")
    viewer.layers.selection.active = made["fine"]
    click(widget.add_button)
    table = made["fine"].metadata[TABLE_KEY]
    assert table == with_class(FASSEG)
    assert coarse.metadata[TABLE_KEY] == table
    assert made["other"].metadata[TABLE_KEY] == SHAPES
    assert alone.metadata[TABLE_KEY] == FASSEG


@pytest.mark.window
def test_a_locked_class_is_not_painted_over(docked, qtbot, drag, click):
    viewer, widget = docked
    layer = add_face(viewer)
    before = layer.data.copy()
    click(widget.table.lock_box(HAIR))
    assert layer.metadata[LOCK_KEY] == [HAIR]
    assert "leave 'hair' unchanged" in widget.status.text()
    click_cell(qtbot, widget, EYES)
    press(qtbot, viewer, Qt.Key.Key_2)
    layer.brush_size = 5
    drag(viewer, (30, 5), (30, 40), (32, 80), (20, 10))
    np.testing.assert_array_equal(layer.data == HAIR, before == HAIR)
    assert (layer.data[30, 31:60] == EYES).all()
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(layer.data, before)
    click(widget.table.lock_box(HAIR))
    drag(viewer, (30, 5), (30, 40))
    assert layer.data[30, 10] == EYES


def test_a_class_that_is_locked_in_a_fine_map_stays_when_it_is_refined_again(
    docked, dock, click, next_class, refine
):
    viewer, widget = docked
    refining = dock("Refine")
    coarse = add_face(viewer)
    skin = coarse.data == SKIN
    refine(refining)
    assert widget.map.value is viewer.layers["face fine"]
    assert not (widget.map.value.data[skin] == SKIN).any()
    click(widget.table.lock_box(SKIN))
    refine(refining)
    again = viewer.layers["face fine"]
    assert widget.map.value is again
    np.testing.assert_array_equal(again.data == SKIN, skin)
    assert widget.table.lock_box(SKIN).isChecked()
    click(widget.table.lock_box(SKIN))
    refine(refining)
    assert not (viewer.layers["face fine"].data[skin] == SKIN).any()


def test_locks_come_with_the_layer(docked, drag):
    viewer, widget = docked
    layer = add_face(viewer)
    layer.metadata[LOCK_KEY] = [HAIR]
    again = Labels(layer.data.copy(), colormap=layer.colormap, metadata=layer.metadata, name="b")
    viewer.add_layer(again)
    assert widget.table.lock_box(HAIR).isChecked()
    again.mode, again.selected_label = "paint", EYES
    drag(viewer, (30, 5), (30, 40))
    assert (again.data == HAIR).sum() == 60 * 30
    assert (again.data == EYES).any()


@pytest.mark.window
def test_number_keys_choose_classes_and_leave_naparis_own(docked, qtbot):
    viewer, widget = docked
    layer = add_face(viewer)
    control = Qt.KeyboardModifier.ControlModifier
    press(qtbot, viewer, Qt.Key.Key_3, control)
    assert layer.selected_label == SKIN
    assert widget.table.value() == SKIN
    press(qtbot, viewer, Qt.Key.Key_0, control)
    assert layer.selected_label == NOTHING
    press(qtbot, viewer, Qt.Key.Key_4)
    assert layer.mode == "fill"
    assert layer.selected_label == NOTHING
    press(qtbot, viewer, Qt.Key.Key_9, control)  # fasseg has six classes
    assert layer.selected_label == NOTHING


@pytest.mark.window
@pytest.mark.parametrize("release_first", ["digit", "control"])
def test_a_class_is_chosen_without_the_tool_changing(docked, qtbot, release_first):
    """With every tool and every class key, long after the key of the tool was pressed."""
    viewer, widget = docked
    layer = add_face(viewer)
    keyboard, application = viewer.window._qt_viewer.canvas.native, get_settings().application
    control = Qt.KeyboardModifier.ControlModifier
    tools, labels = set(), range(7)
    for tool in map(Qt.Key, range(Qt.Key.Key_1, Qt.Key.Key_8)):
        for number in labels:
            application.hold_button_delay = 1000
            qtbot.keyClick(keyboard, tool)
            mode = str(layer.mode)
            tools.add(mode)
            application.hold_button_delay = 0
            qtbot.keyPress(keyboard, Qt.Key.Key_Control)
            qtbot.keyPress(keyboard, Qt.Key(Qt.Key.Key_0 + number), control)
            last = control if release_first == "digit" else Qt.KeyboardModifier.NoModifier
            if release_first == "control":
                qtbot.keyRelease(keyboard, Qt.Key.Key_Control)
            qtbot.keyRelease(keyboard, Qt.Key(Qt.Key.Key_0 + number), last)
            if release_first == "digit":
                qtbot.keyRelease(keyboard, Qt.Key.Key_Control)
            assert layer.mode == mode
            assert layer.selected_label == (number - 1 if number else NOTHING)
            click_cell(qtbot, widget, EYES)
            assert layer.mode == mode
    assert tools == {"erase", "paint", "polygon", "fill", "pick", "pan_zoom", "transform"}


@pytest.mark.window
def test_a_class_is_chosen_in_shapes_without_the_tool_changing(docked, qtbot):
    viewer, _ = docked
    add_face(viewer)
    shapes = viewer.add_shapes()
    for key in (Qt.Key.Key_P, Qt.Key.Key_R, Qt.Key.Key_L, Qt.Key.Key_4, Qt.Key.Key_2):
        get_settings().application.hold_button_delay = 1000
        press(qtbot, viewer, key)
        mode = str(shapes.mode)
        get_settings().application.hold_button_delay = 0
        for number in range(7):
            press(qtbot, viewer, Qt.Key(Qt.Key.Key_0 + number), Qt.KeyboardModifier.ControlModifier)
            assert shapes.mode == mode


@pytest.mark.window
def test_a_new_map_is_ready_to_paint_in(docked, click, drag):
    viewer, widget = docked
    viewer.add_image(np.zeros((20, 30)), name="scene")
    click(widget.new_button)
    drag(viewer, (10, 5), (10, 20))
    assert widget.map.value.mode == "paint"
    assert (widget.map.value.data != widget.map.value.colormap.background_value).any()


@pytest.mark.window
def test_keys_reach_napari_while_the_palette_has_the_focus(docked, qtbot):
    viewer, widget = docked
    layer = add_face(viewer)
    click_cell(qtbot, widget, SKIN)
    qtbot.keyClick(widget.table, Qt.Key.Key_Down)
    assert layer.selected_label == EYES
    qtbot.keyClick(widget.table, Qt.Key.Key_F)
    assert layer.mode == "fill"
    qtbot.keyClick(widget.table, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert layer.selected_label == HAIR
    qtbot.keyClick(widget.table, Qt.Key.Key_F2)
    type_name(qtbot, widget, "fur")
    assert layer.metadata[TABLE_KEY].names[HAIR] == "fur"


@pytest.mark.window
def test_the_keys_go_with_the_widget(docked, qtbot):
    viewer, widget = docked
    layer = add_face(viewer)
    press(qtbot, viewer, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert layer.selected_label == SKIN
    widget.close()
    press(qtbot, viewer, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert layer.selected_label == SKIN
    assert not KEYS.targets


def test_a_new_map_lies_on_the_image(docked, click):
    viewer, widget = docked
    click(widget.new_button)
    assert "Choose an image" in widget.status.text()
    affine = np.array([[1, 0.2, 5], [0, 1, -3], [0, 0, 1]])
    image = viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True, scale=(2, 3), affine=affine)
    widget.class_table.setValue("fasseg")
    assert texts(widget)[:2] == ["background", "hair"]
    assert not widget.table.lock_box(0).isEnabled()
    click(widget.new_button)
    layer = widget.map.value
    assert layer.data.shape == (20, 30)
    assert (layer.data == NOTHING).all()
    np.testing.assert_array_equal(layer.scale, image.scale)
    np.testing.assert_array_equal(layer.affine, image.affine)
    assert widget.table.lock_box(0).isEnabled()


def test_own_classes_are_begun_before_there_is_a_map(docked, qtbot, click):
    viewer, widget = docked
    click(widget.add_button)
    type_name(qtbot, widget, "nucleus")
    assert texts(widget) == ["class 1", "nucleus", "unlabelled (eraser)"]
    viewer.add_image(np.zeros((20, 30)))
    click(widget.new_button)
    assert widget.map.value.metadata[TABLE_KEY].names == ["class 1", "nucleus"]


def test_edited_classes_go_into_the_first_map(docked, qtbot, click):
    viewer, widget = docked
    viewer.add_image(np.zeros((40, 50, 3), np.uint8), name="face")
    widget.class_table.setValue("fasseg")
    click(widget.add_button)
    type_name(qtbot, widget, "beard")
    click(widget.new_button)
    table = viewer.layers["face coarse"].metadata[TABLE_KEY]
    assert table.names == [*FASSEG.names, "beard"]


def test_labels_of_a_large_plain_layer_become_classes_too(docked, click):
    viewer, widget = docked
    labels = np.zeros((1100, 1100), np.uint8)
    labels[:20], labels[20:40] = 1, 2
    layer = viewer.add_labels(labels, name="mine")
    click(widget.add_button)
    assert [entry.index for entry in layer.metadata[TABLE_KEY].classes] == [1, 2, 3]


def test_a_plain_layer_gets_classes(docked, click):
    viewer, widget = docked
    layer = viewer.add_labels(np.zeros((20, 30), int), name="plain")
    assert texts(widget) == []
    assert "has no classes yet" in widget.status.text()
    click(widget.add_button)
    assert layer.metadata[TABLE_KEY].names == ["class 1"]


@pytest.mark.window
def test_shapes_become_a_map_with_a_class_each(docked, qtbot, click, drag):
    viewer, widget = docked
    viewer.add_image(np.zeros((60, 90, 3), np.uint8), name="face")
    widget.class_table.setValue("fasseg")
    click(widget.shapes_button)
    assert "Choose an image, classes and a Shapes layer" in widget.status.text()
    shapes = viewer.add_shapes(name="rough", ndim=2)
    click_cell(qtbot, widget, HAIR)
    shapes.mode = "add_rectangle"
    drag(viewer, (5.3, 5.3), (30.3, 40.3))
    click_cell(qtbot, widget, SKIN)
    drag(viewer, (20.3, 20.3), (50.3, 60.3))
    shapes.mode = "add_polygon_lasso"
    drag(viewer, (40, 70), (40, 80), (55, 80), (55, 70), (45, 70))
    shapes.mode = "select"
    drag(viewer, (50, 75))
    click_cell(qtbot, widget, EYES)
    assert list(shapes.features["class"]) == ["hair", "skin", "eyes"]
    click(widget.shapes_button)
    layer = widget.map.value
    assert layer.name == "face coarse"
    assert (layer.data[6:20, 6:40] == HAIR).all()
    assert (layer.data[21:50, 21:60] == SKIN).all()
    assert layer.data[50, 75] == EYES
    assert layer.data[58, 85] == NOTHING
    assert "Drew 3 shapes" in widget.status.text()
    assert not shapes.visible


@pytest.mark.window
def test_shapes_are_drawn_in_a_map_that_is_empty(docked, qtbot, click, drag):
    viewer, widget = docked
    viewer.add_image(np.zeros((60, 90, 3), np.uint8), name="face")
    widget.class_table.setValue("fasseg")
    click(widget.new_button)
    layer = widget.map.value
    shapes = viewer.add_shapes(name="rough", ndim=2)
    click_cell(qtbot, widget, HAIR)
    shapes.mode = "add_rectangle"
    drag(viewer, (5.3, 5.3), (30.3, 40.3))
    click(widget.shapes_button)
    assert "Drew 1 shape in 'face coarse'" in widget.status.text()
    assert viewer.layers.selection.active is layer
    assert (layer.data[6:30, 6:40] == HAIR).all()
    assert layer.data[40, 50] == NOTHING
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (layer.data == NOTHING).all()
    press(qtbot, viewer, Qt.Key.Key_Z, CONTROL_SHIFT)
    click(widget.shapes_button)
    assert "in a new map" in widget.status.text()
    assert widget.map.value.name == "face coarse 2"


def test_shapes_follow_the_name_and_colour_of_their_class(docked, qtbot, click, monkeypatch):
    viewer, widget = docked
    add_face(viewer)
    box = np.array([(1, 1), (1, 9), (9, 9), (9, 1)])
    shapes = viewer.add_shapes([box, box + 20], shape_type="polygon", name="rough")
    shapes.selected_data = {0}
    click_cell(qtbot, widget, HAIR)
    shapes.selected_data = {1}
    click_cell(qtbot, widget, SKIN, twice=True)
    type_name(qtbot, widget, "face")
    assert list(shapes.features["class"]) == ["hair", "face"]
    assert widget.table.value() == SKIN
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor(10, 20, 30))
    click(widget.colour_button)
    np.testing.assert_allclose(shapes.face_color[1], (10 / 255, 20 / 255, 30 / 255, 1))
    np.testing.assert_allclose(shapes.face_color[0], (127 / 255, 0, 0, 1), atol=1e-6)


@pytest.mark.window
def test_the_viewer_may_close_while_pixels_are_counted(docked, qtbot):
    viewer, widget = docked
    add_face(viewer, (4000, 4000))
    widget._controller._counter._count()
    viewer.close()


def test_every_control_has_a_tool_tip(docked):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    assert texts(widget)[0] == SHAPES.names[0]
    controls = [*widget.findChildren(QPushButton), *widget.findChildren(QCheckBox)]
    assert [control for control in controls if not control.toolTip()] == []


def test_a_class_is_deleted_and_its_pixels_are_asked_about(docked, qtbot, click, monkeypatch):
    viewer, widget = docked
    layer = add_face(viewer)
    questions = []

    def answer(yes):
        button = QMessageBox.StandardButton.Yes if yes else QMessageBox.StandardButton.No
        monkeypatch.setattr(
            QMessageBox, "question", lambda *args: questions.append(args[2]) or button
        )

    for index in (HAIR, EYES):
        click(widget.table.lock_box(index))
    before = layer.data.copy()
    answer(False)
    click_cell(qtbot, widget, HAIR)
    click(widget.delete_button)
    assert "'hair' has 1,800 pixels in 'face coarse'" in questions[0]
    np.testing.assert_array_equal(layer.data, before)
    assert "hair" in texts(widget)
    answer(True)
    click(widget.delete_button)
    assert "hair" not in texts(widget)
    assert "hair" not in layer.metadata[TABLE_KEY].names
    np.testing.assert_array_equal(layer.data, np.where(before == HAIR, NOTHING, before))
    click_cell(qtbot, widget, texts(widget).index("eyes"))
    click(widget.delete_button)  # It has no pixels.
    assert len(questions) == 2
    assert "eyes" not in texts(widget)


def test_a_class_is_moved_and_keeps_its_label_and_pixels(docked, qtbot, click):
    viewer, widget = docked
    layer = add_face(viewer)
    before = layer.data.copy()
    click_cell(qtbot, widget, SKIN)
    click(widget.up_button)
    assert texts(widget)[:3] == ["background", "skin", "hair"]
    assert widget.table.value() == SKIN
    click(widget.down_button)
    click(widget.down_button)
    assert texts(widget)[:4] == ["background", "hair", "eyes", "skin"]
    np.testing.assert_array_equal(layer.data, before)


def test_the_last_class_cannot_be_deleted(docked, qtbot, click):
    _, widget = docked
    click_cell(qtbot, widget, 0)
    click(widget.delete_button)
    assert "between 1 and" in widget.status.text()
    assert len(texts(widget)) == 2


def test_the_first_shape_gets_the_highlighted_class(docked, qtbot):
    viewer, widget = docked
    viewer.add_image(np.zeros((60, 90)), name="scene")
    assert widget.table.value() is not None
    shapes = viewer.add_shapes()
    shapes.add_rectangles([[0, 0], [5, 5]])
    assert list(shapes.features["class"]) == ["class 1"]
    layer = add_face(viewer)
    click_cell(qtbot, widget, EYES)
    assert viewer.layers.selection.active is layer
    viewer.layers.selection.active = shapes
    shapes.selected_data = set()
    again = viewer.add_shapes(name="again")
    again.add_rectangles([[0, 0], [5, 5]])
    assert list(again.features["class"]) == ["eyes"]


def test_the_image_never_jumps_to_a_confidence(docked, add_result):
    viewer, widget = docked
    photo = viewer.add_image(np.zeros((40, 60)), name="photo")
    _, _, confidence = add_result(viewer)
    viewer.layers.selection.active = confidence
    assert widget.image.value is photo


def test_classes_of_a_map_that_is_gone_go_too(docked):
    viewer, widget = docked
    layer = add_face(viewer)
    assert "hair" in texts(widget)
    viewer.layers.remove(layer)
    assert "hair" not in texts(widget)


def test_new_classes_are_typed_where_they_are_asked_for(docked, click, monkeypatch):
    viewer, widget = docked
    viewer.add_image(np.zeros((20, 30)), name="scene")
    typed = "leaf\n\n stem \nleaf"
    monkeypatch.setattr(QInputDialog, "getMultiLineText", lambda *_: (typed, True))
    row = widget.class_table.findData(NEW_CLASSES)
    widget.class_table.setCurrentIndex(row)
    widget.class_table.activated.emit(row)
    assert texts(widget) == ["leaf", "stem", "unlabelled (eraser)"]
    click(widget.new_button)
    assert widget.map.value.metadata[TABLE_KEY].names == ["leaf", "stem"]
    monkeypatch.setattr(QInputDialog, "getMultiLineText", lambda *_: ("", False))
    before = widget.class_table.value()
    widget.class_table.setCurrentIndex(widget.class_table.findData(NEW_CLASSES))
    widget.class_table.activated.emit(widget.class_table.findData(NEW_CLASSES))
    assert widget.class_table.value() == before
