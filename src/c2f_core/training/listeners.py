"""Listeners of a training run: progress bar, CSV and TensorBoard logs.

The trainer knows none of them. Each is a context manager that is called with
every event.
"""

import csv
from pathlib import Path
from typing import Any, Self, TextIO

from tqdm import tqdm

from c2f_core.events import Event, RunStarted, StepDone, Validated

SHOWN_SCORES = ("pixel accuracy", "mIoU", "trimap 5")


class ProgressBar:
    """A bar with loss and validation scores; messages and weights above it."""

    def __init__(self, steps: int) -> None:
        self._bar: Any = tqdm(total=steps, unit="step", dynamic_ncols=True)
        self._scores: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, RunStarted):
            self._announce(event)
        elif isinstance(event, StepDone):
            self._bar.update(1)
            self._bar.set_postfix(loss=f"{event.loss:.4f}", **self._scores)
        elif isinstance(event, Validated):
            self._scores = _percentages(event.scores)
            self._bar.write(f"step {event.step}: {_line(event.scores)}{' *' * event.best}")

    def _announce(self, event: RunStarted) -> None:
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in event.class_weights.items())
        self._bar.update(event.first_step)
        for line in (
            f"{event.train_pairs} pairs train, {event.validation_pairs} validate; "
            f"{event.parameters:,} parameters on {event.device}",
            f"class weights: {weights}",
            f"coarse reference: {_line(event.reference)}",
            *event.messages,
        ):
            self._bar.write(line)


def _percentages(scores: dict[str, float]) -> dict[str, str]:
    return {name: f"{100 * scores[name]:.2f}" for name in SHOWN_SCORES if name in scores}


def _line(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value} %" for name, value in _percentages(scores).items())


class CsvLog:
    """Rows of step, name and value: losses of each step, scores of each validation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, first_step: int) -> None:
        """Open the log; drop rows of steps that a resumed run does again."""
        rows: list[list[str]] = []
        if first_step and self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as old:
                rows = [row for row in csv.reader(old) if row[:1] != ["step"]]
        self._file = self._path.open("w", newline="", encoding="utf-8")
        writer = csv.writer(self._file)
        writer.writerow(["step", "name", "value"])
        writer.writerows(row for row in rows if int(row[0]) <= first_step)

    def __call__(self, event: Event) -> None:
        """Write one event; the first one opens the log."""
        if isinstance(event, RunStarted):
            self._open(event.first_step)
        elif self._file is not None and isinstance(event, StepDone | Validated):
            csv.writer(self._file).writerows(
                [event.step, name, value] for name, value in _values(event).items()
            )
            self._file.flush()


def _values(event: StepDone | Validated) -> dict[str, float]:
    if isinstance(event, Validated):
        return {f"validation {name}": value for name, value in event.scores.items()}
    return {
        "loss": event.loss,
        "gradient norm": event.gradient_norm,
        "learning rate": event.learning_rate,
        "seconds": event.seconds,
    }


class TensorBoardLog:
    """The same values as TensorBoard scalars."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def __call__(self, event: Event) -> None:
        """Write one event; the first one opens the log."""
        if isinstance(event, RunStarted):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=event.first_step + 1)
        elif isinstance(event, StepDone | Validated):
            for name, value in _values(event).items():
                self._writer.add_scalar(name, value, event.step)
