"""Open maps and annotations as Labels layers, and images as napari's own reader does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import npe2
from napari import current_viewer
from napari.layers import Image
from napari.types import LayerDataTuple
from napari.utils.notifications import show_warning

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, ClassTableError, DataError, UnclearImageError
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, is_annotation_file
from c2f_core.io.images import ARRAY_SUFFIX
from c2f_core.io.recognise import recognise_table
from napari_c2f.layers.convert import labels_layer_data, preferred_layer
from napari_c2f.layers.map_files import image_name, placement, read_reported
from napari_c2f.layers.upright import sideways_problem, upright

MARK = ".c2f"
"""End of the stem of files that are class maps, such as `leaf.c2f.png`."""
Paths = str | Sequence[str]
Reader = Callable[[Any], list[LayerDataTuple]]


def get_reader(path: Paths) -> Reader | None:
    """Return the reader of a file; None for arrays and documents that are not maps.

    napari only offers this reader for names that mark a class map, such as `leaf.c2f.png`.
    Pixels that turn out to be a photograph, and stacks of files, open as with napari's own reader.
    """
    if not isinstance(path, str):
        has_annotations = any(_suffix(one) in ANNOTATION_SUFFIXES for one in path)
        return None if has_annotations else read_with_napari
    if _suffix(path) in ANNOTATION_SUFFIXES:
        return read_annotation_file if is_annotation_file(path) else None
    if _suffix(path) == ARRAY_SUFFIX and not _is_map(path):
        return None
    return read_file


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def _is_map(path: str) -> bool:
    try:
        return recognise_table(path) is not None
    except C2FError:
        return False


def read_with_napari(paths: Paths) -> list[LayerDataTuple]:
    """Read files with napari's own reader; a list of them becomes a stack."""
    if isinstance(paths, str):
        return npe2.read([paths], stack=False, plugin_name="napari")
    return npe2.read([*paths], stack=True, plugin_name="napari")


def read_file(path: str) -> list[LayerDataTuple]:
    """Read a map as a Labels layer, and any other file as an image."""
    try:
        table = recognise_table(path)
        return _read_photograph(path) if table is None else read(path, table)
    except DataError:
        pass  # napari's reader knows more formats, and explains what is wrong with the file.
    except ClassTableError as error:
        show_warning(f"{Path(path).name} was opened as an image: {error}")
    return read_with_napari(path)


def _read_photograph(path: str) -> list[LayerDataTuple]:
    layers = read_with_napari(path)
    return [(upright(Path(path), data), *others) for data, *others in layers]


def read_annotation_file(path: str) -> list[LayerDataTuple]:
    """Read an annotation file as a Labels layer; of several images, that of the selected one.

    Raises
    ------
    C2FError
        If the file is damaged, or covers several images and none matches the selected one.
    """
    table = recognise_table(path, image_name(_selected_image()))
    assert table is not None  # Annotation files have at least a table of their own classes.
    return read(path, table)


def read(path: str, class_table: ClassTable) -> list[LayerDataTuple]:
    """Read one map of the selected image, and warn of anything that could not be read."""
    image = _selected_image()
    try:
        index_map, report = read_reported(path, class_table, image_name(image))
    except UnclearImageError as error:
        raise DataError(
            f"{Path(path).name} has annotations of {len(error.images)} images, and none matches "
            "the selected image; open and select the right image first, or click 'Open map…' in "
            "the Refine widget, which lets you choose."
        ) from error
    problem = "" if image is None else sideways_problem(image, index_map.shape)
    for warning in (problem, report.message()):
        if warning:
            show_warning(f"{Path(path).name}: {warning}")
    name = Path(path).stem.removesuffix(MARK)
    data, keywords, kind = labels_layer_data(index_map, class_table, name)
    return [(data, keywords | placement(index_map, image), kind)]


def _selected_image() -> Image | None:
    """Return the image that the user most likely means; None without an image or a viewer."""
    viewer = current_viewer()
    if viewer is None:
        return None
    return preferred_layer(viewer.layers, Image, None)
