"""The Refine widget, driven by clicks on a real viewer."""

import json
import threading
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QPlainTextEdit,
    QProgressBar,
)
from safetensors.numpy import save_file
from scipy import ndimage

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.io.annotations import write_annotations
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.refine.classical import CLASSICAL_REFINERS, WatershedRefiner
from c2f_core.refine.learned import Refiner
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.layers.convert import TABLE_KEY, labels_layer_data
from napari_c2f.layers.session import Session
from napari_c2f.refine.controller import RefineController
from napari_c2f.refine.widget import RefineWidget

PLUGIN = "napari-c2f"
FASSEG = ClassTable.preset("fasseg")


def refine(qtbot, widget, model="watershed", timeout=60000):
    widget.model.setValue(model)
    qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=timeout)


class SlowRefiner(WatershedRefiner):
    """Refiner that waits until it is asked to stop."""

    def refine_ids(self, rgb, class_ids, monitor):
        for step in range(200):
            if monitor.should_stop():
                break
            monitor.report(step / 200)
            time.sleep(0.05)
        return super().refine_ids(rgb, class_ids, monitor)


@pytest.fixture
def slow_model(monkeypatch):
    monkeypatch.setitem(CLASSICAL_REFINERS, "watershed", SlowRefiner)


def save_coarse(path, pair):
    """Save a coarse map as in FASSEG: RGB, with blurred boundaries."""
    colours = encode_colours(FASSEG.to_labels(pair.coarse), FASSEG)
    blurred = ndimage.gaussian_filter(colours.astype(float), (0.4, 0.4, 0))
    Image.fromarray(np.rint(blurred).astype(np.uint8)).save(path)


def test_a_colour_coded_map_is_refined_saved_and_reloaded(docked, qtbot, tmp_path):
    viewer, widget = docked
    pair = astronaut_pair()
    save_coarse(tmp_path / "coarse.c2f.png", pair)
    placed = {"scale": (0.5, 0.5), "translate": (3, 4)}
    viewer.add_image(pair.image, name="face", **placed)
    (coarse,) = viewer.open(tmp_path / "coarse.c2f.png", plugin=PLUGIN)
    coarse.scale, coarse.translate = placed.values()
    before = coarse.data.copy()
    refine(qtbot, widget, "fasseg")
    assert "% of the pixels changed" in widget.status.text()
    fine, confidence = viewer.layers["fine"], viewer.layers["confidence"]
    np.testing.assert_array_equal(coarse.data, before)
    truth = FASSEG.to_labels(pair.fine)
    near = ndimage.morphological_gradient(truth, size=11) > 0  # the 5 px on either side
    assert (fine.data == truth)[near].mean() > (before == truth)[near].mean() + 0.02
    assert (fine.data == truth).mean() > (before == truth).mean()
    for layer in (fine, confidence):
        np.testing.assert_array_equal(layer.scale, coarse.scale)
        np.testing.assert_array_equal(layer.affine, coarse.affine)
        np.testing.assert_array_equal(layer.translate, coarse.translate)
    for label in range(6):
        np.testing.assert_array_equal(fine.get_color(label), coarse.get_color(label))
    assert list(fine.features["name"]) == list(coarse.features["name"])
    for name in ("fine.c2f.png", "fine.c2f.tif"):
        fine.save(str(tmp_path / name), plugin=PLUGIN)
        (again,) = viewer.open(tmp_path / name, plugin=PLUGIN)
        np.testing.assert_array_equal(again.data, fine.data)
        assert list(again.features["name"]) == list(fine.features["name"])


