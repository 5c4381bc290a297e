"""The layers of a review."""

from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from numpy.typing import NDArray

from napari_c2f.layers.convert import name_of_result, new_map, spatial_keywords
from napari_c2f.layers.lineage import CHANGES
from napari_c2f.layers.session import Session
from napari_c2f.review.changes import codes_of
from napari_c2f.review.request import ReviewData


@dataclass(frozen=True, eq=False)
class ReviewLayers:
    """The layers that a review cannot do without.

    Attributes
    ----------
    coarse, fine : Labels
        The maps that are compared.
    final : Labels
        The coarse map with the accepted regions refined.
    changes : Labels
        Outlines of the changed regions.
    """

    coarse: Labels
    fine: Labels
    final: Labels
    changes: Labels

    @property
    def all(self) -> tuple[Labels, ...]:
        """All four layers."""
        return self.coarse, self.fine, self.final, self.changes


def final_layer(
    viewer: ViewerModel, session: Session, data: ReviewData, fine: Labels, coarse: Labels
) -> Labels:
    """Return the final layer of an earlier review of the same fine map, or make a new one.

    A new one is not added to the viewer yet, but has its strokes and locks: other widgets use
    them as soon as it is added.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer in which an earlier layer is looked up.
    session : Session
        Session of the viewer.
    data : ReviewData
        The changes to review.
    fine, coarse : Labels
        The maps that are compared; a new layer lies where the fine one does.
    """
    lineage, layers = session.lineage, viewer.layers
    known = lineage.final_of(layers, fine)
    if known is not None and known.data.shape == data.unreviewed.shape:
        return known
    name, table = name_of_result(coarse.name, "final"), data.class_table
    spatial = spatial_keywords(fine)
    final = new_map(viewer, data.unreviewed, table, name, spatial, is_result=True)
    rejected = lineage.rejected_regions(layers, coarse, lineage.slices_of(fine))
    lineage.add_final(final, fine, rejected, data.strokes)
    return final


def changes_layer(
    viewer: ViewerModel,
    data: ReviewData,
    decisions: NDArray[np.uint8],
    fine: Labels,
    coarse: Labels,
) -> Labels:
    """Make the layer that outlines the changed regions; it is not added to the viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer in which the layer's name is unique.
    data : ReviewData
        The changed regions.
    decisions : (R,) uint8 array
        A `Decision` for each region.
    fine, coarse : Labels
        The maps that are compared; the layer lies where the fine one does.
    """
    # As large as the final map; the system provides no memory for planes that stay zero.
    outlines = np.zeros(data.unreviewed.shape, np.uint8)
    outlines[data.plane] = data.outlines.painted(codes_of(decisions, 0))
    name, spatial = name_of_result(coarse.name, "changes"), spatial_keywords(fine)
    layer = new_map(viewer, outlines, CHANGES, name, spatial, is_result=True)
    layer.opacity, layer.editable = 1.0, False
    return layer
