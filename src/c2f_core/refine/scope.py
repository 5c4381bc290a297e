"""Where a refiner may change a map, and which parts of an image it must see for that."""

import base64
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, ConfigError, ImageError
from c2f_core.geometry.arrays import (
    Size,
    Sliceable,
    Window,
    area,
    blocks,
    boundary_pixels,
    bounding_box,
    clipped,
    extent,
    from_corner,
    grown,
    plane_of,
    to_corner,
)

Record = dict[str, Any]
"""Values that JSON can store: strings, numbers, lists, records, and None for unknown ones."""
Care = Literal["careful", "balanced", "model"]
"""How much a change has to promise: see `gate.keep_gains`."""
SMALLEST_REGION, SMALLEST_HOLE, SMALLEST_SPUR = 16, 64, 2
"""Default numbers of pixels below which regions, holes and spurs that the coarse map does not
have are removed; see `clean_up`."""
FARTHEST = 512
"""Largest distance in pixels at which one block of a map is cleaned up with regard to others."""
BLOCK = 512
"""Side in pixels of the blocks in which scattered pixels are refined. With the margin that the
bundled network sees, one block fills one tile on a CPU."""

MAX_MASK_PIXELS = 2**31
"""Largest number of pixels of a mask in a record, which may come from a damaged file."""
MAX_MASK_AXES = 8


