"""Listeners of a training run: progress bar, CSV and TensorBoard logs, sample panels.

They are independent of the trainer. Each is a context manager that is called with
every event; a run of two stages starts twice.
"""

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from c2f_core.errors import WritingError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import write_image
from c2f_core.training.curves import HEAD, NOTE, notes_of, read_rows, values_of
from c2f_core.training.events import (
    ClassicalReference,
    Event,
    Preview,
    RolledBack,
    RunStarted,
    StepDone,
    Validated,
)
from c2f_core.training.pictures import coloured, side_by_side
from c2f_core.training.run_folder import PANELS

if TYPE_CHECKING:
    from c2f_core.training.tensorboard_file import TensorBoardFile

SHOWN_SCORES = ("pixel accuracy", "mIoU", "trimap 5")
LONGEST_STEP = 20


class ProgressBar:
    """Progress bar with loss and validation scores, below the messages of the run."""

    def __init__(self) -> None:
        self._bar: Any = tqdm(unit="step", dynamic_ncols=True)
        self._scores: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, RunStarted):
            self._bar.reset(total=event.steps)
            self._bar.update(event.first_step)
        elif isinstance(event, StepDone):
            self._bar.update(1)
            self._bar.set_postfix(loss=f"{event.loss:.4f}", **self._scores)
        elif isinstance(event, Validated):
            self._scores = _percentages(event.scores)
        for line in lines_of(event):
            self._bar.write(line)


def lines_of(event: Event) -> tuple[str, ...]:
    """Describe an event to the user in lines; none for a step."""
    if isinstance(event, RunStarted):
        return _announcement(event)
    if isinstance(event, Validated):
        mark = " *" if event.best else ""
        return (f"step {event.step}: {_line(event.scores)}{mark}", *event.notes)
    return notes_of(event)


def _announcement(event: RunStarted) -> tuple[str, ...]:
    several = f" and {event.processes - 1} more" if event.processes > 1 else ""
    return (
        f"{event.method}: {event.train_pairs} pairs train, {event.validation_pairs} validate; "
        f"{event.parameters:,} parameters on {event.device}{several}",
        *_weights_line(event.class_weights),
        f"coarse reference: {_line(event.reference)}",
        *_classical_line(event.classical),
        *event.messages,
    )


def _weights_line(class_weights: dict[str, float]) -> Iterable[str]:
    if class_weights:
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in class_weights.items())
        yield f"class weights: {weights}"


def _percentages(scores: dict[str, float]) -> dict[str, str]:
    return {name: f"{100 * scores[name]:.2f}" for name in SHOWN_SCORES if name in scores}


def _line(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value} %" for name, value in _percentages(scores).items())


def _classical_line(classical: ClassicalReference | None) -> Iterable[str]:
    if classical is not None:
        pairs = f"first {classical.pairs} pairs" if classical.pairs > 1 else "first pair"
        yield f"{classical.name}, {pairs}: {_line(classical.scores)}"


class RunLogs:
    """All logs in the run folder, for every run, however it was started.

    Raises
    ------
    WritingError
        If a log cannot be written, when this is called or exited.
    """

    def __init__(self) -> None:
        self._logs = (CsvLog(), TensorBoardLog(), PanelLog())
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for log in self._logs:
            self._stack.enter_context(log)
        return self

    def __exit__(self, *_: object) -> None:
        with _readable_write_errors():
            self._stack.close()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        with _readable_write_errors():
            for log in self._logs:
                log(event)


@contextmanager
def _readable_write_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WritingError(
            f"The logs of the run cannot be written ({error.strerror or error}): the disk is full "
            "or not writable; free space, then resume the run."
        ) from error


class CsvLog:
    """`log.csv` in the run folder: rows of step, name and value.

    Losses of each step, scores of each validation, and notes.
    """

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, path: Path, first_step: int) -> None:
        """Open the log; drop rows of steps that a resumed run repeats."""
        # A killed run may have left an incomplete row.
        rows = [row for row in read_rows(path) if len(row) == len(HEAD)] if first_step else []
        self.__exit__()
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as new,
        ):
            writer = csv.writer(new)
            writer.writerow(HEAD)
            writer.writerows(row for row in rows if _is_step(row[0]) and int(row[0]) <= first_step)
        self._file = path.open("a", newline="", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        """Write one event; the first one opens the log."""
        if isinstance(event, RunStarted):
            self._open(event.run_folder / "log.csv", event.first_step)
        elif self._file is not None and isinstance(event, StepDone | Validated | RolledBack):
            rows: list[tuple[str, Any]] = list(values_of(event).items())
            rows += [(NOTE, note) for note in notes_of(event)]
            csv.writer(self._file).writerows((event.step, *row) for row in rows)
            self._file.flush()


def _is_step(text: str) -> bool:
    """Return whether a field is a step, of fewer digits than Python converts at most."""
    return text.isdecimal() and len(text) < LONGEST_STEP


class TensorBoardLog:
    """TensorBoard log: the same values as scalars, and the sample panels as images."""

    def __init__(self) -> None:
        self._file: TensorBoardFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, event: Event) -> None:
        """Write one event; the first one opens the log."""
        if isinstance(event, RunStarted):
            # Imported lazily, as only training writes it.
            from c2f_core.training.tensorboard_file import TensorBoardFile

            self.__exit__()
            self._file = TensorBoardFile(event.run_folder / "tensorboard", event.first_step)
        elif self._file is not None and isinstance(event, StepDone | Validated | RolledBack):
            for name, value in values_of(event).items():
                self._file.add_value(name, value, event.step)
        elif self._file is not None and isinstance(event, Preview):
            self._file.add_picture("sample", panel(event), event.step)


class PanelLog:
    """Sample panels as pictures in the folder `panels` of the run folder."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, RunStarted):
            self._folder = event.run_folder / PANELS
            self._folder.mkdir(exist_ok=True)
        elif isinstance(event, Preview) and self._folder is not None:
            write_image(self._folder / f"{event.step:06d}.png", panel(event))


def panel(event: Preview) -> NDArray[np.uint8]:
    """Put image, coarse map, prediction, discriminator map and fine map side by side.

    The discriminator map is grey, white where the prediction looks real; it is
    missing if there is no discriminator.

    Parameters
    ----------
    event : Preview
        Validation pair to show.

    Returns
    -------
    (Y, X, 3) uint8 array
        RGB picture.
    """
    pictures = [event.image, coloured(event.coarse, event.class_table)]
    pictures.append(coloured(event.prediction, event.class_table))
    if event.discriminator is not None:
        grey = np.rint(255 * event.discriminator).astype(np.uint8)
        pictures.append(np.repeat(grey[..., None], 3, axis=2))
    pictures.append(coloured(event.fine, event.class_table))
    return side_by_side(pictures)
