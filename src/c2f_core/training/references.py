"""What is reached without training: the bar that a trained model has to clear."""

from collections.abc import Sequence

from c2f_core.classes import ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.errors import C2FError
from c2f_core.events import ClassicalReference
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.training.validation import scores_of

LARGEST_PIXELS = 1_000_000
"""Pixels that are refined at most, in whole pairs: some seconds of work."""


def best_classical(pairs: Sequence[Pair], class_table: ClassTable) -> ClassicalReference | None:
    """Refine the first pairs by each classical refiner; return the most accurate.

    Parameters
    ----------
    pairs : sequence of Pair
        With fine maps; as many are taken as `LARGEST_PIXELS` allows, at least one.
    class_table : ClassTable

    Returns
    -------
    ClassicalReference or None
        None where none can refine them, as with nothing labelled.
    """
    chosen = _first(pairs, LARGEST_PIXELS)
    scored = [
        ClassicalReference(name, len(chosen), scores)
        for name, kind in CLASSICAL_REFINERS.items()
        if (scores := _scores(kind(class_table), chosen)) is not None
    ]
    return max(scored, key=lambda each: each.scores["pixel accuracy"], default=None)


def _first(pairs: Sequence[Pair], pixels: int) -> list[Pair]:
    chosen: list[Pair] = []
    for pair in pairs:
        pixels -= pair.coarse.size
        if chosen and pixels < 0:
            break
        chosen.append(pair)
    return chosen


def _scores(refiner: RefinerInterface, pairs: Sequence[Pair]) -> dict[str, float] | None:
    table, predictions = refiner.class_table, []
    for pair in pairs:
        try:
            refined = refiner.refine(pair.image, table.to_indices(pair.coarse))
        except C2FError:
            return None
        predictions.append(table.to_positions(refined.labels))
    return scores_of(predictions, pairs, table)
