"""Earlier runs: look, compare, go on, export, delete."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from c2f_core.training.catalogue import RunSummary
from c2f_core.training.curves import VALIDATION
from c2f_core.training.listeners import SHOWN_SCORES
from napari_c2f.base.settings import remember_model, settings
from napari_c2f.train.curves import Plot, SeriesConcatenator
from napari_c2f.train.runs import RunsController
from napari_c2f.widgets.choices import Choice, FolderEdit
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.parts import StatusText, add_row

COLUMNS = ("Run", "Method", "Accuracy", "State", "Steps", "Data", "Changed")
KEY = "runs folder"
COMPARABLE = {
    **{f"{VALIDATION}{score}": f"validation {score}" for score in SHOWN_SCORES},
    "loss": "loss",
}
TIPS = {
    "refresh": "Look again for runs in this folder and below",
    "compare": "Show the curves of one or two selected runs",
    "open": "Show the settings of the selected run; then Resume goes on with it",
    "start": "Start the next run from the weights of the selected one",
    "use": "Put the best model of the selected run into the Refine widget's list",
    "export": "Copy the best model of the selected run to a file",
    "delete": "Delete the selected run's files, after a question",
}


class RunsView(QWidget):
    """The runs below a folder."""

    opened = Signal(Path)
    started_from = Signal(Path)

    def __init__(self) -> None:
        super().__init__()
        self._controller = RunsController()
        self.folder = FolderEdit("folder of the runs")
        self.folder.setValue(settings().value(KEY, "", str))
        self.runs = QTreeWidget()
        self.score = Choice(COMPARABLE)
        self.plot = Plot("Compared")
        self.status = StatusText()
        texts = {
            "refresh": "Refresh",
            "compare": "Compare",
            "open": "Open",
            "start": "Start from",
            "use": "Use in Refine",
            "export": "Export…",
            "delete": "Delete…",
        }
        self.buttons = {name: QPushButton(text) for name, text in texts.items()}
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout()
        add_row(form, "Runs in", self.folder, "Folder below which runs are looked for")
        self.runs.setHeaderLabels(COLUMNS)
        self.runs.setRootIsDecorated(False)
        self.runs.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.runs.setToolTip("Runs, the latest first; select two with Ctrl to compare them")
        grid = QGridLayout()
        for place, (name, button) in enumerate(self.buttons.items()):
            button.setToolTip(TIPS[name])
            grid.addWidget(button, *divmod(place, 4))
        self.score.setToolTip("What the curves show")
        self.plot.hide()
        self.score.hide()
        self.status.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.status.setMaximumHeight(4 * self.fontMetrics().lineSpacing())
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.runs, 2)
        layout.addLayout(grid)
        layout.addWidget(self.status)
        layout.addWidget(self.score)
        layout.addWidget(self.plot, 2)

    def _connect(self) -> None:
        slots = {
            "refresh": self.refresh,
            "compare": self._compare,
            "open": self._open,
            "start": self._start_from,
            "use": self._use,
            "export": self._export,
            "delete": self._delete,
        }
        for name, slot in slots.items():
            self.buttons[name].clicked.connect(slot)
        self.runs.itemSelectionChanged.connect(self._follow_selection)
        self.score.currentIndexChanged.connect(self._show_curves)
        events = self._controller.model.events
        events.runs.connect(self._show_runs)
        events.compared.connect(self._show_curves)
        events.message.connect(self._show_message)
        self.destroyed.connect(self._controller.close)
        self._follow_selection()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """End the work before the widget goes."""
        self._controller.close()
        super().closeEvent(event)

    def refresh(self) -> None:
        """Look for runs."""
        if self.folder.is_empty():
            self.status.setText("Choose the folder that holds your runs.")
            return
        settings().setValue(KEY, str(self.folder.value()))
        self._controller.refresh(self.folder.value())

    def selected(self) -> list[RunSummary]:
        """Return the selected runs."""
        return [item.data(0, Qt.ItemDataRole.UserRole) for item in self.runs.selectedItems()]

    def _follow_selection(self) -> None:
        runs = self.selected()
        self.buttons["compare"].setEnabled(0 < len(runs) < 3)
        for name in ("open", "start", "use", "export", "delete"):
            one = len(runs) == 1
            with_model = name not in ("start", "use", "export") or (one and runs[0].best_model)
            self.buttons[name].setEnabled(bool(one and with_model))

    def _compare(self) -> None:
        self._controller.compare([run.folder for run in self.selected()])

    def _open(self) -> None:
        self.opened.emit(self.selected()[0].folder)

    def _start_from(self) -> None:
        self.started_from.emit(self.selected()[0].folder)

    def _use(self) -> None:
        best = self.selected()[0].best_model
        assert best is not None
        remember_model(best)
        self.status.setText("It is in the list of models of the Refine widget.")

    def _export(self) -> None:
        run = self.selected()[0]
        dialog = QFileDialog(self, "Export", str(Path.home()), "Models (*.safetensors)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("safetensors")  # So that it asks about the name that is written.
        dialog.selectFile(f"{run.name}.safetensors")
        if dialog.exec():
            self._controller.export(run.folder, Path(dialog.selectedFiles()[0]))
        dialog.deleteLater()

    def _delete(self) -> None:
        run = self.selected()[0]
        question = (
            f"Delete the run '{run.name}' with its checkpoints and logs?\n{run.folder}\n"
            "This cannot be undone. Other files in the folder stay."
        )
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        if QMessageBox.question(self, "Delete run", question, yes | no, no) == yes:
            self._controller.delete(run.folder)

    @while_alive
    def _show_message(self, message: str) -> None:
        self.status.setText(message)

    @while_alive
    def _show_runs(self, runs: tuple[RunSummary, ...]) -> None:
        self.runs.clear()
        for run in runs:
            item = QTreeWidgetItem(_cells(run))
            item.setData(0, Qt.ItemDataRole.UserRole, run)
            for column in range(len(COLUMNS)):
                item.setToolTip(column, f"{run.folder}\n{_scores(run)}\n{run.note}".strip())
            self.runs.addTopLevelItem(item)
        for column in range(len(COLUMNS)):
            self.runs.resizeColumnToContents(column)

    @while_alive
    def _show_curves(self, *_: object) -> None:
        compared = self._controller.model.compared
        self.plot.setVisible(bool(compared))
        self.score.setVisible(bool(compared))
        self.plot.clear()
        name = self.score.value()
        factor = 1.0 if name == "loss" else 100.0
        lines = [(run, SeriesConcatenator(name, factor).line(curves)) for run, curves in compared]
        self.plot.show_lines([line.renamed(run) for run, line in lines])


def _cells(run: RunSummary) -> list[str]:
    accuracy = run.scores.get("pixel accuracy")
    return [
        run.name,
        run.method,
        "" if accuracy is None else f"{100 * accuracy:.2f} %",
        run.state,
        f"{run.step} of {run.steps}",
        run.data.name,
        f"{run.changed:%Y-%m-%d %H:%M}",
    ]


def _scores(run: RunSummary) -> str:
    return ", ".join(f"{name} {100 * value:.2f} %" for name, value in run.scores.items())
