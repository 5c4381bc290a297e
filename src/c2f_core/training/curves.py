"""Values and notes of a run by step, from its events or from its log."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from c2f_core.documents import irregular_kind
from c2f_core.errors import DataError
from c2f_core.training.events import Event, RolledBack, StepDone, Validated, rolled_back_message

HEAD = ("step", "name", "value")
"""Columns of `log.csv`."""
NOTE = "note"
"""Name of the rows whose value is a sentence."""
ROLLED_BACK = "rolled back"
"""Name of the value logged when the guard of stage 2 ended the run."""
VALIDATION = "validation "
"""Prefix of the names of validation scores."""


@dataclass
class Series:
    """Values of one name at increasing `steps`; both lists have the same length."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def values_of(event: Event) -> dict[str, float]:
    """Return the values to log of an event, by name."""
    if isinstance(event, Validated):
        return {f"{VALIDATION}{name}": value for name, value in event.scores.items()}
    if isinstance(event, RolledBack):
        return {ROLLED_BACK: event.fallen}
    if isinstance(event, StepDone):
        return {
            "loss": event.loss,
            "gradient norm": event.gradient_norm,
            "learning rate": event.learning_rate,
            "seconds": event.seconds,
            **event.values,
        }
    return {}


def notes_of(event: Event) -> tuple[str, ...]:
    """Return the sentences to log of an event."""
    if isinstance(event, RolledBack):
        return (rolled_back_message(event),)
    return event.notes if isinstance(event, Validated) else ()


class Curves:
    """Series by name, and notes; as a callable, it collects events.

    Attributes
    ----------
    series : dict of str to Series
        Logged values by name.
    notes : list of (int, str)
        Step and sentence of each note.
    """

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.notes: list[tuple[int, str]] = []

    def __call__(self, event: Event) -> None:
        """Add the values and notes of an event."""
        if isinstance(event, StepDone | Validated | RolledBack):
            for name, value in values_of(event).items():
                self._add(name, event.step, value)
            self.notes += [(event.step, note) for note in notes_of(event)]

    def _add(self, name: str, step: int, value: float) -> None:
        series = self.series.setdefault(name, Series())
        series.steps.append(step)
        series.values.append(value)

    def __getitem__(self, name: str) -> Series:
        """Return the series of a name; empty if nothing was logged."""
        return self.series.get(name, Series())

    @property
    def last_step(self) -> int:
        """Last step done; 0 before the first."""
        steps = self["loss"].steps
        return steps[-1] if steps else 0

    @property
    def is_rolled_back(self) -> bool:
        """Whether the guard of stage 2 ended the run."""
        return bool(self[ROLLED_BACK].steps)

    @property
    def guard_note(self) -> str:
        """Note of the guard that ended the run; empty if it did not."""
        return self.notes[-1][1] if self.is_rolled_back and self.notes else ""

    def minutes_at(self, steps: Sequence[int]) -> list[float]:
        """Return the minutes of training up to some steps, without validation.

        Parameters
        ----------
        steps : sequence of int
            Steps in increasing order.

        Returns
        -------
        list of float
            Minutes for each step.
        """
        taken = zip(self["seconds"].steps, self["seconds"].values, strict=True)
        pending = list(taken)[::-1]
        minutes, seconds = [], 0.0
        for step in steps:
            while pending and pending[-1][0] <= step:
                seconds += pending.pop()[1]
            minutes.append(seconds / 60)
        return minutes

    @classmethod
    def read(cls, path: Path, last_step: int | None = None) -> "Curves":
        """Read a log; half-written rows are skipped.

        Parameters
        ----------
        path : Path
            File `log.csv` of a run; if it is missing, the curves are empty.
        last_step : int, optional
            Last step to read: a resumed run repeats later ones.

        Returns
        -------
        Curves
            Series and notes of the log.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        curves = cls()
        for row in read_rows(path):
            entry = _parse(row)
            if entry and (last_step is None or entry[1] <= last_step):
                curves._add_entry(*entry)
        return curves

    def _add_entry(self, name: str, step: int, value: float | str) -> None:
        if isinstance(value, str):
            self.notes.append((step, value))
        else:
            self._add(name, step, value)


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a log, which a killed run or another program may have damaged.

    Parameters
    ----------
    path : Path
        File `log.csv` of a run; if it is missing, there are no rows.

    Yields
    ------
    list of str
        Fields of each line; those of a damaged line are whatever can be read of it.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        kind = irregular_kind(path)
        if kind:
            raise DataError(f"The log {path} is {kind}; move it out of the run folder.")
        with path.open(newline="\n", encoding="utf-8", errors="replace") as opened:
            # Each line by itself, so that a quote in a damaged one does not swallow the next ones.
            for line in opened:
                yield from _fields_of(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            f"The log {path} cannot be read ({error.strerror}); check its permissions, or move it "
            "out of the run folder."
        ) from error


def _fields_of(line: str) -> list[list[str]]:
    try:
        return list(csv.reader([line]))
    except csv.Error:  # Such as a field of megabytes.
        return []


def _parse(row: Sequence[str]) -> tuple[str, int, float | str] | None:
    """Return name, step and value or sentence of a row; None for the header and damaged rows."""
    try:
        step, name, value = row
        return name, int(step), value if name == NOTE else float(value)
    except ValueError:
        return None
