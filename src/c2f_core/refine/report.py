"""Numbers of what a refinement changed."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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
