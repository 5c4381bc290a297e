"""Files of maps and annotations, read as maps of an image in the viewer."""

from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Image
from numpy.typing import NDArray

from c2f_core.classes.report import MapReport
from c2f_core.classes.table import ClassTable
from c2f_core.errors import UnclearImageError
from c2f_core.io.maps import read_map
from napari_c2f.layers.convert import plane_shape, spatial_keywords

ChooseImage = Callable[[Sequence[str]], str | None]
"""Returns which of the images of a file the user means; None to open nothing."""


def read_map_of(
    image: Image | None, path: str, class_table: ClassTable, choose_image: ChooseImage
) -> tuple[NDArray[Any], MapReport] | None:
    """Read the map of an image; ask where the file is about several, and not clearly about it.

    Returns
    -------
    index_map : (Y, X) unsigned integer array
        Class indices.
    report : MapReport
        None in place of both where the user chose none.

    Raises
    ------
    C2FError
        As `c2f_core.io.maps.read_map`.
    """
    # A file is known by its name, which the layer of a project's image has as its own.
    name = None if image is None else image.source.path or image.name
    try:
        return read_map(path, class_table, image=name)
    except UnclearImageError as error:
        chosen = choose_image(error.images)
        return None if chosen is None else read_map(path, class_table, image=chosen)


def placement(index_map: NDArray[Any], image: Image | None) -> dict[str, Any]:
    """Return where the map of an image lies, as keyword arguments of a new layer.

    A map that is not as large as the image belongs to another one, whose place nobody knows.
    """
    if image is None or index_map.shape != plane_shape(image):
        return {}
    return spatial_keywords(image)
