"""Events that a training run yields to its listeners."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable


@dataclass(frozen=True)
class ClassicalReference:
    """Scores of the best classical refiner on the first validation pairs.

    Attributes
    ----------
    name : str
        Name of the refiner.
    pairs : int
        Number of validation pairs that were refined: few, so that training starts soon.
    scores : dict of str to float
        Scores in [0, 1] by name.
    """

    name: str
    pairs: int
    scores: dict[str, float]


@dataclass(frozen=True)
class RunStarted:
    """Data and network are ready.

    Attributes
    ----------
    run_folder : Path
        Folder for the logs.
    method : str
        plain, model1, stage1, stage2 or any; model2 starts twice, once for each stage.
    first_step, steps : int
        Number of steps already done, more than 0 in a resumed run, and of all steps.
    device : str
        Device of the network, in the first process.
    parameters : int
        Number of the generator's parameters.
    train_pairs, validation_pairs : int
        Number of pairs with fine maps that train and that validate.
    class_weights : dict of str to float
        Weight of each class by name; empty if the classes have none.
    messages : tuple of str
        What the user should know about the data, one sentence each.
    reference : dict of str to float
        Scores in [0, 1] of the coarse maps of the validation pairs.
    classical : ClassicalReference or None
        Scores of a refiner without training; None if none can refine the pairs.
    processes : int
        Number of processes, each with a device.
    """

    run_folder: Path
    method: str
    first_step: int
    steps: int
    device: str
    parameters: int
    train_pairs: int
    validation_pairs: int
    class_weights: dict[str, float]
    messages: tuple[str, ...] = ()
    reference: dict[str, float] = field(default_factory=dict)
    classical: ClassicalReference | None = None
    processes: int = 1


@dataclass(frozen=True)
class StepDone:
    """One step is done; `step` counts from 1, `values` are other losses and rates by name."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    seconds: float
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Validated:
    """Validation scores in [0, 1] by name, after `step` steps; notes are sentences."""

    step: int
    scores: dict[str, float]
    best: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """One validation pair as the generator refines it now.

    Attributes
    ----------
    step : int
        Number of steps done.
    class_table : ClassTable
        Class table of the maps.
    image : (Y, X, 3) uint8 array
        RGB image.
    coarse, prediction, fine : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    discriminator : (Y, X) float32 array or None
        How real the prediction looks to the discriminator, in [0, 1]; None without one.
    """

    step: int
    class_table: ClassTable
    image: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    discriminator: NDArray[np.float32] | None


@dataclass(frozen=True)
class RolledBack:
    """Stage 2 fell below its start and was stopped; the best checkpoint was restored.

    Attributes
    ----------
    step : int
        Number of steps done.
    start, fallen : float
        Validation pixel accuracy of the start and of this step, in [0, 1].
    checkpoint : Path
        Checkpoint that was restored.
    """

    step: int
    start: float
    fallen: float
    checkpoint: Path


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


def rolled_back_message(event: RolledBack) -> str:
    """Describe how far the accuracy fell and which checkpoint is in use."""
    return (
        f"Stage 2 was stopped at step {event.step}: the validation pixel accuracy fell to "
        f"{100 * event.fallen:.2f} % from {100 * event.start:.2f} % at its start. "
        f"The best checkpoint so far is in use again: {event.checkpoint}"
    )


Event = RunStarted | StepDone | Validated | Preview | RolledBack | Saved | Finished
