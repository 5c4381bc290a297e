"""Means and paired differences of cross-validated configs.

Seeds of a fold are averaged first, so that folds are the unit: two seeds on the
same held-out pairs are not two independent results. Neither are folds quite, as
their training sides overlap (Dietterich, Neural Computation 1998); a standard
error from them is a guide and no test.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.io.tables import Row

SHARES = {
    "pixel_accuracy": "pixel accuracy",
    "miou": "mIoU",
    "trimap5": "trimap 5",
    "damage": "damage",
}
"""Scores of records in percent, and their names in evaluations."""
COLUMNS = SHARES | {"worse": "images made worse"}
"""All scores of records, and the columns of the tables."""
LOWER_IS_BETTER = ("damage", "worse")

RunRecord = dict[str, Any]
"""RunRecord of one run; see `RunScored` for its keys."""
Values = dict[tuple[int, int], float]
"""A score by fold and seed."""


@dataclass(frozen=True)
class Estimate:
    """One score of a config, or the difference of two configs, over folds.

    Attributes
    ----------
    config, against : str
        The difference is that of `config` less `against`; "" for the score itself.
    score : str
        Key of `COLUMNS`.
    folds, runs : int
        Number of folds, and of runs of each config on them.
    mean : float
        In percent; images made worse as a number in each fold.
    deviation, error : float
        Standard deviation over the folds, with n - 1, and standard error of the
        mean; NaN for one fold.
    better_in : int or None
        Number of folds in which `config` is better; None for the score itself.
    """

    config: str
    against: str
    score: str
    folds: int
    runs: int
    mean: float
    deviation: float
    error: float
    better_in: int | None = None


def estimates_of(runs: Mapping[str, Sequence[RunRecord]]) -> list[Estimate]:
    """Estimate all scores of configs, then all differences of two of them.

    Parameters
    ----------
    runs : mapping of str to sequence of records
        By config, see `cross_validate`. A config without records is left out, and a
        difference is of the folds and seeds that both have.
    """
    found = [
        _estimate((name, ""), score, [_values(records, score)])
        for name, records in runs.items()
        for score in COLUMNS
        if records
    ]
    for (against, before), (name, after) in itertools.combinations(runs.items(), 2):
        for score in COLUMNS:
            both = _common(_values(after, score), _values(before, score))
            if both[0]:
                found.append(_estimate((name, against), score, both))
    return found


def _values(records: Sequence[RunRecord], score: str) -> Values:
    return {(each["fold"], each["seed"]): float(each[score]) for each in records}


def _common(first: Values, second: Values) -> list[Values]:
    both = [key for key in first if key in second]
    return [{key: values[key] for key in both} for values in (first, second)]


def _estimate(names: tuple[str, str], score: str, sides: Sequence[Values]) -> Estimate:
    """Estimate a score from one side, or a difference from two with the same keys."""
    by_fold = [_fold_means(values) for values in sides]
    values = by_fold[0] if len(sides) == 1 else by_fold[0] - by_fold[1]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    better = values < 0 if score in LOWER_IS_BETTER else values > 0
    return Estimate(
        *names,
        score=score,
        folds=len(values),
        runs=len(sides[0]),
        mean=float(np.mean(values)),
        deviation=deviation,
        error=deviation / math.sqrt(len(values)),
        better_in=None if len(sides) == 1 else int(better.sum()),
    )


def _fold_means(values: Values) -> NDArray[np.float64]:
    folds = sorted({fold for fold, _ in values})
    return np.array(
        [np.mean([value for (fold, _), value in values.items() if fold == one]) for one in folds]
    )


def comparison_tables(estimates: Sequence[Estimate]) -> dict[str, list[Row]]:
    """Return titled tables for people: scores of configs, and their differences, if any."""
    tables = {
        "Scores: mean ± standard deviation over folds (%)": [
            _row(group) for group in _grouped(estimates) if not group[0].against
        ],
        "Differences, fold by fold: mean ± standard error (folds in which it is better)": [
            _row(group) for group in _grouped(estimates) if group[0].against
        ],
    }
    return {title: rows for title, rows in tables.items() if rows}


def _grouped(estimates: Sequence[Estimate]) -> list[list[Estimate]]:
    groups = itertools.groupby(estimates, key=lambda each: (each.config, each.against))
    return [list(group) for _, group in groups]


def _row(group: Sequence[Estimate]) -> Row:
    first = group[0]
    name = f"{first.config} less {first.against}" if first.against else first.config
    row: Row = {"config": name, "folds": str(first.folds), "runs": str(first.runs)}
    return row | {COLUMNS[each.score]: _cell(each) for each in group}


def _cell(estimate: Estimate) -> str:
    if not estimate.against:
        return f"{estimate.mean:.2f}{_spread(estimate.deviation)}"
    mean = f"{estimate.mean:+.2f}{_spread(estimate.error)}"
    return f"{mean} ({estimate.better_in} of {estimate.folds})"


def _spread(value: float) -> str:
    return "" if math.isnan(value) else f" ± {value:.2f}"


def estimate_rows(estimates: Sequence[Estimate]) -> list[Row]:
    """Return one row for each estimate, for a table that a program reads."""
    return [
        {key: "" if value is None else value for key, value in asdict(each).items()}
        for each in estimates
    ]
