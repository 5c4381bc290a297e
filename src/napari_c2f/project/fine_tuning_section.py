"""The section of the Project widget that chooses the project's model and fine-tunes it."""

from typing import Any

from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from c2f_core.training.fine_tuning import FineTuningSettings
from napari_c2f.project.controller import ProjectController
from napari_c2f.project.task_section import TaskSection
from napari_c2f.widgets.choices import FolderEdit
from napari_c2f.widgets.config_form import ConfigForm
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.model_choice import RefinerList, known_models
from napari_c2f.widgets.parts import add_row

NO_MODEL = {"": "none"}
TIPS = {
    "model": "Refiner of the project; fine-tuning starts from it, and replaces it by a better one",
    "replay": "Folder of pairs that the model was trained on, so that it does not forget them; "
    "optional",
    "start": "Continue training the model with the reviewed images, in the background",
    "stop": "Stop fine-tuning; the model stays unchanged, and Fine-tune resumes the run",
}


class FineTuningSection(QWidget):
    """Model, replay folder and settings, and buttons that start and stop fine-tuning.

    Parameters
    ----------
    controller : ProjectController
        Controller of the project.
    """

    def __init__(self, controller: ProjectController) -> None:
        super().__init__()
        self._controller, self._state = controller, controller.model
        self.model = RefinerList(NO_MODEL | known_models())
        self.replay = FolderEdit("pairs that the model was trained on")
        self.settings = ConfigForm(FineTuningSettings, set(), "Fine-tuning settings")
        self.task = TaskSection(
            controller.fine_tuning,
            ("Fi&ne-tune", TIPS["start"]),
            ("S&top", TIPS["stop"]),
            "Finished share of the fine-tuning run",
        )
        form = QFormLayout()
        add_row(form, "&Model", self.model, TIPS["model"])
        add_row(form, "&Replay", self.replay, TIPS["replay"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.addLayout(form)
        layout.addWidget(self.settings)
        layout.addWidget(self.task)
        self.replay.setValue(controller.fine_tuning.last_replay())
        self._connect()
        self._show_project()
        self._show_model()

    def _connect(self) -> None:
        self.model.currentIndexChanged.connect(self._choose_model)
        self.task.start_button.clicked.connect(self._fine_tune)
        self._state.events.root.connect(self._show_project)
        for event in (self._state.events.model, self._state.events.models):
            event.connect(self._show_model)

    def _choose_model(self, *_: Any) -> None:
        self._controller.library.choose_model(self.model.value())

    def _fine_tune(self) -> None:
        replay = None if self.replay.is_empty() else self.replay.value()
        self._controller.fine_tuning.fine_tune(self.settings.value(), replay)

    @while_alive
    def _show_project(self, *_: Any) -> None:
        for widget in (self.model, self.task):
            widget.setEnabled(self._state.root is not None)

    @while_alive
    def _show_model(self, *_: Any) -> None:
        blocked = self.model.blockSignals(True)
        for path in self._state.models:
            self.model.add(path)
        self.model.setValue(self._state.model)
        self.model.blockSignals(blocked)
