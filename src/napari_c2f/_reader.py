"""Open colour-coded, palette and index maps as Labels layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.types import LayerDataTuple
from napari.utils.notifications import show_warning
from numpy.typing import NDArray

from c2f_core.classes import PRESETS, ClassTable
from c2f_core.errors import C2FError
from c2f_core.io import read_map, read_map_pixels
from napari_c2f._layers import labels_layer_data

SMALLEST_EXACT_SHARE = 0.8
"""Share of pixels that must have exactly a class colour: a photograph has hardly any."""


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerDataTuple]] | None:
    """Return `read` where the file is a map of a known class table, else None.

    A colour image is a map when most of its pixels have exactly the colours of
    one table, a grey image when it holds indices of a table only. What fits no
    table is left to other readers, as an image.
    """
    if isinstance(path, list) or not Path(path).is_file():
        return None
    try:
        table = matching_table(read_map_pixels(Path(path)))
    except C2FError:
        # Not readable as a map: napari's own readers say what is wrong with the file.
        return None
    return None if table is None else lambda file: read(file, table)


def read(path: str, class_table: ClassTable) -> list[LayerDataTuple]:
    """Read one map; a warning tells of colours outside the class table."""
    index_map, report = read_map(path, class_table)
    if report.outside:
        show_warning(f"{Path(path).name}: {report.message()}")
    return [labels_layer_data(index_map, class_table, Path(path).stem)]


def matching_table(pixels: NDArray[Any]) -> ClassTable | None:
    """Return the preset that a map was drawn with, the first where several fit."""
    if pixels.ndim == 2:
        return _table_of_indices(pixels)
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (3, 4):
        return None
    shares = {name: _exact_share(pixels[..., :3], table) for name, table in PRESETS.items()}
    best = max(shares, key=lambda name: shares[name])
    return PRESETS[best] if shares[best] >= SMALLEST_EXACT_SHARE else None


def _table_of_indices(pixels: NDArray[Any]) -> ClassTable | None:
    if pixels.dtype.kind not in "bui":
        return None
    values = set(np.unique(pixels).tolist())
    for table in PRESETS.values():
        if values <= {entry.index for entry in table.entries}:
            return table
    return None


def _exact_share(rgb: NDArray[np.uint8], table: ClassTable) -> float:
    colours = np.array([entry.colour for entry in table.entries], dtype=np.uint32)
    codes = np.array([65536, 256, 1], dtype=np.uint32)
    return float(np.isin(rgb.astype(np.uint32) @ codes, colours @ codes).mean())
