"""State of the Train widget; evented, and written by the controllers only."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from c2f_core.config.settings import TrainConfig
from c2f_core.data.writing import TABLE_FILE
from c2f_core.io.recognise import TABLE_NAMES
from c2f_core.training.catalogue import RunSummary
from c2f_core.training.curves import Curves
from c2f_core.training.events import RunStarted
from c2f_core.training.inspection import Inspection
from napari_c2f.base.activity import Activity


class Phase(StrEnum):
    """Phase of training."""

    IDLE = "idle"
    CHECKING = "checking"
    WRITING = "writing"
    PREPARING = "preparing"
    TRAINING = "training"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return self not in (Phase.IDLE, Phase.STOPPED, Phase.DONE, Phase.FAILED)

    @property
    def can_stop(self) -> bool:
        """Whether work is under way that can be asked to stop."""
        return self in (Phase.CHECKING, Phase.PREPARING, Phase.TRAINING)


ADVICE = {
    Phase.IDLE: "Choose the data and a run folder, then click Train. Check data only reads the "
    "data and reports problems.",
    Phase.CHECKING: "Click Stop to end the check.",
    Phase.WRITING: "Wait until all files are written; napari stays responsive.",
    Phase.PREPARING: "The data are being read; napari stays responsive. Click Stop to cancel.",
    Phase.TRAINING: "napari stays responsive. Stop saves a checkpoint after the current step.",
    Phase.STOPPING: "Please wait; napari stays responsive.",
    Phase.STOPPED: "Resume continues this run; Reset prepares a new one.",
    Phase.DONE: "The model is now in the Refine widget's list. Reset prepares a new run.",
    Phase.FAILED: "Fix the problem above, then click Train, or Resume if the run had started.",
}
"""What the user can do in each phase."""


@dataclass
class Stage:
    """A run, or one stage of a model2 run, up to its latest step."""

    start: RunStarted
    curves: Curves


@dataclass(frozen=True)
class Panel:
    """A validation pair as refined at one step; pixels are (Y, X, 3) uint8."""

    step: int
    pixels: NDArray[np.uint8]


@dataclass
class Training(Activity):
    """State of the work of the Train widget.

    Attributes
    ----------
    phase : Phase
        Phase of the work.
    resources : str
        Device and memory in use.
    log : tuple of str
        Log of the run, line by line.
    stages : list of Stage
        Stages of the run; the list grows while training, and `updates` counts its changes.
    updates : int
        Number of changes of `stages` so far.
    preview : Panel or None
        Latest preview.
    inspection : Inspection or None
        Result of the latest check of the data.
    checked : TrainConfig or None
        Settings of that check if it found no problem.
    run_folder : Path or None
        Folder of the run that is shown.
    has_changed_data : bool
        Whether that run was not resumed because its data have changed; resuming it again
        accepts the changes.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={
            "preview": operator.is_,
            "inspection": operator.is_,
            "stages": operator.is_,
        }
    )

    phase: Phase = Phase.IDLE
    resources: str = ""
    log: tuple[str, ...] = ()
    stages: list[Stage] = field(default_factory=list)
    updates: int = 0
    preview: Panel | None = None
    inspection: Inspection | None = None
    checked: TrainConfig | None = None
    run_folder: Path | None = None
    has_changed_data: bool = False

    @property
    def advice(self) -> str:
        """What the user can do now."""
        return ADVICE[self.phase]

    @property
    def status(self) -> str:
        """Message and advice, one line each."""
        return "\n".join(part for part in (self.message, self.advice) if part)

    def add_to_log(self, *lines: str) -> None:
        """Append lines to the log."""
        if lines:
            self.log = (*self.log, *lines)

    def clear(self) -> None:
        """Remove what is shown of a run."""
        self.progress, self.log, self.stages = 0.0, (), []
        self.preview, self.run_folder, self.resources = None, None, ""
        self.has_changed_data = False
        self.updates += 1


