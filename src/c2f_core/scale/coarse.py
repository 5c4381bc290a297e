"""Coarse maps of OME-Zarr images: a label group, or a folder with one file for each plane."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import MAX_LABEL
from c2f_core.classes.colours import DEFAULT_TOLERANCE
from c2f_core.classes.editing import table_of_labels
from c2f_core.classes.table import ClassTable
from c2f_core.data.layouts import maps_by_stem
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Sliceable, Slices
from c2f_core.io.maps import read_map
from c2f_core.io.recognise import MOST_VALUES, recognise_table
from c2f_core.scale.label_metadata import class_table_of
from c2f_core.scale.multiscale import Multiscale, is_zarr, open_multiscale
from c2f_core.scale.output import LABELS, label_groups
from c2f_core.scale.planes import label_planes, stacked_axes
from c2f_core.scale.shards import CHUNK, Grid

PART = 4 * CHUNK
"""Side in pixels of the parts in which a map is searched for its labels."""


class FolderOfPlanes:
    """Maps in files, one for each plane of a stack, read when they are needed.

    Parameters
    ----------
    paths : sequence of Path
        Files in the order of the planes, the last axis first.
    shape : tuple of int
        Shape (..., Y, X) of the stack.
    class_table : ClassTable
        Class table of the maps.
    tolerance : float
        Maximum RGB distance from a class colour; see `read_map`.
    """

    def __init__(
        self,
        paths: tuple[Path, ...],
        shape: tuple[int, ...],
        class_table: ClassTable,
        tolerance: float = DEFAULT_TOLERANCE,
    ) -> None:
        self.shape = shape
        self.dtype = class_table.to_labels(np.zeros(0, np.uint8)).dtype
        self._paths, self._table, self._tolerance = paths, class_table, tolerance
        self._plane = lru_cache(maxsize=2)(self._read)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Load a part: integers or slices for the axes, from the first on."""
        given = key if isinstance(key, tuple) else (key,)
        given = () if given == (...,) else given
        full = (*given, *[slice(None)] * (len(self.shape) - len(given)))
        *leading, rows, columns = full
        numbers = np.arange(len(self._paths)).reshape(self.shape[:-2])[tuple(leading)]
        planes = [self._plane(number)[rows, columns] for number in numbers.ravel().tolist()]
        return np.stack(planes).reshape(*numbers.shape, *planes[0].shape)

    def _read(self, number: int) -> NDArray[Any]:
        path = self._paths[number]
        labels, _ = read_map(path, self._table, self._tolerance)
        if labels.shape != self.shape[-2:]:
            raise DataError(
                f"{path} has {labels.shape[0]} x {labels.shape[1]} pixels and the planes of the "
                f"image {self.shape[-2]} x {self.shape[-1]}; give maps drawn on this image."
            )
        return labels


class CoarseMap:
    """Coarse map of an OME-Zarr image.

    Parameters
    ----------
    path : Path
        Label group, store with one label group, or folder of map files.
    image : Multiscale
        Image that the map was drawn on.
    level : int
        Resolution level of the image that is to be refined.

    Raises
    ------
    DataError
        If the map does not exist or does not fit the image.
    """

    def __init__(self, path: Path, image: Multiscale, level: int) -> None:
        self.path = path
        kept = [number for number, axis in enumerate(image.axes) if axis.name != "c"]
        self.shape = tuple(image.levels[level].shape[number] for number in kept)
        self._group: Multiscale | None = None
        self._files: tuple[Path, ...] = ()
        if is_zarr(path):
            self._group = label_group(path)
            self.path = self._group.path
            self._level = _fitting_level(self._group, image, self.shape)
        elif path.is_dir():
            self._files = _files(path, self.shape)
        else:
            raise DataError(
                f"{path} is not a coarse map of an OME-Zarr image; give a label group such as "
                "image.zarr/labels/coarse, another store, or a folder with one file per plane."
            )

    def class_table(self) -> ClassTable | None:
        """Return the class table of the map, or None if it names no classes."""
        if self._group is not None:
            return class_table_of(self._group)
        return recognise_table(self._files[0])

    def plain_table(self) -> ClassTable | None:
        """Return a table of the labels of a label group that names no classes.

        The whole map is read. None is returned for files, or if there are too many labels.
        """
        if self._group is None:
            return None
        found = set[int]()
        planes = label_planes(self._group, self._level)
        for part in _parts(planes.shape):
            found |= set(np.unique(planes[part]).tolist())
            if len(found) > MOST_VALUES or min(found) < 0 or max(found) > MAX_LABEL:
                return None
        return table_of_labels(found, self._group.path.name)

    def planes(self, class_table: ClassTable, tolerance: float = DEFAULT_TOLERANCE) -> Sliceable:
        """Return the map as a stack of shape (..., Y, X), loaded lazily.

        Parameters
        ----------
        class_table : ClassTable
            Class table of the map.
        tolerance : float
            Maximum RGB distance from a class colour, for colour images; see `read_map`.
        """
        if self._group is not None:
            return label_planes(self._group, self._level)
        return FolderOfPlanes(self._files, self.shape, class_table, tolerance)


def label_group(path: Path) -> Multiscale:
    """Open a label group: the given one, or the only one of a store.

    Raises
    ------
    DataError
        If there is none, or there are several.
    """
    folder = path / LABELS
    if not is_zarr(folder):
        return open_multiscale(path)
    names = [each.name for each in label_groups(path)]
    if len(names) != 1:
        found = f"several label groups ({', '.join(names)})" if names else "no label group"
        raise DataError(
            f"{path} has {found}; give one, such as {folder / (names[0] if names else 'coarse')}."
        )
    return open_multiscale(folder / names[0])


def _fitting_level(group: Multiscale, image: Multiscale, shape: tuple[int, ...]) -> int:
    """Return the level of a label group that has the shape of the image."""
    wanted = [(name, length) for name, length in zip(_names(image), shape, strict=True)]
    for number, level in enumerate(group.levels):
        lengths = dict(zip(group.axis_names, level.shape, strict=True))
        if [(name, lengths.get(name)) for name, _ in wanted] == wanted and "c" not in lengths:
            return number
    given = ", ".join(
        f"{name} {length}"
        for name, length in zip(group.axis_names, group.levels[0].shape, strict=True)
    )
    expected = ", ".join(f"{name} {length}" for name, length in wanted)
    raise DataError(
        f"The coarse map {group.path} has another shape ({given}) than the image ({expected}); "
        "give a map drawn on this image, or choose its resolution level with --level."
    )


def _names(image: Multiscale) -> tuple[str, ...]:
    return (*stacked_axes(image), "y", "x")


def _files(folder: Path, shape: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the map files of a folder, as many as the image has planes."""
    files = tuple(maps_by_stem(folder, {}).values())
    count = int(np.prod(shape[:-2], dtype=np.int64))
    if len(files) != count:
        raise DataError(
            f"{folder} has {len(files)} maps, but the image has {count} planes; give one map for "
            "each plane."
        )
    return files


def _parts(shape: tuple[int, ...]) -> Iterator[Slices]:
    grid = Grid(shape, (*[1] * (len(shape) - 2), PART, PART))
    return (grid[number] for number in range(len(grid)))
