"""Open images and maps of any size: large ones are decoded part by part onto the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Size, Sliceable, Window, blocks, extent, row_bands, to_corner
from c2f_core.geometry.lazy import Computed
from c2f_core.io.images import (
    ARRAY_SUFFIX,
    exif_orientation,
    is_tiff,
    map_plane,
    open_array,
    pillow_pixels,
    png_pixels,
    read_map_file,
    read_pixels,
    reading,
)
from c2f_core.io.pixels import UPRIGHT, Kind, Parts, Pixels, StoredPixels, upright_window
from c2f_core.io.png import Header, check_png, is_png, png_bands
from c2f_core.io.scratch import Scratch, is_large
from c2f_core.io.tiff import first_page, tiff_parts

SIDE = 1024
"""Side in pixels of the blocks in which pixels are written to the disk."""


def open_image(path: str | Path, folder: Path) -> Sliceable:
    """Open an image file as `read_image` reads it, without keeping a large one in memory.

    Parameters
    ----------
    path : str or Path
        Path of the image file.
    folder : Path
        Folder for the temporary file that a large image is decoded into.

    Returns
    -------
    (Y, X) or (Y, X, 3 or 4) array
        In memory if the image is small, else on disk; what is sliced is loaded.

    Raises
    ------
    DataError
        If the file cannot be read; see `read_image`.
    WritingError
        If the temporary file cannot be written.
    """
    return shown_pixels(_open(Path(path), "image", folder))


def open_map_pixels(path: Path, folder: Path | None) -> StoredPixels:
    """Open the pixels of a map as the file stores them, upright.

    Parameters
    ----------
    path : Path
        Image file or NumPy array (.npy).
    folder : Path, optional
        Folder for the temporary file that a large map is decoded into; without one, all maps
        are read into memory.

    Raises
    ------
    DataError
        If the file cannot be read; see `read_map_file`.
    WritingError
        If the temporary file cannot be written.
    """
    return _open(path, "map", folder)


def shown_pixels(stored: StoredPixels) -> Sliceable:
    """Return grey values or colours, which are computed where they are sliced if on disk."""
    if isinstance(stored.values, np.ndarray):
        return stored[...].shown
    sample = stored[:1, :1].shown
    shape = (*stored.size, *sample.shape[2:])
    return Computed(shape, sample.dtype, lambda key: stored[key].shown)


def _open(path: Path, kind: Kind, folder: Path | None) -> StoredPixels:
    if folder is not None:
        with reading(path, kind):
            if kind == "map" and path.suffix.lower() == ARRAY_SUFFIX:
                if _is_large_array(path):
                    return _decoded_to_disk(_array_parts(path), folder)
            elif is_large(_stored_size(path)):
                with _parts(path, kind) as parts:
                    return _decoded_to_disk(parts, folder)
    pixels = read_map_file(path) if kind == "map" else read_pixels(path, kind)
    return StoredPixels(pixels.values, pixels.palette)


def _stored_size(path: Path) -> Size:
    """Return height and width of a picture as it is stored."""
    if is_tiff(path):
        with first_page(path) as page:
            return page.imagelength, page.imagewidth
    if is_png(path):
        header = Header.of(path)
        return header.height, header.width
    with Image.open(path) as opened:
        return opened.height, opened.width


@contextmanager
def _parts(path: Path, kind: Kind) -> Iterator[Parts]:
    """Open an image file, to be decoded part by part if its format allows that."""
    if is_tiff(path):
        with tiff_parts(path, kind) as parts:
            yield parts or _as_one_part(path, kind)
    elif not is_png(path):
        with Image.open(path) as opened:
            yield Parts((opened.height, opened.width), exif_orientation(path), _bands(opened))
    elif (header := Header.of(path)).interlaced:
        yield _as_one_part(path, kind)
    else:
        check_png(path)
        columns = slice(0, header.width)
        bands = (((rows, columns), png_pixels(content, kind)) for rows, content in png_bands(path))
        yield Parts((header.height, header.width), exif_orientation(path), bands)


def _as_one_part(path: Path, kind: Kind) -> Parts:
    """Decode an image file at once."""
    pixels = read_pixels(path, kind)
    height, width = pixels.values.shape[:2]
    window = slice(0, height), slice(0, width)
    return Parts((height, width), UPRIGHT, iter([(window, pixels)]))


def _bands(picture: Image.Image) -> Iterator[tuple[Window, Pixels]]:
    """Yield bands of a picture, which Pillow decodes at once."""
    picture.load()
    for rows in row_bands((picture.height, picture.width)):
        part = picture.crop((0, rows.start, picture.width, rows.stop))
        yield (rows, slice(0, picture.width)), pillow_pixels(part)


def _is_large_array(path: Path) -> bool:
    # Small files are not mapped, as some of them cannot be.
    return is_large((path.stat().st_size, 1)) and is_large(_mapped_plane(path).shape)


def _mapped_plane(path: Path) -> NDArray[Any]:
    return map_plane(path, open_array(path, mapped=True))


def _array_parts(path: Path) -> Parts:
    height, width = _mapped_plane(path).shape[:2]

    def bands() -> Iterator[tuple[Window, Pixels]]:
        for rows in row_bands((height, width)):
            # Mapped anew for each band: pages that were mapped count as memory of the process.
            yield (rows, slice(0, width)), Pixels(np.array(_mapped_plane(path)[rows]))

    return Parts((height, width), UPRIGHT, bands())


def _decoded_to_disk(parts: Parts, folder: Path) -> StoredPixels:
    """Write pixels upright into a temporary file."""
    kept: StoredPixels | None = None
    whole = slice(0, parts.size[0]), slice(0, parts.size[1])
    height, width = extent(upright_window(whole, parts.size, parts.orientation))
    for window, pixels in parts.decoded:
        if kept is None:
            shape = (height, width, *pixels.values.shape[2:])
            scratch = Scratch(shape, pixels.values.dtype, folder)
            kept = StoredPixels(scratch, pixels.palette)
        for block in blocks(extent(window), SIDE):
            there = upright_window(to_corner(block, window), parts.size, parts.orientation)
            turned = Pixels(pixels.values[block]).upright(parts.orientation)
            scratch[there] = turned.values
    if kept is None:
        raise DataError("The image is empty; save it again.")
    return kept
