"""Fixtures of the tests that need a window."""

import shutil
import threading
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QPointF, QSettings, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.geometry.arrays import grown
from c2f_core.project import Project
from c2f_core.refine import clean_up, gate
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.interface import RefinerInterface
from napari_c2f.layers.convert import (
    RESULT_KEY,
    confidence_layer_data,
    labels_layer_data,
    new_map,
)
from napari_c2f.layers.lineage import placed_keywords
from napari_c2f.layers.session import Refined, Session
from napari_c2f.project.controller import ProjectController
from napari_c2f.refine.request import RefinerChoice, RefineRequest, ScopeChoice

PAIR = synthetic_pair(48, 0)
FASSEG = ClassTable.preset("fasseg")
HAIR, SKIN, EYES = 1, 2, 3
PATIENCE = 40000
"""Milliseconds that a test waits at least before it gives up."""


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Keep what the widgets remember out of the user's own settings."""
    for form in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture
def qtbot(qtbot):
    """Wait longer than pytest-qt and the tests ask for: the machine may be busy."""

    def wait(function, *args, timeout=0, **options):
        return function(*args, timeout=max(timeout, PATIENCE), **options)

    qtbot.waitUntil = partial(wait, qtbot.waitUntil)
    qtbot.waitSignal = partial(wait, qtbot.waitSignal)
    return qtbot


@pytest.fixture
def click(qtbot):
    """Click a button with the mouse."""
    return lambda button: qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@dataclass
class MouseEvent:
    """Event that napari's canvas passes to layers when the mouse is pressed, moved or released."""

    type: str
    position: tuple[float, ...]
    is_dragging: bool
    dims_displayed: list[int]
    dims_point: list[float]
    button: int = 1
    view_direction: None = None
    up_direction: None = None
    pos: tuple[int, int] = (0, 0)
    modifiers: tuple[str, ...] = ()
    handled: bool = False


def drag_without_canvas(viewer, *points):
    """Draw in the active layer by the callbacks of napari that its canvas would call."""

    def send(callbacks, kind, point, is_dragging):
        position = (*viewer.dims.point[: viewer.dims.ndim - 2], *map(float, point))
        viewer.cursor.position = position
        displayed, shown = list(viewer.dims.displayed), list(viewer.dims.point)
        event = MouseEvent(kind, position, is_dragging, displayed, shown)
        callbacks(viewer.layers.selection.active, ReadOnlyWrapper(event, exceptions=("handled",)))

    send(mouse_move_callbacks, "mouse_move", points[0], False)
    send(mouse_press_callbacks, "mouse_press", points[0], False)
    for point in points[1:]:
        send(mouse_move_callbacks, "mouse_move", point, True)
    send(mouse_release_callbacks, "mouse_release", points[-1], False)


@pytest.fixture
def drag(qtbot):
    """Draw with the mouse, from point to point of the world (row, column), on the canvas if any."""

    def send(viewer, kind, point, buttons, button=Qt.MouseButton.NoButton):
        canvas = viewer.window._qt_viewer.canvas
        x, y = canvas.view.scene.transform.map((point[1], point[0], 0, 1))[:2]
        place = QPointF(float(x), float(y))
        modifiers = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, place, place, button, buttons, modifiers)
        qtbot.wait(15)  # vispy drops what comes within 10 ms.
        QApplication.sendEvent(canvas.native, event)

    def draw(viewer, *points):
        if not hasattr(viewer, "window"):
            drag_without_canvas(viewer, *points)
            return
        for _ in range(5):  # Docks and new layers settle.
            QApplication.processEvents()
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        send(viewer, QEvent.Type.MouseMove, points[0], none)
        send(viewer, QEvent.Type.MouseButtonPress, points[0], left, left)
        for point in points[1:]:
            send(viewer, QEvent.Type.MouseMove, point, left)
        send(viewer, QEvent.Type.MouseButtonRelease, points[-1], none, left)

    return draw


