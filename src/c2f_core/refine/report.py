"""Numbers of what a refinement changed."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import MAX_CLASS_IDS, ClassTable


@dataclass(frozen=True)
class ScopeReport:
    """What a refinement changed.

    Attributes
    ----------
    pixels : int
        Number of pixels that could change.
    changed : int
        Number of pixels that changed.
    by_class : mapping of (str, str) to int
        Number of changed pixels by class before and after, the largest first.
    confidence : float
        Mean confidence of the changed pixels in [0, 1]; NaN if none changed.
    mean_confidence : float
        Mean confidence of all pixels that could change; NaN if there are none.
    seconds : float
        Duration of the refinement in seconds.
    """

    pixels: int
    changed: int
    by_class: Mapping[tuple[str, str], int]
    confidence: float
    mean_confidence: float
    seconds: float


class ChangeCounts:
    """Counts what changed in a map, part by part.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the map.
    """

    def __init__(self, class_table: ClassTable) -> None:
        self._table = class_table
        self._counts = np.zeros(MAX_CLASS_IDS**2, dtype=np.int64)
        self._pixels, self._total, self._total_changed = 0, 0.0, 0.0

    def add(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        confidence: NDArray[np.float32],
        editable: NDArray[np.bool_],
    ) -> None:
        """Add a part.

        Parameters
        ----------
        before, after : (Y, X) integer array
            Labels of the coarse and of the refined map.
        confidence : (Y, X) float32 array
            Confidence in [0, 1].
        editable : (Y, X) boolean array
            Pixels that could change.
        """
        changed, encode = after != before, self._table.to_class_ids
        pairs = encode(before[changed]).astype(np.intp) * MAX_CLASS_IDS + encode(after[changed])
        self._counts += np.bincount(pairs, minlength=len(self._counts))
        self._pixels += int(editable.sum())
        self._total += float(confidence.sum(dtype=np.float64, where=editable))
        self._total_changed += float(confidence.sum(dtype=np.float64, where=changed))

    def report(self, seconds: float) -> ScopeReport:
        """Return the report on all parts, given the duration of the refinement."""
        number = int(self._counts.sum())
        return ScopeReport(
            pixels=self._pixels,
            changed=number,
            by_class=self._by_class(),
            confidence=self._total_changed / number if number else math.nan,
            mean_confidence=self._total / self._pixels if self._pixels else math.nan,
            seconds=seconds,
        )

    def _by_class(self) -> dict[tuple[str, str], int]:
        names = self._table.names_by_id
        # Equal numbers are in the order of the class table.
        order = [entry.name for entry in self._table.entries]
        pairs = {
            (names[pair // MAX_CLASS_IDS], names[pair % MAX_CLASS_IDS]): int(self._counts[pair])
            for pair in np.flatnonzero(self._counts).tolist()
        }
        in_order = sorted(pairs, key=lambda pair: [order.index(name) for name in pair])
        return by_frequency({pair: pairs[pair] for pair in in_order})


def total_report(reports: Iterable[ScopeReport]) -> ScopeReport:
    """Return the sum of the reports of several planes or images."""
    reports = list(reports)
    changed = sum(report.changed for report in reports)
    by_class: dict[tuple[str, str], int] = {}
    for report in reports:
        for pair, count in report.by_class.items():
            by_class[pair] = by_class.get(pair, 0) + count
    return ScopeReport(
        pixels=sum(report.pixels for report in reports),
        changed=changed,
        by_class=by_frequency(by_class),
        confidence=_mean((report.confidence, report.changed) for report in reports),
        mean_confidence=_mean((report.mean_confidence, report.pixels) for report in reports),
        seconds=sum(report.seconds for report in reports),
    )


def _mean(values: Iterable[tuple[float, int]]) -> float:
    """Return the mean of values, weighted by their pixels; NaN if there are none."""
    known = [(value, pixels) for value, pixels in values if pixels]
    pixels = sum(pixels for _, pixels in known)
    return sum(value * pixels for value, pixels in known) / pixels if pixels else math.nan


def by_frequency(by_class: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return the numbers of pixels by class before and after, the largest first."""
    return dict(sorted(by_class.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class ClassChange:
    """What one class gained and lost.

    Attributes
    ----------
    name : str
        Name of the class.
    gained : int
        Number of pixels that changed to this class.
    lost : int
        Number of pixels that changed from this class to another.
    """

    name: str
    gained: int
    lost: int

    @property
    def net(self) -> int:
        """Number of pixels by which the class is larger now."""
        return self.gained - self.lost


def class_changes(report: ScopeReport) -> list[ClassChange]:
    """Return what each class gained and lost, that with the most changed pixels first."""
    gained, lost = Counter[str](), Counter[str]()
    for (before, after), pixels in report.by_class.items():
        lost[before] += pixels
        gained[after] += pixels
    return [
        ClassChange(name, gained[name], lost[name]) for name, _ in (gained + lost).most_common()
    ]
