"""The layers that refining makes: where they lie, and which of them is the latest."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.transforms import Affine

from c2f_core.refine.patches import Patch, Place
from napari_c2f._layers import PLACE_KEY, RESULT_KEY, coarse_of, level0, spatial_keywords
from napari_c2f._painted import Stroke, patch_of, strokes_of


def place_of(fine: Labels) -> Place:
    """Return the part of its coarse layer that a fine layer covers."""
    whole = tuple(slice(0, length) for length in level0(fine).shape)
    return fine.metadata.get(PLACE_KEY, whole)


def placed_keywords(coarse: Labels, place: Place) -> dict[str, Any]:
    """Return where the part of a layer lies in the world, as keyword arguments of a new layer."""
    keywords = spatial_keywords(coarse)
    corner = [axis.start for axis in place]
    own = Affine(
        scale=coarse.scale, translate=coarse.translate, rotate=coarse.rotate, shear=coarse.shear
    )
    return keywords | {"translate": np.asarray(own(corner))}


def latest_result(layers: Iterable[Layer], coarse: Labels) -> Labels | None:
    """Return the uppermost fine layer that was made of a coarse layer, or of such a fine layer."""
    layers = list(layers)
    for layer in reversed(layers):
        if layer is not coarse and isinstance(layer, Labels) and RESULT_KEY in layer.metadata:
            source: Labels | None = layer
            while source is not None and source is not coarse:
                source = coarse_of(layers, source)
            if source is coarse:
                return layer
    return None


@dataclass(frozen=True, eq=False)
class Kept:
    """A stroke that stays.

    Attributes
    ----------
    stroke : Stroke
        In places of the coarse layer, without what was erased.
    patch : Patch
        The same pixels with what they are now.
    """

    stroke: Stroke
    patch: Patch


def kept_pixels(
    coarse: Labels, fine: Labels | None, keep_fine: bool, keep_coarse: bool
) -> list[Kept]:
    """Return what was painted by hand and stays, the latest last.

    What was painted into a fine layer that is refined in turn counts as painted
    in a fine map.
    """
    kept = []
    if keep_fine if RESULT_KEY in coarse.metadata else keep_coarse:
        kept += _kept_in(coarse)
    if keep_fine and fine is not None:
        kept += _kept_in(fine)
    return sorted(kept, key=lambda each: each.stroke.stamp)


def _kept_in(layer: Labels) -> list[Kept]:
    place, kept = place_of(layer), []
    for stroke in strokes_of(layer):
        if not stroke.rough:
            patch = patch_of(layer, stroke)
            moved = replace(stroke.seen_around(place), mask=patch.mask)
            kept.append(Kept(moved, replace(patch, place=moved.place)))
    return kept


def strokes_in(kept: Iterable[Kept], place: Place) -> list[Stroke]:
    """Return the strokes as those of a layer that covers a place of the coarse layer."""
    seen = (each.stroke.seen_from(place) for each in kept)
    return [stroke for stroke in seen if stroke is not None]
