"""What the Train widget shows."""

import operator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from c2f_core.training.catalogue import RunSummary
from c2f_core.training.curves import Curves
from c2f_core.training.events import RunStarted
from c2f_core.training.inspection import Inspection
from napari_c2f.base.activity import Activity


class Phase(StrEnum):
    """Where training stands."""

    IDLE = "idle"
    CHECKING = "checking"
    WRITING = "writing"
    PREPARING = "preparing"
    TRAINING = "training"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


ADVICE = {
    Phase.IDLE: "Choose data and a run folder, then click Train; Check looks at the data first.",
    Phase.CHECKING: "Stop ends the check.",
    Phase.WRITING: "Wait until all files are there; napari stays usable.",
    Phase.PREPARING: "The data are read; napari stays usable. Stop gives up.",
    Phase.TRAINING: "napari stays usable. Stop saves a checkpoint after the step at hand.",
    Phase.STOPPING: "Wait a moment; napari stays usable.",
    Phase.STOPPED: "Resume goes on with this run; Reset makes ready for a new one.",
    Phase.DONE: "The model is in the list of the Refine widget. Reset makes ready for a new run.",
    Phase.FAILED: "Mend what is said above, then click Train, or Resume where a run was begun.",
}
"""What the user can do in each phase."""


@dataclass
class Stage:
    """One run, or one stage of a model2 run, as far as it has come."""

    start: RunStarted
    curves: Curves


@dataclass(frozen=True)
class Panel:
    """A validation pair as it is refined at a step; pixels are (Y, X, 3) uint8."""

    step: int
    pixels: NDArray[np.uint8]


@dataclass
class Training(Activity):
    """State of the Train widget.

    Attributes
    ----------
    phase : Phase
    resources : str
        Device and memory in use.
    log : tuple of str
        What the run said so far, line by line.
    stages : list of Stage
        Grows while training; `updates` tells when.
    updates : int
        Counts the changes of `stages`.
    preview : Panel or None
        The latest.
    inspection : Inspection or None
        What the last check of the data found.
    run_folder : Path or None
        Folder of the run that is shown.
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
    run_folder: Path | None = None

    @property
    def advice(self) -> str:
        """What the user can do now."""
        return ADVICE[self.phase]


@dataclass
class Catalogue(Activity):
    """State of the list of runs.

    Attributes
    ----------
    runs : tuple of RunSummary
    compared : list of (str, list of Curves)
        Name and curves, by stage, of the runs that are compared.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"runs": operator.is_, "compared": operator.is_}
    )

    runs: tuple[RunSummary, ...] = ()
    compared: list[tuple[str, list[Curves]]] = field(default_factory=list)
