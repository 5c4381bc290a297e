"""What all annotation files have in common."""

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
from c2f_core.geometry.shapes import Labelled
from c2f_core.geometry.windows import Size

EMBEDDED_TABLE_KEY = "c2f_class_table"
"""Key of the class table in files of all kinds, so that indices and colours come back."""
LARGEST = 2**30
"""Pixels of the largest image that is drawn: a damaged size would fill the memory."""
NOT_DRAWN = ""
"""What an alias says of annotations that stand for nothing in the map."""
UNLABELLED_ALIASES: Mapping[str, str | None] = dict.fromkeys(
    ("unlabelled", "unlabeled", "__ignore__")
)
Document = TypeVar("Document", bound=BaseModel)
Form = Literal["masks", "polygons"]
Contents = tuple[list[Labelled], Counter[str]]
"""Shapes in the order in which they are drawn, and how many of each kind are no areas."""


@dataclass(frozen=True)
class FileClass:
    """What a file says of a class besides its name."""

    index: int | None = None
    colour: Colour | None = None


@dataclass(frozen=True)
class AnnotationFile:
    """The contents of an annotation file.

    Attributes
    ----------
    images : mapping of str to (int, int)
        Rows and columns by image name.
    classes : mapping of str to FileClass
        By name, in the order of the file.
    shapes : callable
        Returns the contents of one image.
    embedded : ClassTable or None
        Class table embedded in the file.
    aliases : mapping of str to (str or None)
        Labels that stand for another class where the class table lacks them;
        None for unlabelled, `NOT_DRAWN` for nothing.
    preset : str or None
        The built-in class table for which the format was made.
    """

    images: Mapping[str, Size]
    classes: Mapping[str, FileClass]
    shapes: Callable[[str], Contents]
    embedded: ClassTable | None = None
    aliases: Mapping[str, str | None] = field(default_factory=lambda: UNLABELLED_ALIASES)
    preset: str | None = None


class Format(Protocol):
    """One annotation format: a module of this package."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802 - a constant of the module
        """Ending of the files."""

    @property
    def MARKERS(self) -> tuple[bytes, ...]:  # noqa: N802
        """What each file of the format contains."""

    def parse(self, content: bytes) -> AnnotationFile:
        """Read a file.

        Raises
        ------
        DataError
            It is damaged.
        """

    def encode(
        self, class_ids: NDArray[Any], class_table: ClassTable, image: str, form: Form
    ) -> str:
        """Return the text of a file with the annotations of one image."""


def pick_image(images: Mapping[str, Size], wanted: str | None) -> str:
    """Return the name of the image that is meant.

    The only image of a file is meant whatever it is called; among several, the
    one that has the wanted name, without its folder, or at least without the ending.

    Raises
    ------
    DataError
        There is none.
    UnclearImageError
        It is not clear which.
    """
    if not images:
        raise DataError("it names no image; export the annotations together with their images.")
    if len(images) == 1:
        return next(iter(images))
    names = ", ".join(f"'{name}'" for name in list(images)[:5])
    holds = f"it holds the annotations of {len(images)} images ({names}{' …' * (len(images) > 5)})"
    if wanted is None:
        told = f"{holds}; export the annotations of one image only, or say which."
        raise UnclearImageError(told, images)
    if wanted in images:
        return wanted
    for theirs, ours in (("name", "name"), ("stem", "name"), ("stem", "stem")):
        found = [name for name in images if _part(name, theirs) == _part(wanted, ours)]
        if len(found) == 1:
            return found[0]
    told = f"{holds}, and not clearly one for {wanted}; give both the same name."
    raise UnclearImageError(told, images)


def _part(name: str, part: str) -> str:
    return str(getattr(PurePosixPath(name.replace("\\", "/")), part))


def check_size(size: Size) -> Size:
    """Return the size of an image.

    Raises
    ------
    DataError
        It is empty or too large to be true.
    """
    if min(size) < 1 or size[0] * size[1] > LARGEST:
        raise DataError(
            f"it says that the image has {size[0]} rows and {size[1]} columns; correct the size."
        )
    return size


def parse_json(model: type[Document], content: bytes) -> Document:
    """Read JSON.

    Raises
    ------
    DataError
        It is cut off or not of this form.
    """
    try:
        return model.model_validate_json(content.removeprefix(BOM_UTF8))
    except ValidationError as error:
        name, reason = first_problem(error)
        raise DataError(
            f"it is damaged ({name + ': ' if name else ''}{reason}); export the annotations again."
        ) from error


def as_colour(value: Any) -> Colour | None:
    """Return a colour written as [r, g, b] or "#rrggbb", None where it is neither."""
    if isinstance(value, str):
        try:
            value = tuple(bytes.fromhex(value.removeprefix("#")))
        except ValueError:
            return None
    try:
        return TypeAdapter(Colour).validate_python(value)
    except ValidationError:
        return None