class NextClass(RefinerInterface):
    """Turns each class of the synthetic scene into the next one; sees three pixels around each.

    It is surer on the right than on the left.
    """

    name = "next class"

    def __init__(self, class_table):
        self.class_table = class_table

    def refine_ids(self, rgb, class_ids, monitor):
        monitor.raise_if_stopped()
        monitor.report(1.0)
        sure = np.linspace(0.5, 1, class_ids.shape[1], dtype=np.float32)
        following = (class_ids + 1) % self.class_table.number_of_classes
        return following, np.broadcast_to(sure, class_ids.shape)

    def receptive_window(self, part, size, /):
        return grown(part, 3, size)


@pytest.fixture
def next_class(monkeypatch):
    """The class of a quick refiner that replaces the watershed; all its changes are kept."""
    monkeypatch.setitem(CLASSICAL_REFINERS, "watershed", NextClass)
    monkeypatch.setattr(gate, "keep_gains", lambda _rgb, _coarse, *result, **_options: result[:2])
    monkeypatch.setattr(clean_up, "clean_up", lambda _coarse, fine, *_sizes: fine)
    return NextClass


@pytest.fixture
def hold_refining(next_class, monkeypatch):
    """Let that refiner wait; return the events of its start and of its release."""

    def hold():
        started, released, refine = threading.Event(), threading.Event(), next_class.refine_ids

        def wait(self, rgb, class_ids, monitor):
            started.set()
            assert released.wait(20)
            return refine(self, rgb, class_ids, monitor)

        monkeypatch.setattr(next_class, "refine_ids", wait)
        return started, released

    return hold


@pytest.fixture
def following():
    """Map that this refiner makes of a map of the synthetic scene."""
    return lambda labels: SHAPES.to_labels((SHAPES.to_class_ids(labels) + 1) % 4)


@pytest.fixture
def viewer(request):
    """A viewer without a window, or a shown one where the test is marked `window`.

    Making a window and closing it takes longer than most tests.
    """
    if request.node.get_closest_marker("window"):
        return request.getfixturevalue("make_napari_viewer")(show=True)
    PluginManager.instance().discover()  # As napari does at its start: for readers and samples.
    return ViewerModel()


@pytest.fixture
def dock(viewer, qtbot):
    """Open the widget of a tool, in the dock of the viewer if it has a window."""

    def open_widget(name):
        if hasattr(viewer, "window"):
            return viewer.window.add_plugin_dock_widget("napari-c2f", name)[1]
        module = import_module(f"napari_c2f.{name.lower()}.widget")
        widget = getattr(module, f"{name}Widget")(viewer)
        qtbot.addWidget(widget)
        widget.show()
        return widget

    return open_widget


@pytest.fixture
def docked(viewer, dock):
    """A viewer with the Refine widget."""
    return viewer, dock("Refine")


@pytest.fixture
def refine(qtbot):
    """Click Refine, and wait until it is done."""

    def click(widget, model="watershed", timeout=20000):
        widget.model.setValue(model)
        qtbot.mouseClick(widget.refine_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: widget.refine_button.isEnabled(), timeout=timeout)

    return click


@pytest.fixture
def data(write_shapes, tmp_path):
    """Folder of five small pairs; the last has no fine map."""
    return write_shapes(tmp_path / "data", 5, 48, coarse_only=[4])


@pytest.fixture
def tiny(tiny_settings, data, tmp_path):
    """Settings of a run of a few quick steps."""
    stage2 = {"steps": 2, "coarse_only_batch_size": 2, "guard": None}
    return tiny_settings(data, tmp_path / "run", stage2=stage2, precision="float32")


@pytest.fixture
def review_maps():
    """A coarse map, a fine one that differs in four islands, and a confidence.

    In the order of doubt × size: skin 48 px of 50 %, eyes 24 px of 60 %, hair 30 px
    of 90 %, hair 4 px of 50 %. A place without change is doubtful, too.
    """
    coarse = np.zeros((40, 60), np.uint8)
    fine, confidence = coarse.copy(), np.full(coarse.shape, 0.95, np.float32)
    for rows, columns, label, sure in (
        (slice(4, 10), slice(4, 12), SKIN, 0.5),
        (slice(20, 24), slice(4, 10), EYES, 0.6),
        (slice(20, 25), slice(30, 36), HAIR, 0.9),
        (slice(34, 36), slice(50, 52), HAIR, 0.5),
    ):
        fine[rows, columns], confidence[rows, columns] = label, sure
    confidence[2:8, 40:50] = 0.2
    return coarse, fine, confidence


