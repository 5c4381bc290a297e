"""What refining changed, in figures."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ScopeReport:
    """What a refiner changed.

    Attributes
    ----------
    pixels : int
        Pixels that might have changed.
    changed : int
        Pixels that did.
    by_class : mapping of (str, str) to int
        Changed pixels by their class before and after, most frequent first.
    confidence : float
        Mean of the changed pixels, in [0, 1]; NaN where none changed.
    mean_confidence : float
        Mean of all pixels that might have changed; NaN where there are none.
    seconds : float
        Time that it took.
    """

    pixels: int
    changed: int
    by_class: Mapping[tuple[str, str], int]
    confidence: float
    mean_confidence: float
    seconds: float


def total_report(reports: Iterable[ScopeReport]) -> ScopeReport:
    """Add the reports of several planes or images."""
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
    """Return the mean of values that stand for so many pixels each; NaN where there are none."""
    known = [(value, pixels) for value, pixels in values if pixels]
    pixels = sum(pixels for _, pixels in known)
    return sum(value * pixels for value, pixels in known) / pixels if pixels else math.nan


def by_frequency(by_class: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Return counts by class before and after, the largest first."""
    return dict(sorted(by_class.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class ClassChange:
    """What one class gained and lost.

    Attributes
    ----------
    name : str
    gained, lost : int
        Pixels that became and that were of this class.
    """

    name: str
    gained: int
    lost: int

    @property
    def net(self) -> int:
        """By how many pixels it is larger now."""
        return self.gained - self.lost


def class_changes(report: ScopeReport) -> list[ClassChange]:
    """Return what each class gained and lost, those with the most changed pixels first."""
    gained, lost = Counter[str](), Counter[str]()
    for (before, after), pixels in report.by_class.items():
        lost[before] += pixels
        gained[after] += pixels
    return [
        ClassChange(name, gained[name], lost[name]) for name, _ in (gained + lost).most_common()
    ]