def test_the_confidence_shows_the_doubtful_places_above_the_fine_map(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    refine(qtbot, widget)
    fine, confidence = viewer.layers[-2:]
    assert confidence.name == "shapes-3 confidence"
    assert confidence.visible
    assert confidence.data.min() >= 0
    assert confidence.data.max() <= 1
    alpha = confidence.colormap.map([0.0, 1.0])[:, 3]
    assert alpha[0] == 1  # below the contrast limits
    assert alpha[1] == 0
    # The fine map is the one to correct; the coarse one does not shine through.
    assert viewer.layers.selection.active is fine
    assert fine.visible
    assert not viewer.layers["shapes-3 coarse"].visible


def test_the_window_answers_between_the_layers_of_a_result(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    happened = []
    answered = QTimer()
    answered.timeout.connect(lambda: happened.append("answered"))
    viewer.layers.events.inserted.connect(lambda event: happened.append(event.value.name))
    answered.start(0)
    refine(qtbot, widget)
    answered.stop()
    fine, confidence = (happened.index(layer.name) for layer in viewer.layers[-2:])
    assert "answered" in happened[fine:confidence]
    assert viewer.layers.selection.active is viewer.layers["shapes-3 fine"]


@pytest.mark.window
def test_the_viewer_may_close_between_the_layers_of_a_result(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    inserted = []
    viewer.layers.events.inserted.connect(lambda event: inserted.append(event.value.name))
    viewer.layers.events.inserted.connect(lambda _: QTimer.singleShot(0, viewer.close))
    widget.model.setValue("watershed")
    qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
    controller, ended = widget._controller, object()
    qtbot.waitUntil(lambda: len(inserted) > 0, timeout=60000)
    qtbot.waitUntil(lambda: controller._task is None, timeout=10000)
    assert next(controller._gui_steps, ended) is ended  # No layer is still to be added.
    assert inserted == ["shapes-3 fine"]


def test_the_fine_layer_remembers_where_it_came_from(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    coarse = viewer.layers["shapes-3 coarse"]
    refine(qtbot, widget)
    fine, confidence = viewer.layers[-2:]
    coarse.name = confidence.name = "renamed"
    lineage = Session.of(viewer).lineage
    assert lineage.coarse_of(viewer.layers, fine) is coarse
    assert lineage.confidence_of(viewer.layers, fine) is confidence
    record = lineage.record_of(fine)
    assert record["refiner"] == "watershed"
    assert record["changed"] == (fine.data != coarse.data).sum()
    assert record["changed"] == widget.state.report.changed
    viewer.layers.remove(coarse)
    assert lineage.coarse_of(viewer.layers, fine) is None


def test_refining_goes_in_the_right_direction(docked, qtbot):
    viewer, widget = docked
    fine, coarse = np.ones((128, 128), dtype=np.uint8), np.ones((128, 128), dtype=np.uint8)
    fine[40:90, 40:90], coarse[34:94, 36:98] = 2, 2
    viewer.add_image(np.where(fine == 2, 200, 50).astype(np.uint8), name="square")
    viewer.add_labels(coarse, name="coarse")
    refine(qtbot, widget, "watershed")
    refined = viewer.layers["fine"].data
    assert (refined == fine).mean() > 0.99 > (coarse == fine).mean()


def test_refining_leaves_locked_classes_alone(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    coarse = viewer.layers["shapes-3 coarse"]
    Session.of(viewer).locks.lock(coarse, 1)
    refine(qtbot, widget)
    fine = viewer.layers["shapes-3 fine"].data
    assert (fine[coarse.data == 1] == 1).all()
    assert (fine != coarse.data).any()


def test_a_second_click_refines_the_same_coarse_map_again(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    for _ in range(2):
        refine(qtbot, widget)
        assert widget.coarse.value is viewer.layers["shapes-3 coarse"]
        assert widget.image.value is viewer.layers["shapes-3"]
    shown = [layer.name for layer in viewer.layers if layer.visible]
    group = ["shapes-3 fine", "shapes-3 confidence"]
    assert shown == ["shapes-3", *group]
    results = [layer.name for layer in viewer.layers if layer.name.startswith(tuple(group))]
    assert results == group


def test_the_layer_lists_follow_the_selection(docked):
    viewer, widget = docked
    assert (widget.image.value, widget.coarse.value) == (None, None)
    first, second = (viewer.add_image(np.zeros((8, 8)), name=name) for name in "ab")
    lower, upper = (viewer.add_labels(np.zeros((8, 8), dtype=int), name=name) for name in "cd")
    assert (widget.image.value, widget.coarse.value) == (second, upper)
    viewer.layers.selection = {first, lower}
    assert (widget.image.value, widget.coarse.value) == (first, lower)
    widget.coarse.value = upper
    viewer.layers.selection.active = first
    assert widget.coarse.value is upper
    viewer.layers.remove(upper)
    assert widget.coarse.value is lower


def contents(viewer):
    """Return the state of a layer list, for a later comparison."""
    return [(layer.name, layer.visible, np.array(layer.data)) for layer in viewer.layers]


@pytest.mark.parametrize("model", ["fasseg", "watershed"])
def test_cancelling_midway_changes_nothing(docked, qtbot, click, slow_model, model):
    viewer, widget = docked
    pair = astronaut_pair(1300)  # four tiles
    viewer.add_image(pair.image, name="face")
    data, keywords, _ = labels_layer_data(FASSEG.to_labels(pair.coarse), FASSEG, "coarse")
    viewer.add_labels(data, **keywords)
    before = contents(viewer)
    widget.model.setValue(model)
    click(widget.refine_button)
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=60000)
    assert widget.progress.value() < 100
    assert not widget.refine_button.isEnabled()
    click(widget.cancel_button)
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=60000)
    assert "cancelled" in widget.status.text()
    for now, then in zip(contents(viewer), before, strict=True):
        assert now[:2] == then[:2]
        np.testing.assert_array_equal(now[2], then[2])


def test_the_layer_may_go_while_it_is_refined(docked, qtbot, click, monkeypatch):
    viewer, widget = docked
    released = threading.Event()

    class WaitingRefiner(WatershedRefiner):
        def refine_ids(self, rgb, class_ids, monitor):
            released.wait(10)
            return super().refine_ids(rgb, class_ids, monitor)

    monkeypatch.setitem(CLASSICAL_REFINERS, "watershed", WaitingRefiner)
    viewer.open_sample(PLUGIN, "shapes")
    widget.model.setValue("watershed")
    click(widget.refine_button)
    viewer.layers.clear()
    released.set()
    qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=10000)
    names = [layer.name for layer in viewer.layers]
    assert names == ["shapes-3 fine", "shapes-3 confidence"]


@pytest.mark.window
@pytest.mark.parametrize("model", ["fasseg", "watershed"])
def test_the_viewer_may_close_while_it_runs(docked, qtbot, click, slow_model, model):
    viewer, widget = docked
    pair = astronaut_pair(1300)  # four tiles
    viewer.add_image(pair.image, name="face")
    data, keywords, _ = labels_layer_data(FASSEG.to_labels(pair.coarse), FASSEG, "coarse")
    viewer.add_labels(data, **keywords)
    widget.model.setValue(model)
    click(widget.refine_button)
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=10000)
    task = widget._controller._task
    viewer.close()
    qtbot.waitUntil(task._done.is_set, timeout=10000)


def test_a_new_map_is_unlabelled_and_lies_on_the_image(docked, qtbot, click):
    viewer, widget = docked
    click(widget.new_button)
    assert "Choose an image" in widget.status.text()
    pair = astronaut_pair()
    viewer.add_image(pair.image, name="face", scale=(2, 3))
    click(widget.new_button)
    assert "Choose the classes" in widget.status.text()
    widget.class_table.setValue("fasseg")
    assert "hair" in widget.legend.text()
    click(widget.new_button)
    layer = widget.coarse.value
    assert layer.name == "face coarse"
    assert (layer.data == 255).all()
    np.testing.assert_array_equal(layer.scale, (2, 3))
    layer.data = np.where(pair.coarse > 0, pair.coarse, 255).astype(np.uint8)
    layer.data[:40] = 0
    refine(qtbot, widget, "fasseg")
    assert (viewer.layers["face fine"].data != 255).all()


def test_a_map_opens_with_the_chosen_classes(docked, click, tmp_path, monkeypatch):
    viewer, widget = docked
    maps, table = tmp_path / "map.png", tmp_path / "own.json"
    table.write_text(SHAPES.model_dump_json())
    indices = SHAPES.to_labels(synthetic_pair(64).coarse)
    Image.fromarray(encode_colours(indices, SHAPES)).save(maps)
    answer = str(maps), ""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: answer)
    click(widget.open_button)
    assert "does not match any known class table" in widget.status.text()
    assert not viewer.layers
    widget.class_table.setValue(str(table))
    assert "triangle" in widget.legend.text()
    click(widget.open_button)
    np.testing.assert_array_equal(widget.coarse.value.data, indices)
    table.write_text("{}")
    click(widget.open_button)
    assert "own.json is not a valid class table" in widget.status.text()


def test_classes_stay_unchanged_until_a_file_is_chosen(docked, qtbot, tmp_path, monkeypatch):
    _, widget = docked
    table = tmp_path / "own.json"
    table.write_text(SHAPES.model_dump_json())
    widget.class_table.setValue("fasseg")
    before = widget.status.text()
    answers = iter(["", str(table)])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (next(answers), ""))
    for chosen in (FASSEG, SHAPES):
        qtbot.keyClick(widget.class_table, Qt.Key.Key_End)
        assert widget.class_table.selection().table == chosen
        assert chosen.names[0] in widget.legend.text()
        assert widget.status.text() == before


