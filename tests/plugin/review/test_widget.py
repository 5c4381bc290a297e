"""The Review widget, driven by mouse and keys on a real viewer."""

from pathlib import Path

import numpy as np
import pytest
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.components import ViewerModel
from napari.layers import Labels
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton

from c2f_core.config.settings import TrainConfig
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.layers.session import Refined, Session
from napari_c2f.review.keys import KEYS
from napari_c2f.review.table import CHANGE, CONFIDENCE, DECISION, PIXELS
from napari_c2f.review.widget import ReviewWidget

PLUGIN = "napari-c2f"
HAIR, SKIN, EYES = 1, 2, 3
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def docked(viewer, dock):
    """A viewer with the Review widget."""
    return viewer, dock("Review")


@pytest.fixture
def alone(qtbot):
    """A viewer without a window and a shown Review widget: much quicker, but draws nothing."""
    viewer = ViewerModel()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    return viewer, widget


@pytest.fixture
def begin(add_result, click, qtbot):
    """Begin a review; return viewer, widget and final layer."""

    def begin_in(viewer, widget):
        add_result(viewer)
        click(widget.begin_button)
        qtbot.waitUntil(lambda: widget.table.isEnabled(), timeout=10000)
        return viewer, widget, viewer.layers["face final"]

    return begin_in


@pytest.fixture
def begun(docked, begin):
    """A review that has begun in a window."""
    return begin(*docked)


@pytest.fixture
def begun_alone(alone, begin):
    """A review that has begun without a window."""
    return begin(*alone)


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


@pytest.fixture
def press(qtbot):
    """Press a key while the canvas has the focus."""
    return lambda viewer, key, modifier=NONE: qtbot.keyClick(canvas(viewer), key, modifier)


def column(widget, number):
    model = widget.table.model()
    return [model.index(row, number).data() for row in range(model.rowCount())]


