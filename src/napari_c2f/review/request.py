"""Finding the changes to review, in the background: arrays in, arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.geometry.arrays import Sliceable
from c2f_core.refine.run import Plane
from c2f_core.review.decisions import ChangedPixels, changed_pixels
from c2f_core.review.regions import Review, ReviewRegion, doubtful_regions, review_changes
from napari_c2f.base.proxies import bare
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import class_table_of_layer, level0
from napari_c2f.layers.lineage import whole_slices
from napari_c2f.layers.planes import check_planes, current_plane
from napari_c2f.layers.session import Session
from napari_c2f.layers.strokes import ProtectedStroke, Stroke
from napari_c2f.review.changes import Outlines


@dataclass(frozen=True, eq=False)
class ReviewRequest:
    """Data of a review, copied from the layers when the user clicked.

    Attributes
    ----------
    fine, coarse : (Y, X) integer array
        Label values of the reviewed plane.
    confidence : (Y, X) float array or None
        Confidence of `fine`, in [0, 1].
    all_coarse : (..., Y, X) integer array
        All planes of the part of the coarse layer that the fine one covers.
    plane : tuple of int
        Index of the reviewed plane; () if there is only one.
    fine_table, coarse_table : ClassTable
        Class tables of the two maps.
    protected : sequence of ProtectedStroke
        Strokes in the fine layer, or accepted and painted in earlier reviews.
    """

    fine: NDArray[Any]
    coarse: NDArray[Any]
    confidence: NDArray[np.floating[Any]] | None
    all_coarse: Sliceable
    plane: Plane
    fine_table: ClassTable
    coarse_table: ClassTable
    protected: Sequence[ProtectedStroke]


@dataclass(frozen=True, eq=False)
class ReviewData:
    """Changes to review; all label values are those of the class table.

    Attributes
    ----------
    review : Review
        Changed regions of the reviewed plane.
    pixels : ChangedPixels
        Changed pixels, by their flat indices in the final map.
    unreviewed : (..., Y, X) integer array
        The final map before the first decision: the coarse map with protected strokes.
    strokes : sequence of Stroke
        Protected strokes that the final map contains from the start.
    plane : tuple of int
        Index of the reviewed plane in the final map; () if there is only one.
    outlines : Outlines
        Outlines of the changed regions.
    doubtful : list of ReviewRegion
        Doubtful regions, changed or not.
    class_table : ClassTable
        Class table of the coarse map.
    """

    review: Review
    pixels: ChangedPixels
    unreviewed: NDArray[Any]
    strokes: Sequence[Stroke]
    plane: Plane
    outlines: Outlines
    doubtful: list[ReviewRegion]
    class_table: ClassTable


def request_of_layers(
    fine: Labels,
    coarse: Labels,
    confidence: Image | None,
    viewer: ViewerModel,
    session: Session,
) -> ReviewRequest:
    """Copy the current data of layers; of stacks, the plane in view.

    Raises
    ------
    C2FError
        If the layers do not have the same planes, or nothing is drawn in a map.
    """
    slices = session.lineage.slices_of(fine)
    check_planes(fine, coarse, slices)
    if confidence is not None:
        check_planes(fine, confidence, whole_slices(fine))
    all_coarse, plane = level0(coarse)[slices], current_plane(viewer, fine)
    return ReviewRequest(
        fine=np.array(level0(fine)[plane]),
        coarse=np.array(all_coarse[plane]),
        confidence=None if confidence is None else np.array(level0(confidence)[plane]),
        all_coarse=all_coarse,
        plane=plane,
        fine_table=class_table_of_layer(fine),
        coarse_table=class_table_of_layer(coarse),
        protected=session.strokes.protected_in(bare(fine)),
    )


def find_changes(request: ReviewRequest) -> TaskFunction:
    """Return the function that finds the changes, for a thread."""

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
            strokes=[each.stroke for each in request.protected],
            plane=request.plane,
            outlines=Outlines(pixels, review.numbers),
            doubtful=doubtful_regions(unknown),
            class_table=table,
        )

    return work


def _unreviewed(request: ReviewRequest) -> NDArray[Any]:
    """Return the map that a review begins with, in which protected strokes are decided already."""
    unreviewed = np.array(request.all_coarse)
    unreviewed[request.plane] = request.coarse
    for patch in (each.patch for each in request.protected):
        labels = request.fine_table.translate(patch.values, request.coarse_table)
        unreviewed[patch.slices][patch.mask] = labels
    return unreviewed