def test_a_class_table_file_is_read_once_for_all_layer_events(docked, tmp_path, monkeypatch):
    viewer, widget = docked
    table = tmp_path / "own.json"
    table.write_text(SHAPES.model_dump_json())
    read, paths = ClassTable.from_file, []
    monkeypatch.setattr(ClassTable, "from_file", lambda path: paths.append(path) or read(path))
    widget.class_table.setValue(str(table))
    for name in ("one", "two"):
        layer = viewer.add_labels(np.zeros((4, 5), np.uint8), name=name)
        layer.features = {"index": [0, 1]}
    viewer.layers.remove("one")
    assert paths == [str(table)]
    assert "triangle" in widget.legend.text()


def test_the_classes_are_those_of_the_selected_table_or_else_of_the_map():
    viewer = ViewerModel()
    controller = RefineController(viewer, Session.of(viewer))
    data, keywords, _ = labels_layer_data(np.zeros((4, 5), np.uint8), SHAPES, "coarse")
    coarse = viewer.add_labels(data, **keywords)
    for layer, selection, table in (
        (coarse, TableSelection(), SHAPES),
        (coarse, TableSelection(FASSEG), FASSEG),
        (None, TableSelection(FASSEG), FASSEG),
        (None, TableSelection(), None),
        (coarse, TableSelection(error="It cannot be read."), None),
    ):
        assert controller.model.message == ""
        controller.show_classes(layer, selection)
        assert controller.model.class_table == table
    assert controller.model.message == "It cannot be read."
    controller.close()


