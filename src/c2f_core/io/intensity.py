"""Convert images of any dtype to 8-bit RGB."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Sliceable, row_bands

FIXED_LIMITS = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0)}
"""Fixed intensity limits (black, white) by dtype."""
WHITES_OF_UINT16 = {255: 255.0, 4095: 4080.0, 65535: 65535.0}
"""White of uint16 images of 8, 12 and 16 bits, by their largest possible value."""
SMALLEST_SHARE = 0.25
"""Share of the usual range that values cover at least if they are shown in it."""
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


def intensity_limits(image: Sliceable) -> tuple[float, float]:
    """Return the values of an image that are shown as black and white.

    These are (0, 1) for bool, (0, 255) for uint8, and otherwise the range that the values
    suggest: (0, 1) for floats in it, and for uint16 (0, 255), (0, 4080) or (0, 65535),
    the first that has all values. If the values cover less than a quarter of that range,
    or suggest none, the limits are their minimum and maximum, so that no contrast is lost.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image of bool, integer or float values, in memory or on disk; alpha is ignored.

    Returns
    -------
    low, high : float

    Raises
    ------
    ImageError
        If the dtype is not supported, or the image has NaN or infinite values.
    """
    _check_numeric(image)
    name = image.dtype.name
    if name in FIXED_LIMITS:
        return FIXED_LIMITS[name]
    bands = (np.asarray(image[rows]) for rows in row_bands(image.shape))
    colours = (band[..., :3] if band.ndim == 3 else band for band in bands)
    ranges = np.array([(band.min(), band.max()) for band in colours])
    low, high = float(ranges[:, 0].min()), float(ranges[:, 1].max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _not_finite()
    white = _usual_white(image.dtype, low, high)
    if white is None or 0 < high - low < white * SMALLEST_SHARE:
        return low, high
    return 0.0, white


def _usual_white(dtype: np.dtype[Any], low: float, high: float) -> float | None:
    """Return the value that images of this dtype usually show as white; None if unknown."""
    if dtype == np.uint16:
        return next(white for largest, white in WHITES_OF_UINT16.items() if high <= largest)
    return 1.0 if dtype.kind == "f" and low >= 0 and high <= 1 else None


def _check_numeric(image: Sliceable) -> None:
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
