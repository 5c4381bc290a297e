"""Read and write images and maps; every file is written atomically.

Maps are images of class indices or colours, NumPy arrays, or annotation files.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import ValidationError

from c2f_core.classes.colours import DEFAULT_TOLERANCE, decode_colours, encode_colours
from c2f_core.classes.report import DecodeReport, MapReport
from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError, ImageError
from c2f_core.io import formats
from c2f_core.io.atomic import atomic_path
from c2f_core.io.formats.base import TABLE_KEY, Form
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.pixels import (
    ARRAY_SUFFIX,
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    read_image,
    read_map_pixels,
)

__all__ = [
    "ARRAY_SUFFIX",
    "IMAGE_SUFFIXES",
    "MapStyle",
    "atomic_path",
    "check_map_suffix",
    "embedded_table",
    "read_image",
    "read_map",
    "read_map_pixels",
    "write_annotations",
    "write_image",
    "write_map",
]
MapStyle = Literal["palette", "colour", "index"]


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write a grey (Y, X) or RGB image (Y, X, 3) uint8 atomically as PNG.

    Raises
    ------
    DataError
        The file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def read_map(
    path: str | Path,
    class_table: ClassTable,
    tolerance: float = DEFAULT_TOLERANCE,
    image: str | Path | None = None,
    *,
    blended: bool = False,
) -> tuple[NDArray[np.unsignedinteger[Any]], MapReport]:
    """Read a map: a colour image, a palette image, class indices or annotations.

    Class indices of a file that carries its own class table are those of the classes of
    the same names. Where some were renamed, indices tell; where all have other names, the
    map is refused.

    Parameters
    ----------
    path : str or Path
        An image, a NumPy array (.npy), or an annotation file (.json, .xml).
    class_table : ClassTable
    tolerance : float
        See `ClassTable.decode_colours`.
    image : str or Path, optional
        Which image is meant, where an annotation file is about several.
    blended : bool
        See `ClassTable.decode_colours`.

    Returns
    -------
    index_map : (Y, X) unsigned integer array
    report : MapReport

    Raises
    ------
    UnclearImageError
        An annotation file is about several images, and it is not clear which is meant.
    DataError
        The file is missing, truncated or no map.
    ClassTableError
        An index or class is not in the table, or the file's own table has none of its classes.
    """
    path = Path(path)
    if path.suffix.lower() in formats.SUFFIXES:
        return formats.read_annotations(path, class_table, image)
    pixels = read_map_pixels(path)
    carried = embedded_table(path)
    if carried is not None:
        _refuse_other_classes(path, carried, class_table)
    if pixels.ndim == 3:
        return decode_colours(as_rgb8(pixels), class_table, tolerance, blended=blended)
    if carried is not None and carried != class_table and _names_tell(carried, class_table):
        pixels = carried.translate(pixels, class_table)
    positions = class_table.to_class_ids(pixels)
    return class_table.to_labels(positions), DecodeReport(0, 0, (), positions.size)


def _refuse_other_classes(path: Path, carried: ClassTable, wanted: ClassTable) -> None:
    """Refuse a map whose indices and colours are those of classes that are all others."""
    if set(carried.names).isdisjoint(wanted.names):
        raise ClassTableError(
            f"{path.name} was drawn with the class table '{carried.name}' "
            f"({', '.join(carried.names)}), which has none of the classes of '{wanted.name}' "
            f"({', '.join(wanted.names)}); choose '{carried.name}', or a model for its classes."
        )


def _names_tell(carried: ClassTable, wanted: ClassTable) -> bool:
    """Tell whether a file's classes are known by name: where some were renamed, indices tell."""
    indices = {entry.name: entry.index for entry in wanted.classes}
    if carried.unlabelled.name in indices:
        return False
    # Renaming moves no index: where one has moved, the table is another one.
    shared = [entry for entry in carried.classes if entry.name in indices]
    is_moved = any(entry.index != indices[entry.name] for entry in shared)
    return is_moved or len(shared) == carried.number_of_classes