def click_row(qtbot, widget, row):
    table = widget.table
    place = table.visualRect(table.model().index(row, CHANGE)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def center(viewer):
    return tuple(viewer.scene.camera.center[-2:])


def test_the_table_lists_what_changed_and_follows_the_review(begun_alone, qtbot):
    viewer, widget, _ = begun_alone
    assert column(widget, CHANGE) == [f"background → {x}" for x in ("skin", "eyes", "hair", "hair")]
    assert column(widget, PIXELS) == ["48", "24", "30", "4"]
    assert column(widget, CONFIDENCE) == ["50 %", "60 %", "90 %", "50 %"]
    assert column(widget, DECISION) == ["undecided"] * 4
    assert widget.table.value() == 1
    click_row(qtbot, widget, 2)
    assert center(viewer) == (22.0, 32.5)
    assert widget._controller.model.current == 3
    qtbot.keyClick(widget.table, Qt.Key.Key_Down)
    assert center(viewer) == (34.5, 50.5)


@pytest.mark.window
def test_three_regions_are_reviewed_by_keys_on_the_canvas(begun, press, review_maps):
    viewer, widget, final = begun
    coarse_map, fine_map, _ = review_maps
    press(viewer, Qt.Key.Key_A)
    press(viewer, Qt.Key.Key_R)
    press(viewer, Qt.Key.Key_A)
    assert column(widget, DECISION) == ["accepted", "rejected", "accepted", "undecided"]
    assert widget.table.value() == 4
    expected = np.where(np.isin(fine_map, [SKIN, HAIR]), fine_map, coarse_map)
    expected[34:36] = 0
    np.testing.assert_array_equal(final.data, expected)
    press(viewer, Qt.Key.Key_Z, CONTROL)
    press(viewer, Qt.Key.Key_Z, CONTROL)
    assert column(widget, DECISION) == ["accepted"] + ["undecided"] * 3
    assert widget.table.value() == 2
    press(viewer, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert column(widget, DECISION) == ["accepted", "rejected", "undecided", "undecided"]
    press(viewer, Qt.Key.Key_N)
    press(viewer, Qt.Key.Key_N, SHIFT)
    assert widget.table.value() == 4
    press(viewer, Qt.Key.Key_R, CONTROL | SHIFT)
    assert column(widget, DECISION) == ["accepted", "rejected", "rejected", "rejected"]
    for layer, before in (("face coarse", coarse_map), ("face fine", fine_map)):
        np.testing.assert_array_equal(viewer.layers[layer].data, before)


@pytest.mark.window
def test_a_stack_is_reviewed_plane_by_plane(docked, add_result, press, click, qtbot):
    viewer, widget = docked
    fine, coarse, _ = add_result(viewer, (3,))
    for plane in (1, 2):
        viewer.dims.set_current_step(0, plane)
        click(widget.begin_button)
        qtbot.waitUntil(lambda: widget.table.isEnabled(), timeout=10000)
        assert column(widget, DECISION) == ["undecided"] * 4
        press(viewer, Qt.Key.Key_A)
        viewer.dims.set_current_step(0, 0)
        press(viewer, Qt.Key.Key_A, CONTROL | SHIFT)
        press(viewer, Qt.Key.Key_Z, CONTROL)
        assert column(widget, DECISION) == ["accepted"] + ["undecided"] * 3
        press(viewer, Qt.Key.Key_N)
        assert viewer.dims.current_step[0] == plane
        press(viewer, Qt.Key.Key_A, CONTROL | SHIFT)
        assert "Nothing left to review in this plane" in widget.status.text()
    np.testing.assert_array_equal(viewer.layers["face final"].data[1:], fine.data[1:])
    np.testing.assert_array_equal(viewer.layers["face final"].data[0], coarse.data[0])


@pytest.mark.window
def test_undo_of_the_shown_final_layer_takes_an_acceptance_back(begun, press):
    viewer, widget, final = begun
    press(viewer, Qt.Key.Key_G)
    assert viewer.layers.selection.active is final
    assert widget.buttons.final.isChecked()
    press(viewer, Qt.Key.Key_A, CONTROL | SHIFT)
    assert column(widget, DECISION) == ["accepted"] * 4
    press(viewer, Qt.Key.Key_Z, CONTROL)
    assert column(widget, DECISION) == ["undecided"] * 4
    final.redo()
    assert column(widget, DECISION) == ["accepted"] * 4


def test_buttons_decide_as_keys_do(begun_alone, click):
    _, widget, final = begun_alone
    click(widget.buttons.next)
    click(widget.buttons.reject)
    widget.buttons.threshold.setValue(90)
    click(widget.buttons.accept_above)
    assert column(widget, DECISION) == ["undecided", "rejected", "accepted", "undecided"]
    click(widget.buttons.previous)
    click(widget.buttons.accept)
    assert widget.counts.text() == "2 accepted, 1 rejected, 0 edited, 1 undecided"
    click(widget.buttons.accept_rest)
    assert column(widget, DECISION) == ["accepted", "rejected", "accepted", "accepted"]
    assert "Nothing left to review" in widget.status.text()
    assert widget.buttons.final.isChecked()
    assert final.visible


@pytest.mark.window
def test_all_above_a_confidence_are_accepted_by_key(begun, press):
    viewer, widget, _ = begun
    widget.buttons.threshold.setValue(60)
    press(viewer, Qt.Key.Key_A, SHIFT)
    assert column(widget, DECISION) == ["undecided", "accepted", "accepted", "undecided"]


@pytest.mark.window
def test_corrections_by_brush_are_kept_and_undone(begun, press, drag):
    viewer, widget, final = begun
    press(viewer, Qt.Key.Key_A)
    press(viewer, Qt.Key.Key_G)
    viewer.reset_view()
    final.mode, final.selected_label, final.brush_size = "paint", EYES, 2
    drag(viewer, (6, 5), (6, 8))
    assert column(widget, DECISION)[0] == "edited"
    press(viewer, Qt.Key.Key_Z, CONTROL)
    assert column(widget, DECISION)[0] == "accepted"
    press(viewer, Qt.Key.Key_Z, CONTROL)
    assert column(widget, DECISION)[0] == "undecided"


@pytest.mark.window
@pytest.mark.parametrize("focus", ["canvas", "table"])
def test_the_coarse_map_is_shown_while_the_key_is_held(begun, qtbot, focus):
    viewer, widget, _ = begun
    place = canvas(viewer) if focus == "canvas" else widget.table
    before = {layer.name for layer in viewer.layers if layer.visible}
    qtbot.keyPress(place, Qt.Key.Key_H)
    assert {layer.name for layer in viewer.layers if layer.visible} == {"face coarse"}
    qtbot.keyRelease(place, Qt.Key.Key_H)
    assert {layer.name for layer in viewer.layers if layer.visible} == before


def test_the_coarse_map_is_shown_while_the_button_is_held(begun_alone, qtbot):
    viewer, widget, _ = begun_alone
    coarse, left = viewer.layers["face coarse"], Qt.MouseButton.LeftButton
    qtbot.mousePress(widget.buttons.compare, left)
    assert coarse.visible
    qtbot.mouseRelease(widget.buttons.compare, left)
    assert not coarse.visible


@pytest.mark.window
def test_doubtful_regions_are_visited_by_key(begun, press):
    viewer, widget, _ = begun
    seen = set()
    for _ in range(4):
        press(viewer, Qt.Key.Key_D)
        seen.add(center(viewer))
    assert (4.5, 44.5) in seen
    assert len(seen) == 4
    assert "This is the last one" in widget.status.text()


@pytest.mark.window
def test_maps_are_outlined_by_key_and_box(begun, press, click):
    viewer, widget, _ = begun
    press(viewer, Qt.Key.Key_W)
    assert viewer.layers["face fine"].contour == 2
    assert widget.switches.outlines.isChecked()
    click(widget.switches.outlines)
    assert viewer.layers["face fine"].contour == 0


def test_a_click_on_a_region_chooses_it(begun, drag):
    viewer, widget, _ = begun
    viewer.reset_view()
    drag(viewer, (22, 32))
    assert widget.table.value() == 3
    viewer.reset_view()
    drag(viewer, (12, 25))  # Nothing changed there.
    assert widget.table.value() == 3


def test_the_widget_follows_the_fine_layers(alone, add_result):
    viewer, widget = alone
    first, *others = add_result(viewer)
    assert [widget.maps.fine.value, widget.maps.coarse.value, widget.maps.confidence.value] == [
        first,
        *others,
    ]
    second, *others = add_result(viewer)
    viewer.layers.selection.active = second
    assert [widget.maps.fine.value, widget.maps.coarse.value, widget.maps.confidence.value] == [
        second,
        *others,
    ]
    viewer.layers.selection.active = others[0]
    assert widget.maps.fine.value is second


def test_the_confidence_is_that_of_the_refinement_whatever_layers_are_added(alone, add_result):
    viewer, widget = alone
    fine, coarse, confidence = add_result(viewer)
    widget.maps.confidence.value = None
    viewer.add_image(confidence.data, name="other")
    assert widget.maps.confidence.value is None
    again = viewer.add_layer(type(fine)(fine.data.copy(), metadata=dict(fine.metadata)))
    late = viewer.add_image(confidence.data, name="late")
    session = Session.of(viewer)
    session.lineage.add_fine(again, coarse, late)
    widget.maps.fine.value = again
    widget.maps.confidence.value = None
    session.refined.emit(Refined(again, late, {}))
    assert widget.maps.confidence.value is late
    session.refined.emit(Refined(fine, confidence, {}))
    assert widget.maps.confidence.value is late  # Another fine map is chosen.


@pytest.mark.window
def test_the_palette_stays_with_maps_that_can_be_drawn_in(begun):
    viewer, _, final = begun
    _, draw = viewer.window.add_plugin_dock_widget(PLUGIN, "Draw")
    viewer.layers.selection.active = final
    assert draw.map.value is final
    viewer.layers.selection.active = viewer.layers["face changes"]
    assert draw.map.value is final


@pytest.mark.window
def test_nothing_can_be_decided_without_a_review(docked, click, press):
    viewer, widget = docked
    for button in widget.buttons.actions_by_button:
        assert not button.isEnabled()
    for key in (Qt.Key.Key_A, Qt.Key.Key_N, Qt.Key.Key_D, Qt.Key.Key_H):
        press(viewer, key)
    click(widget.begin_button)
    assert "Choose a fine map" in widget.status.text()


@pytest.mark.window
def test_keys_are_listed_in_the_preferences_and_can_be_changed(begun, press, qtbot):
    viewer, widget, _ = begun
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    listed = editor.key_bindings_strs[ShortcutEditor.VIEWER_KEYBINDINGS]
    assert {KEYS.full_name(name) for name in KEYS.actions} <= set(listed)
    assert widget.buttons.accept.toolTip() == "Accept the region (A)"
    name = KEYS.full_name("accept")
    action_manager.unbind_shortcut(name)
    action_manager.bind_shortcut(name, "J")
    try:
        assert widget.buttons.accept.toolTip().endswith("(J)")
        press(viewer, Qt.Key.Key_A)
        assert column(widget, DECISION)[0] == "undecided"
        press(viewer, Qt.Key.Key_J)
        assert column(widget, DECISION)[0] == "accepted"
    finally:
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, KEYS.actions["accept"].key)


def test_keys_that_the_user_chose_before_are_kept(make_napari_viewer):
    viewer = make_napari_viewer()
    name, shortcuts = KEYS.full_name("next"), get_settings().shortcuts.shortcuts
    action_manager._shortcuts.pop(name, None)
    get_settings().shortcuts.shortcuts = {**shortcuts, name: ["K"]}
    action_manager.bind_shortcut(name, "K")  # napari does so when it starts.
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
    try:
        assert widget.buttons.next.toolTip().endswith("(K)")
    finally:
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, KEYS.actions["next"].key)


