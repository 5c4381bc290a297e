"""Compare refiners over a dataset with fine maps, and write the comparison as tables."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes import UNLABELLED_POSITION, ClassTable
from c2f_core.data.pairs import Pair, PairSource
from c2f_core.errors import C2FError, Cancelled, ClassTableError, DataError, ImageError
from c2f_core.io import atomic_path
from c2f_core.metrics import Scores, mean_scores, score_pair
from c2f_core.refine.calibration import expected_calibration_error
from c2f_core.refine.interface import RefinerInterface

REFERENCE = "coarse reference"
"""Name of the row that scores the coarse maps as if they were predictions."""
CALIBRATION_BINS = 15
COUNTS = ("images", "images made worse")
"""Columns that hold numbers of images; all others hold shares."""
TEXT_COLUMNS = ("image", "method", "config")
"""Columns that hold names."""

_CLASS_KINDS = ("accuracy ", "IoU ")

Row = dict[str, str | float]


@dataclass
class Evaluation:
    """Scores of one method over the images of a dataset.

    Attributes
    ----------
    name : str
    images : list of str
        Names of the scored pairs.
    scores : list of Scores
        In the order of `images`.
    calibration_error : float
        Expected calibration error over all labelled pixels; NaN for the reference.
    """

    name: str
    images: list[str] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    calibration_error: float = math.nan


def evaluate(
    refiners: Sequence[RefinerInterface],
    pairs: PairSource,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Evaluation]:
    """Score the coarse maps and every refiner's results on whole images.

    Pairs without a fine map are left out. An empty coarse map with which a refiner can do
    nothing counts as its result.

    Parameters
    ----------
    refiners : sequence of RefinerInterface
    pairs : PairSource
        Read one by one.
    progress : callable, optional
        Called with the number of pairs finished.

    Returns
    -------
    list of Evaluation
        The coarse reference first, then the refiners in their order.

    Raises
    ------
    ClassTableError
        A refiner has other classes than the data.
    DataError
        No pair has a fine map with a labelled pixel, a file cannot be read, or a pair not
        be refined.
    """
    table = pairs.class_table
    for refiner in refiners:
        _require_same_classes(refiner, table)
    runs = [_Run(REFERENCE, table, None), *(_Run(one.name, table, one) for one in refiners)]
    for finished, pair in enumerate(pairs, start=1):
        if pair.fine is not None and pair.has_labels:
            for run in runs:
                run.add(pair, pair.fine)
        if progress is not None:
            progress(finished)
    if not runs[0].evaluation.images:
        raise DataError("None of these pairs has a fine map to score with; choose others.")
    return [run.finish() for run in runs]


def _require_same_classes(refiner: RefinerInterface, table: ClassTable) -> None:
    theirs, ours = refiner.class_table, table
    if theirs.classes != ours.classes or theirs.unlabelled.index != ours.unlabelled.index:
        raise ClassTableError(
            f"'{refiner.name}' knows the classes {', '.join(theirs.names)}, the data hold "
            f"{', '.join(ours.names)}; choose a model trained on this class table."
        )


class _Run:
    """One method at work: collects scores and what calibration needs."""

    def __init__(self, name: str, table: ClassTable, refiner: RefinerInterface | None) -> None:
        self.evaluation = Evaluation(name)
        self._table = table
        self._refiner = refiner
        self._confidence: list[NDArray[np.float32]] = []
        self._correct: list[NDArray[np.bool_]] = []

    def add(self, pair: Pair, fine: NDArray[np.uint8]) -> None:
        """Refine and score one pair."""
        predicted = pair.coarse if self._refiner is None else self._refine(pair, fine)
        scores = score_pair(predicted, pair.coarse, fine, self._table.number_of_classes)
        self.evaluation.images.append(pair.name)
        self.evaluation.scores.append(scores)

    def _refine(self, pair: Pair, fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert self._refiner is not None
        try:
            result = self._refiner.refine(pair.image, self._table.to_indices(pair.coarse))
        except Cancelled:
            raise
        except C2FError as error:
            if isinstance(error, ImageError) and (pair.coarse == UNLABELLED_POSITION).all():
                return pair.coarse  # Where nothing is drawn, some refiners have nothing to go by.
            raise DataError(f"{self._refiner.name} cannot refine {pair.name}: {error}") from error
        predicted = self._table.to_positions(result.labels)
        labelled = fine != UNLABELLED_POSITION
        self._confidence.append(result.confidence[labelled])
        self._correct.append((predicted == fine)[labelled])
        return predicted

    def finish(self) -> Evaluation:
        """Return the evaluation with its calibration error."""
        if self._confidence:
            self.evaluation.calibration_error = expected_calibration_error(
                np.concatenate(self._confidence), np.concatenate(self._correct), CALIBRATION_BINS
            )
        return self.evaluation


def summary_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each method with the scores of the whole dataset.

    See `mean_scores` for which are means over images and which are pooled.
    """
    return [_without(_CLASS_KINDS, row) for row in all_rows(evaluations, class_names)]


