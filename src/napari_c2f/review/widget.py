"""The Review widget: decide region by region on what refining changed."""

from functools import partial
from typing import Any

import napari.viewer
from napari.utils.action_manager import action_manager
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton

from c2f_core.review.decisions import Decision
from napari_c2f.base.imports import import_in_background
from napari_c2f.layers.display import KEYS as MAP_KEYS
from napari_c2f.layers.display_switches import DisplaySwitches
from napari_c2f.layers.session import Session
from napari_c2f.review.buttons import ReviewButtons
from napari_c2f.review.controller import ReviewController
from napari_c2f.review.discriminator import DiscriminatorController
from napari_c2f.review.discriminator_section import DiscriminatorSection
from napari_c2f.review.keys import KEYS
from napari_c2f.review.maps_section import MapsSection
from napari_c2f.review.table import ReviewTable
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.parts import StatusText, collapsible

COUNTED = (Decision.ACCEPTED, Decision.REJECTED, Decision.EDITED, Decision.UNDECIDED)
TIPS = {
    "begin": "List the changed regions, and add two layers: outlines of the regions, and the "
    "final map, which gets the regions that you accept",
    "finish": "End the review; image, coarse map and final map stay, the other layers are removed",
    "busy": "Moves during background work",
    "counts": "Number of regions by decision",
}


class ReviewWidget(DockedWidget):
    """Lists the changed regions of a fine map, to accept or reject them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are reviewed.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        session = Session.of(viewer)
        self._controller = ReviewController(viewer, session)
        self._discriminator = DiscriminatorController(viewer, session)
        self.maps = MapsSection(viewer, session)
        self.begin_button = QPushButton("&Begin review")
        self.finish_button = QPushButton("&Finish")
        self.busy = QProgressBar()
        self.table = ReviewTable()
        self.counts = QLabel()
        self.buttons = ReviewButtons()
        self.switches = DisplaySwitches(session.display)
        self.discriminator = DiscriminatorSection(viewer)
        self.discriminator_box = collapsible("Discriminator", self.discriminator)
        self.status = StatusText()
        self.use_keys(KEYS, self._controller)
        self.use_keys(MAP_KEYS, session.display)
        self.when_ended(self.switches.leave)
        self.when_ended(self._controller.close, self._discriminator.close)
        self._lay_out()
        self._connect()
        self._show_tips()
        self._show_reviewing()
        self._show_buttons()
        import_in_background("torch", "c2f_core.training.realism")

    def _lay_out(self) -> None:
        self.begin_button.setToolTip(TIPS["begin"])
        self.finish_button.setToolTip(TIPS["finish"])
        self.busy.setToolTip(TIPS["busy"])
        self.busy.setTextVisible(False)
        self.counts.setToolTip(TIPS["counts"])
        begin = QHBoxLayout()
        begin.addWidget(self.begin_button)
        begin.addWidget(self.finish_button)
        begin.addWidget(self.busy)
        layout = self.scrolled_column(self.status)
        layout.addWidget(self.maps)
        layout.addLayout(begin)
        layout.addWidget(self.table, 4)
        layout.addWidget(self.counts)
        layout.addWidget(self.buttons)
        layout.addWidget(self.switches)
        layout.addWidget(self.discriminator_box)

    def _connect(self) -> None:
        controller = self._controller
        self.begin_button.clicked.connect(lambda: controller.begin(*self.maps.value()))
        self.finish_button.clicked.connect(controller.finish)
        self.table.chosen.connect(controller.choose)
        self.buttons.triggered.connect(lambda name: KEYS.actions[name].run(controller))
        self.buttons.compared.connect(partial(KEYS.actions["compare"].run, controller))
        self.buttons.small_changed.connect(controller.set_small)
        self.buttons.threshold_changed.connect(controller.set_threshold)
        self.discriminator.wanted.connect(self._show_realism)
        action_manager.events.shortcut_changed.connect(self._show_tips)
        self._connect_models()

    def _connect_models(self) -> None:
        events = self._controller.model.events
        events.regions.connect(self._show_regions)
        events.decisions.connect(self._show_regions)
        events.current.connect(self._show_current)
        events.reviewing.connect(self._show_reviewing)
        events.shows_final.connect(self._show_buttons)
        for model in (self._controller.model, self._discriminator.model):
            model.events.busy.connect(self._show_busy)
            model.events.message.connect(self._show_message)

    def _show_realism(self) -> None:
        section = self.discriminator
        fine, _, _ = self.maps.value()
        self._discriminator.realism_map(section.image.value, fine, section.model.value())

    @while_alive
    def _show_tips(self, *_: Any) -> None:
        self.buttons.show_tips()
        self.switches.show_tips()

    @while_alive
    def _show_regions(self, *_: Any) -> None:
        model = self._controller.model
        if len(model.regions) == len(model.decisions):  # They are set one after the other.
            self.table.show_regions(model.regions, model.decisions)
        counts = (f"{model.count(decision)} {decision.name.lower()}" for decision in COUNTED)
        self.counts.setText(", ".join(counts) if model.reviewing else "")

    @while_alive
    def _show_current(self, number: int) -> None:
        self.table.setValue(number)

    @while_alive
    def _show_reviewing(self, *_: Any) -> None:
        self._show_regions()
        for widget in (self.table, self.buttons, self.finish_button):
            widget.setEnabled(self._controller.model.reviewing)

    @while_alive
    def _show_buttons(self, *_: Any) -> None:
        self.buttons.show_model(self._controller.model)

    @while_alive
    def _show_busy(self, busy: bool) -> None:
        self.begin_button.setEnabled(not busy)
        self.discriminator.setEnabled(not busy)
        self.busy.setRange(0, 0 if busy else 1)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)
