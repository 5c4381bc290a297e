"""Compare refiners on a dataset with fine maps, and tabulate their scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.data.pairs import Pair, PairSource
from c2f_core.errors import C2FError, Cancelled, ClassTableError, DataError, ImageError
from c2f_core.io.tables import Row
from c2f_core.metrics.calibration import expected_calibration_error
from c2f_core.metrics.scores import Scores, mean_scores, score_pair
from c2f_core.refine.interface import RefinerInterface

REFERENCE = "coarse reference"
"""Name of the method that returns the coarse map unchanged."""
CALIBRATION_BINS = 15

_CLASS_KINDS = ("accuracy ", "IoU ")


@dataclass
class Evaluation:
    """Scores of one method on the images of a dataset.

    Attributes
    ----------
    name : str
        Name of the method.
    images : list of str
        Names of the scored pairs.
    scores : list of Scores
        Scores of each image, in the order of `images`.
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
    """Score the coarse maps and the results of refiners on whole images.

    Pairs without a fine map are skipped. If a refiner cannot handle an empty coarse
    map, the coarse map is scored as its result.

    Parameters
    ----------
    refiners : sequence of RefinerInterface
        Refiners to compare.
    pairs : PairSource
        Pairs to score on; they are read one at a time.
    progress : callable, optional
        Function that is called with the number of finished pairs after each pair.

    Returns
    -------
    list of Evaluation
        Evaluation of the coarse reference, then of each refiner in the given order.

    Raises
    ------
    ClassTableError
        If the classes of a refiner differ from those of the data.
    DataError
        If no pair has a fine map with a labelled pixel, a file cannot be read, or a
        pair cannot be refined.
    """
    table = pairs.class_table
    for refiner in refiners:
        _check_same_classes(refiner, table)
    methods = [(REFERENCE, None), *((refiner.name, refiner) for refiner in refiners)]
    scorers = [_MethodScorer(name, table, refiner) for name, refiner in methods]
    for finished, pair in enumerate(pairs, start=1):
        if pair.fine is not None and pair.has_labels:
            for scorer in scorers:
                scorer.add(pair, pair.fine)
        if progress is not None:
            progress(finished)
    if not scorers[0].evaluation.images:
        raise DataError("None of these pairs has a fine map to score with; choose others.")
    return [scorer.finish() for scorer in scorers]


def _check_same_classes(refiner: RefinerInterface, table: ClassTable) -> None:
    theirs, ours = refiner.class_table, table
    if theirs.classes != ours.classes or theirs.unlabelled.index != ours.unlabelled.index:
        raise ClassTableError(
            f"'{refiner.name}' has the classes {', '.join(theirs.names)}, but the data have "
            f"{', '.join(ours.names)}; choose a model trained on this class table."
        )


class _MethodScorer:
    """Collect the scores of one method, and the confidences for its calibration error."""

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
            result = self._refiner.refine(pair.image, self._table.to_labels(pair.coarse))
        except Cancelled:
            raise
        except C2FError as error:
            if isinstance(error, ImageError) and (pair.coarse == UNLABELLED_ID).all():
                return pair.coarse  # Some refiners need at least one labelled pixel.
            raise DataError(f"{self._refiner.name} cannot refine {pair.name}: {error}") from error
        predicted = self._table.to_class_ids(result.labels)
        labelled = fine != UNLABELLED_ID
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
    """Return one row for each method with its scores on the whole dataset.

    See `mean_scores` for which scores are means over images and which are pooled.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Evaluations of methods on the same images.
    class_names : sequence of str
        Class names in the order of their ids.
    """
    return [_without(_CLASS_KINDS, row) for row in all_rows(evaluations, class_names)]


def class_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each method with its accuracy and IoU per class.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Evaluations of methods on the same images.
    class_names : sequence of str
        Class names in the order of their ids.
    """
    return [
        {
            column: value
            for column, value in row.items()
            if column == "method" or column.startswith(_CLASS_KINDS)
        }
        for row in all_rows(evaluations, class_names)
    ]


def all_rows(evaluations: Sequence[Evaluation], class_names: Sequence[str]) -> list[Row]:
    """Return one row for each method with all of its scores on the whole dataset.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Evaluations of methods on the same images.
    class_names : sequence of str
        Class names in the order of their ids.
    """
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
    """Return one row for each image and method, sorted by image.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Evaluations of methods on the same images.
    class_names : sequence of str
        Class names in the order of their ids.
    """
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