@dataclass(frozen=True, eq=False)
class Scope:
    """Where a refiner may change a map; all conditions apply together.

    Attributes
    ----------
    box : (slice, slice), optional
        Rows and columns, without a step. Parts outside the image are cut off: a
        negative start does not count from the end.
    mask : (Y, X) boolean array, optional
        Pixels that may change, such as those of a drawn polygon. For a stack also
        (..., Y, X), with one mask for each plane.
    classes : tuple of str, optional
        Names of classes: only pixels that are or become one of them change. One
        class alone can grow and shrink while boundaries between others stay; the
        unlabelled entry alone fills in unlabelled pixels.
    locked : tuple of str
        Names of classes that neither lose nor gain pixels.
    protected : (Y, X) boolean array, optional
        Pixels that never change, such as hand-painted ones. For a stack also
        (..., Y, X). The refiner sees them as unlabelled if it does not know their
        class.
    band : int, optional
        Width in pixels, on either side, of the band around the boundaries of the
        coarse map in which pixels change; 1 selects the pixels that touch a
        boundary. The outline of unlabelled regions is a boundary, too, and all
        unlabelled pixels belong to the band.
    minimal_confidence : float
        Confidence in [0, 1] below which pixels keep their coarse label.
    care : {"careful", "balanced", "model"}
        How clearly a changed region has to be expected to gain, or it keeps its coarse
        label; "model" keeps all changes. See `gate.keep_gains`.
    smallest_region, smallest_hole, smallest_spur : int
        Number of pixels below which connected regions, enclosed holes and spurs of
        edges that the coarse map does not have are removed; 0 keeps all. See `clean_up`.

    Raises
    ------
    ConfigError
        If a box has a step, a band is narrower than 1 px, the confidence is not in
        [0, 1], the care is unknown or a smallest size is negative.
    """

    box: Window | None = None
    mask: Sliceable | None = None
    classes: tuple[str, ...] | None = None
    locked: tuple[str, ...] = ()
    protected: Sliceable | None = None
    band: int | None = None
    minimal_confidence: float = 0.0
    care: Care = "careful"
    smallest_region: int = SMALLEST_REGION
    smallest_hole: int = SMALLEST_HOLE
    smallest_spur: int = SMALLEST_SPUR

    def __post_init__(self) -> None:
        if self.box is not None and any(axis.step not in (None, 1) for axis in self.box):
            raise ConfigError(
                "The rows or columns of a box have a step; give a box without a step."
            )
        if self.band is not None and self.band < 1:
            raise ConfigError(
                f"A band of {self.band} px contains no pixel; make it at least 1 px wide."
            )
        if not 0 <= self.minimal_confidence <= 1:
            raise ConfigError(
                f"The minimal confidence is {self.minimal_confidence}; give a number from 0 to 1."
            )
        if self.care not in get_args(Care):
            raise ConfigError(
                f"The care is '{self.care}'; choose one of {', '.join(get_args(Care))}."
            )
        for name, pixels in zip(("region", "hole", "spur"), self.clean_up_sizes, strict=True):
            if pixels < 0:
                raise ConfigError(f"The smallest {name} is {pixels} pixels; give 0 or more.")

    @property
    def examines(self) -> bool:
        """Whether changes of the refiner are examined, and some of them may be taken back."""
        return self.care != "model"

    @property
    def clean_up_sizes(self) -> tuple[int, int, int]:
        """Smallest region, hole and spur in pixels that stay."""
        return self.smallest_region, self.smallest_hole, self.smallest_spur

    @property
    def reach(self) -> int:
        """Distance in pixels up to which cleaning up looks around a pixel, at most `FARTHEST`."""
        region, hole, spur = (pixels if pixels > 1 else 0 for pixels in self.clean_up_sizes)
        far = 12 * region + (hole + 1 if hole else 0) + (spur + 5 if spur else 0)
        return min(far, FARTHEST)

    def of_plane(self, index: tuple[int, ...]) -> "Scope":
        """Return the scope of one plane of a stack."""
        return replace(
            self, mask=_own_plane(self.mask, index), protected=_own_plane(self.protected, index)
        )

    def check_shapes(self, shape: tuple[int, ...]) -> None:
        """Check that the masks fit a coarse map or stack of this shape.

        Raises
        ------
        ImageError
            If a mask has neither the shape of the map nor that of its planes.
        """
        for name, mask in (("mask", self.mask), ("protected pixels", self.protected)):
            if mask is not None and tuple(mask.shape) not in (shape, shape[-2:]):
                raise ImageError(
                    f"The {name} have shape {tuple(mask.shape)} and the coarse map {shape}; draw "
                    "them on this map."
                )

    def region(self, size: Size) -> Window:
        """Return the smallest window of an image of this size that contains box and mask."""
        rows, columns = self.box or (slice(None), slice(None))
        box = _on_axis(rows, size[0]), _on_axis(columns, size[1])
        if self.mask is None:
            return box
        return to_corner(bounding_box(np.asarray(self.mask[box], dtype=bool)), box)

    def to_record(self) -> Record:
        """Return the scope as JSON; `from_record` reads it."""
        return {
            "box": None if self.box is None else [_ends(axis) for axis in self.box],
            "mask": None if self.mask is None else packed(self.mask),
            "classes": None if self.classes is None else list(self.classes),
            "locked": list(self.locked),
            "protected": None if self.protected is None else packed(self.protected),
            "band": self.band,
            "minimal_confidence": self.minimal_confidence,
            "care": self.care,
            "smallest_region": self.smallest_region,
            "smallest_hole": self.smallest_hole,
            "smallest_spur": self.smallest_spur,
        }

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the scope of a record made by `to_record`.

        Raises
        ------
        ValueError
            If the record is damaged.
        ConfigError
            If a value is out of range.
        """
        read = _ScopeRecord.model_validate(record)
        return cls(
            box=None if read.box is None else (slice(*read.box[0]), slice(*read.box[1])),
            mask=_unpacked(read.mask),
            classes=read.classes,
            locked=read.locked,
            protected=_unpacked(read.protected),
            band=read.band,
            minimal_confidence=read.minimal_confidence,
            care=read.care,
            smallest_region=read.smallest_region,
            smallest_hole=read.smallest_hole,
            smallest_spur=read.smallest_spur,
        )


class _PackedMask(BaseModel):
    """Mask as made by `packed`."""

    shape: tuple[PositiveInt, ...] = Field(min_length=2, max_length=MAX_MASK_AXES)
    bits: str


class _ScopeRecord(BaseModel):
    """Record as made by `Scope.to_record`."""

    box: tuple[tuple[int | None, int | None], tuple[int | None, int | None]] | None
    mask: _PackedMask | None
    classes: tuple[str, ...] | None
    locked: tuple[str, ...]
    protected: _PackedMask | None
    band: int | None
    minimal_confidence: float
    care: Care = "model"
    """Records without it were made before changes were examined, or without the sizes below,
    before maps were cleaned up."""
    smallest_region: int = 0
    smallest_hole: int = 0
    smallest_spur: int = 0


def _ends(axis: slice) -> list[int | None]:
    return [None if end is None else int(end) for end in (axis.start, axis.stop)]


def _own_plane(mask: Sliceable | None, index: tuple[int, ...]) -> Sliceable | None:
    return mask if mask is None or len(mask.shape) == 2 else plane_of(mask, index)


def _on_axis(axis: slice, length: int) -> slice:
    first = 0 if axis.start is None else axis.start
    return clipped(first, length if axis.stop is None else axis.stop, length)


def packed(mask: Sliceable) -> Record:
    """Return a mask as its shape and its compressed bits in base 64."""
    bits = np.packbits(np.asarray(mask[...], dtype=np.bool_))
    return {"shape": list(mask.shape), "bits": compressed(bits.tobytes())}


def _unpacked(mask: _PackedMask | None) -> NDArray[np.bool_] | None:
    """Return the mask; no more bytes are decompressed than its shape needs."""
    if mask is None:
        return None
    count = math.prod(mask.shape)
    wanted = -(-count // 8)
    if count > MAX_MASK_PIXELS:
        raise ValueError(f"a mask of {count} pixels is too large")
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(mask.bits), wanted + 1)
    except zlib.error as error:
        raise ValueError(f"a mask cannot be decompressed: {error}") from error
    if len(data) != wanted:
        raise ValueError("a mask has another size than its shape")
    bits = np.frombuffer(data, dtype=np.uint8)
    return np.unpackbits(bits, count=count).astype(np.bool_).reshape(mask.shape)


def compressed(data: bytes) -> str:
    """Return compressed bytes in base 64."""
    return base64.b64encode(zlib.compress(data)).decode("ascii")


@dataclass(frozen=True)
class ClassRules:
    """Which changes the chosen and locked classes of a scope permit.

    Attributes
    ----------
    chosen : sequence of int or None
        Labels of the classes that pixels must have before or after a change; None
        for all.
    locked : sequence of int
        Labels that pixels must not get.
    """

    chosen: Sequence[int] | None
    locked: Sequence[int]

    @classmethod
    def of(cls, scope: Scope, class_table: ClassTable) -> "ClassRules":
        """Return the rules of a scope.

        Raises
        ------
        ClassTableError
            If a class name is not in the class table.
        """
        chosen = None if scope.classes is None else _labels_of(scope.classes, class_table)
        return cls(chosen, _labels_of(scope.locked, class_table))

    def permit(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
        """Mark the pixels that may change from one label to the other."""
        permitted = ~np.isin(after, self.locked)
        if self.chosen is not None:
            permitted &= np.isin(before, self.chosen) | np.isin(after, self.chosen)
        return permitted


def _labels_of(names: Sequence[str], class_table: ClassTable) -> list[int]:
    labels = {entry.name: entry.index for entry in class_table.entries}
    for name in names:
        if name not in labels:
            raise ClassTableError(
                f"There is no class '{name}' in '{class_table.name}'; choose from "
                f"{', '.join(labels)}."
            )
    return [labels[name] for name in names]


def edits_everything(scope: Scope, class_table: ClassTable) -> bool:
    """Return whether all pixels of the region of a scope may change."""
    masks = (scope.mask, scope.protected, scope.band, *scope.locked)
    return all(mask is None for mask in masks) and scope.classes != (class_table.unlabelled.name,)


def editable_pixels(
    scope: Scope, known: NDArray[Any], around: Window, region: Window, class_table: ClassTable
) -> NDArray[np.bool_]:
    """Mark the pixels of a region that may change, whatever they become.

    Parameters
    ----------
    scope : Scope
        Region in which the map may change.
    known : (y, x) integer array
        Labels of the coarse map in the window `around`.
    around : (slice, slice)
        Window of the map that contains the region with a margin as wide as the band.
    region : (slice, slice)
        Window of the map that contains box and mask of the scope.
    class_table : ClassTable
        Class table of the map.

    Returns
    -------
    (Y, X) boolean array of the size of the region

    Raises
    ------
    ClassTableError
        If a locked class is not in the class table.
    """
    part = from_corner(region, around)
    unlabelled = class_table.unlabelled
    if edits_everything(scope, class_table):
        return np.broadcast_to(np.True_, extent(region))  # Needs no memory.
    editable = ~np.isin(known[part], _labels_of(scope.locked, class_table))
    if scope.mask is not None:
        editable &= np.asarray(scope.mask[region], dtype=bool)
    if scope.protected is not None:
        editable &= ~np.asarray(scope.protected[region], dtype=bool)
    if scope.band is not None:
        editable &= boundary_band(known, scope.band)[part] | (known[part] == unlabelled.index)
    if scope.classes == (unlabelled.name,):  # No pixel becomes unlabelled.
        editable &= known[part] == unlabelled.index
    return editable


def boundary_band(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Mark the pixels up to `width` pixels from a boundary, on either side.

    The pixels that touch a boundary are the band of 1 px, as in `trimap_accuracy`.
    The outline of unlabelled regions is a boundary.

    Parameters
    ----------
    labels : (Y, X) integer array
        Map.
    width : int
        Width of the band in pixels, at least 1.

    Returns
    -------
    (Y, X) boolean array
    """
    from scipy import ndimage  # Imported lazily, as it takes a quarter of a second.

    touching = boundary_pixels(labels, unlabelled=None)
    band = np.zeros_like(touching)
    # In blocks, because most of a large map is far from any boundary.
    for block in blocks(band.shape, BLOCK):
        around = grown(block, width, band.shape)
        if touching[around].any():
            distance = ndimage.distance_transform_edt(~touching[around])
            band[block] = distance[from_corner(block, around)] < width
    return band


def cheapest_parts(editable: Sliceable, cost_window: Callable[[Window], Window]) -> list[Window]:
    """Return windows to refine: one, or one in each block if that is less work.

    Parameters
    ----------
    editable : (Y, X) boolean array
        Pixels that may change, in memory or on disk.
    cost_window : callable
        Function that returns the window that a refiner has to see for a part.

    Returns
    -------
    list of (slice, slice)
        Disjoint windows that together contain all pixels that are True.
    """
    scattered: list[Window] = []
    for block in blocks((editable.shape[0], editable.shape[1]), BLOCK):
        box = to_corner(bounding_box(editable[block]), block)
        if area(box):
            scattered.append(box)
    if not scattered:
        return []
    together = (
        slice(min(rows.start for rows, _ in scattered), max(rows.stop for rows, _ in scattered)),
        slice(min(part.start for _, part in scattered), max(part.stop for _, part in scattered)),
    )
    if sum(area(cost_window(part)) for part in scattered) < area(cost_window(together)):
        return scattered
    return [together]