def test_the_user_chooses_one_of_several_images_in_an_annotation_file(
    docked, click, tmp_path, monkeypatch
):
    viewer, widget = docked
    path, indices = tmp_path / "all.json", SHAPES.to_labels(synthetic_pair(64).coarse)
    write_annotations(path, indices, SHAPES, "coco", image="first.png")
    document = json.loads(path.read_text())
    document["images"].append(document["images"][0] | {"id": 2, "file_name": "second.png"})
    path.write_text(json.dumps(document))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(path), ""))
    offered = []

    def choose(_parent, _title, _question, names, *_):
        offered.append(list(names))
        return "first.png", len(offered) > 1

    monkeypatch.setattr(QInputDialog, "getItem", choose)
    click(widget.open_button)
    assert not viewer.layers
    click(widget.open_button)
    np.testing.assert_array_equal(widget.coarse.value.data, indices)
    assert offered == [["first.png", "second.png"]] * 2


def test_the_legend_names_the_classes_of_the_coarse_map(docked):
    viewer, widget = docked
    assert widget.legend.isHidden()
    viewer.open_sample(PLUGIN, "shapes")
    for entry in SHAPES.entries:
        assert f"{entry.index}&nbsp;{entry.name}" in widget.legend.text()
    assert not widget.legend.isHidden()


@pytest.mark.window
def test_models_used_before_are_offered_again(docked, qtbot, tmp_path):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "astronaut")
    good, bad = tmp_path / "mine.safetensors", tmp_path / "bad.safetensors"
    good.write_bytes((BUNDLED_FOLDER / "fasseg.safetensors").read_bytes())
    bad.write_bytes(b"not a model")
    for path in (good, bad):
        refine(qtbot, widget, str(path))
    again = RefineWidget(viewer)
    viewer.window.add_dock_widget(again)
    values = [again.model.itemData(row) for row in range(again.model.count())]
    assert str(good) in values
    assert str(bad) not in values