def class_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each method with its accuracy and IoU per class."""
    return [
        {
            column: value
            for column, value in row.items()
            if column == "method" or column.startswith(_CLASS_KINDS)
        }
        for row in all_rows(evaluations, class_names)
    ]


def all_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each method with all scores of the whole dataset."""
    return [
        {
            "method": one.name,
            "images": len(one.images),
            "calibration error": one.calibration_error,
            **mean_scores(one.scores, class_names),
        }
        for one in evaluations
    ]


def image_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each image and method, the methods of an image side by side."""
    return [
        {
            "image": name,
            "method": one.name,
            **_without(("images made worse",), {**mean_scores([one.scores[number]], class_names)}),
        }
        for number, name in enumerate(evaluations[0].images)
        for one in evaluations
    ]


def _without(prefixes: tuple[str, ...], row: Row) -> Row:
    return {column: value for column, value in row.items() if not column.startswith(prefixes)}


def formatted(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Turn shares into percentages for people; "–" where nothing could be measured."""
    return [{column: _cell(column, value) for column, value in row.items()} for row in rows]


def _cell(column: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    if column in COUNTS:
        return f"{value:.0f}"
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def markdown_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table, shares in percent.

    Raises
    ------
    DataError
        There are no rows.
    """
    return "\n".join(_markdown_lines(formatted(_some(rows)))) + "\n"


def _markdown_lines(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    columns = list(rows[0])
    yield _markdown_line(columns)
    yield _markdown_line("---" if column in TEXT_COLUMNS else "---:" for column in columns)
    for row in rows:
        yield _markdown_line(row[column].replace("|", "\\|") for column in columns)


def _markdown_line(cells: "Sequence[str] | Iterator[str]") -> str:
    return f"| {' | '.join(cells)} |"


def write_markdown(path: str | Path, tables: Mapping[str, Sequence[Row]]) -> None:
    """Write titled Markdown tables, atomically.

    Parameters
    ----------
    path : str or Path
    tables : mapping of str to rows
        By title.

    Raises
    ------
    DataError
        The file cannot be written, or a table is empty.
    """
    text = "\n".join(f"## {title}\n\n{markdown_table(rows)}" for title, rows in tables.items())
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, shares in [0, 1] and empty where not measured; atomically.

    Columns of any row become columns of the file.

    Raises
    ------
    DataError
        The file cannot be written, or there are no rows.
    """
    columns = list(dict.fromkeys(column for row in _some(rows) for column in row))
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {column: "" if value != value else value for column, value in row.items()}
            for row in rows
        )


def _some(rows: Sequence[Row]) -> Sequence[Row]:
    if not rows:
        raise DataError("There is nothing to write; evaluate at least one pair first.")
    return rows
