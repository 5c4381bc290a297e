"""Read and write maps: images of labels or colours, and NumPy arrays of labels.

Annotation files are read, too; see `c2f_core.io.annotations` for writing them.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from c2f_core.classes.colours import DEFAULT_TOLERANCE, decode_colours, encode_colours
from c2f_core.classes.report import DecodeReport, MapReport
from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError, ImageError, enough_memory
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, read_annotations
from c2f_core.io.atomic import atomic_path
from c2f_core.io.embedded import embedded_table, png_text, tiff_description
from c2f_core.io.images import ARRAY_SUFFIX, TIFF_SUFFIXES, is_tiff, read_map_file
from c2f_core.io.interpretation import class_indices, map_colours
from c2f_core.io.label_ids import cityscapes_table, is_label_id_map, read_label_ids
from c2f_core.io.pixels import Pixels

MapStyle = Literal["palette", "colour", "index"]
MAP_SUFFIXES = (".png", *TIFF_SUFFIXES, ARRAY_SUFFIX)
"""Suffixes of the files that `write_map` writes."""


@enough_memory(
    DataError,
    "There is not enough memory to read this map; close other programs, or cut image and map into "
    "parts.",
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
    path = Path(path)
    if path.suffix.lower() in ANNOTATION_SUFFIXES:
        return read_annotations(path, class_table, image)
    if is_label_id_map(path) and embedded_table(path) is None:
        return _read_label_ids(path, class_table)
    pixels = read_map_file(path)
    embedded = embedded_table(path)
    if embedded is not None:
        _check_shared_classes(path, embedded, class_table)
    source = embedded or class_table
    indices = class_indices(path, pixels, source, tolerance)
    if indices is None:
        colours = _with_unlabelled(map_colours(path, pixels), pixels, class_table.unlabelled.colour)
        return decode_colours(colours, class_table, tolerance, blended=blended)
    indices = _with_unlabelled(indices, pixels, source.unlabelled.index)
    if embedded is not None and _converts_by_name(embedded, class_table):
        indices = embedded.translate(indices, class_table)
    class_ids = class_table.to_class_ids(indices)
    return class_table.to_labels(class_ids), DecodeReport(0, 0, (), class_ids.size)


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
    labels: NDArray[Any],
    class_table: ClassTable,
    style: MapStyle = "palette",
) -> None:
    """Write a map atomically as PNG or TIFF, both with an embedded class table, or as NPY.

    Parameters
    ----------
    path : str or Path
        File name that ends in .png, .tif, .tiff or .npy.
    labels : (Y, X) integer array
        Labels of `class_table`.
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
    if np.ndim(labels) != 2:
        raise ImageError(
            f"The map has shape {np.shape(labels)}, but only two-dimensional maps can be written; "
            "give one plane of it."
        )
    labels = class_table.to_labels(class_table.to_class_ids(labels))
    if is_tiff(path):
        _write_tiff(path, labels, class_table, style)
    elif path.suffix.lower() == ARRAY_SUFFIX:
        with atomic_path(path) as temporary:
            np.save(temporary, labels, allow_pickle=False)
    else:
        _write_png(path, labels, class_table, style)


def check_map_suffix(path: Path) -> None:
    """Check that a file name has a suffix that `write_map` supports.

    Raises
    ------
    DataError
        If it has another suffix.
    """
    if path.suffix.lower() not in MAP_SUFFIXES:
        raise DataError(f"Maps are written as .png, .tif or .npy; rename {path.name}.")


def _write_tiff(path: Path, labels: NDArray[Any], class_table: ClassTable, style: MapStyle) -> None:
    pixels = encode_colours(labels, class_table) if style == "colour" else labels
    description = tiff_description(class_table)
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, pixels, compression="zlib", description=description)


def _write_png(path: Path, labels: NDArray[Any], class_table: ClassTable, style: MapStyle) -> None:
    if style == "palette":
        picture = _palette_image(labels, class_table)
    else:
        colours = encode_colours(labels, class_table) if style == "colour" else labels
        picture = Image.fromarray(colours)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=png_text(class_table))


def _palette_image(labels: NDArray[Any], class_table: ClassTable) -> Image.Image:
    if labels.dtype != np.uint8:
        raise DataError(
            "A palette PNG can only store indices up to 255; write this class table as a colour or "
            "index image."
        )
    palette = np.zeros((256, 3), dtype=np.uint8)
    for entry in class_table.entries:
        palette[entry.index] = entry.colour
    picture = Image.fromarray(labels)
    picture.putpalette(palette.tobytes())
    return picture
