"""Open maps and annotations as Labels layers, and images as napari's own reader does."""

from collections.abc import Callable, Sequence
from pathlib import Path

import npe2
from napari import current_viewer
from napari.layers import Image
from napari.types import LayerDataTuple
from napari.utils.notifications import show_warning

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, ClassTableError, DataError
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, is_annotation_file
from c2f_core.io.images import ARRAY_SUFFIX
from c2f_core.io.recognise import recognise_table
from napari_c2f.layers.convert import labels_layer_data, preferred_layer
from napari_c2f.layers.map_files import placement, read_map_of

Paths = str | Sequence[str]
Reader = Callable[[Paths], list[LayerDataTuple]]


def get_reader(path: Paths) -> Reader | None:
    """Return the reader of maps; None for JSON and XML that are no annotations.

    napari asks once which reader shall open PNG or TIFF files, and can remember
    the answer. Photographs and stacks of files therefore open here too, as if
    napari's own reader had been chosen. Of arrays it would ask at each one, so
    that only those are taken that are surely maps.
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


def read_annotation_file(path: str) -> list[LayerDataTuple]:
    """Read an annotation file as a Labels layer; of several images, that of the selected one.

    Raises
    ------
    C2FError
        It is damaged, or about several images and not clearly about the selected one.
    """
    return read(path, recognise_table(path))


def read(path: str, class_table: ClassTable) -> list[LayerDataTuple]:
    """Read one map of the selected image; a message tells of what did not fit into it."""

    def refuse(images: Sequence[str]) -> None:
        raise DataError(
            f"{Path(path).name} is about {len(images)} images, and not clearly about the selected "
            "one; open and select its image first, or press 'Open map…' in the Refine widget, "
            "which asks for it."
        )

    image = _selected_image()
    index_map, report = read_map_of(image, path, class_table, refuse)
    if report.message():
        show_warning(f"{Path(path).name}: {report.message()}")
    data, keywords, kind = labels_layer_data(index_map, class_table, Path(path).stem)
    return [(data, keywords | placement(index_map, image), kind)]


def _selected_image() -> Image | None:
    """Return the image that the user most likely means; None where there is none, or no window."""
    viewer = current_viewer()
    if viewer is None:
        return None
    return preferred_layer(viewer.layers, Image, None)
