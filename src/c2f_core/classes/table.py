"""Class tables: which classes there are, and how maps are encoded.

A map in a file or a layer holds *indices* of a class table. Networks and
metrics work on *positions* in the table, 0 to C - 1, and 255 where unlabelled.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from scipy.spatial import cKDTree

from c2f_core.classes.presets import BUILT_IN, ClassPreset
from c2f_core.classes.report import DecodeReport
from c2f_core.errors import ClassTableError, ConfigError, ImageError

UNLABELLED_ID = 255
MAX_CLASS_IDS = UNLABELLED_ID + 1
"""How many positions there can be; the base of codes for pairs of them."""
MOST_CLASSES = UNLABELLED_ID - 1
LARGEST_INDEX = 65535
DEFAULT_TOLERANCE = 64.0
"""Largest Euclidean RGB distance at which a colour still counts as a class."""

Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]


class ClassEntry(BaseModel):
    """One class: its name, its index in maps and its colour (RGB, 0 to 255)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    index: int = Field(ge=0, le=LARGEST_INDEX)
    colour: Colour


class ClassTable(BaseModel):
    """Ordered classes and the entry for unlabelled pixels.

    Raises
    ------
    pydantic.ValidationError
        A name, index or colour occurs twice, or a value is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    classes: tuple[ClassEntry, ...]
    unlabelled: ClassEntry

    @field_validator("classes")
    @classmethod
    def _not_too_many(cls, classes: tuple[ClassEntry, ...]) -> tuple[ClassEntry, ...]:
        if not 1 <= len(classes) <= MOST_CLASSES:
            raise ValueError(
                f"a class table holds at least 1 and at most {MOST_CLASSES} classes, not "
                f"{len(classes)}; add or merge some"
            )
        return classes

    @model_validator(mode="after")
    def _entries_are_distinct(self) -> "ClassTable":
        for field in ("name", "index", "colour"):
            counts = Counter(getattr(entry, field) for entry in self.entries)
            twice = [value for value, count in counts.items() if count > 1]
            if twice:
                raise ValueError(f"the {field} {twice[0]} occurs twice; give each class its own")
        return self

    def __eq__(self, other: object) -> bool:
        # pydantic would compare the cached lookups too, which are arrays.
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
        """Number of classes, unlabelled not counted."""
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Class names in order."""
        return [entry.name for entry in self.classes]

    @property
    def names_by_position(self) -> dict[int, str]:
        """Names of the classes, and of the unlabelled entry at its position."""
        return dict(enumerate(self.names)) | {UNLABELLED_ID: self.unlabelled.name}

    @property
    def colours(self) -> NDArray[np.uint8]:
        """Class colours in order, (C, 3) uint8."""
        return np.array([entry.colour for entry in self.classes], dtype=np.uint8)

    @cached_property
    def _positions_of_indices(self) -> NDArray[np.int16]:
        lookup = np.full(LARGEST_INDEX + 1, -1, dtype=np.int16)
        for position, entry in enumerate(self.classes):
            lookup[entry.index] = position
        lookup[self.unlabelled.index] = UNLABELLED_ID
        return lookup

    @cached_property
    def _indices_of_positions(self) -> NDArray[Any]:
        largest = max(entry.index for entry in self.entries)
        lookup = np.full(256, self.unlabelled.index, dtype=np.min_scalar_type(largest))
        lookup[: self.number_of_classes] = [entry.index for entry in self.classes]
        return lookup

    def to_class_ids(self, index_map: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn class indices into positions in this table.

        Parameters
        ----------
        index_map : (Y, X) integer or boolean array
            Class indices.

        Returns
        -------
        (Y, X) uint8 array
            Positions 0 to C - 1, 255 where unlabelled.

        Raises
        ------
        ClassTableError
            The map is not of integers, or holds an index that is not in the table.
        """
        index_map = np.asarray(index_map)
        if index_map.dtype.kind not in "bui":
            raise ClassTableError(
                f"The map holds {index_map.dtype} values; convert it to integer class indices."
            )
        if index_map.size and (index_map.min() < 0 or index_map.max() > LARGEST_INDEX):
            self._refuse_unknown(index_map)
        positions = self._positions_of_indices.take(index_map.astype(np.uint16))
        if positions.size and positions.min() < 0:
            self._refuse_unknown(index_map)
        return positions.astype(np.uint8)

    def _refuse_unknown(self, index_map: NDArray[Any]) -> NoReturn:
        unknown = ~np.isin(index_map, [entry.index for entry in self.entries])
        values, counts = np.unique(index_map[unknown], return_counts=True)
        shown = ", ".join(
            f"{value} ({count} px)" for value, count in zip(values[:5], counts[:5], strict=True)
        )
        place = tuple(int(axis[0]) for axis in np.nonzero(unknown))
        raise ClassTableError(
            f"The map holds values that are not in the class table '{self.name}': {shown}, first "
            f"at {place}; choose the table that the map was drawn with or relabel these pixels."
        )

    def to_labels(self, positions: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
        """Turn positions in this table into class indices.

        Parameters
        ----------
        positions : (Y, X) uint8 array
            Positions 0 to C - 1; all else counts as unlabelled.

        Returns
        -------
        (Y, X) array of the smallest unsigned dtype that holds all indices
        """
        indices: NDArray[np.unsignedinteger[Any]] = self._indices_of_positions.take(positions)
        return indices

    def translate(
        self, index_map: NDArray[Any], other: "ClassTable"
    ) -> NDArray[np.unsignedinteger[Any]]:
        """Turn class indices of this table into those of another, by class name.

        Parameters
        ----------
        index_map : (Y, X) integer array
            Class indices of this table.
        other : ClassTable

        Returns
        -------
        (Y, X) unsigned integer array
            Class indices of `other`; unlabelled stays unlabelled.

        Raises
        ------
        ClassTableError
            The map holds an index that is not in this table, or a class that is
            not in the other.
        """
        positions = self.to_class_ids(index_map)
        lookup = np.full(256, UNLABELLED_ID, dtype=np.uint8)
        for position in np.unique(positions[positions != UNLABELLED_ID]).tolist():
            name = self.names[position]
            if name not in other.names:
                raise ClassTableError(
                    f"The map holds the class '{name}', which '{other.name}' does not have "
                    f"({', '.join(other.names)}); choose the class table that the map was drawn "
                    "with, or a model for its classes."
                )
            lookup[position] = other.names.index(name)
        return other.to_labels(lookup[positions])

    def encode_colours(self, index_map: NDArray[Any]) -> NDArray[np.uint8]:
        """Paint a map of class indices (Y, X) as a colour image (Y, X, 3) uint8.

        Raises
        ------
        ClassTableError
            The map holds an index that is not in the table.
        """
        palette = np.empty((256, 3), dtype=np.uint8)
        palette[:] = self.unlabelled.colour
        palette[: self.number_of_classes] = self.colours
        return palette[self.to_class_ids(index_map)]

    def decode_colours(
        self,
        rgb: NDArray[np.uint8],
        tolerance: float = DEFAULT_TOLERANCE,
        *,
        blended: bool = False,
    ) -> tuple[NDArray[np.unsignedinteger[Any]], DecodeReport]:
        """Read a colour image as a map: each pixel takes the nearest class colour.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
        tolerance : float
            Largest Euclidean distance in RGB; pixels beyond it become unlabelled.
        blended : bool
            Whether the classes are blended at their boundaries; then pixels beyond
            the tolerance take the nearest colour, too.

        Returns
        -------
        index_map : (Y, X) unsigned integer array
        report : DecodeReport
            How many colours were off the palette, and where.

        Raises
        ------
        ImageError
            The image is not RGB.
        ConfigError
            The tolerance is negative.
        """
        refuse_tolerance(tolerance)
        if rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ImageError(
                f"The colour image has shape {rgb.shape}; give (Y, X, 3), or read a grey image as "
                "class indices."
            )
        codes = rgb.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
        distinct, inverse = np.unique(codes, return_inverse=True)
        channels = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], axis=1)
        palette = np.array([entry.colour for entry in self.entries], dtype=float)
        distance, nearest = cKDTree(palette).query(channels.astype(float))
        beyond = distance > tolerance
        nearest[nearest == self.number_of_classes] = UNLABELLED_ID
        if not blended:
            nearest[beyond] = UNLABELLED_ID
        inverse = inverse.reshape(codes.shape)
        outside = beyond[inverse]
        places = zip(*(axis[:10].tolist() for axis in np.nonzero(outside)), strict=True)
        report = DecodeReport(
            off_palette=int((distance > 0)[inverse].sum()),
            outside=int(outside.sum()),
            places=tuple((row, column) for row, column in places),
            pixels=codes.size,
            blended=blended,
        )
        return self.to_labels(nearest.astype(np.uint8)[inverse]), report

    def one_hot(self, positions: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One channel per class; an unlabelled pixel is the all-zero vector.

        Parameters
        ----------
        positions : (Y, X) uint8 array

        Returns
        -------
        (C, Y, X) float32 array of 0 and 1
        """
        channels = np.arange(self.number_of_classes, dtype=np.uint8)[:, None, None]
        encoded: NDArray[np.float32] = (positions[None] == channels).astype(np.float32)
        return encoded

    def decode_one_hot(self, encoded: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn what `one_hot` makes, or a probability per class, back into positions.

        Parameters
        ----------
        encoded : (C, Y, X) array
            The largest channel of a pixel is its class, the first of equal ones.

        Returns
        -------
        (Y, X) uint8 array
            Positions, 255 where all channels are zero.

        Raises
        ------
        ClassTableError
            There is not one channel per class.
        """
        if encoded.ndim != 3 or len(encoded) != self.number_of_classes:
            raise ClassTableError(
                f"The array has shape {encoded.shape}; give (C, Y, X) with one channel for each of "
                f"the {self.number_of_classes} classes of '{self.name}'."
            )
        positions: NDArray[np.uint8] = encoded.argmax(axis=0).astype(np.uint8)
        positions[~encoded.any(axis=0)] = UNLABELLED_ID
        return positions

    @classmethod
    def preset(cls, name: str) -> "ClassTable":
        """Return a built-in class table: fasseg, cityscapes or camvid.

        Raises
        ------
        ClassTableError
            There is no preset of this name.
        """
        if name not in PRESETS:
            raise ClassTableError(
                f"There is no class table '{name}'; choose one of {', '.join(PRESETS)} or give "
                "the path of a TOML or JSON file."
            )
        return PRESETS[name]

    @classmethod
    def named(cls, name: str) -> "ClassTable":
        """Return a preset, or read a TOML or JSON file.

        Raises
        ------
        ClassTableError
            It is neither, or the file is no valid class table.
        """
        if name not in PRESETS and Path(name).exists():
            return cls.from_file(name)
        return cls.preset(name)

    @classmethod
    def from_file(cls, path: str | Path) -> "ClassTable":
        """Read a class table from a TOML or JSON file.

        Raises
        ------
        ClassTableError
            The file cannot be read or is no valid class table.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
            return cls.model_validate(content)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            message = f"{place}: {_reason(error)}" if place else _reason(error)
            raise ClassTableError(
                f"{path.name} is no valid class table ({message}); correct this entry."
            ) from error
        except (OSError, ValueError) as error:
            raise ClassTableError(
                f"The class table {path} cannot be read ({error}); give a TOML or JSON file with "
                "name, classes and unlabelled."
            ) from error


def refuse_tolerance(tolerance: float) -> None:
    """Refuse a tolerance of `ClassTable.decode_colours` that no colour can keep.

    Raises
    ------
    ConfigError
        It is negative or no number.
    """
    if not tolerance >= 0:  # As also with NaN.
        raise ConfigError(f"The tolerance is {tolerance:g}; give an RGB distance of 0 or more.")


def table_from_colours(
    name: str,
    entries: Mapping[int, tuple[str, tuple[int, int, int]]],
    unlabelled_index: int = 0,
) -> ClassTable:
    """Make a class table from `{index: (name, colour)}`, as a Labels layer has it.

    Parameters
    ----------
    name : str
    entries : mapping
        Class name and RGB colour (0 to 255) by class index.
    unlabelled_index : int
        Index that means "nobody said"; it need not be among the entries.

    Raises
    ------
    ClassTableError
        There is no class or too many, or names, indices or colours occur twice.
    """
    taken = {tuple(colour) for index, (_, colour) in entries.items() if index != unlabelled_index}
    # All greys are taken only where there are too many classes, which is refused below.
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
            f"The class table '{name}' is not valid: {_reason(error)}."
        ) from error


def _reason(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")


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
