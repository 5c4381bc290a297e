"""Records of the images of a project, and the file that stores them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import to_json

from c2f_core.classes.codec import MAX_LABEL
from c2f_core.config.settings import Settings
from c2f_core.documents import first_problem
from c2f_core.errors import C2FError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.project.layout import CONTENT_FILE
from c2f_core.project.versioned import Versioned, current, read_content
from c2f_core.refine.scope import Record, Scope

HELD_OUT_EVERY = 4
"""Every fourth reviewed image is held out, starting with the second: fine-tuning needs two images,
one to train on and one to evaluate on."""


class Status(StrEnum):
    """Stage that the work on an image has reached."""

    PENDING = "pending"
    REFINED = "refined"
    REVIEWED = "reviewed"


MAX_EFFORT = 2**53
"""Largest number of seconds or pixels, which may come from a damaged file."""


class Effort(Settings):
    """Work that a person spent on one image, before or after its first refinement."""

    seconds: float = Field(default=0.0, ge=0, le=MAX_EFFORT)
    """Time during which the image was open and the window active."""
    painted: int = Field(default=0, ge=0, le=MAX_EFFORT)
    """Pixels whose label was changed by hand; a pixel counts once per stroke."""

    def __add__(self, other: "Effort") -> "Effort":
        """Return the sum of both."""
        return Effort(seconds=self.seconds + other.seconds, painted=self.painted + other.painted)


class Parameters(Settings):
    """Parameters of a refinement."""

    device: str = "cpu"
    """Device on which the refinement is repeated; other devices may round differently."""
    scope: Record = Field(default_factory=Scope().to_record)
    """Record of the scope in which the map may change, see `Scope.to_record`."""

    @model_validator(mode="before")
    @classmethod
    def _convert_format_1(cls, content: Any) -> Any:
        """Accept the removed parameter `average_flips` if it was off."""
        if not isinstance(content, dict):
            return content
        if content.get("average_flips"):
            raise ValueError("average_flips is on, which this version does not support here")
        return {name: value for name, value in content.items() if name != "average_flips"}

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, scope: Record) -> Record:
        try:
            Scope.from_record(scope)
        except ValidationError as error:
            name, reason = first_problem(error)
            raise ValueError(f"the scope is damaged ({name}: {reason})") from error
        except (ValueError, C2FError) as error:
            raise ValueError(f"the scope is damaged ({error})") from error
        return scope

    def read_scope(self) -> Scope:
        """Return the scope in which the map may change."""
        return Scope.from_record(self.scope)


Side = Annotated[int, Field(ge=1, lt=2**31)]
"""Height or width of an image in pixels."""


class ImageRecord(Settings):
    """Record of one image of a project."""

    name: str
    """Name of the image: its file names without suffix."""
    image: str
    """Name of the image file in the folder `images`."""
    size: tuple[Side, Side]
    """Height and width of the image in pixels."""
    status: Status = Status.PENDING
    """Stage that the work has reached."""
    drawn: bool = False
    """Whether the coarse map has a labelled pixel, as last saved."""
    doubt: float | None = Field(default=None, ge=0, le=1)
    """One minus the mean confidence of the last refinement; None before the first."""
    model: str = ""
    """Refiner of the last refinement, as in `ProjectFile`; empty if unknown."""
    parameters: Parameters = Parameters()
    """Parameters of the last refinement."""
    before: Effort = Effort()
    """Work before the first refinement."""
    after: Effort = Effort()
    """Work after the first refinement."""
    rejected: tuple[tuple[int, int, int], ...] = ()
    """Keys of the regions rejected in the review, see `ChangedPixels.keys`."""
    held_out: bool | None = None
    """Whether the image evaluates models and never trains one; None before its first review."""

    @model_validator(mode="before")
    @classmethod
    def _convert_format_1(cls, content: Any) -> Any:
        """Convert renamed entries; the work is kept even if its refinement cannot be repeated."""
        if not isinstance(content, dict):
            return content
        content = dict(content)
        if content.get("status") == "to do":
            content["status"] = Status.PENDING
        if "kept_back" in content:
            content["held_out"] = content.pop("kept_back")
        if isinstance(content.get("parameters"), dict):
            content["parameters"] = content["parameters"] | {"average_flips": False}
        return content

    @field_validator("name", "image")
    @classmethod
    def _check_file_name(cls, name: str) -> str:
        if not is_file_name(name):
            raise ValueError("the name is not a plain file name")
        return name

    @model_validator(mode="after")
    def _check_rejected(self) -> Self:
        pixels = self.size[0] * self.size[1]
        for first, size, label in self.rejected:
            if not (0 <= first < pixels and 1 <= size <= pixels and 0 <= label <= MAX_LABEL):
                raise ValueError("a rejected region does not lie in the image")
        return self

    def refined(self, model: str, confidence: float, parameters: Parameters) -> Self:
        """Return the record after a refinement.

        The new map counts as not reviewed, even if an earlier one was reviewed.

        Parameters
        ----------
        model : str
            Refiner, as in `ProjectFile`.
        confidence : float
            Mean confidence in [0, 1].
        parameters : Parameters
            Parameters of the refinement.
        """
        changes = {"model": model, "doubt": 1 - confidence, "parameters": parameters}
        return self.model_copy(update=changes | {"status": Status.REFINED})

    @property
    def stage(self) -> str:
        """Stage of the work as it is listed: the status, or "drawn" before the first refinement."""
        is_drawn = self.drawn and self.status is Status.PENDING
        return "drawn" if is_drawn else str(self.status)

    def under_review(self) -> Self:
        """Return the record after a review has begun: the image is no longer reviewed."""
        is_reviewed = self.status is Status.REVIEWED
        return self.model_copy(update={"status": Status.REFINED}) if is_reviewed else self

    def with_effort(self, effort: Effort) -> Self:
        """Return the record with effort added, before or after the first refinement."""
        kind = "before" if self.status is Status.PENDING else "after"
        return self.model_copy(update={kind: getattr(self, kind) + effort})


@dataclass(frozen=True)
class DamagedRecord:
    """Entry of `project.json` that is not the record of an image; it is kept as it is.

    Attributes
    ----------
    content : object
        Content of the entry.
    reason : str
        What is wrong with it.
    """

    content: Any
    reason: str

    @property
    def name(self) -> str:
        """Name of the image; empty if it is unreadable."""
        name = self.content.get("name") if isinstance(self.content, dict) else None
        return name if isinstance(name, str) else ""

    @property
    def file(self) -> str:
        """Name of the image file; empty if it is unreadable."""
        file = self.content.get("image") if isinstance(self.content, dict) else None
        return file if isinstance(file, str) else ""

    def message(self) -> str:
        """Return a message for the user."""
        what = f"'{self.name}'" if self.name else "an image"
        return (
            f"The record of {what} in {CONTENT_FILE} is damaged ({self.reason}), so that the image "
            "is not listed; correct the record, or delete it to add the image again."
        )


class DamagedProjectError(DataError):
    """`project.json` is missing or damaged; `content` is what can be read of it."""

    def __init__(self, message: str, content: Any) -> None:
        super().__init__(message)
        self.content = content


class ProjectFile(Versioned):
    """Content of `project.json`."""

    format_version: int = 2
    """Raised whenever older programs can no longer read the file."""
    model: str = ""
    """Refiner of the project: a bundled or classical one, or a file in `models`; empty if none."""
    images: tuple[ImageRecord, ...] = ()
    """Records of the images, in the order in which they were added."""
    _damaged: tuple[DamagedRecord, ...] = PrivateAttr(())

    @property
    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Entries that cannot be read; they stay in the file."""
        return self._damaged

    @classmethod
    def read(cls, path: Path) -> "ProjectFile":
        """Read the file; records that are damaged do not prevent this.

        Raises
        ------
        DamagedProjectError
            If the file is missing or damaged.
        DataError
            If the file may not be read, or a newer program wrote it.
        """
        content: Any = None
        try:
            content = read_content(cls, path)
            records, damaged = sorted_records(content)
            read = current(cls.model_validate(content | {"images": records}))
        except (OSError, ValueError) as error:
            reason = first_problem(error)[1] if isinstance(error, ValidationError) else error
            message = (
                f"{path.parent} does not contain a readable project ({reason}); choose the folder "
                "of a project, or create one."
            )
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise DataError(message) from error
            raise DamagedProjectError(message, content) from error
        return read.with_damaged(damaged)

    def with_damaged(self, damaged: Iterable[DamagedRecord]) -> Self:
        """Return the content with entries that cannot be read."""
        copy = self.model_copy()
        copy._damaged = tuple(damaged)
        return copy

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        content = self.model_dump(mode="json")
        content["images"] += [each.content for each in self.damaged]
        with atomic_path(path) as temporary:
            temporary.write_bytes(to_json(content, indent=2) + b"\n")

    def with_record(self, record: ImageRecord) -> "ProjectFile":
        """Return the content with a record added or, if its name exists, replaced."""
        records = {each.name: each for each in self.images} | {record.name: record}
        return self.model_copy(update={"images": tuple(records.values())})

    def without(self, record: ImageRecord) -> "ProjectFile":
        """Return the content without the record of this name."""
        left = tuple(each for each in self.images if each.name != record.name)
        return self.model_copy(update={"images": left})


