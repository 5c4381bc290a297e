"""The Review widget: decide on what refining changed, region by region."""

from functools import partial
from typing import Any

import napari.viewer
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.action_manager import action_manager
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from c2f_core.review.decisions import Decision
from napari_c2f.base.gl_context import guard_removals
from napari_c2f.base.settings import remembered
from napari_c2f.base.worker import load_ahead
from napari_c2f.layers.convert import COARSE_KEY, FINE_KEY, coarse_of, confidence_of
from napari_c2f.review.controller import ReviewController
from napari_c2f.review.discriminator import DiscriminatorController
from napari_c2f.review.discriminator_section import DiscriminatorSection
from napari_c2f.review.keys import KEYS
from napari_c2f.review.table import ReviewTable
from napari_c2f.widgets.choices import layer_box, update_layer_box
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.parts import StatusText, add_row, collapsible

SHOWN = (Decision.ACCEPTED, Decision.REJECTED, Decision.EDITED, Decision.UNDECIDED)
TIPS = {
    "fine": "What refining made; follows the layer that you select",
    "coarse": "The map that was refined; it and the fine map stay as they are",
    "confidence": "Of the fine map; without it larger regions come first",
    "begin": "List what changed, and show it in new layers: the changes, and the final map, "
    "which takes the regions that you accept",
    "enough": "Mean confidence from which regions are accepted together",
    "busy": "Moves while there is work beside the window",
    "counts": "On how many regions was decided what",
}


