"""Class tables embedded in map files, so that labels, names and colours stay together."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import ValidationError

from c2f_core.classes.table import ClassTable
from c2f_core.documents import check_regular_file
from c2f_core.errors import DataError
from c2f_core.io.annotations import ANNOTATION_SUFFIXES, open_annotations
from c2f_core.io.formats.base import EMBEDDED_TABLE_KEY
from c2f_core.io.images import ARRAY_SUFFIX, is_tiff
from c2f_core.io.png import is_png, png_head
from c2f_core.io.tiff import first_page


def embedded_table(path: str | Path) -> ClassTable | None:
    """Read the class table that is embedded in a map file.

    Parameters
    ----------
    path : str or Path
        Path of a PNG or TIFF file.

    Returns
    -------
    ClassTable or None
        None if the file has no class table.

    Raises
    ------
    DataError
        If the file is missing, truncated or not a map, or its class table is damaged.
    """
    path = Path(path)
    if path.suffix.lower() in ANNOTATION_SUFFIXES:
        return open_annotations(path).embedded
    if path.suffix.lower() == ARRAY_SUFFIX:
        return None
    check_regular_file(path, DataError)
    try:
        content = _read_tiff(path) if is_tiff(path) else _read_image_text(path)
        return None if content is None else ClassTable.model_validate(content)
    except ValidationError as error:
        raise DataError(f"The class table in {path} is damaged; save the map again.") from error
    except Exception as error:  # Each codec raises its own errors.
        raise DataError(
            f"{path} cannot be read as a map ({error}); check that the file is complete."
        ) from error


def tiff_description(class_table: ClassTable) -> str:
    """Return the description of a TIFF file with an embedded class table."""
    return json.dumps({EMBEDDED_TABLE_KEY: class_table.model_dump()})


def png_text(class_table: ClassTable) -> list[tuple[bytes, bytes]]:
    """Return the text chunks, type and content, of a PNG file with an embedded class table."""
    texts = PngInfo()
    texts.add_itxt(EMBEDDED_TABLE_KEY, class_table.model_dump_json())
    return [(kind, content) for kind, content, *_ in texts.chunks]


def _read_tiff(path: Path) -> Any:
    with first_page(path) as page:
        description = page.description
    try:
        return json.loads(description)[EMBEDDED_TABLE_KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # Written by another program.


def _read_image_text(path: Path) -> Any:
    # Of a PNG file only the head, as Pillow refuses those of very many pixels.
    with Image.open(BytesIO(png_head(path)) if is_png(path) else path) as opened:
        text = opened.info.get(EMBEDDED_TABLE_KEY)
    return None if text is None else json.loads(text)