def sorted_records(content: Any) -> tuple[list[ImageRecord], list[DamagedRecord]]:
    """Return the valid records in the content of `project.json`, and the damaged ones.

    Raises
    ------
    ValueError
        If the content does not have a list of records.
    """
    entries = content.get("images", []) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it does not have a list of images")
    records: list[ImageRecord] = []
    damaged: list[DamagedRecord] = []
    taken: set[tuple[str, str]] = set()
    for entry in entries:
        try:
            record = ImageRecord.model_validate(entry)
        except ValidationError as error:
            name, reason = first_problem(error)
            damaged.append(DamagedRecord(entry, f"{name}: {reason}" if name else reason))
            continue
        names = {("name", record.name), ("file", record.image)}
        if taken & names:
            damaged.append(DamagedRecord(entry, "the image occurs twice"))
        else:
            records.append(record)
        taken |= names
    return records, damaged


MAX_NAME_BYTES = 250
"""Maximum length of the name of an image in UTF-8: file systems allow 255 with the suffix."""


def is_file_name(name: str) -> bool:
    """Return whether `name` is a plain, visible and decodable file name of usual length."""
    is_visible = bool(name) and not name.startswith(".") and name == Path(name).name
    # Python decodes bytes that are not UTF-8 as surrogates, which JSON cannot encode.
    is_text = not any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in name)
    return is_visible and is_text and len(name.encode()) <= MAX_NAME_BYTES


def is_next_held_out(records: Iterable[ImageRecord]) -> bool:
    """Return whether the next image to be reviewed is held out.

    This is decided once, at the first review, so that no image that trained a model ever evaluates
    a later one.

    Parameters
    ----------
    records : iterable of ImageRecord
        Records of all images of the project.
    """
    decided = sum(record.held_out is not None for record in records)
    return decided % HELD_OUT_EVERY == 1


def by_doubt(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    """Sort images by how much they need a look.

    Refined images come first, the most doubtful on top, then images that were never refined, and
    reviewed ones last.
    """
    return sorted(
        records,
        key=lambda record: (
            record.status is Status.REVIEWED,
            record.doubt is None,
            -(record.doubt or 0.0),
        ),
    )
