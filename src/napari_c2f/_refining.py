"""One run of a refiner, for a thread, as the layers and the user's choice ask for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from napari.layers import Image, Labels, Layer

from c2f_core.classes import ClassTable
from c2f_core.errors import C2FError, ImageError
from c2f_core.io import FIXED_LIMITS
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.patches import Patch
from c2f_core.refine.run import Plane, Run, RunResult, carry_out
from c2f_core.refine.scope import Scope, Sliceable
from c2f_core.windows import whole
from napari_c2f._layers import confidence_of, level0
from napari_c2f._locks import locked_classes
from napari_c2f._worker import Report, ShouldStop, Work

MakeRefiner = Callable[[ClassTable], RefinerInterface]
"""Makes the refiner for the class table of the coarse map; may take its time."""
LARGEST_COPIED = 1 << 25
"""Pixels of a coarse layer in memory of which a result is always as large as the layer."""


def refining(run: Run, make_refiner: MakeRefiner) -> Work:
    """Return the work of one run, for a thread."""

    def work(report: Report, should_stop: ShouldStop) -> RunResult:
        refiner = make_refiner(run.class_table)
        return carry_out(run, refiner, progress=report, should_stop=should_stop)

    return work


def check_layers(image: Image | None, coarse: Labels | None) -> tuple[Image, Labels]:
    """Return the layers if a run can be made of them.

    Raises
    ------
    C2FError
        One lacks, or they are not of as many dimensions.
    """
    if image is None or coarse is None:
        raise C2FError("Choose an image and a coarse map: open or draw them first.")
    if image.ndim != coarse.ndim:
        stack, plane = (image, coarse) if image.ndim > coarse.ndim else (coarse, image)
        raise ImageError(
            f"'{stack.name}' is a stack of {stack.ndim} dimensions and '{plane.name}' has "
            f"{plane.ndim}; choose a coarse map that was drawn on this image."
        )
    return image, coarse


def run_of_layers(
    image: Image,
    coarse: Labels,
    class_table: ClassTable,
    scope: Scope,
    plane: Plane | None,
    painted: Sequence[Patch],
    fine: Labels | None,
    layers: Iterable[Layer],
) -> Run:
    """Describe a run as it was when the user clicked; drawing can go on.

    Parameters
    ----------
    image, coarse : layers
        A coarse map in memory that is not too large is copied.
    class_table : ClassTable
    scope : Scope
    plane : tuple of int or None
        Of a stack, None for all.
    painted : sequence of Patch
        What stays.
    fine : Labels or None
        Latest result of the coarse layer: it has the planes that are not refined.
    layers : iterable of layers
        Of the viewer.
    """
    data, locked = level0(coarse), locked_classes(coarse)
    names = tuple(entry.name for entry in class_table.entries if entry.index in locked)
    is_small = isinstance(data, np.ndarray) and data.size <= LARGEST_COPIED
    return Run(
        image=level0(image),
        coarse=data.copy() if is_small else data,
        class_table=class_table,
        scope=replace(scope, locked=names),
        limits=_limits(image),
        plane=plane,
        painted=painted,
        whole=is_small or _covers_all(data.shape, scope, plane),
        before=None if fine is None or plane in (None, ()) else _before(coarse, fine, layers),
    )


def _covers_all(shape: tuple[int, ...], scope: Scope, plane: Plane | None) -> bool:
    size = int(shape[-2]), int(shape[-1])
    return plane in (None, ()) and scope.region(size) == whole(size)


def _limits(image: Image) -> tuple[float, float] | None:
    """Return what is black and white of an image that is not at hand as a whole."""
    data = level0(image)
    if isinstance(data, np.ndarray) or np.dtype(data.dtype).name in FIXED_LIMITS:
        return None
    low, high = image.contrast_limits
    return float(low), float(high)


def _before(
    coarse: Labels, fine: Labels, layers: Iterable[Layer]
) -> tuple[Sliceable, Sliceable] | None:
    confidence = confidence_of(layers, fine)
    shape = level0(coarse).shape
    if confidence is None or not fine.data.shape == confidence.data.shape == shape:
        return None
    return fine.data, confidence.data
