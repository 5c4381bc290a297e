"""Read and write maps: images of labels or colours, and NumPy arrays of labels.

Annotation files are read, too; see `c2f_core.io.annotations` for writing them.
"""

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from c2f_core.classes.colours import DEFAULT_TOLERANCE, ColourDecoder, encode_colours
from c2f_core.classes.report import DecodeReport, MapReport
from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError, ImageError, enough_memory
from c2f_core.geometry.arrays import Sliceable, row_bands
from c2f_core.geometry.lazy import Writable
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, read_annotations
from c2f_core.io.atomic import atomic_path
from c2f_core.io.embedded import embedded_table, png_text, tiff_description
from c2f_core.io.images import ARRAY_SUFFIX, TIFF_SUFFIXES, check_lossless
from c2f_core.io.interpretation import class_indices, holds_indices, map_colours
from c2f_core.io.label_ids import cityscapes_table, is_label_id_map, read_label_ids
from c2f_core.io.large import open_map_pixels
from c2f_core.io.pixels import Pixels, StoredPixels
from c2f_core.io.png import write_png
from c2f_core.io.scratch import new_array

MapStyle = Literal["palette", "colour", "index"]
MAP_SUFFIXES = (".png", *TIFF_SUFFIXES, ARRAY_SUFFIX)
"""Suffixes of the files that `write_map` writes."""
STRIP = 1 << 18
"""Approximate number of bytes that are compressed at a time in a TIFF file."""


NO_MEMORY = (
    "There is not enough memory to read this map; close other programs, or cut image and map into "
    "parts."
)


def read_map(
    path: str | Path,
    class_table: ClassTable,
    tolerance: float = DEFAULT_TOLERANCE,
    image: str | Path | None = None,
    *,
    blended: bool = False,
) -> tuple[NDArray[np.unsignedinteger[Any]], MapReport]:
    """Read a map: a colour image, a palette image, an image of labels, or annotations.

    Fully transparent pixels are unlabelled.
    If the file has an embedded class table, its labels are converted by class name.
    If some classes were merely renamed, the labels are kept; if no name is known,
    the map is rejected. Files of Cityscapes that end in `_labelIds.png` have its label ids.

    Parameters
    ----------
    path : str or Path
        Image, NumPy array (.npy), or annotation file (.json, .xml).
    class_table : ClassTable
        Class table of the result.
    tolerance : float
        Maximum RGB distance from a class colour; see `decode_colours`.
    image : str or Path, optional
        Image to read the map of, if an annotation file covers several images.
    blended : bool
        Whether class colours are blended at boundaries; see `decode_colours`.

    Returns
    -------
    labels : (Y, X) unsigned integer array
        Labels of `class_table`.
    report : MapReport
        Report on pixels that could not be read exactly.

    Raises
    ------
    UnclearImageError
        If an annotation file covers several images, and `image` is not clearly one
        of them.
    DataError
        If the file is missing, truncated or not a map.
    ClassTableError
        If a label or class is not in the table, or the embedded table has none of
        its classes.
    """
    labels, report = open_map(path, class_table, None, tolerance, image, blended=blended)
    return labels[...], report


