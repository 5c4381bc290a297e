"""The final layer of a review: that of an earlier one, or one that begins with the work so far."""

from collections.abc import Iterable

from napari.components import ViewerModel
from napari.layers import Labels, Layer

from c2f_core.decisions import Key
from c2f_core.refine.patches import Place
from napari_c2f._decision_history import REJECTED_KEY
from napari_c2f._layers import (
    COARSE_KEY,
    CONFIDENCE_KEY,
    FINE_KEY,
    PLACE_KEY,
    RESULT_KEY,
    new_map,
    spatial_keywords,
)
from napari_c2f._locks import inherit_locks
from napari_c2f._painted import follow
from napari_c2f._results import place_of, results_of
from napari_c2f._reviewing import Reviewed


def final_of(layers: Iterable[Layer], fine: Labels) -> Labels | None:
    """Return the uppermost map of a review of a fine one."""
    for layer in reversed(list(layers)):
        if isinstance(layer, Labels) and layer.metadata.get(FINE_KEY) == fine.unique_id:
            return layer
    return None


def rejected_regions(layers: Iterable[Layer], coarse: Labels, place: Place) -> tuple[Key, ...]:
    """Return what was rejected in the latest review of what a place of a coarse layer became."""
    for layer in results_of(layers, coarse):
        if REJECTED_KEY in layer.metadata and place_of(layer) == place:
            return tuple(layer.metadata[REJECTED_KEY])
    return ()


def final_layer(viewer: ViewerModel, reviewed: Reviewed, fine: Labels, coarse: Labels) -> Labels:
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
