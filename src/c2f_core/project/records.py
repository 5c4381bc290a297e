"""Records of the images of a project, and the file that stores them."""

import zlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from c2f_core.config.settings import Settings
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.refine.scope import Record, Scope


class Versioned(Settings):
    """Content of a JSON file; the default of `format_version` is the version that is written."""

    format_version: int


class _Number(BaseModel):
    format_version: int | None = None


Read = TypeVar("Read", bound=Versioned)


def read_versioned(kind: type[Read], path: Path) -> Read:
    """Read a versioned JSON file; content of an older format is converted to the current one.

    Parameters
    ----------
    kind : type of Versioned
        Model of the content.
    path : Path
        File to read.

    Returns
    -------
    Versioned
        Validated content.

    Raises
    ------
    OSError, ValueError
        If the file is missing or damaged.
    DataError
        If the file has an unknown format version.
    """
    text = path.read_text(encoding="utf-8")
    # Check the version first: a newer format may contain keys that are unknown here.
    found = _Number.model_validate_json(text).format_version
    known = kind.model_fields["format_version"].default
    if found is not None and found not in range(1, known + 1):
        advice = "update napari-c2f" if found > known else "restore it from a backup"
        raise DataError(f"{path} has format {found}, this version reads 1 to {known}; {advice}.")
    return kind.model_validate_json(text).model_copy(update={"format_version": known})


HELD_OUT_EVERY = 4
"""Every fourth reviewed image is held out, starting with the second: fine-tuning needs two images,
one to train on and one to evaluate on."""


class Status(StrEnum):
    """Stage that the work on an image has reached."""

    PENDING = "pending"
    REFINED = "refined"
    REVIEWED = "reviewed"


class Effort(Settings):
    """Work that a person spent on one image, before or after its first refinement."""

    seconds: float = Field(default=0.0, ge=0)
    """Time during which the image was open and the window active."""
    painted: int = Field(default=0, ge=0)
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
        except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            raise ValueError(f"the scope is damaged ({error})") from error
        return scope

    def read_scope(self) -> Scope:
        """Return the scope in which the map may change."""
        return Scope.from_record(self.scope)


class ImageRecord(Settings):
    """Record of one image of a project."""

    name: str
    """Name of the image: its file names without suffix."""
    image: str
    """Name of the image file in the folder `images`."""
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    status: Status = Status.PENDING
    """Stage that the work has reached."""
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

    def under_review(self) -> Self:
        """Return the record after a review has begun: the image is no longer reviewed."""
        is_reviewed = self.status is Status.REVIEWED
        return self.model_copy(update={"status": Status.REFINED}) if is_reviewed else self

    def with_effort(self, effort: Effort) -> Self:
        """Return the record with effort added, before or after the first refinement."""
        kind = "before" if self.status is Status.PENDING else "after"
        return self.model_copy(update={kind: getattr(self, kind) + effort})


class ProjectFile(Versioned):
    """Content of `project.json`."""

    format_version: int = 2
    """Raised whenever older programs can no longer read the file."""
    model: str = ""
    """Refiner of the project: a bundled or classical one, or a file in `models`; empty if none."""
    images: tuple[ImageRecord, ...] = ()
    """Records of the images, in the order in which they were added."""

    @classmethod
    def read(cls, path: Path) -> "ProjectFile":
        """Read the file.

        Raises
        ------
        DataError
            If the file is missing or damaged, or a newer program wrote it.
        """
        try:
            return read_versioned(cls, path)
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(
                f"{path.parent} does not contain a readable project ({reason}); choose the folder "
                "of a project, or create one."
            ) from error

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def with_record(self, record: ImageRecord) -> "ProjectFile":
        """Return the content with a record added or, if its name exists, replaced."""
        records = {each.name: each for each in self.images} | {record.name: record}
        return self.model_copy(update={"images": tuple(records.values())})

    def without(self, record: ImageRecord) -> "ProjectFile":
        """Return the content without the record of this name."""
        left = tuple(each for each in self.images if each.name != record.name)
        return self.model_copy(update={"images": left})


def is_file_name(name: str) -> bool:
    """Return whether `name` is a plain, visible and decodable file name."""
    is_visible = bool(name) and not name.startswith(".") and name == Path(name).name
    # Python decodes bytes that are not UTF-8 as surrogates, which JSON cannot encode.
    return is_visible and not any("\ud800" <= letter <= "\udfff" for letter in name)


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