def write_map(
    path: str | Path,
    index_map: NDArray[Any],
    class_table: ClassTable,
    style: MapStyle = "palette",
) -> None:
    """Write a map atomically as PNG or TIFF, which carry its class table, or as NPY.

    Parameters
    ----------
    path : str or Path
        Ends in .png, .tif, .tiff or .npy.
    index_map : (Y, X) integer array
        Class indices.
    class_table : ClassTable
    style : {"palette", "colour", "index"}
        Palette PNG (indices up to 255 with the class colours), RGB image, or
        plain grey image of the indices. NPY always holds the indices.

    Raises
    ------
    ImageError
        The map is not of two dimensions.
    ClassTableError
        The map holds an index that is not in the table.
    DataError
        The ending or style does not fit, or the file cannot be written.
    """
    path = Path(path)
    check_map_suffix(path)
    if np.ndim(index_map) != 2:
        raise ImageError(
            f"The map has shape {np.shape(index_map)}, and only two-dimensional maps are written; "
            "give one plane of it."
        )
    indices = class_table.to_labels(class_table.to_class_ids(index_map))
    if path.suffix.lower() in TIFF_SUFFIXES:
        pixels = encode_colours(indices, class_table) if style == "colour" else indices
        with atomic_path(path) as temporary:
            tifffile.imwrite(
                temporary,
                pixels,
                compression="zlib",
                description=json.dumps({TABLE_KEY: class_table.model_dump()}),
            )
        return
    if path.suffix.lower() == ARRAY_SUFFIX:
        with atomic_path(path) as temporary:
            np.save(temporary, indices, allow_pickle=False)
        return
    if style == "colour":
        picture = Image.fromarray(encode_colours(indices, class_table))
    else:
        picture = Image.fromarray(indices)
        if style == "palette":
            picture = _palette_picture(indices, class_table)
    texts = PngInfo()
    texts.add_itxt(TABLE_KEY, class_table.model_dump_json())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=texts)


def check_map_suffix(path: Path) -> None:
    """Refuse a file name with an ending that no map is written with.

    Raises
    ------
    DataError
        It has none of the endings of `write_map`.
    """
    if path.suffix.lower() not in (".png", *TIFF_SUFFIXES, ARRAY_SUFFIX):
        raise DataError(f"Maps are written as .png, .tif or .npy; rename {path.name}.")


def write_annotations(
    path: str | Path,
    index_map: NDArray[Any],
    class_table: ClassTable,
    layout: formats.FormatName,
    image: str | None = None,
    form: Form = "masks",
) -> None:
    """Write a map atomically as an annotation file, which carries its class table.

    Parameters
    ----------
    path : str or Path
        Ends in .json, or .xml for CVAT.
    index_map : (Y, X) integer array
        Class indices.
    class_table : ClassTable
    layout : {"coco", "labelme", "cityscapes", "cvat"}
    image : str, optional
        File name of the image; without it, that of the file with the ending .png.
    form : {"masks", "polygons"}
        One mask per class, or one polygon per region; Cityscapes has polygons only.

    Raises
    ------
    ClassTableError
        The map holds an index that is not in the table.
    DataError
        The ending does not fit, the format cannot hold a name, or the file cannot be
        written.
    """
    path = Path(path)
    suffix = formats.FORMATS[layout].SUFFIX
    if path.suffix.lower() != suffix:
        raise DataError(f"Annotations of this format are written as {suffix}; rename {path.name}.")
    name = image or f"{path.stem}.png"
    text = formats.encode_annotations(index_map, class_table, layout, name, form)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def embedded_table(path: str | Path) -> ClassTable | None:
    """Return the class table that was written into a file; None where there is none.

    Raises
    ------
    DataError
        The file is missing, truncated or no map, or its class table is damaged.
    """
    path = Path(path)
    if path.suffix.lower() in formats.SUFFIXES:
        return formats.open_annotations(path).carried
    if path.suffix.lower() == ARRAY_SUFFIX:
        return None
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            content = _table_in_tiff(path)
        else:
            with Image.open(path) as opened:
                text = opened.info.get(TABLE_KEY)
            content = None if text is None else json.loads(text)
        return None if content is None else ClassTable.model_validate(content)
    except ValidationError as error:
        raise DataError(f"The class table in {path} is damaged; save the map again.") from error
    except Exception as error:  # Each codec raises errors of its own.
        raise DataError(
            f"{path} cannot be read as a map ({error}); check that the file is whole."
        ) from error


def _table_in_tiff(path: Path) -> Any:
    with tifffile.TiffFile(path) as opened:
        description = opened.pages.first.description
    try:
        return json.loads(description)[TABLE_KEY]
    except (ValueError, KeyError, TypeError):
        return None  # The description of another program.


def _palette_picture(
    indices: NDArray[np.unsignedinteger[Any]], class_table: ClassTable
) -> Image.Image:
    if indices.dtype != np.uint8:
        raise DataError(
            "A palette PNG holds indices up to 255 only; write this class table as colour or "
            "index image."
        )
    palette = np.zeros((256, 3), dtype=np.uint8)
    for entry in class_table.entries:
        palette[entry.index] = entry.colour
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    return picture