class ReviewWidget(DockedWidget):
    """Lists the changed regions of a fine map and takes decisions on them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        guard_removals(viewer)
        self._viewer = viewer
        self._controller = ReviewController(viewer)
        self._judge = DiscriminatorController(viewer)
        self.fine = layer_box(viewer, Labels)
        self.coarse = layer_box(viewer, Labels)
        self.confidence = layer_box(viewer, Image)
        self.begin_button = QPushButton("&Begin review")
        self.table = ReviewTable()
        self.accept_button = QPushButton("&Accept")
        self.reject_button = QPushButton("Re&ject")
        self.previous_button = QPushButton("&Previous")
        self.next_button = QPushButton("&Next")
        self.above_button = QPushButton("Accept a&ll from")
        self.enough = QSpinBox()
        self.accept_rest_button = QPushButton("Accept rest")
        self.reject_rest_button = QPushButton("Reject rest")
        self.doubtful_button = QPushButton("Next &doubtful")
        self.compare_button = QPushButton("&Hold for coarse")
        self.final_box = QCheckBox("Final &map")
        self.outline_box = QCheckBox("&Outlines")
        self.judge = DiscriminatorSection(viewer)
        self.judge_section = collapsible("Discriminator", self.judge)
        self.counts = QLabel()
        self.busy = QProgressBar()
        self.status = StatusText()
        self._actions: dict[QAbstractButton, str] = {
            self.accept_button: "accept",
            self.reject_button: "reject",
            self.previous_button: "previous",
            self.next_button: "next",
            self.above_button: "accept_above",
            self.accept_rest_button: "accept_rest",
            self.reject_rest_button: "reject_rest",
            self.doubtful_button: "next_doubtful",
            self.compare_button: "compare",
            self.final_box: "switch_final",
            self.outline_box: "switch_outlines",
        }
        KEYS.follow(viewer, self._controller)
        self._lay_out()
        self._connect()
        self.reset_choices()
        self._show_tips()
        self._show_reviewing()
        load_ahead("c2f_core.training.realism")

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "&Fine map", self.fine.native, TIPS["fine"])
        add_row(form, "&Coarse map", self.coarse.native, TIPS["coarse"])
        add_row(form, "Confid&ence", self.confidence.native, TIPS["confidence"])
        self.enough.setRange(0, 100)
        self.enough.setSuffix(" %")
        self.enough.setValue(round(100 * self._controller.state.enough))
        self.enough.setToolTip(TIPS["enough"])
        self.begin_button.setToolTip(TIPS["begin"])
        self.busy.setToolTip(TIPS["busy"])
        self.busy.setTextVisible(False)
        self.counts.setToolTip(TIPS["counts"])
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(_row(self.begin_button, self.busy))
        layout.addWidget(self.table, 4)
        layout.addWidget(self.counts)
        for widgets in (
            (self.previous_button, self.next_button, self.doubtful_button),
            (self.accept_button, self.reject_button, self.compare_button),
            (self.above_button, self.enough, self.accept_rest_button, self.reject_rest_button),
            (self.final_box, self.outline_box),
        ):
            layout.addLayout(_row(*widgets))
        layout.addWidget(self.judge_section)
        layout.addWidget(self.status, 1)

    def _connect(self) -> None:
        controller = self._controller
        self.begin_button.clicked.connect(self._begin)
        self.fine.changed.connect(self._follow_fine)
        self.table.chosen.connect(controller.choose)
        self.enough.valueChanged.connect(lambda value: controller.set_enough(value / 100))
        for button, name in self._actions.items():
            if button is not self.compare_button:
                button.clicked.connect(lambda *_, name=name: getattr(controller, name)())
        self.compare_button.pressed.connect(lambda: controller.compare(True))
        self.compare_button.released.connect(lambda: controller.compare(False))
        self.judge.wanted.connect(self._ask)
        remembered.connect(self._add_model)
        self._viewer.layers.selection.events.changed.connect(self._follow_layers)
        action_manager.events.shortcut_changed.connect(self._show_tips)
        events = controller.state.events
        events.regions.connect(self._show_regions)
        events.decisions.connect(self._show_regions)
        events.current.connect(self._show_current)
        events.reviewing.connect(self._show_reviewing)
        events.shows_final.connect(self._show_switches)
        events.outlined.connect(self._show_switches)
        events.busy.connect(self._show_busy)
        events.message.connect(self._show_message)
        self._judge.model.events.message.connect(self._show_message)
        self._judge.model.events.busy.connect(self._show_busy)
        self.destroyed.connect(partial(_end, self._viewer, controller, self._judge))

    def reset_choices(self, *_: Any) -> None:
        """Follow the viewer's layers; napari calls this when they change."""
        for box in (self.fine, self.coarse, self.confidence):
            update_layer_box(box, self._viewer)
        self.judge.follow_layers()
        self._follow_layers()
        if self.confidence.value is None:  # Refining adds it after the fine map.
            self._follow_fine(self.fine.value)

    @while_alive
    def _follow_layers(self, *_: Any) -> None:
        """Choose the fine map that is selected, or else the topmost one."""
        layers = self._viewer.layers
        active = layers.selection.active
        fine = [layer for layer in layers if _is_fine(layer)]
        if active in self.fine.choices and active in fine:
            self.fine.value = active
        elif self.fine.value is None and fine and fine[-1] in self.fine.choices:
            self.fine.value = fine[-1]

    @while_alive
    def _follow_fine(self, fine: Labels | None) -> None:
        """Choose the layers that belong to a fine map, as far as it knows them."""
        if fine is not None and COARSE_KEY in fine.metadata:
            self.coarse.value = coarse_of(self._viewer.layers, fine)
            self.confidence.value = confidence_of(self._viewer.layers, fine)

    def end(self) -> None:
        """End the review before the widget goes."""
        remembered.disconnect(self._add_model, missing_ok=True)
        _end(self._viewer, self._controller, self._judge)

    def _begin(self) -> None:
        self._controller.begin(self.fine.value, self.coarse.value, self.confidence.value)

    def _ask(self) -> None:
        self._judge.judge(self.judge.image.value, self.fine.value, self.judge.model.value())

    @while_alive
    def _add_model(self, path: str) -> None:
        self.judge.add_model(path)

    @while_alive
    def _show_tips(self, *_: Any) -> None:
        """Tell what the buttons do, and their keys."""
        for button, name in self._actions.items():
            button.setToolTip(KEYS.tip(name))

    @while_alive
    def _show_regions(self, *_: Any) -> None:
        state = self._controller.state
        if len(state.regions) == len(state.decisions):  # One of them comes after the other.
            self.table.show_regions(state.regions, state.decisions)
        self.counts.setText(
            ", ".join(f"{state.count(each)} {each.name.lower()}" for each in SHOWN)
            if state.reviewing
            else ""
        )

    @while_alive
    def _show_current(self, number: int) -> None:
        self.table.setValue(number)

    @while_alive
    def _show_reviewing(self, *_: Any) -> None:
        self._show_regions()
        for widget in (self.table, self.enough, *self._actions):
            widget.setEnabled(self._controller.state.reviewing)

    @while_alive
    def _show_switches(self, *_: Any) -> None:
        self.final_box.setChecked(self._controller.state.shows_final)
        self.outline_box.setChecked(self._controller.state.outlined)

    @while_alive
    def _show_busy(self, busy: bool) -> None:
        self.begin_button.setEnabled(not busy)
        self.judge.setEnabled(not busy)
        self.busy.setRange(0, 0 if busy else 1)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)


def _is_fine(layer: Layer) -> bool:
    """Tell what refining made from the final layer of a review, which knows its fine layer."""
    return COARSE_KEY in layer.metadata and FINE_KEY not in layer.metadata


def _end(
    viewer: ViewerModel, controller: ReviewController, judge: DiscriminatorController, *_: Any
) -> None:
    """End a review for good; its widget may be gone already."""
    KEYS.leave(viewer, controller)
    controller.close()
    judge.close()


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    if isinstance(widgets[-1], QCheckBox):  # A click beside it would do nothing.
        row.addStretch()
    return row
