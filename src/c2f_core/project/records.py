"""What a project knows of each image, and the file that holds it."""

import zlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from c2f_core.config.settings import Settings
from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.refine.record import Record, scope_of_record, scope_record
from c2f_core.refine.scope import Scope


class Versioned(Settings):
    """Settings in a file of their own, with the number of their format as default."""

    format_version: int


class _Number(BaseModel):
    format_version: int | None = None


Read = TypeVar("Read", bound=Versioned)


def read_versioned(kind: type[Read], path: Path) -> Read:
    """Read a file of settings.

    Raises
    ------
    OSError, ValueError
        It lacks, or is damaged.
    DataError
        Its format is another.
    """
    text = path.read_text(encoding="utf-8")
    # A newer program may have put in what this one does not know.
    found = _Number.model_validate_json(text).format_version
    known = kind.model_fields["format_version"].default
    if found not in (None, known):
        raise DataError(
            f"{path} has format {found}, this version reads {known}; update napari-c2f."
        )
    return kind.model_validate_json(text)


KEPT_BACK_EVERY = 4
"""Of so many reviewed images one is kept back, the second of them: two images make a lesson."""


class Status(StrEnum):
    """How far the work on an image is."""

    TO_DO = "to do"
    REFINED = "refined"
    REVIEWED = "reviewed"


class Effort(Settings):
    """Work of a person on one image, before or after its first refining."""

    seconds: float = Field(default=0.0, ge=0)
    """Time in which the image was open and the window active."""
    painted: int = Field(default=0, ge=0)
    """Pixels whose label was changed by hand, counted anew at each stroke."""

    def __add__(self, other: "Effort") -> "Effort":
        """Add the work of another sitting."""
        return Effort(seconds=self.seconds + other.seconds, painted=self.painted + other.painted)


class Parameters(Settings):
    """How the refiner was asked."""

    device: str = "cpu"
    """Where it computes when it is asked again: other devices may round otherwise."""
    average_flips: bool = False
    """Whether it averages over the image and its mirror image."""
    scope: Record = Field(default_factory=lambda: scope_record(Scope()))
    """Where it may change the map, see `scope_record`."""

    @field_validator("scope")
    @classmethod
    def _is_the_record_of_a_scope(cls, scope: Record) -> Record:
        try:
            scope_of_record(scope)
        except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            raise ValueError(f"the scope is damaged ({error})") from error
        return scope

    @property
    def where(self) -> Scope:
        """Where it may change the map."""
        return scope_of_record(self.scope)


class ImageRecord(Settings):
    """One image of a project."""

    name: str
    """Name of its files without ending."""
    image: str
    """File name in `images`."""
    size: tuple[int, int]
    """Rows and columns."""
    status: Status = Status.TO_DO
    """To do, refined or reviewed."""
    doubt: float | None = Field(default=None, ge=0, le=1)
    """One minus the mean confidence when it was refined last; None before."""
    model: str = ""
    """Refiner that refined it last, as in `ProjectFile`; empty where none did."""
    parameters: Parameters = Parameters()
    """How that was asked."""
    before: Effort = Effort()
    """Work before the first refining."""
    after: Effort = Effort()
    """Work after the first refining."""
    rejected: tuple[tuple[int, int, int], ...] = ()
    """Keys of the regions that were rejected in a review, see `ChangedPixels.keys`."""
    held_out: bool | None = None
    """No lesson trains on it, so that it judges them; None before the first review."""

    @field_validator("name", "image")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        if not is_file_name(name):
            raise ValueError("a name is that of a file, not of a path")
        return name

    def refined(self, model: str, confidence: float, parameters: Parameters) -> Self:
        """Return the record after refining with a model, with this mean confidence.

        Nobody has looked at the new map, even where an earlier one was reviewed.
        """
        changes = {"model": model, "doubt": 1 - confidence, "parameters": parameters}
        return self.model_copy(update=changes | {"status": Status.REFINED})

    def under_review(self) -> Self:
        """Return the record of an image whose map is being reviewed, perhaps once more."""
        is_reviewed = self.status is Status.REVIEWED
        return self.model_copy(update={"status": Status.REFINED}) if is_reviewed else self

    def with_effort(self, effort: Effort) -> Self:
        """Return the record with more work, which counts before or after by the status."""
        kind = "before" if self.status is Status.TO_DO else "after"
        return self.model_copy(update={kind: getattr(self, kind) + effort})


class ProjectFile(Versioned):
    """Content of `project.json`."""

    format_version: int = 1
    """Changes where older programs could not read the file."""
    model: str = ""
    """Refiner of the project: a bundled or classical one, or a file in `models`; empty is none."""
    images: tuple[ImageRecord, ...] = ()
    """In the order in which they were added."""

    @classmethod
    def read(cls, path: Path) -> "ProjectFile":
        """Read the file.

        Raises
        ------
        DataError
            It lacks, is damaged, or a newer program wrote it.
        """
        try:
            return read_versioned(cls, path)
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(
                f"{path.parent} holds no project that can be read ({reason}); choose the folder of "
                "a project, or create one."
            ) from error

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def with_record(self, record: ImageRecord) -> "ProjectFile":
        """Return the content with a record added, or put in the place of the one of its name."""
        records = {each.name: each for each in self.images} | {record.name: record}
        return self.model_copy(update={"images": tuple(records.values())})

    def without(self, record: ImageRecord) -> "ProjectFile":
        """Return the content without a record."""
        left = tuple(each for each in self.images if each.name != record.name)
        return self.model_copy(update={"images": left})


def is_file_name(name: str) -> bool:
    """Tell the name of a visible file from a path, a hidden file, and what is no text."""
    is_visible = bool(name) and not name.startswith(".") and name == Path(name).name
    # Python puts surrogates where the bytes of a name are no UTF-8; JSON cannot hold them.
    return is_visible and not any("\ud800" <= letter <= "\udfff" for letter in name)


def is_held_out(reviewed: Iterable[ImageRecord]) -> bool:
    """Say whether the next image that is reviewed is kept back, given those that were.

    It is decided once, at the first review, so that no image on which a lesson
    trained ever judges a later one.
    """
    decided = sum(record.held_out is not None for record in reviewed)
    return decided % KEPT_BACK_EVERY == 1


def by_doubt(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    """Order images by where a look is worth most.

    First those not reviewed yet, the most doubtful before; those that were never
    refined, of which nothing is known, come after them, and reviewed ones last.
    """
    return sorted(
        records,
        key=lambda record: (
            record.status is Status.REVIEWED,
            record.doubt is None,
            -(record.doubt or 0.0),
        ),
    )