@enough_memory(DataError, NO_MEMORY)
def open_map(
    path: str | Path,
    class_table: ClassTable,
    folder: Path | None,
    tolerance: float = DEFAULT_TOLERANCE,
    image: str | Path | None = None,
    *,
    blended: bool = False,
) -> tuple[Writable, MapReport]:
    """Open a map as `read_map` reads it, without keeping a large one in memory.

    Parameters
    ----------
    path : str or Path
        Image, NumPy array (.npy), or annotation file (.json, .xml).
    class_table : ClassTable
        Class table of the result.
    folder : Path, optional
        Folder for the temporary files of a large map; without one, it is read into memory.
    tolerance, image, blended
        See `read_map`.

    Returns
    -------
    labels : (Y, X) unsigned integer array
        Labels of `class_table`: in memory if the map is small or from an annotation file, else
        on disk.
    report : MapReport
        Report on pixels that could not be read exactly.

    Raises
    ------
    C2FError
        As `read_map`.
    WritingError
        If a temporary file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in ANNOTATION_SUFFIXES:
        return read_annotations(path, class_table, image)
    if is_label_id_map(path) and embedded_table(path) is None:
        return _read_label_ids(path, class_table)
    pixels = open_map_pixels(path, folder)
    embedded = embedded_table(path)
    if embedded is not None:
        _check_shared_classes(path, embedded, class_table)
    source = embedded or class_table
    labels = new_array(pixels.size, class_table.label_dtype, folder)
    if holds_indices(path, pixels, source, tolerance):
        check_lossless(path)
        _read_indices(pixels, source, class_table, labels)
        return labels, DecodeReport(0, 0, (), math.prod(pixels.size))
    as_colours = map_colours(path, pixels)
    decoder = ColourDecoder(class_table, tolerance, blended=blended)
    for rows, part in pixels.bands():
        colours = _with_unlabelled(as_colours(part), part, class_table.unlabelled.colour)
        labels[rows] = decoder.decode_next(colours)
    return labels, decoder.report


def _read_indices(
    pixels: StoredPixels, source: ClassTable, class_table: ClassTable, labels: Writable
) -> None:
    """Convert class indices of the table of the source."""
    by_name = source != class_table and _converts_by_name(source, class_table)
    known = source if by_name else class_table
    for rows, part in pixels.bands():
        indices = _indices(part, source)
        try:
            class_ids = known.to_class_ids(indices)
        except ClassTableError:
            # Its message is to count the pixels of the whole map.
            known.check_labels(_indices(each, source) for _, each in pixels.bands())
            raise
        if by_name:
            class_ids = source.translate_ids(class_ids, class_table)
        labels[rows] = class_table.to_labels(class_ids)


def _indices(part: Pixels, source: ClassTable) -> NDArray[Any]:
    return _with_unlabelled(class_indices(part), part, source.unlabelled.index)


def _read_label_ids(
    path: Path, class_table: ClassTable
) -> tuple[NDArray[np.unsignedinteger[Any]], MapReport]:
    class_ids, report = read_label_ids(path)
    source = cityscapes_table()
    _check_shared_classes(path, source, class_table)
    return class_table.to_labels(source.translate_ids(class_ids, class_table)), report


def _with_unlabelled(values: NDArray[Any], pixels: Pixels, unlabelled: Any) -> NDArray[Any]:
    """Return indices or colours in which transparent pixels are unlabelled."""
    transparent = pixels.transparent
    if transparent is None:
        return values
    values = values.astype(np.promote_types(values.dtype, np.min_scalar_type(np.max(unlabelled))))
    values[transparent] = unlabelled
    return values


def _check_shared_classes(path: Path, embedded: ClassTable, wanted: ClassTable) -> None:
    """Check that the embedded table has at least one class of the wanted table."""
    if set(embedded.names).isdisjoint(wanted.names):
        raise ClassTableError(
            f"{path.name} was drawn with the class table '{embedded.name}' "
            f"({', '.join(embedded.names)}), which has none of the classes of '{wanted.name}' "
            f"({', '.join(wanted.names)}); choose '{embedded.name}', or a model for its classes."
        )


def _converts_by_name(embedded: ClassTable, wanted: ClassTable) -> bool:
    """Return whether labels are converted by name, rather than kept because of renamed classes."""
    if embedded == wanted:
        return False
    labels = {entry.name: entry.index for entry in wanted.classes}
    if embedded.unlabelled.name in labels:
        return False
    # Renaming changes no label: if a label differs, the table is a different one.
    shared = [entry for entry in embedded.classes if entry.name in labels]
    has_moved = any(entry.index != labels[entry.name] for entry in shared)
    return has_moved or len(shared) == embedded.number_of_classes


@enough_memory(DataError, "There is not enough memory to write this map; close other programs.")
def write_map(
    path: str | Path,
    labels: Sliceable,
    class_table: ClassTable,
    style: MapStyle = "palette",
) -> None:
    """Write a map atomically as PNG or TIFF, both with an embedded class table, or as NPY.

    It is read, converted and written in bands of rows.

    Parameters
    ----------
    path : str or Path
        File name that ends in .png, .tif, .tiff or .npy.
    labels : (Y, X) integer array
        Labels of `class_table`, in memory or on disk.
    class_table : ClassTable
        Class table of the map.
    style : {"palette", "colour", "index"}
        Palette PNG (labels up to 255 with the class colours), RGB image, or plain
        grey image of the labels. NPY always stores the labels.

    Raises
    ------
    ImageError
        If the map is not two-dimensional.
    ClassTableError
        If the map has a label that is not in the table.
    DataError
        If the suffix or style is not supported, or the file cannot be written.
    """
    path = Path(path)
    check_map_suffix(path)
    if len(labels.shape) != 2:
        raise ImageError(
            f"The map has shape {tuple(labels.shape)}, but only two-dimensional maps can be "
            "written; give one plane of it."
        )
    if path.suffix.lower() in TIFF_SUFFIXES:
        _write_tiff(path, labels, class_table, style)
    elif path.suffix.lower() == ARRAY_SUFFIX:
        _write_array(path, labels, class_table)
    else:
        _write_png(path, labels, class_table, style)


def _bands(
    labels: Sliceable, class_table: ClassTable, style: MapStyle, rows: Iterable[slice]
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Yield bands of rows as they are written: labels, or colours in this style."""
    for each in rows:
        class_ids = class_table.to_class_ids(np.asarray(labels[each]))
        band = class_table.to_labels(class_ids)
        yield encode_colours(band, class_table) if style == "colour" else band