@pytest.fixture
def add_result(review_maps):
    """Add the layers that refining leaves, or stacks of them, and return them."""

    def add(viewer, planes=(), **spatial):
        stacks = (np.broadcast_to(each, planes + each.shape).copy() for each in review_maps)
        coarse_map, fine_map, sure = stacks
        data, keywords, _ = labels_layer_data(coarse_map, FASSEG, "face coarse")
        coarse = viewer.add_labels(data, **keywords, **spatial)
        data, keywords, _ = confidence_layer_data(sure, "face confidence")
        confidence = viewer.add_image(data, **keywords, **spatial)
        data, keywords, _ = labels_layer_data(fine_map, FASSEG, "face fine")
        keywords["metadata"][RESULT_KEY] = True
        fine = Labels(data, **keywords, **spatial)
        Session.of(viewer).lineage.add_fine(fine, coarse, confidence)
        return viewer.add_layer(fine), coarse, confidence

    return add


@pytest.fixture
def folder(tmp_path):
    """A project of two images; the coarse map of the first is drawn."""
    with Project.create(tmp_path / "project", SHAPES) as project:
        for name in ("one", "two"):
            project.add_image(PAIR.image, name)
        project.save(replace(project.read("one"), coarse=SHAPES.to_labels(PAIR.coarse)))
    return tmp_path / "project"


class Desk:
    """The controller of an open project with its viewer and helpers for tests."""

    def __init__(self, qtbot, folder):
        self.qtbot, self.folder = qtbot, folder
        self.viewer = ViewerModel()
        self.session = Session.of(self.viewer)
        self.active = True
        self.controller = ProjectController(self.viewer, self.session, lambda: self.active)
        self.state = self.controller.model
        self.controller.open(folder)

    def wait(self):
        self.qtbot.waitUntil(lambda: not self.state.busy, timeout=20000)

    def show(self, name):
        self.controller.images.show(name)
        self.wait()
        return self.controller.images.image

    def draw(self, layer, label, rows=slice(0, 4), columns=slice(0, 5)):
        """Paint as the brush does: one stroke in its mode."""
        layer.mode = "paint"
        places = np.mgrid[rows, columns].reshape(2, -1)
        layer.data_setitem(tuple(places), label)

    def add_fine(self, data=None, slices=None):
        """Add a fine layer as refining does."""
        data = SHAPES.to_labels(PAIR.fine) if data is None else data.copy()
        record = {"refiner": "watershed", "sha256": None, "mean_confidence": 0.75}
        coarse, session = self.controller.images.image.coarse, self.session
        placed = {} if slices is None else placed_keywords(coarse, slices)
        fine = new_map(self.viewer, data, SHAPES, "fine", placed, is_result=True)
        session.lineage.add_fine(fine, coarse, slices=slices, record=record)
        self.viewer.add_layer(fine)
        session.refined.emit(Refined(fine, None, record))
        self.wait()
        return fine

    def add_final(self, data=None):
        """Add a final layer as a review does, in which nothing is decided by default."""
        data = SHAPES.to_labels(PAIR.coarse) if data is None else data.copy()
        final = new_map(self.viewer, data, SHAPES, "final", {}, is_result=True)
        self.session.lineage.add_final(final, self.controller.images.image.fine)
        self.viewer.add_layer(final)
        self.session.review_begun.emit(final)
        return final

    def request(self):
        """Return the choices of a Refine widget."""
        image, choice = self.controller.images.image, ScopeChoice(all_planes=True)
        return RefineRequest(image.image, image.coarse, RefinerChoice("watershed"), choice=choice)

    def read(self, name="one"):
        """Read what is on the disk, as another program would after a crash."""
        copy = self.folder.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder, copy)
        with Project.open(copy) as project:
            return project.read(name)


@pytest.fixture
def make_desk(qtbot):
    """Open the project in a folder."""
    return lambda folder: Desk(qtbot, folder)


@pytest.fixture
def desk(make_desk, folder):
    """The open project of two images."""
    desk = make_desk(folder)
    yield desk
    desk.controller.close()
