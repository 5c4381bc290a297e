"""What pixels a file holds, however its kind stores them."""

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from c2f_core.errors import DataError

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
ARRAY_SUFFIX = ".npy"
PLAIN_MODES = {"LA": "L", "CMYK": "RGB"}
"""What Pillow's modes of grey with alpha and of printing colours are read as."""
ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}
"""What TIFF calls the second sample of grey with alpha."""
MAP_MODES = PLAIN_MODES | {"P": "RGB"}
"""The same for maps, which palettes tell apart by their colours."""


def read_image(path: str | Path) -> NDArray[Any]:
    """Read an image as it is stored; grey without its alpha and printing colours (CMYK) as RGB.

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array

    Raises
    ------
    DataError
        The file is missing, truncated or no image.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            image = _read_tiff(path)
        else:
            # A file that imageio opens itself stays open where it cannot be read.
            with path.open("rb") as file:
                image = iio.imread(file, extension=path.suffix.lower(), mode=_plain_mode(path))
    except Exception as error:  # Each codec raises errors of its own, in words of its own.
        if isinstance(error, Image.DecompressionBombError):
            raise _too_many_pixels(path) from error
        reason = getattr(error, "strerror", None) or "it is damaged, or of another kind"
        raise DataError(
            f"{path} cannot be read as an image ({reason}); check that the file is whole."
        ) from error
    return image


def _read_tiff(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as opened:
        page = opened.pages.first
        if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            with Image.open(path) as picture:  # It knows how to mix printing colours.
                return np.array(picture.convert("RGB"))
        image: NDArray[Any] = opened.asarray()
        has_alpha = not ALPHA.isdisjoint(page.extrasamples)
    is_grey = page.samplesperpixel == 2 and image.shape[2:] == (2,)
    return image[..., 0] if has_alpha and is_grey else image


def _plain_mode(path: Path) -> str | None:
    """Tell Pillow's mode to convert an image to; None where it stays as it is stored."""
    with Image.open(path) as opened:
        return PLAIN_MODES.get(opened.mode)


def _too_many_pixels(path: Path) -> DataError:
    """Pillow takes compressed images of more pixels for an attack on the memory."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return DataError(
        f"{path} has more than {limit:,} pixels, the most that is read of this kind of file; save "
        "it as a TIFF."
    )


def read_map_pixels(path: Path) -> NDArray[Any]:
    """Read a map's pixels: palette images as RGB, all others as `read_image` does.

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array

    Raises
    ------
    DataError
        The file is missing, truncated or no image.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        pixels = _with_palette(path, read_image(path))
    elif path.suffix.lower() == ARRAY_SUFFIX:
        pixels = _read_array(path)
    else:
        try:
            with Image.open(path) as opened:
                pixels = np.array(opened.convert(MAP_MODES.get(opened.mode)))
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(path) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read as a map ({error}); check that the file is whole."
            ) from error
    if pixels.ndim not in (2, 3):
        raise DataError(f"{path} has shape {pixels.shape}; a map is one plane (Y, X).")
    return pixels


def _with_palette(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the colours of a TIFF of places in a palette; any other as it is."""
    with tifffile.TiffFile(path) as opened:
        page = opened.pages.first
        if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
            return pixels
        colours = np.moveaxis(page.colormap >> 8, 0, -1).astype(np.uint8)
    return np.asarray(colours[pixels])


def _read_array(path: Path) -> NDArray[Any]:
    try:
        # A pickle could execute anything.
        with path.open("rb") as file:
            array: NDArray[Any] = np.load(file, allow_pickle=False)
    except Exception as error:  # A damaged header raises errors of many kinds.
        raise DataError(
            f"{path} cannot be read as a map ({error}); save an array of class indices."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of arrays; save one array of class indices.")
    return array
