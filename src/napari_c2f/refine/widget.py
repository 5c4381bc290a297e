"""The Refine widget: choose an image, a coarse map and a model, and refine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import napari.viewer
from napari.layers import Image, Labels
from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QInputDialog,
    QProgressBar,
    QPushButton,
)

from c2f_core.classes.table import ClassTable
from c2f_core.models.bundled import is_model_file
from c2f_core.refine.report import ScopeReport
from napari_c2f.base.imports import import_in_background
from napari_c2f.base.keys import Action, Keys
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.layers.display import KEYS as MAP_KEYS
from napari_c2f.layers.display_switches import DisplaySwitches
from napari_c2f.layers.session import Session
from napari_c2f.refine.clean_up_editor import CleanUpEditor
from napari_c2f.refine.controller import RefineController
from napari_c2f.refine.report_table import ReportTable
from napari_c2f.refine.request import RefinerChoice, RefineRequest
from napari_c2f.refine.scope_editor import ScopeEditor
from napari_c2f.refine.stored_labels import StoredLabelsController
from napari_c2f.refine.stored_section import StoredSection
from napari_c2f.widgets.choices import (
    DEVICES,
    Choice,
    TableChoice,
)
from napari_c2f.widgets.docked import DockedWidget, while_alive
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.model_choice import KnowledgeLine, ModelChoice, known_models
from napari_c2f.widgets.parts import Legend, StatusText, add_row, button_row, collapsible


@dataclass(frozen=True)
class Buttons:
    """Buttons that have keys."""

    refine: QAbstractButton
    live: QAbstractButton


KEYS: Keys[Buttons] = Keys(
    "Refine",
    {
        "refine": Action(
            KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.Enter),
            "refine with the current settings",
            lambda buttons: buttons.refine.click(),
        ),
        "live": Action(
            KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyL),
            "switch live mode on or off",
            lambda buttons: buttons.live.click(),
        ),
    },
)

FROM_LAYER = "From the coarse map"
MAP_FILES = "Maps (*.png *.bmp *.tif *.tiff *.npy *.json *.xml)"
TIPS = {
    "image": "Image to refine on; follows the layer that you select",
    "coarse": "Labels layer to refine, which stays unchanged; follows the layer that you select",
    "new": "Add an empty map of the size of the image to draw in, with the classes chosen below; "
    "an image of a project already has one",
    "open": "Open a map file of the image, with the classes chosen below or those of the file; it "
    "replaces the content of the map of a project's image",
    "classes": "Meaning of the labels in the coarse map: that of its layer, or this class table",
    "background": "Take what is not drawn in this Labels layer as a class, 'background', so that "
    "refining does not fill it in; no pixel changes",
    "model": "Refiner; the one that fits the classes of the coarse map is preselected",
    "device": "Device for networks; auto uses a GPU if there is one",
    "scope": "Refine only a part, and keep doubtful or hand-painted pixels",
    "clean_up": "Specks, holes and ragged edges that are removed from the fine map",
    "refine": "Add a fine map and its confidence, in place of those of an earlier click",
    "live": "After each stroke in the coarse map or its latest fine map, refine the fine map again "
    "around the stroke",
    "clear": "Remove earlier fine and final maps of this coarse map and their confidence, but none "
    "with edits that the latest ones do not have",
    "cancel": "Stop refining; no layer changes",
}


class RefineWidget(DockedWidget):
    """Refines the coarse map of an image into a fine one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are refined.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__(viewer)
        self._followed: Labels | None = None
        """Coarse map whose class table is shown."""
        session = Session.of(viewer)
        self._controller = RefineController(viewer, session)
        self._stored_labels = StoredLabelsController(viewer)
        self.switches = DisplaySwitches(session.display)
        self.state = self._controller.model
        self._make_choices()
        self._make_buttons()
        self.legend = Legend()
        self.progress = QProgressBar()
        self.status = StatusText()
        self.report = ReportTable()
        self._buttons = Buttons(self.refine_button, self.live)
        self.use_keys(KEYS, self._buttons)
        self.use_keys(MAP_KEYS, session.display)
        self.when_ended(self.switches.leave)
        self.when_ended(self._disconnect_classes, self._controller.close, self._stored_labels.close)
        self._lay_out()
        self._connect()
        self._show_table(self.state.class_table)
        self._show_clean_up()
        self._show_coarse(self.coarse.value)
        self._update()
        import_in_background("torch", "c2f_core.refine.learned")

    def _make_choices(self) -> None:
        self.image = LayerChoice(self._viewer, Image, preferred_layer)
        self.coarse = LayerChoice(self._viewer, Labels, preferred_layer)
        self.class_table = TableChoice(FROM_LAYER)
        self.model = ModelChoice(known_models())
        self.model.setValue(self.state.refiner)
        self.knowledge = KnowledgeLine(self.model)
        self.device = Choice({name: name for name in DEVICES})
        self.stored = StoredSection()
        self.scope = ScopeEditor(self._viewer)
        self.scope_section = collapsible("", self.scope)
        self.clean_up = CleanUpEditor()
        self.clean_up_section = collapsible("", self.clean_up)

    def _make_buttons(self) -> None:
        self.new_button = QPushButton("N&ew map")
        self.open_button = QPushButton("&Open map…")
        self.background_button = QPushButton("Unlabelled is &background")
        self.background_button.setToolTip(TIPS["background"])
        self.refine_button = QPushButton("&Refine")
        self.cancel_button = QPushButton("Ca&ncel")
        self.live = QCheckBox("&Live")
        self.clear_button = QPushButton("Remove old res&ults")

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "&Image", self.image.native, TIPS["image"])
        add_row(form, "&Coarse map", self.coarse.native, TIPS["coarse"])
        maps = {self.new_button: TIPS["new"], self.open_button: TIPS["open"]}
        form.addRow("", button_row(maps))
        form.addRow("", self.stored)
        add_row(form, "Cla&sses", self.class_table, TIPS["classes"])
        form.addRow(self.legend)
        form.addRow(self.background_button)
        add_row(form, "&Model", self.model, TIPS["model"])
        form.addRow("", self.knowledge)
        add_row(form, "&Device", self.device, TIPS["device"])
        buttons = {
            self.refine_button: TIPS["refine"],
            self.cancel_button: TIPS["cancel"],
            self.live: TIPS["live"],
        }
        self.cancel_button.setEnabled(False)
        self.progress.setRange(0, 100)
        self.progress.setToolTip("Finished share of the image")
        self.scope_section.toggleButton().setToolTip(TIPS["scope"])
        self.clean_up_section.toggleButton().setToolTip(TIPS["clean_up"])
        layout = self.scrolled_column(self.status)
        layout.addLayout(form)
        layout.addWidget(self.scope_section)
        layout.addWidget(self.clean_up_section)
        layout.addLayout(button_row(buttons))
        layout.addWidget(self.progress)
        layout.addWidget(self.switches)
        layout.addWidget(self.report)
        layout.addLayout(button_row({self.clear_button: TIPS["clear"]}))
        layout.addStretch(1)

    def _connect(self) -> None:
        self.new_button.clicked.connect(self._new_map)
        self.open_button.clicked.connect(self._open_map)
        self.background_button.clicked.connect(
            lambda: self._controller.take_background(self.coarse.value)
        )
        self.refine_button.clicked.connect(self._refine)
        self.clear_button.clicked.connect(lambda: self._controller.remove_old(self.coarse.value))
        self.cancel_button.clicked.connect(self._controller.stop)
        self.cancel_button.clicked.connect(self._stored_labels.stop)
        self.stored.edit_wanted.connect(lambda: self._stored_labels.edit_copy(self.coarse.value))
        self.stored.write_wanted.connect(lambda: self._stored_labels.write_back(self.coarse.value))
        self.live.toggled.connect(self._controller.set_live)
        self._controller.succeeded.connect(self._remember)
        self.class_table.currentIndexChanged.connect(self._show_classes)
        self.model.changed.connect(self._choose_model)
        self.coarse.changed.connect(self._show_coarse)
        self.scope.changed.connect(self._show_scope)
        self.clean_up.changed.connect(self._show_clean_up)
        self.scope.show_protected.toggled.connect(self._controller.show_protected)
        self.dock_closed.connect(self._controller.pause)
        self.dock_closed.connect(partial(self.scope.show_protected.setChecked, False))
        for signal in (
            self.image.changed,
            self.coarse.changed,
            self.class_table.changed,
            self.model.changed,
            self.device.changed,
            self.scope.changed,
            self.clean_up.changed,
            self.scope.shapes.changed,
        ):
            signal.connect(self._update)
        for model in (self.state, self._stored_labels.model):
            model.events.busy.connect(self._show_busy)
            model.events.progress.connect(self._show_progress)
            model.events.message.connect(self._show_message)
        events = self.state.events
        events.report.connect(self._show_report)
        events.class_table.connect(self._show_table)
        events.live.connect(self._show_live)
        events.refiner.connect(self._show_refiner)
        events.misfit.connect(self._show_misfit)

    def _new_map(self) -> None:
        self._controller.new_map(self.image.value, self.class_table.selection())

    def _open_map(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a map", "", MAP_FILES)
        if path:
            self._controller.open_map(
                path, self.class_table.selection(), self.image.value, self._choose_name
            )

    def _choose_name(self, names: Sequence[str]) -> str | None:
        """Let the user say which image of an annotation file is meant."""
        question = "The file covers several images. Open the map of:"
        name, is_chosen = QInputDialog.getItem(self, "Open a map", question, names, 0, False)
        return name if is_chosen else None

    def _refine(self) -> None:
        self._controller.refine(self.request())

    def _choose_model(self) -> None:
        self._controller.choose_model(self.model.value())

    def request(self) -> RefineRequest:
        """Return the current choices."""
        return RefineRequest(
            image=self.image.value,
            coarse=self.coarse.value,
            model=RefinerChoice(self.model.value(), self.device.value()),
            table_selection=self.class_table.selection(),
            choice=replace(self.scope.value(), clean_up=self.clean_up.value()),
            shapes=self.scope.shapes.value,
        )

    @while_alive
    def _update(self, *_: Any) -> None:
        self._controller.update(self.request())

    def _show_coarse(self, coarse: Labels | None) -> None:
        self._disconnect_classes()
        self._followed = coarse
        if coarse is not None:  # The Draw widget renames and recolours its classes.
            coarse.events.features.connect(self._show_classes)
        self.stored.show_layer(coarse)
        self.scope.show_stack(coarse is not None and coarse.ndim > 2)
        self._show_classes()

    def _disconnect_classes(self) -> None:
        if self._followed is not None:
            self._followed.events.features.disconnect(self._show_classes)
            self._followed = None

    def _show_scope(self) -> None:
        self.scope_section.setText(f"Scope: {self.scope.summary()}")

    def _show_clean_up(self) -> None:
        self.clean_up_section.setText(f"Clean up: {self.clean_up.summary()}")

    @while_alive
    def _show_classes(self, *_: Any) -> None:
        self.background_button.setVisible(self._controller.may_take_background(self.coarse.value))
        self._controller.show_classes(self.coarse.value, self.class_table.selection())

    @while_alive
    def _show_table(self, class_table: ClassTable | None) -> None:
        self.legend.show_table(class_table)
        self.scope.show_classes(class_table)

    @while_alive
    def _remember(self, request: RefineRequest) -> None:
        """Offer the model file of a request first the next time."""
        if is_model_file(request.model.name):
            RECENT_MODELS.remember(request.model.name)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)

    @while_alive
    def _show_report(self, report: ScopeReport | None) -> None:
        self.report.show_report(report)

    @while_alive
    def _show_refiner(self, name: str) -> None:
        with QSignalBlocker(self.model):
            self.model.setValue(name)
        self.knowledge.refresh()
        self._update()

    @while_alive
    def _show_misfit(self, misfit: str) -> None:
        self.refine_button.setToolTip(misfit or TIPS["refine"])

    @while_alive
    def _show_live(self, live: bool) -> None:
        with QSignalBlocker(self.live):
            self.live.setChecked(live)

    @while_alive
    def _show_busy(self, busy: bool) -> None:
        self.refine_button.setEnabled(not busy)
        self.stored.setEnabled(not busy)
        self.cancel_button.setEnabled(busy)
        # Until the first share is known, the bar only shows that there is work.
        self.progress.setRange(0, 0 if busy else 100)

    @while_alive
    def _show_progress(self, share: float) -> None:
        self.progress.setRange(0, 100)
        self.progress.setValue(round(100 * share))
