"""Class tables in the metadata of OME-Zarr label groups, and the metadata of new groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from c2f_core.classes.editing import distant_colour
from c2f_core.classes.table import UNLABELLED_ID, ClassTable, Colour, table_from_colours
from c2f_core.errors import ClassTableError
from c2f_core.scale.multiscale import Axis, Multiscale, Version

KEY = "c2f"
"""Attribute of a group with what this program needs and the specification does not have."""
NAME_KEYS = ("name", "class", "label")
"""Properties of a label that are taken for the name of its class."""


def class_table_of(labels: Multiscale) -> ClassTable | None:
    """Return the class table of a label group, or None if it names no classes.

    A group written by this program has its class table. In other groups, labels with the
    property "name", "class" or "label" are classes, in the colours of the group, and the label
    0 is unlabelled unless it has a name.

    Parameters
    ----------
    labels : Multiscale
        Label group.
    """
    own = labels.attributes.get(KEY, {}).get("class_table")
    if own is not None:
        try:
            return ClassTable.model_validate(own)
        except ValidationError as error:
            raise ClassTableError(
                f"The class table in {labels.path} is damaged; give one with --class-table."
            ) from error
    described = labels.attributes.get("image-label") or {}
    names = _names(described.get("properties") or [])
    if not names:
        return None
    colours = {
        int(each["label-value"]): tuple(each["rgba"][:3])
        for each in described.get("colors") or []
        if each.get("rgba")
    }
    entries = _with_colours(names, colours)
    return table_from_colours(labels.path.name, entries, UNLABELLED_ID if 0 in names else 0)


def _names(properties: Sequence[dict[str, Any]]) -> dict[int, str]:
    """Return the class names by label; empty if some have none or two are the same."""
    names = {
        int(each["label-value"]): str(next(each[key] for key in NAME_KEYS if key in each))
        for each in properties
        if any(key in each for key in NAME_KEYS)
    }
    return names if len(set(names.values())) == len(names) == len(properties) else {}


def _with_colours(
    names: dict[int, str], colours: dict[int, tuple[int, ...]]
) -> dict[int, tuple[str, Colour]]:
    """Return names and colours; a colour that is missing or taken is replaced."""
    entries: dict[int, tuple[str, Colour]] = {}
    for label, name in sorted(names.items()):
        taken = [colour for _, colour in entries.values()]
        red, green, blue = colours.get(label) or distant_colour(taken)
        colour = (red, green, blue)
        entries[label] = (name, distant_colour(taken) if colour in taken else colour)
    return entries


@dataclass(frozen=True)
class GroupLevels:
    """What the metadata of a new group say about its levels.

    Attributes
    ----------
    name : str
        Name of the image or label group.
    axes : sequence of Axis
        Axes of all levels.
    paths : sequence of str
        Path of each level in the group.
    scale, translation : sequence of float
        Those of level 0 along each axis.
    """

    name: str
    axes: Sequence[Axis]
    paths: Sequence[str]
    scale: Sequence[float]
    translation: Sequence[float]

    def prefixed(self, prefix: str) -> "GroupLevels":
        """Return the same levels seen from a folder further up."""
        paths = [f"{prefix}/{path}" for path in self.paths]
        return GroupLevels(self.name, self.axes, paths, self.scale, self.translation)


def image_attributes(version: Version, levels: GroupLevels) -> dict[str, Any]:
    """Return the attributes of an image group.

    Parameters
    ----------
    version : {"0.4", "0.5"}
        Version of the specification.
    levels : GroupLevels
        The levels of the image.
    """
    return _attributes(version, {"multiscales": [_multiscale(version, levels)]})


def label_attributes(
    version: Version, levels: GroupLevels, class_table: ClassTable, source: str
) -> dict[str, Any]:
    """Return the attributes of a label group: its levels, classes, colours and source.

    Parameters
    ----------
    version : {"0.4", "0.5"}
        Version of the specification.
    levels : GroupLevels
        The levels of the map.
    class_table : ClassTable
        Class table of the map. The unlabelled entry is transparent.
    source : str
        Path of the image as seen from the group.
    """
    unlabelled = class_table.unlabelled.index
    described = {
        "version": version,
        "colors": [
            {
                "label-value": entry.index,
                "rgba": [*entry.colour, 0 if entry.index == unlabelled else 255],
            }
            for entry in class_table.entries
        ],
        "properties": [
            {"label-value": entry.index, "name": entry.name} for entry in class_table.entries
        ],
        "source": {"image": source},
    }
    ome = {"multiscales": [_multiscale(version, levels)], "image-label": described}
    return {**_attributes(version, ome), KEY: {"class_table": class_table.model_dump(mode="json")}}


def labels_attributes(version: Version, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of the group `labels`, which lists the label groups in it."""
    return _attributes(version, {"labels": list(names)})


def _attributes(version: Version, ome: dict[str, Any]) -> dict[str, Any]:
    return {"ome": {"version": version, **ome}} if version == "0.5" else ome


def _multiscale(version: Version, levels: GroupLevels) -> dict[str, Any]:
    datasets = [
        {"path": path, "coordinateTransformations": _transformations(levels, number)}
        for number, path in enumerate(levels.paths)
    ]
    axes = [
        {"name": axis.name, "type": axis.kind} | ({"unit": axis.unit} if axis.unit else {})
        for axis in levels.axes
    ]
    described = {"name": levels.name, "axes": axes, "datasets": datasets, "type": "nearest"}
    return described if version == "0.5" else {"version": version, **described}


def _transformations(levels: GroupLevels, level: int) -> list[dict[str, Any]]:
    """Return scale and translation of a level, of which every pixel is one of level 0."""
    factors = [1.0] * (len(levels.axes) - 2) + [float(2**level)] * 2
    scale = [each * factor for each, factor in zip(levels.scale, factors, strict=True)]
    found: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(levels.translation):
        found.append({"type": "translation", "translation": list(levels.translation)})
    return found
