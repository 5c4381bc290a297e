"""Finding what is to be reviewed, for a thread: arrays in, arrays out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.classes import ClassTable
from c2f_core.decisions import ChangedPixels, changed_pixels
from c2f_core.errors import C2FError, ImageError
from c2f_core.review import Place, Review, doubtful_places, review_changes
from napari_c2f._layers import class_table_of_layer, level0
from napari_c2f._results import place_of
from napari_c2f._review_layers import Outlines
from napari_c2f._worker import Report, ShouldStop, Work


@dataclass(frozen=True, eq=False)
class ReviewRequest:
    """What is to be reviewed, as it was when the user clicked."""

    fine: NDArray[Any]
    coarse: NDArray[Any]
    confidence: NDArray[np.floating[Any]] | None
    fine_table: ClassTable
    coarse_table: ClassTable


@dataclass(frozen=True, eq=False)
class Reviewed:
    """What was found; all labels are those of the class table."""

    review: Review
    pixels: ChangedPixels
    outlines: Outlines
    places: list[Place]
    class_table: ClassTable


def request_of_layers(
    fine: Labels | None, coarse: Labels | None, confidence: Image | None
) -> ReviewRequest:
    """Take the data of layers as they are now.

    Raises
    ------
    C2FError
        A map lacks, is a stack, or nothing is drawn in it.
    """
    if fine is None or coarse is None or fine is coarse:
        raise C2FError(
            "Choose a fine map and the coarse map that it was made of; refine one first."
        )
    if fine.ndim != 2 or coarse.ndim != 2:
        raise ImageError(f"'{fine.name}' is a stack; choose a two-dimensional map.")
    return ReviewRequest(
        fine=np.array(level0(fine)),
        coarse=np.array(level0(coarse)[place_of(fine)]),
        confidence=None if confidence is None else np.array(level0(confidence)),
        fine_table=class_table_of_layer(fine),
        coarse_table=class_table_of_layer(coarse),
    )


def reviewing(request: ReviewRequest) -> Work:
    """Return the work of one request, for a thread."""

    def work(_report: Report, _should_stop: ShouldStop) -> Reviewed:
        table, confidence = request.coarse_table, request.confidence
        fine = request.fine_table.translate(request.fine, table)
        unknown = np.full(fine.shape, np.nan) if confidence is None else confidence
        review = review_changes(request.coarse, fine, unknown, table)
        pixels = changed_pixels(review)
        return Reviewed(
            review=review,
            pixels=pixels,
            outlines=Outlines(pixels, review.numbers),
            places=doubtful_places(unknown),
            class_table=table,
        )

    return work
