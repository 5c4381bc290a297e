"""Common parts of all annotation formats."""

import json
import unicodedata
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import unquote

from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from c2f_core.classes.table import ClassTable, Colour
from c2f_core.documents import first_problem
from c2f_core.errors import DataError, UnclearImageError
from c2f_core.geometry.arrays import Size
from c2f_core.geometry.shapes import Labelled

EMBEDDED_TABLE_KEY = "c2f_class_table"
"""Key of the class table that is embedded in written files, with its labels and colours."""
LARGEST = 1 << 29
"""Maximum number of pixels of an image; a damaged size could exhaust the memory."""
UNLABELLED_ALIASES: Mapping[str, str | None] = dict.fromkeys(
    ("unlabelled", "unlabeled", "__ignore__")
)
Document = TypeVar("Document", bound=BaseModel)
Form = Literal["masks", "polygons"]


@dataclass(frozen=True)
class FileClass:
    """Label and colour of a class in a file, if it has them."""

    index: int | None = None
    colour: Colour | None = None


@dataclass
class Contents:
    """Annotations of one image.

    Attributes
    ----------
    shapes : list of Labelled
        Shapes in drawing order.
    skipped : Counter of str
        Number of skipped annotations by kind, as they have no area.
    unnamed : Counter of str
        Number of skipped annotations by kind, as they have no label.
    """

    shapes: list[Labelled] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class AnnotationFile:
    """Contents of an annotation file.

    Nothing but names and classes is read before it is asked for, so that damage in the
    annotations of one image does not matter for another one.

    Attributes
    ----------
    images : sequence of str
        Names of the images.
    size : callable
        Function that returns the number of rows and columns of an image, given its name; None
        if the file does not give it. It raises DataError if the size is damaged.
    contents : callable
        Function that returns the annotations of an image, given its name and size. It raises
        DataError if they are damaged.
    classes : mapping of str to FileClass
        Classes by name, in file order.
    used : callable
        Function that returns the names of the classes with annotations: those of an image,
        given its name, or those of the file, given None.
    embedded : ClassTable or None
        Class table embedded in the file.
    aliases : mapping of str to (str or None)
        Class names to use for labels that are not in the class table; None for unlabelled.
    ignored : collection of str
        Labels that are not drawn unless the class table has them.
    preset : str or None
        Name of the built-in class table that belongs to the format.
    has_one_image : bool
        Whether files of the format belong to one image, whatever its name.
    """

    images: Sequence[str]
    size: Callable[[str], Size | None]
    contents: Callable[[str, Size], Contents]
    classes: Mapping[str, FileClass]
    used: Callable[[str | None], Collection[str]]
    embedded: ClassTable | None = None
    aliases: Mapping[str, str | None] = field(default_factory=lambda: UNLABELLED_ALIASES)
    ignored: Collection[str] = ()
    preset: str | None = None
    has_one_image: bool = False


