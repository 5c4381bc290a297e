"""The settings of a run: the usual ones, and below them all others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QLabel, QVBoxLayout, QWidget

from c2f_core.config.files import field_of
from c2f_core.config.presets import preset_settings
from c2f_core.config.settings import Preset, TrainConfig
from c2f_core.models.bundled import bundled_models
from napari_c2f.widgets.choices import DEVICES, Choice, FileChoice, FolderEdit, title_of
from napari_c2f.widgets.config_form import ConfigForm
from napari_c2f.widgets.editors import IntEditor
from napari_c2f.widgets.parts import add_row, collapsible

METHODS = {
    "model1": "Model 1 (image and coarse map)",
    "model2": "Model 2, both stages (few fine maps)",
    "stage1": "Model 2, stage 1 alone",
    "stage2": "Model 2, stage 2 alone",
    "plain": "Plain U-Net (image only)",
    "any": "Any classes (one network for all maps)",
}
PRESETS = {
    "quick": "quick (a first look)",
    "balanced": "balanced",
    "thorough": "thorough (three times as long)",
    "report": "report (as published)",
}
assert set(PRESETS) == set(get_args(Preset))
RANDOM = "random weights"
FROM_RUN = "From run folder…"
CHECKPOINTS = "Models (*.safetensors)"
HERE = {
    *("data.root", "data.class_table", "run_folder", "method", "initial_weights", "device"),
    "nodes",  # This window trains on this machine.
    *("steps", "batch_size", "crop", "stage2.steps", "stage2.start"),
}
"""Settings that are edited above the form of all others, or not at all."""
KEPT = ("data", "seed", "precision", "devices", "threads")
"""Settings that a preset leaves unchanged: the data, and where to train."""


class StartChoice(FileChoice):
    """Weights to start from: random, or those of a bundled model, a file or a run folder."""

    def __init__(self) -> None:
        bundled = {name: f"{title_of(name)} (bundled)" for name in bundled_models()}
        super().__init__({RANDOM: RANDOM, **bundled, FROM_RUN: FROM_RUN}, CHECKPOINTS)

    @property
    def weights(self) -> str | None:
        """Name or path of the weights; None for random ones."""
        value = self.value()
        return None if value == RANDOM else value

    def setValue(self, value: str | Path | None) -> None:  # noqa: N802
        """Choose a start."""
        super().setValue(RANDOM if value is None else str(value))

    def _first_action(self) -> int:
        return self.findData(FROM_RUN)

    def _choose(self, index: int) -> None:
        if self.itemData(index) != FROM_RUN:
            super()._choose(index)
            return
        self.setCurrentIndex(self._before)
        folder = QFileDialog.getExistingDirectory(self, "Run folder to start from")
        if folder:
            self.setValue(folder)


class SetupView(QWidget):
    """Method, preset, start, length, device and run folder; then every other setting."""

    method_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.method = Choice(METHODS)
        self.preset = Choice(PRESETS)
        self.preset.setValue("balanced")
        self.start = StartChoice()
        self.steps = number("steps")
        self.stage2_steps = number("stage2.steps")
        self.batch_size = number("batch_size")
        self.crop = number("crop")
        self.device = Choice({name: name for name in DEVICES})
        self.run_folder = FolderEdit("new folder for this run")
        self.form = ConfigForm(TrainConfig, HERE, "Run")
        self.form.setValue({"devices": None})  # All GPUs of this machine.
        self._labels: dict[QWidget, QLabel] = {}
        self._lay_out()
        # Not when the index changes: choosing the same preset again undoes all changes.
        self.preset.activated.connect(self._apply_preset)
        self.form.changed.connect(self._leave_preset)
        for editor in (self.steps, self.stage2_steps, self.batch_size, self.crop):
            editor.changed.connect(lambda *_: self._leave_preset())
        self.method.currentIndexChanged.connect(self._follow_method)
        self._apply_preset(self.preset.currentIndex())
        self._follow_method()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "&Method", self.method, "What the network sees, and what it learns from")
        add_row(form, "&Preset", self.preset, "Sets all settings except the data")
        add_row(form, "Start &from", self.start, describe("initial_weights"))
        add_row(form, "St&eps", self.steps, describe("steps"))
        add_row(form, "Steps of stage &2", self.stage2_steps, describe("stage2.steps"))
        add_row(form, "&Batch size", self.batch_size, "Crops in a step; fewer need less memory")
        add_row(form, "Cr&op (px)", self.crop, describe("crop"))
        add_row(form, "De&vice", self.device, describe("device"))
        add_row(form, "R&un folder", self.run_folder, describe("run_folder"))
        for editor in (self.steps, self.stage2_steps):
            label = form.labelForField(editor)
            assert isinstance(label, QLabel)
            self._labels[editor] = label
        inner = QVBoxLayout()
        inner.addWidget(self.form)
        self.all_settings = collapsible("All settings", inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.all_settings)

    def _follow_method(self) -> None:
        method = self.method.value()
        shown = {self.steps: method != "stage2", self.stage2_steps: method in ("stage2", "model2")}
        for editor, visible in shown.items():
            editor.setVisible(visible)
            self._labels[editor].setVisible(visible)
        self.method_changed.emit()

    def _apply_preset(self, index: int) -> None:
        name: Any = self.preset.itemData(index)
        kept = {key: value for key, value in self.form.value().items() if key in KEPT}
        self._show(preset_settings(name) | kept)
        self.preset.setCurrentIndex(index)

    def _leave_preset(self, setting: str = "") -> None:
        """Show that the settings are no longer those of the preset, if this is one of them."""
        if setting.partition(".")[0] not in KEPT:
            self._show_no_preset("changed settings")

    def _show_no_preset(self, instead: str) -> None:
        self.preset.setPlaceholderText(instead)
        self.preset.setCurrentIndex(-1)

    def _show(self, settings: Mapping[str, Any]) -> None:
        self.form.setValue(settings)
        for name in ("steps", "batch_size", "crop"):
            getattr(self, name).setValue(settings.get(name, default(name)))
        steps = settings.get("stage2", {}).get("steps", default("stage2.steps"))
        self.stage2_steps.setValue(steps)

    def value(self) -> dict[str, Any]:
        """Return the fields of a `TrainConfig` without those of `DataView`.

        Without a choice, `run_folder` is None.
        """
        method, start = self.method.value(), self.start.weights
        settings = self.form.value()
        settings["stage2"]["steps"] = self.stage2_steps.value()
        if method == "stage2":
            settings["stage2"]["start"] = start
        else:
            settings["initial_weights"] = start
        return settings | {
            "method": method,
            "steps": self.steps.value(),
            "batch_size": self.batch_size.value(),
            "crop": self.crop.value(),
            "device": self.device.value(),
            "run_folder": self.run_folder.chosen,
        }

    def setValue(self, config: TrainConfig) -> None:  # noqa: N802
        """Show all settings of a run."""
        self._show(config.model_dump())
        self._show_no_preset("settings as opened")
        self.method.setValue(config.method)
        in_stage_2 = config.method == "stage2"
        self.start.setValue(config.stage2.start if in_stage_2 else config.initial_weights)
        self.device.setValue(config.device)
        self.run_folder.setValue(config.run_folder)

    def show_run_folder(self, folder: Path | None) -> None:
        """Show a run folder, unless the user has just typed it."""
        if folder != self.run_folder.chosen:
            self.run_folder.setValue(folder or "")


def describe(path: str) -> str:
    """Return the description of a setting."""
    return str(field_of(path).description)


def default(path: str) -> Any:
    """Return the default of a setting."""
    return field_of(path).default


def number(path: str) -> IntEditor:
    """Return an editor of an integer setting that shows its default."""
    editor = IntEditor(16 if path == "crop" else 1)
    editor.setValue(default(path))
    return editor
