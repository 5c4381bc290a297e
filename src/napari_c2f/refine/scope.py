"""From what the user chose, and sees, to the scope of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Shapes
from numpy.typing import NDArray

from c2f_core.errors import C2FError
from c2f_core.geometry.lazy import ArrayKey, Covered, Patch
from c2f_core.geometry.shapes import Shape, Stroke, pixel_window
from c2f_core.geometry.windows import Size, Window, area, around
from c2f_core.refine.run import Plane
from c2f_core.refine.scope import Scope
from napari_c2f.layers.planes import current_plane, plane_size, view_of
from napari_c2f.layers.shapes import areas_of_shapes


class Where(StrEnum):
    """Part of an image."""

    IMAGE = "image"
    VIEW = "view"
    SHAPES = "shapes"


@dataclass(frozen=True)
class ScopeChoice:
    """What the user chose.

    Attributes
    ----------
    where : Where
    classes : tuple of str or None
        None for all.
    band : int or None
        Pixels on either side of coarse boundaries; None for no band.
    minimal_confidence : float
        In [0, 1].
    all_planes : bool
        Of a stack; else the one that is shown.
    keep_fine, keep_coarse : bool
        Pixels that were painted by hand in the fine map, or in the coarse map
        after a refinement, stay.
    """

    where: Where = Where.IMAGE
    classes: tuple[str, ...] | None = None
    band: int | None = None
    minimal_confidence: float = 0.0
    all_planes: bool = False
    keep_fine: bool = True
    keep_coarse: bool = True


def scope_of(
    choice: ScopeChoice, viewer: ViewerModel, coarse: Labels, shapes: Shapes | None
) -> Scope:
    """Return the scope of a run on the planes of a coarse map, without locked classes.

    Raises
    ------
    C2FError
        No class was chosen, or the view or the shapes hold nothing of the map.
    """
    if choice.classes == ():
        raise C2FError("No class is checked under 'Scope'; check those that may change.")
    size = plane_size(coarse)
    box, mask = None, None
    if choice.where is Where.VIEW:
        box = view_of(viewer, coarse)
    elif choice.where is Where.SHAPES:
        mask, box = drawn_mask(shapes, coarse, size)
    return Scope(
        box=box,
        mask=mask,
        classes=choice.classes,
        band=choice.band,
        minimal_confidence=choice.minimal_confidence,
    )


def planes_of(choice: ScopeChoice, viewer: ViewerModel, layer: Layer) -> Plane | None:
    """Return the plane of a layer that was chosen, None for all planes of a stack."""
    return None if choice.all_planes and layer.ndim > 2 else current_plane(viewer, layer)


class DrawnMask:
    """What shapes cover of a map: drawn when it is first asked for, in a thread.

    Parameters
    ----------
    shapes : sequence of Shape
    size : (int, int)
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shapes: Sequence[Shape], size: Size) -> None:
        self.shape = size
        self._shapes = shapes

    def __getitem__(self, key: ArrayKey, /) -> NDArray[np.bool_]:
        """Return a part."""
        return self._covered[key]

    @cached_property
    def _covered(self) -> Covered:
        covers = (shape.cover(self.shape) for shape in self._shapes)
        nothing = np.empty(0, dtype=np.uint8)
        return Covered(self.shape, [Patch(window, mask, nothing) for window, mask in covers])


def drawn_mask(shapes: Shapes | None, layer: Labels, size: Size) -> tuple[DrawnMask, Window]:
    """Return what the selected shapes of a layer cover, all if none is, and a box around it.

    Raises
    ------
    C2FError
        There are no shapes, or they lie beside the map.
    """
    if shapes is None or not shapes.nshapes:
        raise C2FError(
            "Draw a box or polygon first: add a Shapes layer above the layer list, draw in it and "
            "choose it here."
        )
    drawn = areas_of_shapes(shapes, layer)
    boxes = [box for shape in drawn if area(box := _box_around(shape, size))]
    if not boxes:
        raise C2FError(f"The shapes in '{shapes.name}' cover nothing of '{layer.name}'.")
    rows, columns = around(boxes)
    return DrawnMask(drawn, size), (rows, columns)


def _box_around(shape: Shape, size: Size) -> Window:
    width = max(shape.width, 1.0) if isinstance(shape, Stroke) else 0.0
    return pixel_window(shape.span(), size, width / 2)
