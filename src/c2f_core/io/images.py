"""Read and write image files, and read the pixels of maps."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import COMPRESSION

from c2f_core.documents import check_regular_file
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.pixels import ORIENTATION_TAG, UPRIGHT, Kind, Pixels
from c2f_core.io.png import (
    bits_of_grey,
    check_png,
    check_rows,
    is_deep_colour,
    is_png,
    png_head,
)
from c2f_core.io.tiff import read_tiff, tiff_compression, tiff_orientation

IMAGE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
TIFF_BYTE_ORDERS = (b"II", b"MM")
"""First bytes of TIFF files of either byte order."""
JPEG_SIGNATURE = b"\xff\xd8\xff"
ARRAY_SUFFIX = ".npy"
KEPT_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "LA", "RGB", "RGBA")
"""Pillow modes that are read as they are."""
CONVERTED_MODES = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
"""Modes that all others are converted to, if not to RGB."""
SIDEWAYS = {
    5: "mirror the map along the diagonal from the upper left to the lower right",
    6: "turn the map clockwise by 90 degrees",
    7: "mirror the map along the diagonal from the upper right to the lower left",
    8: "turn the map anticlockwise by 90 degrees",
}
"""Orientations that exchange rows and columns, and how to turn a map of the stored picture."""
DAMAGED_EXIF = (
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    OSError,
    struct.error,
    UserWarning,
)
"""What Pillow raises if metadata are damaged; warnings are errors if Python is set so."""


def read_image(path: str | Path) -> NDArray[Any]:
    """Read an image upright in its stored dtype; grey without alpha, all other colours as RGB.

    Parameters
    ----------
    path : str or Path
        Path of the image file. Its EXIF orientation, or tag 274 of a TIFF file, is applied.

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array

    Raises
    ------
    DataError
        If the file is missing, truncated, not an image, not a regular file, or of a kind that
        cannot be read.
    """
    return read_pixels(path, "image").shown


def read_pixels(path: str | Path, kind: Kind) -> Pixels:
    """Read the pixels of an image file, upright.

    Parameters
    ----------
    path : str or Path
        Path of the image file.
    kind : {"image", "map"}
        What the file should be: samples of less than 8 bits are intensities or class indices.

    Raises
    ------
    DataError
        If the file cannot be read; see `read_image`.
    """
    path = Path(path)
    with reading(path, kind):
        return read_tiff(path, kind) if is_tiff(path) else _read_with_pillow(path, kind)


@contextmanager
def reading(path: Path, kind: Kind) -> Iterator[None]:
    """Raise an error with a sentence for the user if an image cannot be read inside this block.

    Parameters
    ----------
    path : Path
        Path of the image file.
    kind : {"image", "map"}
        What the file should be, for the error message.

    Raises
    ------
    DataError
        If the file is not a regular file, or an error occurs.
    """
    check_regular_file(path, DataError)
    try:
        yield
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except MemoryError as error:
        raise DataError(
            f"{path} needs more memory than there is; close other programs, or cut the {kind} into "
            "parts."
        ) from error
    except Exception as error:  # Each codec raises its own errors, with its own messages.
        reason = getattr(error, "strerror", None) or "it is damaged or of another type"
        raise DataError(
            f"{path} cannot be read as {'an image' if kind == 'image' else 'a map'} ({reason}); "
            "check that the file is complete."
        ) from error


def stored_orientation(path: str | Path) -> int:
    """Return the EXIF orientation of an image file, 1 to 8, which `read_image` applies.

    Raises
    ------
    DataError
        If the file is missing or not an image.
    """
    path = Path(path)
    check_regular_file(path, DataError)
    try:
        found = tiff_orientation(path) if is_tiff(path) else exif_orientation(path)
    except Exception as error:  # Each codec raises its own errors, with its own messages.
        raise DataError(
            f"{path} cannot be read as an image; check that the file is complete."
        ) from error
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


def check_frame(path: str | Path, image: tuple[int, ...], drawn: tuple[int, ...]) -> None:
    """Check that a map was not drawn on the sideways picture that an image file stores.

    Parameters
    ----------
    path, image, drawn
        See `frame_problem`. Maps of any other size are for the caller to refuse.

    Raises
    ------
    DataError
        If the map only fits the picture as it is stored.
    """
    problem = frame_problem(path, image, drawn)
    if problem:
        raise DataError(problem)


def frame_problem(path: str | Path, image: tuple[int, ...], drawn: tuple[int, ...]) -> str:
    """Return why a map does not fit an upright image if it fits the picture as it is stored.

    Parameters
    ----------
    path : str or Path
        Path of the image file.
    image : (int, int)
        Rows and columns of the upright image.
    drawn : (int, int)
        Rows and columns of the map.

    Returns
    -------
    str
        Explanation for the user; empty if the map fits the image, or fits neither of the two.
    """
    if drawn == image or drawn != image[::-1]:
        return ""
    orientation = stored_orientation(path)
    if orientation not in SIDEWAYS:
        return ""
    return (
        f"The map of {Path(path).name} has {drawn[0]} rows and {drawn[1]} columns, like the "
        f"picture as it is stored, but the image is shown upright (EXIF orientation "
        f"{orientation}), with {image[0]} rows and {image[1]} columns; "
        f"{SIDEWAYS[orientation]}, or draw it on the upright image."
    )


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
    return read_map_file(path).shown


def read_map_file(path: Path) -> Pixels:
    """Read the pixels of a map, as the file stores them, upright.

    Parameters
    ----------
    path : Path
        Image file or NumPy array (.npy).

    Raises
    ------
    DataError
        If the file is missing, truncated or not an image.
    """
    if path.suffix.lower() != ARRAY_SUFFIX:
        return read_pixels(path, "map")
    return Pixels(map_plane(path, open_array(path)))


def map_plane(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Return the plane of an array of a map, without axes of length one.

    Raises
    ------
    DataError
        If the array is not a plane of class indices or colours.
    """
    plane = _without_single_axes(array)
    if plane.size == 0:
        raise DataError(f"{path} has shape {array.shape}, and no pixels; save the map again.")
    if plane.ndim not in (2, 3) or plane.shape[2:] not in ((), (3,), (4,)):
        raise DataError(
            f"{path} has shape {array.shape}; a map is one plane of class indices (Y, X), or of "
            "colours (Y, X, 3)."
        )
    return plane


