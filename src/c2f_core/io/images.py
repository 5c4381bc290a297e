"""Read and write image files, and read the pixels of maps."""

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
ARRAY_SUFFIX = ".npy"
PLAIN_MODES = {"LA": "L", "CMYK": "RGB"}
"""Pillow modes, and the modes they are converted to: grey without alpha, CMYK as RGB."""
MAP_MODES = PLAIN_MODES | {"P": "RGB"}
"""The same for maps, whose palettes are read as colours."""
ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}


def read_image(path: str | Path) -> NDArray[Any]:
    """Read an image in its stored dtype; grey without alpha, and CMYK as RGB.

    Parameters
    ----------
    path : str or Path
        Path of the image file.

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array

    Raises
    ------
    DataError
        If the file is missing, truncated or not an image.
    """
    path = Path(path)
    try:
        return _read_tiff(path) if is_tiff(path) else _read_with_imageio(path)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except Exception as error:  # Each codec raises its own errors, with its own messages.
        reason = getattr(error, "strerror", None) or "it is damaged or of another type"
        raise DataError(
            f"{path} cannot be read as an image ({reason}); check that the file is complete."
        ) from error


def write_image(path: str | Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write an image atomically as PNG.

    Parameters
    ----------
    path : str or Path
        Path of the PNG file.
    image : (Y, X) uint8 or uint16 array, or (Y, X, 3) uint8 array
        Grey or RGB image.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def read_map_pixels(path: Path) -> NDArray[Any]:
    """Read the pixels of a map: palette images as RGB, all others as `read_image` does.

    Parameters
    ----------
    path : Path
        Image file or NumPy array (.npy).

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array

    Raises
    ------
    DataError
        If the file is missing, truncated or not an image.
    """
    if is_tiff(path):
        pixels = _palette_to_rgb(path, read_image(path))
    elif path.suffix.lower() == ARRAY_SUFFIX:
        pixels = _read_array(path)
    else:
        pixels = _read_map_with_pillow(path)
    if pixels.ndim not in (2, 3):
        raise DataError(f"{path} has shape {pixels.shape}; a map is one plane (Y, X).")
    return pixels


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF by its suffix."""
    return path.suffix.lower() in TIFF_SUFFIXES


def _read_tiff(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as opened:
        page = opened.pages.first
        if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            with Image.open(path) as picture:  # Pillow converts CMYK.
                return np.array(picture.convert("RGB"))
        image: NDArray[Any] = opened.asarray()
        has_alpha = not ALPHA.isdisjoint(page.extrasamples)
    is_grey = page.samplesperpixel == 2 and image.shape[2:] == (2,)
    return image[..., 0] if has_alpha and is_grey else image


def _read_with_imageio(path: Path) -> NDArray[Any]:
    with Image.open(path) as opened:
        mode = PLAIN_MODES.get(opened.mode)
    # imageio leaves a file open that it opened itself and failed to read.
    with path.open("rb") as file:
        return iio.imread(file, extension=path.suffix.lower(), mode=mode)


def _read_map_with_pillow(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as opened:
            return np.array(opened.convert(MAP_MODES.get(opened.mode)))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a map ({error}); check that the file is complete."
        ) from error


def _palette_to_rgb(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the colours of a palette TIFF, the pixels of any other TIFF unchanged."""
    with tifffile.TiffFile(path) as opened:
        page = opened.pages.first
        if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
            return pixels
        colours = np.moveaxis(page.colormap >> 8, 0, -1).astype(np.uint8)
    return np.asarray(colours[pixels])


def _read_array(path: Path) -> NDArray[Any]:
    try:
        # Unpickling could execute code.
        with path.open("rb") as file:
            array: NDArray[Any] = np.load(file, allow_pickle=False)
    except Exception as error:  # A damaged header raises errors of many types.
        raise DataError(
            f"{path} cannot be read as a map ({error}); save an array of class indices."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of arrays; save a single array of class indices.")
    return array


def _too_many_pixels(path: Path) -> DataError:
    # Pillow rejects compressed images of more pixels as an attack on the memory.
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return DataError(
        f"{path} has more than {limit:,} pixels, the maximum for this type of file; save it as a "
        "TIFF."
    )
