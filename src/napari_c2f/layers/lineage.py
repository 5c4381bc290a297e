"""Which map was made from which: coarse maps, the fine maps refined from them, and reviews."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.transforms import Affine

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.geometry.arrays import Slices, to_corner
from c2f_core.refine.scope import Record
from c2f_core.review.decisions import RegionKey
from napari_c2f.base.proxies import bare
from napari_c2f.layers.convert import TABLE_KEY, level0, set_class_table, spatial_keywords
from napari_c2f.layers.locks import Locks
from napari_c2f.layers.strokes import ProtectedStroke, Stroke, StrokeTracker, strokes_in

AnyLayer = TypeVar("AnyLayer", bound=Layer)


@dataclass(frozen=True, eq=False)
class Origin:
    """How a fine map, or the final map of a review, came about.

    Layers are referenced weakly: those that the user deletes free their memory.

    Attributes
    ----------
    coarse : reference to Labels, or None
        The map that was refined; None if it is unknown.
    confidence : reference to Image, or None
        Confidence of the fine map, if there is one.
    fine : reference to Labels, or None
        Fine map that is reviewed, for a final map; None for a fine map.
    slices : tuple of slices or None
        Part of the coarse map that the map covers; None for all of it.
    record : mapping
        How the fine map was made; empty if that is unknown.
    rejected : tuple of RegionKey, or None
        Regions rejected in a review, see `ChangedPixels.keys`; None without a review.
    """

    coarse: "ref[Labels] | None" = None
    confidence: "ref[Image] | None" = None
    fine: "ref[Labels] | None" = None
    slices: Slices | None = None
    record: Record = field(default_factory=dict)
    rejected: tuple[RegionKey, ...] | None = None


class Lineage:
    """Origins of the maps of one viewer, and which of them belong to a project.

    New maps inherit strokes and locks. Questions about several maps take the viewer's layers
    from the bottom to the top; layers that were removed are not part of an answer.

    Parameters
    ----------
    strokes : StrokeTracker
        Strokes in the layers of the viewer.
    locks : Locks
        Locked classes of the layers of the viewer.
    """

    def __init__(self, strokes: StrokeTracker, locks: Locks) -> None:
        self._strokes, self._locks = strokes, locks
        self._origins: WeakKeyDictionary[Layer, Origin] = WeakKeyDictionary()
        self._images: WeakKeyDictionary[Labels, ref[Image]] = WeakKeyDictionary()
        self._closed: WeakSet[Labels] = WeakSet()

    # New maps

    def add_fine(
        self,
        fine: Labels,
        coarse: Labels,
        confidence: Image | None = None,
        *,
        slices: Slices | None = None,
        record: Record | None = None,
        rejected: tuple[RegionKey, ...] | None = None,
        protected: Iterable[ProtectedStroke] = (),
    ) -> None:
        """Note that a fine map was refined from a coarse one.

        Its strokes are tracked from now on, and the locks of the coarse map hold in it, too.

        Parameters
        ----------
        fine, coarse, confidence, slices, record, rejected
            See `Origin`.
        protected : iterable of ProtectedStroke
            Strokes that the refinement left unchanged, in the coordinates of the coarse map.
        """
        self._origins[bare(fine)] = Origin(
            coarse=ref(bare(coarse)),
            confidence=None if confidence is None else ref(bare(confidence)),
            slices=slices,
            record=record or {},
            rejected=rejected,
        )
        self._inherit(fine, coarse, strokes_in(protected, self.slices_of(fine)))

    def add_final(
        self,
        final: Labels,
        fine: Labels,
        rejected: tuple[RegionKey, ...] = (),
        strokes: Iterable[Stroke] = (),
    ) -> None:
        """Note that a final map belongs to a review of a fine map.

        Its strokes are tracked from now on, and the locks of the fine map hold in it, too.

        Parameters
        ----------
        final, fine, rejected
            See `Origin`.
        strokes : iterable of Stroke
            Strokes that the final map inherits.
        """
        self._origins[bare(final)] = replace(
            self._origin(fine), fine=ref(bare(fine)), record={}, rejected=rejected
        )
        self._inherit(final, fine, strokes)

    def _inherit(self, layer: Labels, source: Labels, strokes: Iterable[Stroke]) -> None:
        self._strokes.follow(layer).inherit(strokes)
        self._locks.inherit(layer, source)

    def add_copy(self, copy: Labels, original: Labels) -> None:
        """Treat a copy of a fine or final map like the original, with its strokes and locks.

        Strokes that are made from now on belong to the copy or to the original alone.
        """
        origin = self._origins.get(original)
        if origin is not None and level0(copy).shape == level0(original).shape:
            self._origins[copy] = origin
            self._inherit(copy, original, self._strokes.strokes_of(original))

    # Notes

    def set_record(self, fine: Labels, record: Record) -> None:
        """Replace the record of a fine map."""
        self._origins[bare(fine)] = replace(self._origin(fine), record=record)

    def set_rejected(self, final: Labels, rejected: Iterable[RegionKey]) -> None:
        """Replace the rejected regions of a final map."""
        self._origins[bare(final)] = replace(self._origin(final), rejected=tuple(rejected))

    def set_image(self, coarse: Labels, image: Image | None) -> None:
        """Note that a coarse map is the one that a project saves for an image; None ends it."""
        if image is None:
            self._images.pop(coarse, None)
        else:
            self._images[coarse] = ref(image)

    def close(self, coarse: Labels) -> None:
        """Note that the project has closed the image of a coarse map."""
        self._closed.add(coarse)

    # Questions about one map

    def _origin(self, layer: Layer) -> Origin:
        return self._origins.get(layer, Origin())

    def is_refined(self, layer: Layer) -> bool:
        """Return whether a map was refined from another one, or belongs to a review of such."""
        return self._origin(layer).coarse is not None

    def is_final(self, layer: Layer) -> bool:
        """Return whether a map is the final map of a review."""
        return self._origin(layer).fine is not None

    def is_of_project(self, coarse: Labels) -> bool:
        """Return whether a coarse map is the one that a project saves for an image."""
        return coarse in self._images

    def is_closed(self, coarse: Labels) -> bool:
        """Return whether the project has closed the image of a coarse map."""
        return coarse in self._closed

    def slices_of(self, fine: Labels) -> Slices:
        """Return the part of its coarse map that a fine map covers."""
        return self._origin(fine).slices or whole_slices(fine)

    def slices_in(self, layers: Iterable[Layer], fine: Labels, coarse: Labels) -> Slices:
        """Return the part of a coarse map that a map made from it, by several steps, covers."""
        slices = whole_slices(fine)
        for source in (fine, *self.sources_of(layers, fine)):
            if source == coarse:
                break
            slices = to_corner(slices, self.slices_of(source))
        return slices

    def record_of(self, fine: Labels) -> Record:
        """Return how a fine map was made; empty if that is unknown."""
        return self._origin(fine).record

    def rejected_in(self, final: Labels) -> tuple[RegionKey, ...]:
        """Return the regions that were rejected in the review of a final map."""
        return self._origin(final).rejected or ()

    # Questions about several maps

    def coarse_of(self, layers: Iterable[Layer], fine: Layer) -> Labels | None:
        """Return the map that a fine map was refined from; None if it is not there."""
        return _there(layers, self._origin(fine).coarse)

    def confidence_of(self, layers: Iterable[Layer], fine: Layer) -> Image | None:
        """Return the confidence layer of a fine map; None if it is not there."""
        return _there(layers, self._origin(fine).confidence)

    def fine_of(self, layers: Iterable[Layer], final: Layer) -> Labels | None:
        """Return the fine map that a final map reviews; None if it is not there."""
        return _there(layers, self._origin(final).fine)

    def final_of(self, layers: Iterable[Layer], fine: Labels) -> Labels | None:
        """Return the topmost final map of the reviews of a fine map."""
        layers = list(layers)
        for layer in reversed(layers):
            if isinstance(layer, Labels) and self.fine_of([fine], layer) is not None:
                return layer
        return None

    def sources_of(self, layers: Iterable[Layer], layer: Layer) -> Iterator[Labels]:
        """Yield the map that a map was refined from, that map's source, and so on."""
        layers = list(layers)
        source = self.coarse_of(layers, layer)
        while source is not None:
            yield source
            source = self.coarse_of(layers, source)

    def results_of(self, layers: Iterable[Layer], coarse: Labels) -> Iterator[Labels]:
        """Yield the fine and final maps made from a coarse map, the topmost first.

        Maps refined from a fine map in turn are among them.
        """
        layers = list(layers)
        for layer in reversed(layers):
            if isinstance(layer, Labels) and coarse in self.sources_of(layers, layer):
                yield layer

    def layers_of_results(self, layers: Iterable[Layer], coarse: Labels) -> list[Layer]:
        """Return the maps made from a coarse map, and their confidence layers."""
        layers = list(layers)
        results = list(self.results_of(layers, coarse))
        confidences = (self.confidence_of(layers, each) for each in results)
        return [*results, *{id(each): each for each in confidences if each is not None}.values()]

    def family_of(self, layers: Iterable[Layer], layer: Labels) -> Iterator[Labels]:
        """Yield the first coarse map that a map came from, and all maps made from that one."""
        layers = list(layers)
        first = [layer, *self.sources_of(layers, layer)][-1]
        yield first
        yield from self.results_of(layers, first)

    def latest_result(self, layers: Iterable[Layer], coarse: Labels) -> Labels | None:
        """Return the topmost fine map made from a coarse map."""
        results = self.results_of(layers, coarse)
        return next((layer for layer in results if not self.is_final(layer)), None)

    def rejected_regions(
        self, layers: Iterable[Layer], coarse: Labels, slices: Slices
    ) -> tuple[RegionKey, ...]:
        """Return the regions rejected in the latest review of a part of a coarse map."""
        for layer in self.results_of(layers, coarse):
            rejected = self._origin(layer).rejected
            if rejected is not None and self.slices_of(layer) == slices:
                return rejected
        return ()

    def protected_strokes(
        self, layers: Iterable[Layer], coarse: Labels, keep_fine: bool, keep_coarse: bool
    ) -> list[ProtectedStroke]:
        """Return the strokes that the next refinement leaves unchanged, the earliest first.

        Those are the strokes in the latest fine map, which inherited those of earlier ones, and
        what was accepted or painted in reviews. If maps share a stroke, the topmost one has its
        current pixels. Strokes in a fine map that is refined in turn count as those of a fine map.

        Parameters
        ----------
        layers : iterable of layers
            Layers of the viewer, from the bottom to the top.
        coarse : Labels
            Map to refine.
        keep_fine, keep_coarse : bool
            Whether strokes in fine maps and in the coarse map are protected.

        Returns
        -------
        list of ProtectedStroke
            Protected strokes in the coordinates of the coarse map.
        """
        layers, sources = list(layers), []
        if keep_fine if self.is_refined(coarse) else keep_coarse:
            sources.append(coarse)
        if keep_fine:
            latest = self.latest_result(layers, coarse)
            results = self.results_of(layers, coarse)
            sources += [each for each in results if each is latest or self.is_final(each)]
        protected: dict[int, ProtectedStroke] = {}
        for layer in sources:
            slices = self.slices_in(layers, layer, coarse)
            for each in self._strokes.protected_in(layer):
                protected.setdefault(each.stroke.stamp, each.within(slices))
        return [protected[stamp] for stamp in sorted(protected)]

    def project_map(self, layers: Iterable[Layer], image: Image | None) -> Labels | None:
        """Return the coarse map that a project saves for an image; None without a project."""
        for layer in layers:
            known = self._images.get(layer) if isinstance(layer, Labels) else None
            if image is not None and known is not None and known() is bare(image):
                return layer
        return None

    def share_lock(self, layers: Iterable[Layer], layer: Labels, label: int, locked: bool) -> None:
        """Lock or unlock a class of a map, and of the whole family that it belongs to."""
        for each in self.family_of(layers, layer):
            self._locks.lock(each, label, locked)

    def share_class_table(
        self, layers: Iterable[Layer], layer: Labels, before: ClassTable | None, after: ClassTable
    ) -> None:
        """Give a map, and the whole family that it belongs to, another class table.

        Maps with classes that the map's table before did not have keep their own table.
        """
        known = set() if before is None else set(before.entries)
        for each in self.family_of(layers, layer):
            own = each.metadata.get(TABLE_KEY)
            if own is None or known.issuperset(own.entries):
                set_class_table(each, after)