@pytest.mark.window
def test_keys_of_a_closed_widget_do_nothing(begun, press):
    viewer, widget, final = begun
    before = final.data.copy()
    widget.close()
    assert not KEYS.targets
    press(viewer, Qt.Key.Key_A)
    np.testing.assert_array_equal(final.data, before)


def test_everything_can_be_reached_by_keyboard_and_has_a_tool_tip(begun_alone):
    _, widget, _ = begun_alone
    editors = [*widget.findChildren(QAbstractButton), widget.buttons.threshold, widget.table]
    for editor in (each for each in editors if each.parent() in (widget, widget.buttons)):
        assert editor.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert editor.toolTip()
    assert len({action.key for action in KEYS.actions.values()}) == len(KEYS.actions)


@pytest.fixture
def trained(data, tiny):
    """The best checkpoint of a finished model2 run."""
    list(train(TrainConfig.model_validate(tiny | {"method": "model2"})))
    best = RunFolder(tiny["run_folder"]).best_model
    assert best is not None
    return str(best)


def test_the_realism_map_of_a_discriminator_is_a_layer(make_napari_viewer, click, qtbot, trained):
    RECENT_MODELS.remember(trained)
    RECENT_MODELS.remember(BUNDLED_FOLDER / "fasseg.safetensors")  # It has none.
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
    viewer.open_sample(PLUGIN, "shapes")
    image, coarse = viewer.layers[:2]
    fine = Labels(coarse.data.copy(), metadata=coarse.metadata, name="fine")
    Session.of(viewer).lineage.add_fine(fine, coarse)
    viewer.add_layer(fine)
    section = widget.discriminator
    assert (section.model.value(), section.image.value) == (trained, image)
    click(widget.discriminator_box.toggleButton())
    qtbot.waitUntil(lambda: section.button.visibleRegion().boundingRect().height() > 9)
    click(section.button)
    qtbot.waitUntil(lambda: "unrealistic are blue" in widget.status.text(), timeout=20000)
    realism = viewer.layers["fine realism"]
    assert realism.data.shape == fine.data.shape
    assert 0 <= realism.data.min() <= realism.data.max() <= 1
    assert viewer.layers.selection.active is fine
    section.model.setValue(str(BUNDLED_FOLDER / "fasseg.safetensors"))
    assert not section.button.isEnabled()
    images, maps = (viewer.add_image, viewer.add_labels)
    section.model.setValue(trained)
    section.image.value = images(np.stack([image.data] * 2), name="images", rgb=True)
    about = {"metadata": fine.metadata, "name": "fine maps"}
    widget.maps.fine.value = maps(np.stack([coarse.data] * 2), **about)
    viewer.dims.set_current_step(0, 1)
    click(section.button)
    qtbot.waitUntil(lambda: "fine maps realism" in viewer.layers, timeout=20000)
    of_stack = viewer.layers["fine maps realism"]
    np.testing.assert_array_equal(of_stack.data, realism.data[np.newaxis])
    np.testing.assert_array_equal(of_stack.translate, (1, 0, 0))


def test_the_documentation_lists_the_keys():
    page = (Path(__file__).parents[3] / "docs" / "reviewing.md").read_text(encoding="utf-8")
    for action in KEYS.actions.values():
        assert f"| `{action.key}` | {action.description} |" in page
