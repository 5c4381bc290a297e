"""Class tables: the classes of a map, with their names, labels and colours.

A map in a file or a layer has *labels*, the `index` of each class in its class
table. Networks and metrics work on *class ids*: 0 to C - 1 in the order of the
table, and `UNLABELLED_ID` where unlabelled.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from c2f_core.classes.codec import (
    MAX_CLASS_IDS,
    MAX_CLASSES,
    MAX_LABEL,
    UNLABELLED_ID,
    LabelCodec,
    id_lookup,
)
from c2f_core.classes.presets import BUILT_IN, ClassPreset
from c2f_core.documents import first_problem, read_document
from c2f_core.errors import ClassTableError

__all__ = [
    "MAX_CLASS_IDS",
    "PRESETS",
    "UNLABELLED_ID",
    "ClassEntry",
    "ClassTable",
    "Colour",
    "table_from_colours",
]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]


class ClassEntry(BaseModel):
    """One class of a class table.

    Attributes
    ----------
    name : str
        Name of the class, unique in its table. Letters with accents are stored in composed form,
        as systems differ in how they write them.
    index : int
        Label of the class in maps, 0 to 65535.
    colour : (int, int, int)
        RGB colour, 0 to 255.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1), AfterValidator(partial(unicodedata.normalize, "NFC"))]
    index: int = Field(ge=0, le=MAX_LABEL)
    colour: Colour


