"""The layers that refining makes: where they lie, and which of them is the latest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.transforms import Affine

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import ImageError
from c2f_core.geometry.patches import Patch, Slices
from c2f_core.geometry.windows import Size, whole
from c2f_core.refine.run import Plane
from c2f_core.review.decisions import RegionKey
from napari_c2f.layers.convert import (
    FINE_KEY,
    PLACE_KEY,
    REJECTED_KEY,
    RESULT_KEY,
    TABLE_KEY,
    coarse_of,
    level0,
    set_class_table,
    spatial_keywords,
)
from napari_c2f.layers.locks import lock
from napari_c2f.layers.strokes import Stroke, patch_of, strokes_of


def place_of(fine: Labels) -> Slices:
    """Return the part of its coarse layer that a fine layer covers."""
    return fine.metadata.get(PLACE_KEY, whole_place(fine))


def whole_place(fine: Labels) -> Slices:
    """Return the place of all that a fine layer holds, in the layer itself."""
    return tuple(slice(0, length) for length in level0(fine).shape)


def check_planes(fine: Labels, other: Layer, place: Slices) -> None:
    """Check that a place of another layer has as many planes as a fine layer.

    Raises
    ------
    ImageError
        It has not.
    """
    shape = level0(other).shape[: other.ndim]
    planes = level0(fine).shape[:-2]
    if fine.ndim == other.ndim:
        covered = zip(place[:-2], shape, strict=False)
        if planes == tuple(len(range(*axis.indices(length))) for axis, length in covered):
            return
    raise ImageError(
        f"'{fine.name}' and '{other.name}' do not have the same planes; choose layers of one image."
    )


def placed_keywords(coarse: Labels, place: Slices) -> dict[str, Any]:
    """Return where the part of a layer lies in the world, as keyword arguments of a new layer."""
    keywords = spatial_keywords(coarse)
    corner = [axis.start for axis in place]
    own = Affine(
        scale=coarse.scale, translate=coarse.translate, rotate=coarse.rotate, shear=coarse.shear
    )
    return keywords | {"translate": np.asarray(own(corner))}


def plane_place(plane: Plane, size: Size) -> Slices:
    """Return the place of one plane, of this size, in a stack."""
    leading = tuple(slice(index, index + 1) for index in plane)
    return *leading, *whole(size)


def results_of(layers: Iterable[Layer], coarse: Labels) -> Iterator[Labels]:
    """Yield the fine layers, and those of reviews, that come from a coarse layer; uppermost first.

    What was made of such a fine layer in turn comes from it, too.
    """
    layers = list(layers)
    for layer in reversed(layers):
        if isinstance(layer, Labels) and coarse in sources_of(layers, layer):
            yield layer


def sources_of(layers: Iterable[Layer], layer: Layer) -> Iterator[Labels]:
    """Yield what a map was refined from, and that in turn, up to the first coarse map."""
    layers = list(layers)
    source = coarse_of(layers, layer)
    while source is not None:
        yield source
        source = coarse_of(layers, source)


def family_of(layers: Iterable[Layer], layer: Labels) -> Iterator[Labels]:
    """Yield the first coarse map that a map came from, and all that was made of that."""
    layers = list(layers)
    first = [layer, *sources_of(layers, layer)][-1]
    yield first
    yield from results_of(layers, first)


def share_lock(layers: Iterable[Layer], layer: Labels, index: int, locked: bool) -> None:
    """Lock or unlock a class of a map, and of all that it came from or that was made of it."""
    for each in family_of(layers, layer):
        lock(each, index, locked)


def share_class_table(
    layers: Iterable[Layer], layer: Labels, before: ClassTable | None, class_table: ClassTable
) -> None:
    """Give a map another class table, and all that it came from or that was made of it.

    Those that know classes that the map did not have before keep their own table.
    """
    known = set() if before is None else set(before.entries)
    for each in family_of(layers, layer):
        own = each.metadata.get(TABLE_KEY)
        if own is None or known.issuperset(own.entries):
            set_class_table(each, class_table)


def latest_result(layers: Iterable[Layer], coarse: Labels) -> Labels | None:
    """Return the uppermost fine layer that comes from a coarse one."""
    fine = (layer for layer in results_of(layers, coarse) if FINE_KEY not in layer.metadata)
    return next(fine, None)


@dataclass(frozen=True, eq=False)
class ProtectedStroke:
    """A stroke that stays.

    Attributes
    ----------
    stroke : Stroke
        Without what was erased.
    patch : Patch
        The same pixels with what they are now.
    """

    stroke: Stroke
    patch: Patch

    def within(self, place: Slices) -> "ProtectedStroke":
        """Return it as in the layer of which its own is the part in a place."""
        stroke = self.stroke.within(place)
        return ProtectedStroke(stroke, replace(self.patch, place=stroke.place))


def protected_strokes(
    layers: Iterable[Layer], coarse: Labels, keep_fine: bool, keep_coarse: bool
) -> list[ProtectedStroke]:
    """Return what was painted by hand and stays, in places of the coarse layer, the latest last.

    That is what was painted in the latest fine layer, which has what stayed in
    those before it, and what was accepted or painted in reviews. Where layers share
    a stroke, the uppermost one tells what became of it. What was painted into a
    fine layer that is refined in turn counts as painted in a fine map.

    Parameters
    ----------
    layers : iterable of layers
        Of the viewer.
    coarse : Labels
    keep_fine, keep_coarse : bool
        Which of the two stays.
    """
    layers, sources = list(layers), []
    if keep_fine if RESULT_KEY in coarse.metadata else keep_coarse:
        sources.append(coarse)
    if keep_fine:
        latest = latest_result(layers, coarse)
        results = results_of(layers, coarse)
        sources += [each for each in results if each is latest or FINE_KEY in each.metadata]
    kept: dict[int, ProtectedStroke] = {}
    for layer in sources:
        for each in protected_strokes_in(layer):
            kept.setdefault(each.stroke.stamp, each.within(place_of(layer)))
    return [kept[stamp] for stamp in sorted(kept)]


def protected_strokes_in(layer: Labels) -> list[ProtectedStroke]:
    """Return what was painted by hand in one layer and stays, in places of that layer."""
    kept = []
    for stroke in strokes_of(layer):
        if not stroke.rough:
            patch = patch_of(layer, stroke)
            kept.append(ProtectedStroke(replace(stroke, mask=patch.mask), patch))
    return kept


def strokes_in(kept: Iterable[ProtectedStroke], place: Slices) -> list[Stroke]:
    """Return the strokes as those of a layer that covers a place of the coarse layer."""
    seen = (each.stroke.relative_to(place) for each in kept)
    return [stroke for stroke in seen if stroke is not None]


CURRENT = 5
"""Label of the region that is looked at, in the changes layer; else 1 + its decision."""
CHANGES = table_from_colours(
    "changes",
    {
        1: ("undecided", (230, 159, 0)),
        2: ("accepted", (0, 158, 115)),
        3: ("rejected", (86, 180, 233)),
        4: ("edited", (240, 240, 240)),
        CURRENT: ("looked at", (255, 0, 200)),
    },
)
"""Labels of the changes layer; colours that colour-blind people can tell (Okabe and Ito 2008)."""


def changes_layers(layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that show what is reviewed, or was."""
    return [layer for layer in layers if layer.metadata.get(TABLE_KEY) is CHANGES]


def final_of(layers: Iterable[Layer], fine: Labels) -> Labels | None:
    """Return the uppermost map of a review of a fine one."""
    for layer in reversed(list(layers)):
        if isinstance(layer, Labels) and layer.metadata.get(FINE_KEY) == fine.unique_id:
            return layer
    return None


def rejected_regions(
    layers: Iterable[Layer], coarse: Labels, place: Slices
) -> tuple[RegionKey, ...]:
    """Return what was rejected in the latest review of what a place of a coarse layer became."""
    for layer in results_of(layers, coarse):
        if REJECTED_KEY in layer.metadata and place_of(layer) == place:
            return tuple(layer.metadata[REJECTED_KEY])
    return ()
