"""Refine a stack plane by plane, and name the plane in which an error occurs."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from c2f_core.errors import C2FError, Cancelled, ImageError
from c2f_core.geometry.arrays import Sliceable, plane_of
from c2f_core.refine.interface import SILENT, Monitor, RefinerInterface
from c2f_core.refine.plane import Limits
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import EVERYWHERE, ScopedResult, refine_within


def refine_stack(
    refiner: RefinerInterface,
    images: Sliceable,
    coarse: Sliceable,
    scope: Scope = EVERYWHERE,
    *,
    limits: Limits | None = None,
    monitor: Monitor = SILENT,
) -> Iterator[tuple[tuple[int, ...], ScopedResult]]:
    """Refine a stack (time, z) plane by plane; only one plane at a time is loaded.

    Parameters
    ----------
    refiner : RefinerInterface
        The refiner.
    images : (..., Y, X) or (..., Y, X, 1, 3 or 4) array
        Images, in memory or loaded lazily.
    coarse : (..., Y, X) integer array
        Labels of the refiner's class table, in memory or loaded lazily.
    scope : Scope
        Region in which the maps may change. Box, classes and band apply to each plane;
        masks may differ.
    limits : (float, float), optional
        Values of the images that are black and white; see `refine_within`. By default
        a stack in memory is converted to 8 bits plane by plane.
    monitor : Monitor
        Receives the progress of all planes, and is asked between steps whether
        to stop.

    Yields
    ------
    index : tuple of int
        Index of the plane on the leading axes; () for a single plane.
    result : ScopedResult
        Result of the plane.

    Raises
    ------
    C2FError
        As `refine_within`, with the index of the plane. Planes that were yielded
        before are complete.
    """
    check_stack(images, coarse)
    scope.check_shapes(tuple(coarse.shape))
    indices = list(np.ndindex(*coarse.shape[:-2]))

    def refine_one(index: tuple[int, ...], share: Monitor) -> ScopedResult:
        image, one = plane_of(images, index), plane_of(coarse, index)
        with named_plane(index):
            return refine_within(
                refiner, image, one, scope.of_plane(index), limits=limits, monitor=share
            )

    shares = monitor.split([1] * len(indices))
    return ((index, refine_one(index, next(shares))) for index in indices)


def check_stack(images: Sliceable, coarse: Sliceable) -> None:
    """Check that a stack of images has as many planes as one of coarse maps.

    Raises
    ------
    ImageError
        If the leading axes differ.
    """
    leading = len(coarse.shape) - 2
    if tuple(images.shape[:leading]) != tuple(coarse.shape[:leading]):
        raise ImageError(
            f"The images have shape {tuple(images.shape)} and the coarse maps "
            f"{tuple(coarse.shape)}; choose a stack of coarse maps drawn on these images."
        )


@contextmanager
def named_plane(index: tuple[int, ...]) -> Iterator[None]:
    """Name the plane of a stack in an error that occurs in it."""
    if not index:
        yield
        return
    name = ", ".join(map(str, index))
    try:
        yield
    except Cancelled as error:
        message = f"Refining was cancelled at plane {name}; the planes before it are done."
        raise Cancelled(message) from error
    except C2FError as error:
        raise type(error)(f"Plane {name}: {error}") from error
