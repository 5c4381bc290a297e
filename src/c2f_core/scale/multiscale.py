"""OME-Zarr groups as they are described by their metadata: axes, resolution levels, versions."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from c2f_core.documents import first_problem
from c2f_core.errors import DataError
from c2f_core.extras import ZARR, check_installed

if TYPE_CHECKING:
    import zarr

Version = Literal["0.4", "0.5"]
"""Version of the OME-Zarr specification; 0.4 is stored as Zarr 2 and 0.5 as Zarr 3."""
ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Metadata files of which each folder in a Zarr store has at least one."""
PLANE_AXES = ("y", "x")


@dataclass(frozen=True)
class Axis:
    """Axis of an image.

    Attributes
    ----------
    name : str
        Name, such as "z".
    kind : str
        "space", "time" or "channel".
    unit : str, optional
        Unit of the scale, such as "micrometer".
    """

    name: str
    kind: str
    unit: str | None = None


@dataclass(frozen=True)
class Level:
    """Resolution level of an image.

    Attributes
    ----------
    path : str
        Path of the array in the group.
    shape : tuple of int
        Length of each axis.
    scale, translation : tuple of float
        Distance of the pixels, and position of the first one, along each axis.
    """

    path: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True)
class Multiscale:
    """Image or label group of an OME-Zarr store.

    Attributes
    ----------
    path : Path
        Folder of the group.
    version : {"0.4", "0.5"}
        Version of the specification.
    axes : tuple of Axis
        Axes of all levels; the last two are y and x.
    levels : tuple of Level
        Resolution levels, the finest first.
    attributes : dict
        All attributes of the group in the layout of version 0.4.
    """

    path: Path
    version: Version
    axes: tuple[Axis, ...]
    levels: tuple[Level, ...]
    attributes: dict[str, Any]

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    def array(self, level: int) -> "zarr.Array[Any]":
        """Open the array of a level, read-only."""
        import zarr

        return zarr.open_array(self.path / self.levels[level].path, mode="r")

    def check_level(self, level: int) -> None:
        """Check that there is such a level.

        Raises
        ------
        DataError
            If there is none.
        """
        if not 0 <= level < len(self.levels):
            sizes = ", ".join(
                f"{number} ({' x '.join(map(str, each.shape[-2:]))} pixels)"
                for number, each in enumerate(self.levels)
            )
            raise DataError(f"{self.path} has no level {level}; choose one of {sizes}.")


def is_zarr(path: Path) -> bool:
    """Return whether a path is a Zarr store or a folder in one."""
    if not path.is_dir() or not os.access(path, os.X_OK):
        return False
    return any((path / name).is_file() for name in ZARR_FILES)


def store_of(path: Path) -> Path:
    """Return the outermost Zarr folder that contains a path, which need not exist."""
    folders = [folder for folder in (path, *path.parents) if is_zarr(folder)]
    return folders[-1] if folders else path


def open_multiscale(path: Path) -> Multiscale:
    """Open an OME-Zarr image or label group.

    Parameters
    ----------
    path : Path
        Folder of the group.

    Raises
    ------
    DataError
        If there is no OME-Zarr image of version 0.4 or 0.5, or it cannot be used: the message
        names what is there instead.
    MissingPackageError
        If a package for OME-Zarr is missing.
    """
    check_installed(ZARR, "OME-Zarr")
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not an OME-Zarr image; give the folder of one, such as image.zarr."
        ) from error
    version, attributes = attributes_of(group)
    _check_is_image(path, attributes)
    axes, datasets = _validated(path, version, attributes)
    if tuple(axis.name for axis in axes[-2:]) != PLANE_AXES:
        raise DataError(f"The last axes of {path} are not y and x; convert the image.")
    levels = tuple(_level(path, group, dataset, len(axes)) for dataset in datasets)
    return Multiscale(path, version, axes, levels, attributes)


def attributes_of(group: "zarr.Group") -> tuple[Version, dict[str, Any]]:
    """Return the version of a group and its attributes in the layout of version 0.4.

    Parameters
    ----------
    group : zarr.Group
        Any group of an OME-Zarr store.
    """
    attributes: dict[str, Any] = dict(group.attrs)
    if group.metadata.zarr_format == 2:
        return "0.4", attributes
    return "0.5", {**attributes, **attributes.get("ome", {})}


def _check_is_image(path: Path, attributes: dict[str, Any]) -> None:
    if attributes.get("multiscales"):
        return
    if "labels" in attributes:
        names = ", ".join(map(str, attributes["labels"]))
        raise DataError(f"{path} holds label groups ({names}); give one of them.")
    if "plate" in attributes or "well" in attributes:
        raise DataError(f"{path} is a plate; give the folder of one image in a well.")
    if "bioformats2raw.layout" in attributes:
        raise DataError(f"{path} holds several images; give one of them, such as {path / '0'}.")
    raise DataError(f"{path} is a Zarr group without OME-Zarr metadata; convert it to OME-Zarr.")


def _validated(
    path: Path, version: Version, attributes: dict[str, Any]
) -> tuple[tuple[Axis, ...], list[dict[str, Any]]]:
    """Return the axes and data sets of a group after a check by the models of its version."""
    from ome_zarr_models.v04.image import ImageAttrs as Attributes04
    from ome_zarr_models.v05.image import ImageAttrs as Attributes05

    model: type[BaseModel] = Attributes04 if version == "0.4" else Attributes05
    try:
        read = model.model_validate(attributes).model_dump()["multiscales"][0]
    except ValidationError as error:
        name, reason = first_problem(error)
        raise DataError(
            f"{path} is not a valid OME-Zarr {version} image ({name}: {reason}); convert it again."
        ) from error
    axes = tuple(Axis(str(axis["name"]), axis["type"], axis["unit"]) for axis in read["axes"])
    return axes, list(read["datasets"])


def _level(path: Path, group: "zarr.Group", dataset: dict[str, Any], axes: int) -> Level:
    import zarr

    try:
        found = group[dataset["path"]]
    except KeyError:
        found = None
    if not isinstance(found, zarr.Array) or len(found.shape) != axes:
        raise DataError(
            f"{path} has no array '{dataset['path']}' with {axes} axes, which its metadata name; "
            "check that it was copied completely."
        )
    steps = {each["type"]: each for each in dataset["coordinateTransformations"]}
    scale = steps["scale"].get("scale") or [1.0] * axes
    translation = steps.get("translation", {}).get("translation") or [0.0] * axes
    return Level(dataset["path"], found.shape, tuple(scale), tuple(translation))