def test_long_messages_do_not_resize_the_dock(docked, qtbot, tmp_path):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    QApplication.processEvents()
    width = widget.width()
    viewer.add_labels(np.ones((8, 8), dtype=int), name="a very long name " * 20)
    refine(qtbot, widget, str(tmp_path / ("x" * 150 + ".safetensors")))
    QApplication.processEvents()
    assert widget.width() == width


def test_every_control_has_a_tool_tip(docked):
    _, widget = docked
    kinds = (QAbstractButton, QComboBox, QProgressBar, QPlainTextEdit)
    controls = [control for kind in kinds for control in widget.findChildren(kind)]
    assert len(controls) > 10
    assert [control for control in controls if not control.toolTip()] == []


def test_the_tabulator_follows_the_form(docked):
    _, widget = docked
    order, current = [], widget.image.native
    while current is not widget.status:
        order.append(current)
        current = current.nextInFocusChain()
    wanted = [
        widget.image.native,
        widget.coarse.native,
        widget.new_button,
        widget.open_button,
        widget.class_table,
        widget.model,
        widget.device,
        widget.refine_button,
        widget.cancel_button,
    ]
    assert [control for control in order if control in wanted] == wanted


def test_the_plugins_menu_opens_all_widgets(make_napari_viewer):
    viewer = make_napari_viewer()
    menu = viewer.window._qt_window.menuBar()
    for title in ("Plugins", "Coarse-to-Fine Refine"):
        menu = next(action for action in menu.actions() if action.text().strip("&") == title).menu()
        menu.aboutToShow.emit()
    actions = {action.text(): action for action in menu.actions()}
    assert list(actions) == ["Draw", "Refine", "Review", "Train", "Project"]
    for action in actions.values():
        action.trigger()
    kinds = [type(widget).__name__ for widget in viewer.window.dock_widgets.values()]
    assert kinds == [f"{name}Widget" for name in actions]


WRONG_INPUTS = {
    "'image' is a stack of 3 dimensions and 'coarse' has 2": (
        np.zeros((3, 40, 50)),
        np.ones((40, 50), dtype=int),
    ),
    "'coarse' is a stack of 3 dimensions and 'image' has 2": (
        np.zeros((40, 50)),
        np.ones((3, 40, 50), dtype=int),
    ),
    "40 x 50 pixels and the coarse map 40 x 51": (np.zeros((40, 50)), np.ones((40, 51), dtype=int)),
    "NaN": (np.full((40, 50), np.nan), np.ones((40, 50), dtype=int)),
    "Nothing is drawn": (np.zeros((40, 50)), np.zeros((40, 50), dtype=int)),
}


@pytest.mark.parametrize("sentence", WRONG_INPUTS)
def test_wrong_layers_give_one_sentence(docked, qtbot, sentence):
    viewer, widget = docked
    image, coarse = WRONG_INPUTS[sentence]
    viewer.add_image(image, name="image", contrast_limits=(0, 1))
    viewer.add_labels(coarse, name="coarse")
    refine(qtbot, widget)
    assert sentence in widget.status.text()
    assert len(viewer.layers) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: np.dstack([rgb, np.full(rgb.shape[:2], 255, dtype=np.uint8)]),
        lambda rgb: rgb[..., 1],
        lambda rgb: rgb.astype(np.uint16) * 257,
        lambda rgb: rgb / 255,
    ],
    ids=["RGBA", "grey", "uint16", "float"],
)
def test_images_of_all_kinds_are_refined(docked, qtbot, change):
    viewer, widget = docked
    pair = synthetic_pair(96, seed=2)
    viewer.add_image(change(pair.image), name="image")
    data, keywords, _ = labels_layer_data(SHAPES.to_labels(pair.coarse), SHAPES, "coarse")
    viewer.add_labels(data, **keywords)
    refine(qtbot, widget, "instant")
    assert "% of the pixels changed" in widget.status.text()


def test_labels_outside_the_class_table_give_one_sentence(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "astronaut")
    viewer.layers["astronaut coarse"].data[7, 9] = 77
    refine(qtbot, widget, "fasseg")
    assert "77 (1 px), first at (7, 9)" in widget.status.text()


