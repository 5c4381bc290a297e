"""Open maps as Labels layers, and all else that napari's own reader can open."""

from collections.abc import Callable, Sequence
from pathlib import Path

import npe2
from napari.types import LayerDataTuple
from napari.utils.notifications import show_warning

from c2f_core.classes import ClassTable
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io import read_map
from c2f_core.recognise import recognise_table
from napari_c2f._layers import labels_layer_data

Paths = str | Sequence[str]


def get_reader(path: Paths) -> Callable[[Paths], list[LayerDataTuple]]:
    """Return the reader of maps.

    napari asks once which reader shall open PNG or TIFF files, and can remember
    the answer. Photographs and stacks of files therefore open here too, as if
    napari's own reader had been chosen.
    """
    return read_file if isinstance(path, str) else read_with_napari


def read_with_napari(paths: Paths) -> list[LayerDataTuple]:
    """Read files with napari's own reader; a list of them becomes a stack."""
    stack = not isinstance(paths, str)
    return npe2.read([*paths] if stack else [paths], stack=stack, plugin_name="napari")


def read_file(path: str) -> list[LayerDataTuple]:
    """Read a map as a Labels layer, and what is no map as an image."""
    try:
        table = recognise_table(path)
        return read_with_napari(path) if table is None else read(path, table)
    except DataError:
        pass  # napari's reader knows more formats, and says what is wrong with the file.
    except ClassTableError as error:
        show_warning(f"{Path(path).name} was opened as an image: {error}")
    return read_with_napari(path)


def read(path: str, class_table: ClassTable) -> list[LayerDataTuple]:
    """Read one map; a message tells of colours outside the class table."""
    index_map, report = read_map(path, class_table)
    if report.outside:
        show_warning(f"{Path(path).name}: {report.message()}")
    return [labels_layer_data(index_map, class_table, Path(path).stem)]
