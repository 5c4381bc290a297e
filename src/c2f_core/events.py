"""What a training run tells its listeners."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RunStarted:
    """Data and network are ready.

    Attributes
    ----------
    first_step, steps : int
        Steps already done when resuming, and steps of the whole run.
    class_weights : dict
        Weight of each class by name.
    messages : tuple of str
        What the user should know about the data, one sentence each.
    reference : dict
        Scores of the coarse maps of the validation pairs.
    """

    first_step: int
    steps: int
    device: str
    parameters: int
    train_pairs: int
    validation_pairs: int
    class_weights: dict[str, float]
    messages: tuple[str, ...] = ()
    reference: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepDone:
    """One optimiser step is done; `step` counts from 1."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Validated:
    """Validation scores in [0, 1] by name, after `step` steps."""

    step: int
    scores: dict[str, float]
    best: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The run has ended; `stopped` when the user asked for it before its last step."""

    step: int
    stopped: bool
    best_checkpoint: Path | None


Event = RunStarted | StepDone | Validated | Saved | Finished