class Format(Protocol):
    """One annotation format, implemented by a module of this package."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802 - a constant of the module
        """Suffix of the files."""

    @property
    def MARKERS(self) -> tuple[tuple[bytes, ...], ...]:  # noqa: N802
        """Groups of keys; every file of the format contains a key of each group."""

    def parse(self, content: bytes) -> AnnotationFile:
        """Parse the content of a file.

        Raises
        ------
        DataError
            If the file is damaged.
        """

    def encode(
        self,
        class_ids: NDArray[Any],
        class_table: ClassTable,
        image: str,
        form: Form,
        tolerance: float,
    ) -> str:
        """Return the text of a file with the annotations of one image."""


def pick_image(images: Collection[str], wanted: str | None) -> str:
    """Return the name of the image in an annotation file that matches a path.

    The names of the files are compared, if need be without suffix, and if need be without regard to
    upper case and to the writing of web addresses. Of the images with the same
    name, the one that shares most folders with the path matches, unless a folder contradicts it:
    `cam1/1.png` is not `/data/cam2/1.png`. A single image of another name always matches.

    Parameters
    ----------
    images : collection of str
        Names of the images in the file, with or without folders.
    wanted : str or None
        Path of the wanted image, if known.

    Raises
    ------
    DataError
        If there are no images.
    UnclearImageError
        If it is unclear which image matches.
    """
    if not images:
        raise DataError("it has no images; export the annotations together with their images.")
    same = [] if wanted is None else _of_same_name(images, wanted)
    found = [] if wanted is None else _with_most_folders(same, wanted)
    if len(found) == 1:
        return found[0]
    if len(images) == 1 and not same:
        return next(iter(images))
    number = "1 image" if len(images) == 1 else f"{len(images)} images"
    contents = f"it has the annotations of {number} ({_listed(images)})"
    if wanted is None:
        message = f"{contents}; export the annotations of one image only, or choose an image."
        raise UnclearImageError(message, images)
    nearest = f" (nearest: {_listed(found or same)})" if same else ""
    message = (
        f"{contents}, and none clearly matches {wanted}{nearest}; give both the same name"
        f"{' and folder' if same else ''}."
    )
    raise UnclearImageError(message, images)


def _of_same_name(images: Collection[str], wanted: str) -> list[str]:
    """Return the images with the file name of a path, or else with its stem."""
    parts = ("name", "name"), ("stem", "name"), ("name", "stem"), ("stem", "stem")
    for read, (theirs, ours) in product((_path, _plain_path), parts):
        goal = getattr(read(wanted), ours)
        found = [name for name in images if getattr(read(name), theirs) == goal]
        if found:
            return found
    return []


def _with_most_folders(images: Sequence[str], wanted: str) -> list[str]:
    """Return the images whose folders fit those of a path best; none if all contradict it."""
    shared: dict[str, int] = {}
    ours = _plain_path(wanted).parts[-2::-1]
    for name in images:
        if _path(name).parts[:-1] == _path(wanted).parts[:-1]:
            return [name]
        theirs = _plain_path(name).parts[-2::-1]
        pairs = list(zip(theirs, ours, strict=False))
        if all(one == other for one, other in pairs):
            shared[name] = len(pairs)
    return [name for name, count in shared.items() if count == max(shared.values())]


def _path(name: str) -> PurePosixPath:
    """Return the path of an image, independent of the system that wrote it."""
    path = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/"))
    return PurePosixPath(*(part for part in path.parts if part != ".."))


def _plain_path(name: str) -> PurePosixPath:
    """Return the path of an image, independent of letter case and of the writing of web addresses.

    `images/My%20Photo.JPG?token=1` is `images/my photo.jpg`.
    """
    address = unquote(name.partition("?")[0] if "://" in name else name)
    return _path(address.strip().casefold())


def _listed(names: Sequence[str] | Collection[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in list(names)[:5])
    return f"{shown} …" if len(names) > 5 else shown


def check_size(size: Size) -> Size:
    """Return the size of an image after checking that it is plausible.

    Raises
    ------
    DataError
        If the image is empty or implausibly large.
    """
    stated = f"it gives the image {size[0]} rows and {size[1]} columns"
    if min(size) < 1:
        raise DataError(f"{stated}; correct the size.")
    if size[0] * size[1] > LARGEST:
        raise DataError(
            f"{stated}, more than the {LARGEST:,} pixels that can be drawn; correct the size, or "
            "split the image."
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
        return model.model_validate_json(_in_utf8(content))
    except UnicodeDecodeError as error:
        raise DataError(
            f"it is not written in UTF-8 (byte {error.start}); save it in UTF-8 with a text editor."
        ) from error
    except ValidationError as error:
        raise damage(error) from error


def _in_utf8(content: bytes) -> bytes:
    """Return JSON in UTF-8 without its mark; other Unicode encodings have a zero in each letter."""
    if b"\0" not in content[:4]:
        content.decode()
        return content.removeprefix(BOM_UTF8)
    return content.decode(json.detect_encoding(content)).encode()


def validated(model: type[Document], entry: Any, place: str) -> Document:
    """Validate one entry of a file as a pydantic model.

    Parameters
    ----------
    model : type of BaseModel
        Model of the entry.
    entry : object
        Entry of the parsed file.
    place : str
        Place of the entry in the file, such as "shapes.0", for the error message.

    Raises
    ------
    DataError
        If the entry does not fit the model.
    """
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        raise damage(error, place) from error


def damage(error: ValidationError, place: str = "") -> DataError:
    """Return the error of a damaged file or entry, which names its first problem."""
    name, reason = first_problem(error)
    where = ".".join(part for part in (place, name) if part)
    return DataError(
        f"it is damaged ({where + ': ' if where else ''}{reason}); export the annotations again."
    )


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
