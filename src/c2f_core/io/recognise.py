"""Recognise maps among image files, and the class table that they were drawn with."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.colours import DEFAULT_TOLERANCE
from c2f_core.classes.table import PRESETS, ClassTable, Colour
from c2f_core.errors import DataError, enough_memory
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, class_names, open_annotations, own_table
from c2f_core.io.embedded import embedded_table
from c2f_core.io.images import check_lossless, is_jpeg, read_map_file
from c2f_core.io.interpretation import (
    check_not_one_hot,
    class_indices,
    holds_indices,
    map_colours,
)
from c2f_core.io.label_ids import cityscapes_table, is_label_id_map
from c2f_core.io.pixels import StoredPixels

MIN_SHARE = 0.8
"""Minimum share of pixels with exactly a class colour; photographs have hardly any."""
MOST_VALUES = 64
"""Largest number of labels or colours of what is taken for a map without class names."""
MIN_VALUES = 3
"""Minimum number of values of a grey map of a preset; two values are probably a mask."""
MIN_NAMES = 3
"""Minimum number of classes from which on annotations may use a preset instead of their own."""
SAMPLE_SIDE = 512
"""Minimum number of rows and columns of a colour image that are compared."""
RGB_CODE = np.array([65536, 256, 1], dtype=np.uint32)
"""Factors that turn a colour into one number."""
TABLE_NAMES = ("classes.toml", "classes.json")


@enough_memory(
    DataError,
    "There is not enough memory to look for the class table of this map; close other programs, or "
    "choose the class table.",
)
def recognise_table(path: str | Path, image: str | Path | None = None) -> ClassTable | None:
    """Return the class table of a map, or None if the file is probably a photograph.

    Candidates are, in this order: the table embedded in the file; `classes.toml` or
    `classes.json` in its folder or the parent folder; the presets. A colour image
    matches a table if most of its pixels have exactly a class colour, a grey image if
    all of its values are labels of the table. If several presets match, the one with
    the largest share wins, then the smallest one. Annotation files match a table
    that has all of their classes; otherwise they get a table of their classes.

    Parameters
    ----------
    path : str or Path
        PNG, BMP, TIFF, NPY or annotation file.
    image : str or Path, optional
        Image of the map. Its classes count if an annotation file of several images has too many.

    Raises
    ------
    DataError
        If the file is missing, truncated or not a map.
    ClassTableError
        If the class table next to the file is not valid.
    """
    path = Path(path)
    if path.suffix.lower() in ANNOTATION_SUFFIXES:
        return _table_of_annotations(path, image)
    embedded = embedded_table(path)
    if embedded is not None:
        return embedded
    if is_label_id_map(path):
        return cityscapes_table()
    stored = _stored(path)
    pixels = _comparable(path, stored)
    nearby = table_in_folder(path)
    if nearby is not None and (
        share_in_table(pixels, nearby) >= MIN_SHARE or _has_only_labels(path, stored, nearby)
    ):
        return nearby
    return None if is_jpeg(path) and pixels.ndim == 2 else _matching_preset(pixels)


def plain_values(path: str | Path) -> list[int] | list[Colour] | None:
    """Return the labels or colours of a map without class names.

    Parameters
    ----------
    path : str or Path
        PNG, BMP, TIFF or NPY file.

    Returns
    -------
    list of int, or list of (int, int, int)
        Different values of a grey image or integer array, or different colours of a
        colour or palette image without its transparent pixels; None if there is one colour
        everywhere, or too many values for a map.

    Raises
    ------
    DataError
        If the file is missing, truncated or not a map.
    """
    path = Path(path)
    if path.suffix.lower() in ANNOTATION_SUFFIXES:
        return None
    pixels = _comparable(path, _stored(path))
    if pixels.ndim == 2:
        check_lossless(path)
        if pixels.dtype.kind not in "iub" or pixels.min() < 0:
            raise DataError(
                f"{path} has {'negative' if pixels.dtype.kind == 'i' else pixels.dtype} values; "
                "save it with class indices from 0, and 255 where nothing is known."
            )
        labels = [int(label) for label in np.unique(pixels)]
        return labels if len(labels) <= MOST_VALUES else None
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        colours = pixels[..., :3].reshape(-1, 3)
        # What was not painted is transparent, and unlabelled, whatever colour it hides.
        painted = colours if pixels.shape[2] == 3 else colours[pixels[..., 3].ravel() > 0]
        rows = np.unique(painted, axis=0)
        fewest = 1 if len(painted) < len(colours) else 2
        if fewest <= len(rows) <= MOST_VALUES:
            return [(int(red), int(green), int(blue)) for red, green, blue in rows]
    return None


def _stored(path: Path) -> StoredPixels:
    pixels = read_map_file(path)
    return StoredPixels(pixels.values, pixels.palette)


def _comparable(path: Path, stored: StoredPixels) -> NDArray[Any]:
    """Return the pixels as they are compared: whole numbers as integers, colours in 8 bits."""
    pixels = stored[...]
    if pixels.palette is not None or pixels.values.dtype == np.uint8:
        return pixels.shown
    if pixels.channels.ndim == 2:
        return class_indices(pixels)
    check_not_one_hot(path, stored)
    try:
        return map_colours(path, stored)(pixels)
    except DataError:
        return pixels.shown  # A photograph, of which nothing is compared.


def _has_only_labels(path: Path, stored: StoredPixels, class_table: ClassTable) -> bool:
    """Return whether a colour or palette image holds class indices of a table; see `read_map`."""
    try:
        is_index_map = holds_indices(path, stored, class_table, DEFAULT_TOLERANCE)
    except DataError:
        return False  # Reading it with this table says why.
    indices = class_indices(stored[...])
    return is_index_map and share_in_table(indices, class_table) == 1


def _matching_preset(pixels: NDArray[Any]) -> ClassTable | None:
    share, _, name = max(
        (share_in_table(pixels, table), -table.number_of_classes, name)
        for name, table in PRESETS.items()
    )
    is_mask = pixels.ndim == 2 and share > 0 and len(np.unique(pixels)) < MIN_VALUES
    return PRESETS[name] if share >= MIN_SHARE and not is_mask else None


def _table_of_annotations(path: Path, image: str | Path | None) -> ClassTable:
    annotations = open_annotations(path)
    if annotations.embedded is not None:
        return annotations.embedded
    names = set(class_names(annotations, image))
    nearby = table_in_folder(path)
    if nearby is not None and names <= set(nearby.names):
        return nearby
    matching = [table for table in PRESETS.values() if names <= set(table.names)]
    if annotations.preset is not None and PRESETS[annotations.preset] in matching:
        return PRESETS[annotations.preset]
    if matching and len(names) >= MIN_NAMES:
        return min(matching, key=lambda table: table.number_of_classes)
    return own_table(path, annotations, image)


def table_in_folder(path: Path) -> ClassTable | None:
    """Read the class table in the folder of a file or in the parent folder, if any.

    Raises
    ------
    ClassTableError
        If the class table is not valid.
    """
    for folder in (path.parent, path.parent.parent):
        for name in TABLE_NAMES:
            if (folder / name).is_file():
                return ClassTable.from_file(folder / name)
    return None


def share_in_table(pixels: NDArray[Any], class_table: ClassTable) -> float:
    """Measure how well the pixels of an image match a class table.

    Parameters
    ----------
    pixels : (Y, X) or (Y, X, 3 or 4) array
        Grey, RGB or RGBA image.
    class_table : ClassTable
        Class table to compare with.

    Returns
    -------
    float
        Share in [0, 1]: 1 for a grey image whose values are all labels of the table, 0 for
        another one; for a colour image, the share of pixels with exactly a class colour.
        Pixels of the unlabelled colour are not counted, such as the white margin of a
        photograph.
    """
    if pixels.ndim == 2:
        labels = [entry.index for entry in class_table.entries]
        return float(pixels.dtype.kind in "bui" and bool(np.isin(pixels, labels).all()))
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (3, 4):
        return 0.0
    return _share_of_colours(pixels[..., :3], class_table)


def _share_of_colours(rgb: NDArray[np.uint8], class_table: ClassTable) -> float:
    rows, columns = (max(1, size // SAMPLE_SIDE) for size in rgb.shape[:2])
    sample = rgb[::rows, ::columns].astype(np.uint32) @ RGB_CODE
    drawn = sample[sample != np.array(class_table.unlabelled.colour, dtype=np.uint32) @ RGB_CODE]
    colours = class_table.colours.astype(np.uint32) @ RGB_CODE
    return float(np.isin(drawn, colours).mean()) if drawn.size else 0.0
