"""Common parts of all annotation formats."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypeVar

from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from c2f_core.classes.table import ClassTable, Colour
from c2f_core.documents import first_problem
from c2f_core.errors import DataError, UnclearImageError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import Labelled

EMBEDDED_TABLE_KEY = "c2f_class_table"
"""Key of the class table that is embedded in written files, with its labels and colours."""
LARGEST = 2**30
"""Maximum number of pixels of an image; a damaged size could exhaust the memory."""
NOT_DRAWN = ""
"""Alias of labels whose annotations are not drawn."""
UNLABELLED_ALIASES: Mapping[str, str | None] = dict.fromkeys(
    ("unlabelled", "unlabeled", "__ignore__")
)
Document = TypeVar("Document", bound=BaseModel)
Form = Literal["masks", "polygons"]
Contents = tuple[list[Labelled], Counter[str]]
"""Shapes in drawing order, and the number of skipped annotations by kind, as they have no area."""


@dataclass(frozen=True)
class FileClass:
    """Label and colour of a class in a file, if it has them."""

    index: int | None = None
    colour: Colour | None = None


@dataclass(frozen=True)
class AnnotationFile:
    """Contents of an annotation file.

    Attributes
    ----------
    images : mapping of str to (int, int)
        Number of rows and columns by image name.
    classes : mapping of str to FileClass
        Classes by name, in file order.
    shapes : callable
        Function that returns the shapes of an image, given its name.
    embedded : ClassTable or None
        Class table embedded in the file.
    aliases : mapping of str to (str or None)
        Class names to use for labels that are not in the class table: None for
        unlabelled, `NOT_DRAWN` for labels that are ignored.
    preset : str or None
        Name of the built-in class table that belongs to the format.
    """

    images: Mapping[str, Size]
    classes: Mapping[str, FileClass]
    shapes: Callable[[str], Contents]
    embedded: ClassTable | None = None
    aliases: Mapping[str, str | None] = field(default_factory=lambda: UNLABELLED_ALIASES)
    preset: str | None = None


class Format(Protocol):
    """One annotation format, implemented by a module of this package."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802 - a constant of the module
        """Suffix of the files."""

    @property
    def MARKERS(self) -> tuple[bytes, ...]:  # noqa: N802
        """Keys that every file of the format contains."""

    def parse(self, content: bytes) -> AnnotationFile:
        """Parse the content of a file.

        Raises
        ------
        DataError
            If the file is damaged.
        """

    def encode(
        self, class_ids: NDArray[Any], class_table: ClassTable, image: str, form: Form
    ) -> str:
        """Return the text of a file with the annotations of one image."""


def pick_image(images: Mapping[str, Size], wanted: str | None) -> str:
    """Return the name of the image in an annotation file that matches a file name.

    A single image always matches. Of several images, the one with the wanted name
    matches, compared without folders and, if need be, without suffix.

    Parameters
    ----------
    images : mapping of str to (int, int)
        Sizes of the images in the file by name.
    wanted : str or None
        File name of the wanted image, if known.

    Raises
    ------
    DataError
        If there are no images.
    UnclearImageError
        If it is unclear which image matches.
    """
    if not images:
        raise DataError("it has no images; export the annotations together with their images.")
    if len(images) == 1:
        return next(iter(images))
    names = ", ".join(f"'{name}'" for name in list(images)[:5])
    more = " …" if len(images) > 5 else ""
    contents = f"it has the annotations of {len(images)} images ({names}{more})"
    if wanted is None:
        message = f"{contents}; export the annotations of one image only, or choose an image."
        raise UnclearImageError(message, images)
    if wanted in images:
        return wanted
    for theirs, ours in (("name", "name"), ("stem", "name"), ("stem", "stem")):
        found = [name for name in images if _part(name, theirs) == _part(wanted, ours)]
        if len(found) == 1:
            return found[0]
    message = f"{contents}, and none clearly matches {wanted}; give both the same name."
    raise UnclearImageError(message, images)


def _part(name: str, part: str) -> str:
    return str(getattr(PurePosixPath(name.replace("\\", "/")), part))


def check_size(size: Size) -> Size:
    """Return the size of an image after checking that it is plausible.

    Raises
    ------
    DataError
        If the image is empty or implausibly large.
    """
    if min(size) < 1 or size[0] * size[1] > LARGEST:
        raise DataError(
            f"it gives the image {size[0]} rows and {size[1]} columns; correct the size."
        )
    return size


def parse_json(model: type[Document], content: bytes) -> Document:
    """Parse JSON as a pydantic model.

    Raises
    ------
    DataError
        If the content is truncated or does not fit the model.
    """
    try:
        return model.model_validate_json(content.removeprefix(BOM_UTF8))
    except ValidationError as error:
        name, reason = first_problem(error)
        raise DataError(
            f"it is damaged ({name + ': ' if name else ''}{reason}); export the annotations again."
        ) from error


def as_colour(value: Any) -> Colour | None:
    """Return a colour written as [r, g, b] or "#rrggbb", None if it is neither."""
    if isinstance(value, str):
        try:
            value = tuple(bytes.fromhex(value.removeprefix("#")))
        except ValueError:
            return None
    try:
        return TypeAdapter(Colour).validate_python(value)
    except ValidationError:
        return None
