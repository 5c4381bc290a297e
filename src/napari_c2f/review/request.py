"""Finding what is to be reviewed, for a thread: arrays in, arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError
from c2f_core.geometry.lazy import Sliceable
from c2f_core.refine.run import Plane
from c2f_core.review.decisions import ChangedPixels, changed_pixels
from c2f_core.review.regions import Review, ReviewRegion, doubtful_regions, review_changes
from napari_c2f.base.proxies import bare
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import (
    COARSE_KEY,
    CONFIDENCE_KEY,
    FINE_KEY,
    PLACE_KEY,
    REJECTED_KEY,
    RESULT_KEY,
    class_table_of_layer,
    level0,
    new_map,
    spatial_keywords,
)
from napari_c2f.layers.lineage import (
    ProtectedStroke,
    check_planes,
    final_of,
    place_of,
    protected_strokes_in,
    rejected_regions,
    whole_place,
)
from napari_c2f.layers.locks import inherit_locks
from napari_c2f.layers.planes import current_plane
from napari_c2f.layers.strokes import Stroke, follow
from napari_c2f.review.layers import Outlines


@dataclass(frozen=True, eq=False)
class ReviewRequest:
    """What is to be reviewed, as it was when the user clicked.

    Attributes
    ----------
    fine, coarse, confidence : (Y, X) arrays
        Of the plane that is reviewed.
    all_coarse : (..., Y, X) array
        The part of the coarse layer that the fine one covers, with all its planes.
    plane : tuple of int
        Which of them is reviewed; () where there is but one.
    fine_table, coarse_table : ClassTable
    kept : sequence of ProtectedStroke
        What was painted by hand in the fine layer, or accepted and painted before it.
    """

    fine: NDArray[Any]
    coarse: NDArray[Any]
    confidence: NDArray[np.floating[Any]] | None
    all_coarse: Sliceable
    plane: Plane
    fine_table: ClassTable
    coarse_table: ClassTable
    kept: Sequence[ProtectedStroke]


@dataclass(frozen=True, eq=False)
class ReviewData:
    """What was found; all labels are those of the class table.

    Attributes
    ----------
    review : Review
        Of the plane.
    pixels : ChangedPixels
        Their places are those in the final map.
    unreviewed : (..., Y, X) array
        The final map before the first decision: the coarse map, and hand work on it.
    strokes : sequence of Stroke
        Where that hand work is.
    plane : tuple of int
        Of the final map, which is reviewed.
    outlines : Outlines
    places : list of ReviewRegion
    class_table : ClassTable
    """

    review: Review
    pixels: ChangedPixels
    unreviewed: NDArray[Any]
    strokes: Sequence[Stroke]
    plane: Plane
    outlines: Outlines
    places: list[ReviewRegion]
    class_table: ClassTable


def request_of_layers(
    fine: Labels | None, coarse: Labels | None, confidence: Image | None, viewer: ViewerModel
) -> ReviewRequest:
    """Take the data of layers as they are now; of a stack, the plane that the viewer shows.

    Raises
    ------
    C2FError
        A map lacks, they do not have the same planes, or nothing is drawn in one.
    """
    if fine is None or coarse is None or fine is coarse:
        raise C2FError(
            "Choose a fine map and the coarse map that it was made of; refine one first."
        )
    check_planes(fine, coarse, place_of(fine))
    if confidence is not None:
        check_planes(fine, confidence, whole_place(fine))
    all_coarse, plane = level0(coarse)[place_of(fine)], current_plane(viewer, fine)
    return ReviewRequest(
        fine=np.array(level0(fine)[plane]),
        coarse=np.array(all_coarse[plane]),
        confidence=None if confidence is None else np.array(level0(confidence)[plane]),
        all_coarse=all_coarse,
        plane=plane,
        fine_table=class_table_of_layer(fine),
        coarse_table=class_table_of_layer(coarse),
        kept=protected_strokes_in(bare(fine)),
    )


def reviewing(request: ReviewRequest) -> TaskFunction:
    """Return the work of one request, for a thread."""

    def work(_report: Report, _should_stop: ShouldStop) -> ReviewData:
        table, confidence = request.coarse_table, request.confidence
        fine = request.fine_table.translate(request.fine, table)
        unknown = np.full(fine.shape, np.nan) if confidence is None else confidence
        review = review_changes(request.coarse, fine, unknown, table)
        pixels = changed_pixels(review)
        unreviewed = _unreviewed(request)
        first = np.ravel_multi_index((*request.plane, 0, 0), unreviewed.shape)
        return ReviewData(
            review=review,
            pixels=replace(pixels, flat_indices=pixels.flat_indices + first),
            unreviewed=unreviewed,
            strokes=[each.stroke for each in request.kept],
            plane=request.plane,
            outlines=Outlines(pixels, review.numbers),
            places=doubtful_regions(unknown),
            class_table=table,
        )

    return work


def _unreviewed(request: ReviewRequest) -> NDArray[Any]:
    """Return the map that a review begins with: what is hand work need not be decided again."""
    unreviewed = np.array(request.all_coarse)
    unreviewed[request.plane] = request.coarse
    for patch in (each.patch for each in request.kept):
        labels = request.fine_table.translate(patch.values, request.coarse_table)
        unreviewed[patch.place][patch.mask] = labels
    return unreviewed


def final_layer(viewer: ViewerModel, reviewed: ReviewData, fine: Labels, coarse: Labels) -> Labels:
    """Return the final layer of an earlier review of the same fine map, or make a new one.

    A new one is not added to the viewer. It has its strokes and locks: whoever hears of the
    new layer may use them at once.
    """
    known = final_of(viewer.layers, fine)
    if known is not None and known.data.shape == reviewed.unreviewed.shape:
        return known
    keys = COARSE_KEY, CONFIDENCE_KEY, PLACE_KEY
    about = {key: fine.metadata[key] for key in keys if key in fine.metadata}
    about |= {
        RESULT_KEY: True,
        FINE_KEY: fine.unique_id,
        REJECTED_KEY: rejected_regions(viewer.layers, coarse, place_of(fine)),
    }
    name, table = f"{coarse.name} final", reviewed.class_table
    final = new_map(viewer, reviewed.unreviewed, table, name, spatial_keywords(fine), **about)
    follow(final).inherit(reviewed.strokes)
    inherit_locks(final, fine)
    return final