def _there(layers: Iterable[Layer], wanted: "ref[AnyLayer] | None") -> AnyLayer | None:
    layer = None if wanted is None else wanted()
    return layer if layer is not None and any(each == layer for each in layers) else None


# Where maps lie


def whole_slices(layer: Layer) -> Slices:
    """Return the slices of a whole map."""
    return tuple(slice(0, length) for length in level0(layer).shape)


def placed_keywords(coarse: Labels, slices: Slices) -> dict[str, Any]:
    """Return where a part of a layer lies in the world, as keyword arguments of a new layer."""
    keywords = spatial_keywords(coarse)
    corner = [axis.start for axis in slices]
    own = Affine(
        scale=coarse.scale, translate=coarse.translate, rotate=coarse.rotate, shear=coarse.shear
    )
    return keywords | {"translate": np.asarray(own(corner))}


# The layer that shows what is reviewed

CURRENT = 5
"""Label of the current region in the changes layer; other regions have 1 + their decision."""
CHANGES = table_from_colours(
    "changes",
    {
        1: ("undecided", (230, 159, 0)),
        2: ("accepted", (0, 158, 115)),
        3: ("rejected", (86, 180, 233)),
        4: ("edited", (240, 240, 240)),
        CURRENT: ("current", (255, 0, 200)),
    },
)
"""Labels of the changes layer, in colours that are safe for colour-blind people (Okabe and Ito)."""


def changes_layers(layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that show the regions of a review, also of one that has ended."""
    return [layer for layer in layers if layer.metadata.get(TABLE_KEY) is CHANGES]
