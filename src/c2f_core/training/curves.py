"""Values and notes of a run by step: from its events, or from the log they were written to."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from c2f_core.training.events import Event, RolledBack, StepDone, Validated, rolled_back_message

HEAD = ("step", "name", "value")
"""Columns of `log.csv`."""
NOTE = "note"
"""Name of the rows whose value is a sentence."""
ROLLED_BACK = "rolled back"
"""Name of the value that says where the guard of stage 2 ended the run."""
VALIDATION = "validation "
"""Names of validation scores begin with it."""


@dataclass
class Series:
    """Values of one name; `steps`, which rise, and `values` have one length."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def values_of(event: Event) -> dict[str, float]:
    """Return what an event has to log, by name."""
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
    """Return the sentences that an event has to log."""
    if isinstance(event, RolledBack):
        return (rolled_back_message(event),)
    return event.notes if isinstance(event, Validated) else ()


class Curves:
    """Series by name, and notes; a listener, too.

    Attributes
    ----------
    series : dict of Series
    notes : list of (int, str)
        Step and sentence.
    """

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.notes: list[tuple[int, str]] = []

    def __call__(self, event: Event) -> None:
        """Add what an event has to log."""
        if isinstance(event, StepDone | Validated | RolledBack):
            for name, value in values_of(event).items():
                self._add(name, event.step, value)
            self.notes += [(event.step, note) for note in notes_of(event)]

    def _add(self, name: str, step: int, value: float) -> None:
        series = self.series.setdefault(name, Series())
        series.steps.append(step)
        series.values.append(value)

    def __getitem__(self, name: str) -> Series:
        """Return the series of a name, an empty one where nothing was logged."""
        return self.series.get(name, Series())

    @property
    def last_step(self) -> int:
        """Return the last step that was done."""
        steps = self["loss"].steps
        return steps[-1] if steps else 0

    @property
    def is_rolled_back(self) -> bool:
        """Tell whether the guard of stage 2 ended the run."""
        return bool(self[ROLLED_BACK].steps)

    @property
    def guard_note(self) -> str:
        """What the guard said when it ended the run; empty where it did not."""
        return self.notes[-1][1] if self.is_rolled_back and self.notes else ""

    def minutes_at(self, steps: Sequence[int]) -> list[float]:
        """Minutes of training until steps, in rising order; validation is not counted."""
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
        """Read `log.csv` up to a step; empty where there is none. Half-written rows are skipped.

        Parameters
        ----------
        path : Path
        last_step : int, optional
            Rows of later steps are left out, as a resumed run does them again.
        """
        curves = cls()
        if not path.is_file():
            return curves
        with path.open(newline="", encoding="utf-8") as opened:
            for row in csv.reader(opened):
                entry = _parse(row)
                if entry and (last_step is None or entry[1] <= last_step):
                    curves._add_entry(*entry)
        return curves

    def _add_entry(self, name: str, step: int, value: float | str) -> None:
        if isinstance(value, str):
            self.notes.append((step, value))
        else:
            self._add(name, step, value)


def _parse(row: Sequence[str]) -> tuple[str, int, float | str] | None:
    """Return name, step and value or sentence of a row; None for the head and damaged rows."""
    try:
        step, name, value = row
        return name, int(step), value if name == NOTE else float(value)
    except ValueError:
        return None