@dataclass
class Setup:
    """State of the form: folders of the next run, and the run that Resume continues.

    Attributes
    ----------
    data : Path or None
        Folder of the data.
    class_table : Path or None
        Class table in that folder.
    run_folder : Path or None
        Run folder in the form, chosen by the user or proposed.
    proposed : Path or None
        Latest proposal for the run folder; it is replaced when other data are chosen.
    interrupted : Path or None
        Folder of the latest run if that was interrupted. Resume continues this run until the
        user names another run folder.
    shown : Path or None
        Folder of the run whose settings the form shows.
    opened : TrainConfig or None
        Settings of the run that the user opened last, for the form to show.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"opened": operator.is_, "class_table": operator.is_}
    )

    data: Path | None = None
    class_table: Path | None = None
    run_folder: Path | None = None
    proposed: Path | None = None
    interrupted: Path | None = None
    shown: Path | None = None
    opened: TrainConfig | None = None

    @property
    def to_resume(self) -> Path | None:
        """Folder of the run that Resume continues."""
        return self.interrupted or self.run_folder

    @property
    def is_run_folder_free(self) -> bool:
        """Whether a run folder may be proposed: the user named none, nor is a run to resume."""
        return self.run_folder in (None, self.proposed) and self.interrupted is None

    def changes_to_resume(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings in the form that apply to the run that Resume continues.

        The device always does. What takes memory does if the form shows that run: a change
        there is meant for it.
        """
        names = ["device"]
        if self.shown is not None and self.shown == self.to_resume:
            names += ["batch_size", "crop"]
        return {name: form[name] for name in names}


def missing_for_check(form: Mapping[str, Any]) -> str:
    """Return what the user has to choose before the data can be checked; empty if nothing.

    Parameters
    ----------
    form : mapping
        Fields of a `TrainConfig`; a folder that is not chosen is None.
    """
    if form["data"]["root"] is None:
        return "Choose the data folder first."
    return _missing_start(form)


def missing_for_training(form: Mapping[str, Any]) -> str:
    """Return what the user has to choose before training can start; empty if nothing.

    Parameters
    ----------
    form : mapping
        Fields of a `TrainConfig`; a folder that is not chosen is None.
    """
    if form["data"]["root"] is None or form["run_folder"] is None:
        return "Choose the data folder and a new folder for the run."
    return _missing_start(form)


def _missing_start(form: Mapping[str, Any]) -> str:
    if form["method"] != "stage2" or form["stage2"]["start"] is not None:
        return ""
    return (
        "Stage 2 continues from stage 1: choose its run folder under 'Start from', or the method "
        "that trains both stages."
    )


def class_table_in(folder: Path | None) -> Path | None:
    """Return the class table's file in a folder of data, if there is one."""
    if folder is None:
        return None
    files = (folder / name for name in (TABLE_FILE, *TABLE_NAMES))
    return next((file for file in files if file.is_file()), None)


def free_run_folder(data: Path) -> Path:
    """Return a folder that does not exist yet, for a run on the data in a folder."""
    number = 1
    while (folder := data.parent / "runs" / f"{data.name}-{number}").exists():
        number += 1
    return folder


@dataclass
class RunList(Activity):
    """State of the list of runs.

    Attributes
    ----------
    root : Path or None
        Folder in which runs are listed.
    latest : Path or None
        Latest run for which `root` was chosen; the user may have chosen another folder since.
    runs : tuple of RunSummary
        Runs in `root` and below.
    compared : list of (str, list of Curves)
        Name and curves, by stage, of the runs that are compared.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"runs": operator.is_, "compared": operator.is_}
    )

    root: Path | None = None
    latest: Path | None = None
    runs: tuple[RunSummary, ...] = ()
    compared: list[tuple[str, list[Curves]]] = field(default_factory=list)

    def root_for(self, run: Path | None, planned: Path | None) -> Path | None:
        """Return the folder in which to list runs.

        This is the folder of a new run, unless its runs are listed already. Before any run it
        is that of the planned one, unless a folder is chosen. Otherwise the folder stays.

        Parameters
        ----------
        run : Path or None
            Folder of the latest run.
        planned : Path or None
            Folder of the next run.
        """
        if run is None and self.root is None:
            return planned and planned.parent
        if run is None or run == self.latest:
            return self.root
        is_listed = self.root is not None and run.is_relative_to(self.root)
        return self.root if is_listed else run.parent


def possible_actions(runs: Sequence[RunSummary]) -> set[str]:
    """Return what the user can do with selected runs.

    Parameters
    ----------
    runs : sequence of RunSummary
        Selected runs.

    Returns
    -------
    set of {"compare", "open", "delete", "start", "use", "export"}
        Names of actions; the last three need a model.
    """
    if len(runs) != 1:
        return {"compare"} if len(runs) == 2 else set()
    with_model = {"start", "use", "export"} if runs[0].best_model is not None else set()
    return {"compare", "open", "delete"} | with_model
