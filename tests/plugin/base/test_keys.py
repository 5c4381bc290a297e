"""Keys of the widgets: they are listed, unique, and act on open widgets."""

from pathlib import Path

import numpy as np
import pytest
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from napari_c2f.base.proxies import bare
from napari_c2f.draw import controller as _draw_keys
from napari_c2f.layers import display as _display_keys
from napari_c2f.layers.convert import labels_layer_data
from napari_c2f.refine import widget as _refine_keys
from napari_c2f.review import keys as _review_keys

WIDGETS = (_draw_keys.KEYS, _refine_keys.KEYS, _review_keys.KEYS)
SHARED = _display_keys.KEYS
ACTIONS = [(keys, name) for keys in (*WIDGETS, SHARED) for name in keys.actions]
CONTROL = Qt.KeyboardModifier.ControlModifier


def test_the_documentation_lists_all_keys():
    page = (Path(__file__).parents[3] / "docs" / "shortcuts.md").read_text(encoding="utf-8")
    for keys, name in ACTIONS:
        action = keys.actions[name]
        assert f"| {keys.widget} | `{action.key}` | {action.description} |" in page


def test_no_key_has_two_meanings():
    own = [keys.actions[name].key for keys, name in ACTIONS]
    of_viewer = {
        key
        for name, keys in default_shortcuts.items()
        if name.startswith("napari:")
        for key in keys
    }
    assert len(set(own)) == len(own)
    with_modifier = {key for key in own if str(key).startswith("Ctrl")}
    assert not with_modifier & of_viewer


def test_the_preferences_list_the_keys_of_open_widgets(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    for keys in WIDGETS:
        viewer.window.add_plugin_dock_widget("napari-c2f", keys.widget)
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    listed = editor.key_bindings_strs[ShortcutEditor.VIEWER_KEYBINDINGS]
    assert {keys.full_name(name) for keys, name in ACTIONS} <= set(listed)


@pytest.mark.window
def test_no_key_acts_while_the_dock_is_closed(viewer, dock, qtbot):
    docks = [dock(keys.widget).parent() for keys in WIDGETS]
    qtbot.waitUntil(lambda: all(each.isVisible() for each in docks))
    assert all(len(keys.targets) == 1 for keys in WIDGETS)
    assert len(SHARED.targets[bare(viewer)]) == len(WIDGETS)
    for each in docks:
        each.title.hide_button.click()
    assert not any(keys.targets for keys in (*WIDGETS, SHARED))
    for each in docks:
        each.toggleViewAction().trigger()
    assert all(len(keys.targets) == 1 for keys in WIDGETS)
    assert len(SHARED.targets[bare(viewer)]) == len(WIDGETS)


@pytest.mark.window
@pytest.mark.parametrize("close", [False, True])
def test_keys_refine_while_the_widget_is_open(docked, next_class, qtbot, close):
    viewer, widget = docked
    pair = synthetic_pair(48)
    viewer.add_image(pair.image, name="scene")
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "coarse")
    viewer.add_labels(data, **keywords)
    widget.model.setValue("watershed")
    if close:
        widget.close()
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_Return, CONTROL)
    qtbot.waitUntil(widget.refine_button.isEnabled, timeout=20000)
    assert ("fine" in viewer.layers) != close
    if not close:
        expected = SHAPES.to_labels((pair.coarse + 1) % 4)
        np.testing.assert_array_equal(viewer.layers["fine"].data, expected)
        qtbot.keyClick(canvas, Qt.Key.Key_L, CONTROL)
        assert widget.live.isChecked()
        qtbot.keyClick(canvas, Qt.Key.Key_L, CONTROL)
        assert not widget.live.isChecked()
