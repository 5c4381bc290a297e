"""The arrays of OME-Zarr images as stacks of planes that are loaded lazily."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import DataError
from c2f_core.scale.multiscale import Multiscale

if TYPE_CHECKING:
    import zarr

LEADING = ("t", "z")
"""Names of the axes along which planes are stacked, in their order."""
USUAL_CHANNELS = (1, 3)
"""Numbers of channels that are taken for grey and RGB images."""


class PlaneStack:
    """Array of an OME-Zarr image as a stack with the channels last, loaded when it is sliced.

    Attributes
    ----------
    shape, stack_shape : tuple of int
        Length of each axis, with and without the channels.
    dtype : dtype
        Type of the values, in the byte order of this machine.

    Parameters
    ----------
    array : zarr.Array
        Array of one resolution level.
    axis_names : sequence of str
        Names of its axes, the last two being y and x.
    channels : sequence of int, optional
        Indices of the channels to load; None if the stack has no axis of channels. An array
        without such an axis must have None.
    """

    def __init__(
        self,
        array: "zarr.Array[Any]",
        axis_names: Sequence[str],
        channels: Sequence[int] | None = None,
    ) -> None:
        self._array, self._channels = array, channels
        self._channel_axis = axis_names.index("c") if "c" in axis_names else None
        lengths = [
            length for name, length in zip(axis_names, array.shape, strict=True) if name != "c"
        ]
        self.stack_shape = tuple(lengths)
        self.shape = self.stack_shape if channels is None else (*lengths, len(channels))
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Load a part: integers or slices for the axes without channels, from the first on."""
        given = key if isinstance(key, tuple) else (key,)
        given = () if given == (...,) else given
        full = (*given, *[slice(None)] * (len(self.stack_shape) - len(given)))
        slices = [each if isinstance(each, slice) else slice(each, each + 1) for each in full]
        loaded = self._loaded(slices)
        return loaded[tuple(slice(None) if isinstance(each, slice) else 0 for each in full)]

    def _loaded(self, slices: list[slice]) -> NDArray[Any]:
        axis = self._channel_axis
        if axis is None:
            return np.asarray(self._array[tuple(slices)], self.dtype)
        wanted = [0] if self._channels is None else list(self._channels)
        some = slice(min(wanted), max(wanted) + 1)
        read = np.asarray(self._array[(*slices[:axis], some, *slices[axis:])], self.dtype)
        last = np.moveaxis(read, axis, -1)[..., [each - some.start for each in wanted]]
        return last[..., 0] if self._channels is None else last


def image_planes(image: Multiscale, level: int, channels: Sequence[int] | None) -> PlaneStack:
    """Return a resolution level of an image as a stack of planes.

    Parameters
    ----------
    image : Multiscale
        OME-Zarr image with axes of (t, c, z, y, x).
    level : int
        Resolution level, 0 for the finest.
    channels : sequence of int, optional
        One or three channels to refine with; by default all, if there are one or three.

    Returns
    -------
    PlaneStack
        Stack of shape (..., Y, X), or (..., Y, X, C) if the image has channels.

    Raises
    ------
    DataError
        If there is no such level or channel, or the axes or channels cannot be used.
    """
    image.check_level(level)
    check_axes(image)
    count = channel_count(image, level)
    if count is None:
        if channels is not None:
            raise DataError(f"{image.path} has no channels; omit --channels.")
        return PlaneStack(image.array(level), image.axis_names)
    chosen = tuple(range(count)) if channels is None else tuple(channels)
    if len(chosen) not in USUAL_CHANNELS or not all(0 <= each < count for each in chosen):
        raise DataError(
            f"{image.path} has {count} channels; choose one or three of them, counted from 0, with "
            "--channels."
        )
    return PlaneStack(image.array(level), image.axis_names, chosen)


def label_planes(labels: Multiscale, level: int) -> PlaneStack:
    """Return a resolution level of a label group as a stack of planes of shape (..., Y, X).

    Raises
    ------
    DataError
        If it does not have integer values, or has several channels.
    """
    check_axes(labels)
    array = labels.array(level)
    if channel_count(labels, level) not in (None, 1):
        raise DataError(f"{labels.path} has several channels; give a map without channels.")
    if np.dtype(array.dtype).kind not in "bui":
        raise DataError(
            f"{labels.path} has {array.dtype} values; give a label group of integer values."
        )
    return PlaneStack(array, labels.axis_names)


def channel_count(image: Multiscale, level: int) -> int | None:
    """Return the number of channels; None if the image has no axis of channels."""
    names = image.axis_names
    return image.levels[level].shape[names.index("c")] if "c" in names else None


def check_axes(image: Multiscale) -> None:
    """Check that an image has no axes besides (t, c, z, y, x).

    Raises
    ------
    DataError
        If it has others.
    """
    others = [name for name in image.axis_names if name not in (*LEADING, "c", "y", "x")]
    if others:
        raise DataError(
            f"{image.path} has an axis '{others[0]}'; give an image with axes of (t, c, z, y, x)."
        )


def stacked_axes(image: Multiscale) -> tuple[str, ...]:
    """Return the names of the axes along which planes are stacked, in their order."""
    return tuple(name for name in image.axis_names if name in LEADING)