def test_foreign_and_damaged_models_give_one_sentence(docked, qtbot, tmp_path):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "astronaut")
    foreign, cut = tmp_path / "foreign.safetensors", tmp_path / "cut.safetensors"
    save_file({"a": np.zeros(3)}, foreign)
    cut.write_bytes((BUNDLED_FOLDER / "fasseg.safetensors").read_bytes()[:5000])
    refine(qtbot, widget, str(foreign))
    assert "file of another program" in widget.status.text()
    refine(qtbot, widget, str(cut))
    assert "not a readable checkpoint" in widget.status.text()


def test_without_layers_the_user_is_asked_to_choose(docked, qtbot):
    _, widget = docked
    refine(qtbot, widget)
    assert "Choose an image and a coarse map" in widget.status.text()


def test_a_model_of_other_classes_is_reported(docked, qtbot):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")
    refine(qtbot, widget, "fasseg")
    assert "'Faces' does not know 'ground'" in widget.status.text()


def test_runtime_errors_in_the_thread_reach_the_user(docked, qtbot, monkeypatch, caplog):
    viewer, widget = docked
    viewer.open_sample(PLUGIN, "shapes")

    def explode(*_args, **_keywords):
        raise RuntimeError("boom")

    monkeypatch.setattr(WatershedRefiner, "refine_ids", explode)
    refine(qtbot, widget)
    assert "boom" in widget.status.text()
    assert "Unexpected error in a thread" in caplog.text


def test_a_layer_drawn_by_hand_gets_a_new_table(docked, qtbot):
    viewer, widget = docked
    pair = synthetic_pair(96, seed=2)
    viewer.add_image(pair.image, name="image")
    drawn = np.zeros((96, 96), dtype=np.int32)
    drawn[5:30, 5:30], drawn[50:90, 50:90] = 3, 7
    layer = viewer.add_labels(drawn, name="drawn")
    assert isinstance(layer, Labels)
    refine(qtbot, widget)
    refined = viewer.layers["drawn fine"].data
    assert set(np.unique(refined)) == {3, 7}


def test_the_bundled_model_loads_offline():
    assert Refiner.bundled("fasseg", "cpu").class_table == FASSEG
    assert SHAPES.unlabelled.index == 0


def test_a_map_that_nothing_is_expected_to_improve_says_so(docked, qtbot):
    viewer, widget = docked
    coarse = np.ones((64, 64), dtype=np.uint8)
    coarse[20:40, 20:40] = 2
    viewer.add_image(np.full((64, 64), 90, dtype=np.uint8), name="plain")
    viewer.add_labels(coarse, name="coarse")
    refine(qtbot, widget, "instant")
    np.testing.assert_array_equal(viewer.layers["fine"].data, coarse)
    assert "No change was clearly expected to help" in widget.status.text()


def test_a_map_of_one_class_says_that_it_needs_another(docked, qtbot):
    viewer, widget = docked
    coarse = np.zeros((64, 64), dtype=np.uint8)  # napari's own layers begin unlabelled.
    coarse[20:40, 20:40] = 1
    viewer.add_image(np.full((64, 64), 90, dtype=np.uint8), name="plain")
    viewer.add_labels(coarse, name="coarse")
    refine(qtbot, widget, "instant")
    assert "only, so all pixels became it; draw a second class" in widget.status.text()
    assert (viewer.layers["coarse"].data == coarse).all()


def test_undrawn_pixels_of_a_plain_layer_become_background(docked):
    viewer, widget = docked
    data = np.zeros((40, 50), np.uint8)
    data[10:20, 10:20] = 1
    cells = viewer.add_labels(data, name="cells")
    widget.coarse.value = cells
    assert not widget.background_button.isHidden()
    widget.background_button.click()
    table = cells.metadata[TABLE_KEY]
    assert [(each.name, each.index) for each in table.entries] == [
        ("background", 0), ("class 1", 1), ("unlabelled", 255),
    ]  # fmt: skip
    assert widget.status.text() == (
        "The label 0 of 'cells' is now the class 'background'; the label 255 means unlabelled."
    )
    assert widget.background_button.isHidden()
    assert set(np.unique(cells.data)) == {0, 1}
