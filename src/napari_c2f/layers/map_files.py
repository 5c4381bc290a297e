"""Map and annotation files, read as maps of an image in the viewer."""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from napari.components import LayerList
from napari.layers import Image
from numpy.typing import NDArray

from c2f_core.classes.report import MapReport, one_class_report
from c2f_core.classes.table import ClassTable
from c2f_core.errors import UnclearImageError
from c2f_core.io.images import IMAGE_SUFFIXES
from c2f_core.io.maps import read_map
from napari_c2f.layers.convert import RESULT_KEY, level0, plane_shape, spatial_keywords
from napari_c2f.layers.upright import image_file, sideways_problem

ChooseImage = Callable[[Sequence[str]], str | None]
"""Returns the name of the image that the user chose from a file; None to open nothing."""


def read_map_of(
    image: Image | None, path: str, class_table: ClassTable, choose_image: ChooseImage
) -> tuple[NDArray[Any], MapReport] | None:
    """Read the map of an image, and let the user choose if the file covers several images.

    Parameters
    ----------
    image : Image or None
        The image; of several images in the file, the one with its name is read.
    path : str
        Map or annotation file.
    class_table : ClassTable
        Class table of the map.
    choose_image : callable
        Function that is called with the names of the images in the file if none clearly is the
        image; it returns one of them, or None.

    Returns
    -------
    index_map : (Y, X) unsigned integer array
        Labels of the classes.
    report : MapReport
        Report on pixels that could not be read. None in place of both if the user chose no image.

    Raises
    ------
    C2FError
        If the map cannot be read; see `read_map`.
    """
    try:
        return read_reported(path, class_table, image_name(image))
    except UnclearImageError as error:
        chosen = choose_image(error.images)
        return None if chosen is None else read_reported(path, class_table, chosen)


def read_reported(
    path: str, class_table: ClassTable, image: str | None
) -> tuple[NDArray[Any], MapReport]:
    """Read a map; the report also says if it has one class only. See `read_map`."""
    index_map, report = read_map(path, class_table, image=image)
    if report.message():
        return index_map, report
    one_class = one_class_report(class_table.to_class_ids(index_map), class_table.names)
    return index_map, one_class or report


def image_name(image: Image | None) -> str | None:
    """Return the file of an image, or else the name of its layer, which projects set to it."""
    if image is None:
        return None
    path: str | None = image.source.path
    return path or str(image.name)


def file_name_of_image(layers: LayerList, map_name: str, shape: tuple[int, ...]) -> str | None:
    """Return the file name of the image that a map was drawn on, None if it is unknown.

    That is the next image below the map with its size, or else the next one above.

    Parameters
    ----------
    layers : LayerList
        Layers of the viewer, from the bottom to the top.
    map_name : str
        Name of the map's layer.
    shape : (int, int)
        Numbers of rows and columns of the map.
    """
    names = [layer.name for layer in layers]
    place = names.index(map_name) if map_name in names else len(names)
    for layer in (*reversed(layers[:place]), *layers[place:]):
        if not isinstance(layer, Image) or RESULT_KEY in layer.metadata:
            continue
        file = image_file(layer) or PurePath(layer.name)
        # napari takes small colour images for stacks of planes of three columns.
        sizes = plane_shape(layer)[-2:], tuple(level0(layer).shape[:2])
        if shape in sizes and file.suffix.lower() in IMAGE_SUFFIXES:
            return file.name
    return None


def sideways_warning(layers: LayerList, shape: tuple[int, ...]) -> str:
    """Return why a map fits no image in the viewer if it fits one as its file stores it.

    Parameters
    ----------
    layers : LayerList
        Layers of the viewer.
    shape : (int, int)
        Rows and columns of the map.

    Returns
    -------
    str
        Explanation for the user; empty if an image has the size of the map, or none is sideways.
    """
    images = [
        each for each in layers if isinstance(each, Image) and RESULT_KEY not in each.metadata
    ]
    if any(plane_shape(image)[-2:] == shape for image in images):
        return ""
    problems = (sideways_problem(image, shape) for image in images)
    return next((problem for problem in problems if problem), "")


def placement(index_map: NDArray[Any], image: Image | None) -> dict[str, Any]:
    """Return the placement of the map of an image, as keyword arguments of a new layer.

    A map of another size belongs to another image, whose placement is unknown.
    """
    if image is None or index_map.shape != plane_shape(image):
        return {}
    return spatial_keywords(image)
