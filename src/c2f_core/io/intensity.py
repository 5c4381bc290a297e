"""Convert images of any dtype to 8-bit RGB."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import ImageError

FIXED_LIMITS = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0)}
"""Fixed intensity limits (black, white) by dtype."""
SMALLEST_RANGE = 1e-300
"""Minimum difference of white and black; an image without contrast becomes black."""


def as_rgb8(image: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Convert any image to 8-bit RGB.

    Values between the limits are scaled to 0 to 255, all others are clipped. Alpha
    is dropped.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image of bool, integer or float values.
    limits : (float, float), optional
        Values that become black and white; by default the `intensity_limits` of the
        image. To convert a part of an image consistently, pass the limits of the
        whole image; uint8 and bool images need none.

    Returns
    -------
    (Y, X, 3) uint8 array

    Raises
    ------
    ImageError
        If the shape or dtype is not supported, or the image is empty or not finite.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"The image has shape {image.shape}; choose one plane of a grey (Y, X), RGB or RGBA "
            "(Y, X, 3 or 4) image."
        )
    if image.size == 0:
        raise ImageError("The image is empty; choose an image with at least one pixel.")
    _check_numeric(image)
    colours = image[..., :3]
    rgb = _as_uint8(colours, limits or intensity_limits(colours))
    return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))


def intensity_limits(image: NDArray[Any]) -> tuple[float, float]:
    """Return the values of an image that are shown as black and white.

    These are (0, 1) for bool and for floats in that range, (0, 255) for uint8,
    (0, 65535) for uint16 with more than 12 bits, (0, 4080) for other uint16, and the
    minimum and maximum for everything else.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image of bool, integer or float values; alpha is ignored.

    Returns
    -------
    low, high : float

    Raises
    ------
    ImageError
        If the dtype is not supported, or the image has NaN or infinite values.
    """
    _check_numeric(image)
    kind, name = image.dtype.kind, image.dtype.name
    if name in FIXED_LIMITS:
        return FIXED_LIMITS[name]
    colours = image[..., :3] if image.ndim == 3 else image
    low, high = float(colours.min()), float(colours.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _not_finite()
    if name == "uint16":
        return 0.0, 65535.0 if high > 4095 else 4080.0
    return (0.0, 1.0) if kind == "f" and low >= 0 and high <= 1 else (low, high)


def _check_numeric(image: NDArray[Any]) -> None:
    if image.dtype.kind not in "buif":
        raise ImageError(f"The image has {image.dtype} values; convert it to uint8 or float.")


def _as_uint8(image: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    if image.dtype == np.uint8 and limits == FIXED_LIMITS["uint8"]:
        return image
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise _not_finite()
    # Exact for 12 bits, so that halves are rounded to even, as in integer arithmetic.
    factor = 255 / max(high - low, SMALLEST_RANGE)
    return np.rint(np.clip((values - low) * factor, 0, 255)).astype(np.uint8)


def _not_finite() -> ImageError:
    return ImageError("The image has NaN or infinite values; replace them first.")
