"""Means and paired differences of cross-validated configs.

Seeds of a fold are averaged first, so that folds are the unit of comparison: two seeds
on the same held-out pairs are not independent results. Folds are not quite independent
either, as their training pairs overlap (Dietterich, Neural Computation 1998), so that
their standard error is a guide rather than a test.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import UnionType
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
"""Keys of scores in percent in a record, and their names in evaluations."""
COLUMNS = SHARES | {"worse": "images made worse"}
"""Keys of all scores in a record, and their columns in tables."""
LOWER_IS_BETTER = ("damage", "worse")

RunRecord = dict[str, Any]
"""RunRecord of one run; see `RunScored` for its keys."""
Values = dict[tuple[int, int], float]
"""Values of one score by fold and seed."""


@dataclass(frozen=True)
class Estimate:
    """Estimate of one score of a config, or of its difference to another config.

    Attributes
    ----------
    config : str
        Name of the config.
    against : str
        Name of the config that is subtracted, "" for the score itself.
    score : str
        Key of `COLUMNS`.
    folds, runs : int
        Number of folds, and of runs of each config on them.
    mean : float
        Mean over the folds, in percent; for images made worse, their number per fold.
    deviation, error : float
        Standard deviation over the folds (with n - 1), and standard error of the
        mean; NaN for a single fold.
    better_in : int or None
        Number of folds in which `config` is better, None for the score itself.
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


def wrong_entry(record: RunRecord) -> str:
    """Return the key of an entry that a comparison needs and that is missing or of another type.

    Parameters
    ----------
    record : dict
        Record of one run, perhaps from a damaged file.

    Returns
    -------
    str
        Key of the entry; empty if the record is complete.
    """
    kinds: dict[str, type[object] | UnionType] = dict.fromkeys(COLUMNS, int | float)
    kinds |= {"config": str, "fold": int, "seed": int}
    return next((key for key, kind in kinds.items() if not isinstance(record.get(key), kind)), "")


def estimates_of(runs: Mapping[str, Sequence[RunRecord]]) -> list[Estimate]:
    """Estimate all scores of configs, then all differences of two configs.

    Parameters
    ----------
    runs : mapping of str to sequence of records
        Records of each config by its name; see `cross_validate`. Configs without
        records are skipped. Differences use the folds and seeds that both configs have.
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


def _estimate(names: tuple[str, str], score: str, compared: Sequence[Values]) -> Estimate:
    """Estimate a score from one set of values, or a difference from two with the same keys."""
    by_fold = [_fold_means(values) for values in compared]
    values = by_fold[0] if len(compared) == 1 else by_fold[0] - by_fold[1]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    better = values < 0 if score in LOWER_IS_BETTER else values > 0
    return Estimate(
        *names,
        score=score,
        folds=len(values),
        runs=len(compared[0]),
        mean=float(np.mean(values)),
        deviation=deviation,
        error=deviation / math.sqrt(len(values)),
        better_in=None if len(compared) == 1 else int(better.sum()),
    )


def _fold_means(values: Values) -> NDArray[np.float64]:
    folds = sorted({fold for fold, _ in values})
    return np.array(
        [np.mean([value for (fold, _), value in values.items() if fold == one]) for one in folds]
    )


def comparison_tables(estimates: Sequence[Estimate]) -> dict[str, list[Row]]:
    """Return tables for people by title: scores of configs, and their differences, if any."""
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
    name = f"{first.config} minus {first.against}" if first.against else first.config
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
    """Return one row for each estimate, for tables that programs read."""
    return [
        {key: "" if value is None else value for key, value in asdict(each).items()}
        for each in estimates
    ]
