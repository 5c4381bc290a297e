"""Find out whether a file is a map, and with which class table it was drawn."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import PRESETS, ClassTable
from c2f_core.io import formats
from c2f_core.io.maps import embedded_table, read_map_pixels

SMALLEST_SHARE = 0.8
"""Share of pixels that must have exactly a class colour: a photograph has hardly any."""
FEWEST_INDICES = 3
"""A grey image of two values is rather a mask than a map of a preset."""
FEWEST_NAMES = 3
"""Annotations of one or two classes are rather of their own than of a preset."""
SAMPLES = 512
"""Rows and columns of a colour image that are looked at, at least."""
TABLE_NAMES = ("classes.toml", "classes.json")


def recognise_table(path: str | Path) -> ClassTable | None:
    """Return the class table of a map, None where the file is rather a photograph.

    The table that the file carries itself comes first, then `classes.toml` or
    `classes.json` in its folder or the one above, then the presets. A colour
    image fits a table when most of its pixels have exactly the table's colours,
    a grey image when it holds indices of the table only. Where several presets
    fit, the one with most colours in common is taken, then the smallest.
    Annotation files fit a table that has all their classes, and name classes
    enough for a table of their own.

    Parameters
    ----------
    path : str or Path
        PNG, BMP, TIFF, NPY or annotation file.

    Raises
    ------
    DataError
        The file is missing, truncated or no map.
    ClassTableError
        The class table beside the file is not valid.
    """
    path = Path(path)
    if path.suffix.lower() in formats.SUFFIXES:
        return _table_of_annotations(path)
    carried = embedded_table(path)
    if carried is not None:
        return carried
    pixels = read_map_pixels(path)
    beside = table_beside(path)
    if beside is not None and share_in_table(pixels, beside) >= SMALLEST_SHARE:
        return beside
    share, _, name = max(
        (share_in_table(pixels, table), -table.number_of_classes, name)
        for name, table in PRESETS.items()
    )
    is_mask = pixels.ndim == 2 and share > 0 and len(np.unique(pixels)) < FEWEST_INDICES
    return PRESETS[name] if share >= SMALLEST_SHARE and not is_mask else None


def _table_of_annotations(path: Path) -> ClassTable:
    annotations = formats.open_annotations(path)
    if annotations.carried is not None:
        return annotations.carried
    names = set(formats.meant_names(annotations))
    beside = table_beside(path)
    if beside is not None and names <= set(beside.names):
        return beside
    fitting = [table for table in PRESETS.values() if names <= set(table.names)]
    if annotations.preset is not None and PRESETS[annotations.preset] in fitting:
        return PRESETS[annotations.preset]
    if fitting and len(names) >= FEWEST_NAMES:
        return min(fitting, key=lambda table: table.number_of_classes)
    return formats.own_table(path, annotations)


def table_beside(path: Path) -> ClassTable | None:
    """Read the class table that lies in the folder of a file or in the one above.

    Raises
    ------
    ClassTableError
        It is not valid.
    """
    for folder in (path.parent, path.parent.parent):
        for name in TABLE_NAMES:
            if (folder / name).is_file():
                return ClassTable.from_file(folder / name)
    return None


def share_in_table(pixels: NDArray[Any], class_table: ClassTable) -> float:
    """Measure how well pixels fit a class table.

    Parameters
    ----------
    pixels : (Y, X) or (Y, X, 3 or 4) array
    class_table : ClassTable

    Returns
    -------
    float
        Of a colour image the share of pixels that have exactly a class colour,
        without those of the unlabelled colour: the white round a photograph is no map.
        Of a grey one 1 where it holds indices of the table only, otherwise 0.
    """
    if pixels.ndim == 2:
        indices = [entry.index for entry in class_table.entries]
        return float(pixels.dtype.kind in "bui" and bool(np.isin(pixels, indices).all()))
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (3, 4):
        return 0.0
    rows, columns = (max(1, size // SAMPLES) for size in pixels.shape[:2])
    sample = pixels[::rows, ::columns, :3].astype(np.uint32)
    colours = np.array([entry.colour for entry in class_table.classes], dtype=np.uint32)
    codes = np.array([65536, 256, 1], dtype=np.uint32)
    unlabelled = np.array(class_table.unlabelled.colour, dtype=np.uint32)
    drawn = sample @ codes
    drawn = drawn[drawn != unlabelled @ codes]
    return float(np.isin(drawn, colours @ codes).mean()) if drawn.size else 0.0