def _without_single_axes(array: NDArray[Any]) -> NDArray[Any]:
    """Return a plane without axes of length one before or after its rows and columns."""
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    while array.ndim > 3 or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        if array.shape[0] != 1:
            break
        array = array[0]
    return array


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF by its first bytes, whatever its suffix."""
    with path.open("rb") as file:
        return file.read(2) in TIFF_BYTE_ORDERS


def is_jpeg(path: Path) -> bool:
    """Return whether a file is compressed as JPEG, also within a TIFF file."""
    with path.open("rb") as file:
        if file.read(len(JPEG_SIGNATURE)) == JPEG_SIGNATURE:
            return True
    return is_tiff(path) and tiff_compression(path) == COMPRESSION.JPEG


def check_lossless(path: Path) -> None:
    """Check that a file of class indices is not a JPEG, which changes them.

    Raises
    ------
    DataError
        If it is one.
    """
    if is_jpeg(path):
        raise DataError(
            f"{path} is compressed as JPEG, which changes class indices; save the map again as "
            "PNG, as TIFF with a lossless compression, or as a NumPy array."
        )


def _read_with_pillow(path: Path, kind: Kind) -> Pixels:
    if is_png(path):
        check_png(path)
        check_rows(path)
        return png_pixels(path.read_bytes(), kind).upright(exif_orientation(path))
    with Image.open(path) as opened:
        return pillow_pixels(opened).upright(_orientation(opened))


def png_pixels(content: bytes, kind: Kind) -> Pixels:
    """Decode a PNG file, as it is stored; see `read_pixels`."""
    if is_deep_colour(content):
        return Pixels(imagecodecs.png_decode(content))
    with Image.open(BytesIO(content)) as opened:
        decoded = pillow_pixels(opened)
    if kind == "map" and (bits := bits_of_grey(content)) in (2, 4):
        # Pillow returns them as intensities from 0 to 255.
        return replace(decoded, values=decoded.values // (255 // ((1 << bits) - 1)))
    return decoded


def exif_orientation(path: Path) -> Any:
    """Return the EXIF orientation of an image file that Pillow reads."""
    # Pillow would decode all of a PNG file.
    with Image.open(BytesIO(png_head(path)) if is_png(path) else path) as opened:
        return _orientation(opened)


def _orientation(picture: Image.Image) -> Any:
    try:
        return picture.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except DAMAGED_EXIF:  # As in viewers, damaged metadata turn nothing.
        return UPRIGHT


def pillow_pixels(picture: Image.Image) -> Pixels:
    """Return the pixels of a picture, as it is stored."""
    if picture.mode == "P":
        return _palette_pixels(picture)
    if picture.mode in ("L", "RGB") and "transparency" in picture.info:
        picture = picture.convert(f"{picture.mode}A")
    if picture.mode not in KEPT_MODES:
        picture = picture.convert(CONVERTED_MODES.get(picture.mode, "RGB"))
    return Pixels(np.array(picture))


def _palette_pixels(picture: Image.Image) -> Pixels:
    indices = np.array(picture)
    colours = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    if "transparency" in picture.info:
        alpha = np.array(picture.convert("RGBA"))[..., 3]
        indices = np.stack([indices, alpha], axis=-1)
    return Pixels(indices, colours)


def open_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read the array in a .npy file.

    Parameters
    ----------
    path : Path
        Path of the file.
    mapped : bool
        Whether the values are only read where they are sliced.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not a single array.
    """
    check_regular_file(path, DataError)
    try:
        # Unpickling could execute code.
        if mapped:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with path.open("rb") as file:
                array = np.load(file, allow_pickle=False)
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
