"""The list of earlier runs, which can be compared, opened, exported and deleted."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
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
from napari_c2f.train.curves import Plot, SeriesConcatenator
from napari_c2f.train.model import possible_actions
from napari_c2f.train.runs import RunsController
from napari_c2f.widgets.choices import Choice, FolderEdit
from napari_c2f.widgets.docked import while_alive
from napari_c2f.widgets.parts import StatusText, add_row

COLUMNS = ("Run", "Method", "Accuracy", "State", "Steps", "Data", "Changed")
COMPARABLE = {
    **{f"{VALIDATION}{score}": f"validation {score}" for score in SHOWN_SCORES},
    "loss": "loss",
}
BUTTONS_PER_ROW = 2
TIPS = {
    "refresh": "List the runs in this folder and below again",
    "compare": "Show the curves of one or two selected runs",
    "open": "Show the settings of the selected run, so that Resume continues it",
    "start": "Start the next run from the weights of the selected one",
    "use": "Add the best model of the selected run to the Refine widget's list",
    "export": "Copy the best model of the selected run to a file",
    "delete": "Delete the files of the selected run, after a confirmation",
}


class RunsView(QWidget):
    """The runs in a folder and below.

    Parameters
    ----------
    controller : RunsController
        Controller of the list.

    Attributes
    ----------
    opened : Signal
        Emitted with the folder of a run whose settings the user wants to see.
    started_from : Signal
        Emitted with the folder of a run whose weights the next run is to start from.
    """

    opened = Signal(Path)
    started_from = Signal(Path)

    def __init__(self, controller: RunsController) -> None:
        super().__init__()
        self._controller = controller
        self.folder = FolderEdit("folder of the runs")
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
        add_row(form, "Runs in", self.folder, "Folder with your runs, in it or below")
        self.runs.setHeaderLabels(COLUMNS)
        self.runs.setMinimumHeight(120)
        self.runs.setRootIsDecorated(False)
        self.runs.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.runs.setToolTip("Runs, latest first; select two with Ctrl to compare them")
        grid = QGridLayout()
        for number, (name, button) in enumerate(self.buttons.items()):
            button.setToolTip(TIPS[name])
            grid.addWidget(button, *divmod(number, BUTTONS_PER_ROW))
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
            "refresh": self._controller.refresh,
            "compare": self._compare,
            "open": self._open,
            "start": self._start_from,
            "use": self._use,
            "export": self._export,
            "delete": self._delete,
        }
        for name, slot in slots.items():
            self.buttons[name].clicked.connect(slot)
        self.folder.changed.connect(lambda: self._controller.choose_root(self.folder.chosen))
        self.runs.itemSelectionChanged.connect(self._follow_selection)
        self.score.currentIndexChanged.connect(self._show_curves)
        events = self._controller.model.events
        events.root.connect(self._show_root)
        events.runs.connect(self._show_runs)
        events.compared.connect(self._show_curves)
        events.message.connect(self._show_message)
        self.destroyed.connect(self._controller.close)
        self._show_root(self._controller.model.root)
        self._follow_selection()

    def selected(self) -> list[RunSummary]:
        """Return the selected runs."""
        return [item.data(0, Qt.ItemDataRole.UserRole) for item in self.runs.selectedItems()]

    def _follow_selection(self) -> None:
        possible = possible_actions(self.selected()) | {"refresh"}
        for name, button in self.buttons.items():
            button.setEnabled(name in possible)

    def _compare(self) -> None:
        self._controller.compare([run.folder for run in self.selected()])

    def _open(self) -> None:
        self.opened.emit(self.selected()[0].folder)

    def _start_from(self) -> None:
        self.started_from.emit(self.selected()[0].folder)

    def _use(self) -> None:
        self._controller.use(self.selected()[0])

    def _export(self) -> None:
        run = self.selected()[0]
        dialog = QFileDialog(self, "Export", str(Path.home()), "Models (*.safetensors)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # With the suffix, so that the dialog asks before it overwrites that very file.
        dialog.setDefaultSuffix("safetensors")
        dialog.selectFile(f"{run.name}.safetensors")
        if dialog.exec():
            self._controller.export(run.folder, Path(dialog.selectedFiles()[0]))
        dialog.deleteLater()

    def _delete(self) -> None:
        run = self.selected()[0]
        question = (
            f"Delete the run '{run.name}' with its checkpoints and logs?\n{run.folder}\n"
            "This cannot be undone. Other files in the folder are kept."
        )
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        if QMessageBox.question(self, "Delete run", question, yes | no, no) == yes:
            self._controller.delete(run.folder)

    @while_alive
    def _show_root(self, folder: Path | None) -> None:
        if folder != self.folder.chosen:
            self.folder.setValue(folder or "")

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