class ClassTable(BaseModel):
    """Ordered classes and the entry for unlabelled pixels.

    Attributes
    ----------
    name : str
        Name of the class table.
    classes : tuple of ClassEntry
        Classes in the order of their ids, 1 to 254 of them.
    unlabelled : ClassEntry
        Name, label and colour of unlabelled pixels.

    Raises
    ------
    pydantic.ValidationError
        If a name, index or colour occurs twice, or a value is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    classes: tuple[ClassEntry, ...]
    unlabelled: ClassEntry

    @field_validator("classes")
    @classmethod
    def _check_number_of_classes(cls, classes: tuple[ClassEntry, ...]) -> tuple[ClassEntry, ...]:
        if not 1 <= len(classes) <= MAX_CLASSES:
            raise ValueError(
                f"a class table must have between 1 and {MAX_CLASSES} classes, not "
                f"{len(classes)}; add or merge classes"
            )
        return classes

    @model_validator(mode="after")
    def _check_distinct_entries(self) -> "ClassTable":
        for field in ("name", "index", "colour"):
            counts = Counter(getattr(entry, field) for entry in self.entries)
            twice = [value for value, count in counts.items() if count > 1]
            if twice:
                raise ValueError(
                    f"the {field} {twice[0]} occurs twice; give each class a different one"
                )
        return self

    def __eq__(self, other: object) -> bool:
        # pydantic would compare the cached codec, too.
        return (
            isinstance(other, ClassTable)
            and self.name == other.name
            and self.entries == other.entries
        )

    def __hash__(self) -> int:
        return hash((self.name, self.entries))

    @property
    def entries(self) -> tuple[ClassEntry, ...]:
        """All classes, then the unlabelled entry."""
        return (*self.classes, self.unlabelled)

    @property
    def number_of_classes(self) -> int:
        """Number of classes, not counting the unlabelled entry."""
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Class names in order."""
        return [entry.name for entry in self.classes]

    @property
    def names_by_id(self) -> dict[int, str]:
        """Names by class id, including that of the unlabelled entry."""
        return dict(enumerate(self.names)) | {UNLABELLED_ID: self.unlabelled.name}

    @property
    def colours(self) -> NDArray[np.uint8]:
        """Class colours in order, (C, 3) uint8."""
        return np.array([entry.colour for entry in self.classes], dtype=np.uint8)

    @cached_property
    def label_dtype(self) -> np.dtype[Any]:
        """Smallest unsigned dtype that can store all labels."""
        return self.to_labels(np.empty(0, np.uint8)).dtype

    @cached_property
    def _codec(self) -> LabelCodec:
        class_ids = {entry.index: class_id for class_id, entry in enumerate(self.classes)}
        return LabelCodec(self.name, class_ids, self.unlabelled.index)

    def to_class_ids(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert labels to class ids.

        Parameters
        ----------
        labels : integer or boolean array of any shape
            Labels, as in a map.

        Returns
        -------
        uint8 array of the same shape
            Class ids 0 to C - 1, `UNLABELLED_ID` where unlabelled.

        Raises
        ------
        ClassTableError
            If the map is not of integers, or has a label that is not in the table.
        """
        return self._codec.to_class_ids(labels)

    def check_labels(self, bands: Iterable[NDArray[Any]]) -> None:
        """Check that a map has no labels that are not in the table.

        Parameters
        ----------
        bands : iterable of (y, X) integer arrays
            Bands of rows of the map, from the top.

        Raises
        ------
        ClassTableError
            If the map has such a label; how many pixels have it, and where the first one is.
        """
        self._codec.check(bands)

    def to_labels(self, class_ids: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
        """Convert class ids to labels.

        Parameters
        ----------
        class_ids : uint8 array of any shape
            Class ids 0 to C - 1; all other values count as unlabelled.

        Returns
        -------
        unsigned integer array of the same shape
            Labels, in the smallest dtype that can store all of the table.
        """
        return self._codec.to_labels(class_ids)

    def translate(
        self, labels: NDArray[Any], other: "ClassTable"
    ) -> NDArray[np.unsignedinteger[Any]]:
        """Convert labels of this table to labels of another one, by class name.

        Parameters
        ----------
        labels : integer array of any shape
            Labels of this table.
        other : ClassTable
            Class table to convert to.

        Returns
        -------
        unsigned integer array of the same shape
            Labels of `other`; unlabelled pixels stay unlabelled.

        Raises
        ------
        ClassTableError
            If the map has a label that is not in this table, or a class that is not
            in the other one.
        """
        return other.to_labels(self.translate_ids(self.to_class_ids(labels), other))

    def translate_ids(self, class_ids: NDArray[np.uint8], other: "ClassTable") -> NDArray[np.uint8]:
        """Convert class ids of this table to class ids of another one, by class name.

        Parameters
        ----------
        class_ids : uint8 array of any shape
            Class ids of this table.
        other : ClassTable
            Class table to convert to.

        Returns
        -------
        uint8 array of the same shape
            Class ids of `other`; unlabelled pixels stay unlabelled.

        Raises
        ------
        ClassTableError
            If the map has a class that is not in the other table.
        """
        lookup = id_lookup(self.names, other.names)
        missing = np.flatnonzero(lookup[: self.number_of_classes] == UNLABELLED_ID)
        found = missing[np.isin(missing, class_ids)]
        if found.size:
            raise ClassTableError(
                f"The map has the class '{self.names[found[0]]}', which '{other.name}' does not "
                f"have ({', '.join(other.names)}); choose the class table that the map was drawn "
                "with, or a model for its classes."
            )
        return lookup[class_ids]

    @classmethod
    def preset(cls, name: str) -> "ClassTable":
        """Return a built-in class table.

        Parameters
        ----------
        name : {"fasseg", "cityscapes", "camvid"}
            Name of the data set whose classes the table has.

        Raises
        ------
        ClassTableError
            If there is no preset of this name.
        """
        if name not in PRESETS:
            raise ClassTableError(
                f"There is no class table '{name}'; choose one of {', '.join(PRESETS)} or give "
                "the path of a TOML or JSON file."
            )
        return PRESETS[name]

    @classmethod
    def named(cls, name: str) -> "ClassTable":
        """Return a preset, or read a class table from a file.

        Parameters
        ----------
        name : str
            Name of a preset, or path of a TOML or JSON file.

        Raises
        ------
        ClassTableError
            If there is neither a preset nor a file of this name, or the file is not
            a valid class table.
        """
        if name not in PRESETS and Path(name).exists():
            return cls.from_file(name)
        return cls.preset(name)

    @classmethod
    def from_file(cls, path: str | Path) -> "ClassTable":
        """Read a class table from a TOML or JSON file.

        Parameters
        ----------
        path : str or Path
            Path of the file, with the suffix .toml or .json.

        Raises
        ------
        ClassTableError
            If the file cannot be read or is not a valid class table.
        """
        path = Path(path)
        advice = "give a TOML or JSON file with name, classes and unlabelled"
        content = read_document(path, "class table", ClassTableError, advice)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            name, reason = first_problem(error)
            raise ClassTableError(
                f"{path.name} is not a valid class table ({f'{name}: ' if name else ''}{reason}); "
                "correct this entry."
            ) from error


def table_from_colours(
    name: str,
    entries: Mapping[int, tuple[str, tuple[int, int, int]]],
    unlabelled_index: int = 0,
) -> ClassTable:
    """Make a class table from `{label: (name, colour)}`, as stored in a Labels layer.

    Parameters
    ----------
    name : str
        Name of the class table.
    entries : mapping of int to (str, (int, int, int))
        Class name and RGB colour (0 to 255) by label.
    unlabelled_index : int
        Label of unlabelled pixels; it may be missing from `entries`.

    Raises
    ------
    ClassTableError
        If there are no classes or too many, or a name or colour occurs twice.
    """
    taken = {tuple(colour) for index, (_, colour) in entries.items() if index != unlabelled_index}
    # All greys can only be taken by too many classes, which the table rejects below.
    free = next(((g, g, g) for g in range(256) if (g, g, g) not in taken), (0, 0, 0))
    label, colour = entries.get(unlabelled_index, ("unlabelled", free))
    if tuple(colour) in taken:
        colour = free
    try:
        return ClassTable(
            name=name,
            classes=tuple(
                ClassEntry(name=entry_name, index=index, colour=entry_colour)
                for index, (entry_name, entry_colour) in sorted(entries.items())
                if index != unlabelled_index
            ),
            unlabelled=ClassEntry(name=label, index=unlabelled_index, colour=colour),
        )
    except ValidationError as error:
        raise ClassTableError(
            f"The class table '{name}' is not valid: {first_problem(error)[1]}."
        ) from error


def _table_of(name: str, preset: ClassPreset) -> ClassTable:
    return ClassTable(
        name=name,
        classes=tuple(
            ClassEntry(name=label, index=index, colour=colour)
            for index, (label, colour) in enumerate(preset.classes)
        ),
        unlabelled=ClassEntry(
            name="unlabelled", index=preset.unlabelled_index, colour=preset.unlabelled_colour
        ),
    )


PRESETS = {name: _table_of(name, preset) for name, preset in BUILT_IN.items()}
"""The built-in class tables by name."""
