"""Where a refiner may change a map, and what of an image it must see for that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, ConfigError, ImageError
from c2f_core.geometry.lazy import Sliceable, plane_of
from c2f_core.geometry.windows import (
    Size,
    Window,
    area,
    blocks,
    bounding_box,
    clipped,
    from_corner,
    grown,
    to_corner,
)
from c2f_core.metrics.scores import boundary_pixels

BLOCK = 512
"""Side of the blocks in which scattered pixels are refined; with what the bundled network sees
around it, one fills a tile on a CPU."""


@dataclass(frozen=True, eq=False)
class Scope:
    """Where a refiner may change a map. All conditions hold together.

    Attributes
    ----------
    box : (slice, slice), optional
        Rows and columns, without a step. What lies outside of the image is cut
        off: a negative start does not count from the end.
    mask : (Y, X) boolean array, optional
        A drawn polygon, say. For a stack also (..., Y, X), a mask for each plane.
    classes : tuple of str, optional
        Only pixels that are, or become, one of these classes change. So one class
        can grow and shrink, and boundaries between others stay. The unlabelled
        entry counts: it alone means to fill in what nobody labelled.
    locked : tuple of str
        Classes whose pixels stay and which no other pixel joins.
    protected : (Y, X) boolean array, optional
        Pixels that never change, those painted by hand, say. For a stack also
        (..., Y, X).
    band : int, optional
        Only pixels up to so many pixels from a boundary of the coarse map change,
        on either side: 1 are those that touch it. The outline of what is labelled
        is a boundary too. All unlabelled pixels belong to the band.
    minimal_confidence : float
        Pixels of which the refiner is less sure keep their coarse label, or stay
        unlabelled.

    Raises
    ------
    ConfigError
        A box has a step, a band is narrower than 1, or the confidence is not in [0, 1].
    """

    box: Window | None = None
    mask: Sliceable | None = None
    classes: tuple[str, ...] | None = None
    locked: tuple[str, ...] = ()
    protected: Sliceable | None = None
    band: int | None = None
    minimal_confidence: float = 0.0

    def __post_init__(self) -> None:
        if self.box is not None and any(axis.step not in (None, 1) for axis in self.box):
            raise ConfigError("The rows or columns of a box have a step; give a box without.")
        if self.band is not None and self.band < 1:
            raise ConfigError(f"A band of {self.band} px holds nothing; make it at least 1 px.")
        if not 0 <= self.minimal_confidence <= 1:
            raise ConfigError(
                f"The minimal confidence is {self.minimal_confidence}; give a share from 0 to 1."
            )

    def of_plane(self, index: tuple[int, ...]) -> "Scope":
        """Return the scope of one plane of a stack."""
        return replace(
            self, mask=_own_plane(self.mask, index), protected=_own_plane(self.protected, index)
        )

    def check_shapes(self, shape: tuple[int, ...]) -> None:
        """Check that the masks fit a coarse map or stack.

        Raises
        ------
        ImageError
            A mask has neither the shape of the map nor of its planes.
        """
        for name, mask in (("mask", self.mask), ("protected pixels", self.protected)):
            if mask is not None and tuple(mask.shape) not in (shape, shape[-2:]):
                raise ImageError(
                    f"The {name} have shape {tuple(mask.shape)} and the coarse map {shape}; draw "
                    "them on this map."
                )

    def region(self, size: Size) -> Window:
        """Return the smallest window of an image of this size that holds box and mask."""
        rows, columns = self.box or (slice(None), slice(None))
        box = _on_axis(rows, size[0]), _on_axis(columns, size[1])
        if self.mask is None:
            return box
        return to_corner(bounding_box(np.asarray(self.mask[box], dtype=bool)), box)


def _own_plane(mask: Sliceable | None, index: tuple[int, ...]) -> Sliceable | None:
    return mask if mask is None or len(mask.shape) == 2 else plane_of(mask, index)


def _on_axis(axis: slice, length: int) -> slice:
    first = 0 if axis.start is None else axis.start
    return clipped(first, length if axis.stop is None else axis.stop, length)


@dataclass(frozen=True)
class ClassRules:
    """What chosen and locked classes permit, as class indices.

    Attributes
    ----------
    chosen : sequence of int or None
        None where all are.
    locked : sequence of int
        Those that no pixel joins.
    """

    chosen: Sequence[int] | None
    locked: Sequence[int]

    @classmethod
    def of(cls, scope: Scope, class_table: ClassTable) -> "ClassRules":
        """Look the names of a scope up.

        Raises
        ------
        ClassTableError
            A name is not in the class table.
        """
        chosen = None if scope.classes is None else _labels_of(scope.classes, class_table)
        return cls(chosen, _labels_of(scope.locked, class_table))

    def permit(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
        """Mark the pixels that may go from one class index to the other."""
        permitted = ~np.isin(after, self.locked)
        if self.chosen is not None:
            permitted &= np.isin(before, self.chosen) | np.isin(after, self.chosen)
        return permitted


def _labels_of(names: Sequence[str], class_table: ClassTable) -> list[int]:
    indices = {entry.name: entry.index for entry in class_table.entries}
    for name in names:
        if name not in indices:
            raise ClassTableError(
                f"There is no class '{name}' in '{class_table.name}'; choose from "
                f"{', '.join(indices)}."
            )
    return [indices[name] for name in names]


def editable_pixels(
    scope: Scope, known: NDArray[Any], around: Window, region: Window, class_table: ClassTable
) -> NDArray[np.bool_]:
    """Mark the pixels of a region that may change, whatever they become.

    Parameters
    ----------
    scope : Scope
    known : (y, x) integer array
        Coarse map in the window `around`.
    around, region : (slice, slice)
        Windows of the map; the first contains the second, with the width of the band.
    class_table : ClassTable

    Returns
    -------
    (Y, X) boolean array of the size of the region

    Raises
    ------
    ClassTableError
        A locked class is not in the class table.
    """
    part = from_corner(region, around)
    unlabelled = class_table.unlabelled
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


def boundary_band(index_map: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Mark the pixels up to `width` pixels from a boundary, on either side.

    Those that touch it are the band of 1 px, as in `trimap_accuracy`. The
    outline of unlabelled pixels is a boundary.

    Parameters
    ----------
    index_map : (Y, X) integer array
    width : int
        At least 1.

    Returns
    -------
    (Y, X) boolean array
    """
    touching = boundary_pixels(index_map, unlabelled=None)
    band = np.zeros_like(touching)
    # In blocks, because most of a large map is far from any boundary.
    for block in blocks(band.shape, BLOCK):
        around = grown(block, width, band.shape)
        if touching[around].any():
            distance = ndimage.distance_transform_edt(~touching[around])
            band[block] = distance[from_corner(block, around)] < width
    return band


def cheapest_parts(
    editable: NDArray[np.bool_], cost_window: Callable[[Window], Window]
) -> list[Window]:
    """Cut what may change into parts: one window, or one in each block if that is less work.

    Parameters
    ----------
    editable : (Y, X) boolean array
    cost_window : callable
        Returns what a refiner has to see of a part.

    Returns
    -------
    list of windows
        They share no pixel and together hold all that is True.
    """
    scattered = []
    for block in blocks(editable.shape, BLOCK):
        box = to_corner(bounding_box(editable[block]), block)
        if area(box):
            scattered.append(box)
    together = bounding_box(editable)
    if sum(area(cost_window(part)) for part in scattered) < area(cost_window(together)):
        return scattered
    return [together]