def check_map_suffix(path: Path) -> None:
    """Check that a file name has a suffix that `write_map` supports.

    Raises
    ------
    DataError
        If it has another suffix.
    """
    if path.suffix.lower() not in MAP_SUFFIXES:
        raise DataError(f"Maps are written as .png, .tif or .npy; rename {path.name}.")


def _write_array(path: Path, labels: Sliceable, class_table: ClassTable) -> None:
    dtype = class_table.label_dtype
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": labels.shape,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for band in _bands(labels, class_table, "index", row_bands(labels.shape)):
            file.write(band.tobytes())


def _write_tiff(path: Path, labels: Sliceable, class_table: ClassTable, style: MapStyle) -> None:
    is_colour = style == "colour"
    shape = (*labels.shape, 3) if is_colour else labels.shape
    dtype = np.dtype(np.uint8) if is_colour else class_table.label_dtype
    rows = max(1, STRIP // max(1, math.prod(shape[1:]) * dtype.itemsize))
    strips = (slice(start, start + rows) for start in range(0, shape[0], rows))
    bands = _bands(labels, class_table, style, strips)
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            (zlib.compress(band.astype(dtype.newbyteorder("<")).tobytes()) for band in bands),
            shape=shape,
            dtype=dtype,
            byteorder="<",
            photometric="rgb" if is_colour else "minisblack",
            rowsperstrip=rows,
            compression="zlib",
            description=tiff_description(class_table),
        )


def _write_png(path: Path, labels: Sliceable, class_table: ClassTable, style: MapStyle) -> None:
    palette = _palette(class_table) if style == "palette" else b""
    with atomic_path(path) as temporary:
        write_png(
            temporary,
            (labels.shape[0], labels.shape[1]),
            _bands(labels, class_table, style, row_bands(labels.shape)),
            palette,
            png_text(class_table),
        )


def _palette(class_table: ClassTable) -> bytes:
    if class_table.label_dtype != np.uint8:
        raise DataError(
            "A palette PNG can only store indices up to 255; write this class table as a colour or "
            "index image."
        )
    palette = np.zeros((256, 3), dtype=np.uint8)
    for entry in class_table.entries:
        palette[entry.index] = entry.colour
    return palette.tobytes()
