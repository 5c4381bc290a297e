"""Fine maps in OME-Zarr: a label group with its pyramid, and the confidence next to it."""

import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.documents import existing_parent
from c2f_core.errors import DataError, WritingError
from c2f_core.geometry.arrays import Slices
from c2f_core.io.paths import relative_path
from c2f_core.scale.label_metadata import (
    GroupLevels,
    image_attributes,
    label_attributes,
    labels_attributes,
)
from c2f_core.scale.multiscale import (
    Axis,
    Multiscale,
    Version,
    attributes_of,
    is_zarr,
)
from c2f_core.scale.shards import Pyramid

if TYPE_CHECKING:
    import zarr

LABELS = "labels"
USUAL_NAME = "fine"
CONFIDENCE = "confidence"
SUFFIX = ".zarr"


@dataclass(frozen=True)
class OutputGroup:
    """Label group to write.

    Attributes
    ----------
    store : Path
        OME-Zarr image that contains the group `labels`; it may not exist yet.
    name : str
        Name of the label group.
    """

    store: Path
    name: str

    @classmethod
    def of(cls, path: Path) -> "OutputGroup":
        """Return the group that a path means: `STORE.zarr` or `STORE.zarr/labels/NAME`.

        Raises
        ------
        DataError
            If the path means neither.
        """
        if path.parent.name == LABELS:
            return cls(path.parent.parent, path.name)
        if path.suffix.lower() == SUFFIX or is_zarr(path):
            return cls(path, USUAL_NAME)
        raise DataError(
            f"{path} cannot be written, as the image is an OME-Zarr; give a store such as "
            f"fine.zarr, or a group such as image.zarr/{LABELS}/{USUAL_NAME}."
        )

    @property
    def path(self) -> Path:
        """Folder of the group."""
        return self.store / LABELS / self.name

    def exists(self) -> bool:
        """Return whether there is such a group."""
        return is_zarr(self.path)

    def delete(self) -> None:
        """Delete the group.

        Raises
        ------
        WritingError
            If a file cannot be deleted.
        """
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise WritingError(
                f"{self.path} cannot be deleted ({error.strerror}); check its permissions."
            ) from error

    def check_writable(self) -> None:
        """Check that the group can be written.

        Raises
        ------
        WritingError
            If the store is read-only.
        """
        above = existing_parent(self.path)
        for folder in (above, self.path) if self.path.exists() else (above,):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise WritingError(
                    f"{self.path} cannot be written, as {folder} is read-only; check its "
                    "permissions, or choose another store."
                )


def label_groups(store: Path) -> list[OutputGroup]:
    """Return the label groups of an OME-Zarr image, sorted by name.

    Parameters
    ----------
    store : Path
        OME-Zarr image.
    """
    folder = store / LABELS
    if not is_zarr(folder):
        return []
    return [OutputGroup(store, each.name) for each in sorted(folder.iterdir()) if is_zarr(each)]


@dataclass(frozen=True)
class OutputPlan:
    """What the arrays and the metadata of an output are.

    Attributes
    ----------
    group : OutputGroup
        Label group to write.
    version : {"0.4", "0.5"}
        Version of the specification, if the store does not exist yet.
    pyramid : Pyramid
        Shapes and shards of all levels.
    axes : sequence of Axis
        Axes of the map.
    scale, translation : sequence of float
        Those of level 0 along each axis.
    class_table : ClassTable
        Class table of the map.
    image : Path
        Image group that the map belongs to.
    """

    group: OutputGroup
    version: Version
    pyramid: Pyramid
    axes: Sequence[Axis]
    scale: Sequence[float]
    translation: Sequence[float]
    class_table: ClassTable
    image: Path

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """Dtype of the labels, the smallest that can store all of the class table."""
        return np.min_scalar_type(max(entry.index for entry in self.class_table.entries))


def create_output(plan: OutputPlan) -> None:
    """Create the label group, its empty arrays and their metadata, and the store if it is new.

    A new store opens as the image of the confidence, with the fine map as its labels. What
    was created earlier but not finished is replaced.

    Raises
    ------
    WritingError
        If a file cannot be written.
    """
    import zarr

    try:
        is_new = not is_zarr(plan.group.store)
        root = zarr.open_group(
            plan.group.store,
            mode="a",
            zarr_format=_format(plan.version) if is_new else None,
            use_consolidated=False,
        )
        _create_groups(root, plan, is_new)
    except OSError as error:
        raise WritingError(
            f"{plan.group.path} cannot be created ({error.strerror or error}); check the "
            "permissions and the free space, or choose another store."
        ) from error


def _create_groups(root: "zarr.Group", plan: OutputPlan, is_new: bool) -> None:
    version, _ = attributes_of(root)
    listed = root.require_group(LABELS)
    _, attributes = attributes_of(listed)
    names = list(dict.fromkeys([*attributes.get(LABELS, []), plan.group.name]))
    group = listed.create_group(plan.group.name, overwrite=True)
    paths = [str(level) for level in range(plan.pyramid.levels)]
    levels = GroupLevels(plan.group.name, plan.axes, paths, plan.scale, plan.translation)
    source = relative_path(plan.image, plan.group.path)
    group.attrs.update(label_attributes(version, levels, plan.class_table, source))
    _create_arrays(group, plan, plan.label_dtype, plan.class_table.unlabelled.index)

    doubt = group.create_group(CONFIDENCE)
    levels = GroupLevels(CONFIDENCE, plan.axes, paths, plan.scale, plan.translation)
    doubt.attrs.update(image_attributes(version, levels))
    _create_arrays(doubt, plan, np.dtype(np.float32), np.nan)
    if is_new:
        prefix = f"{LABELS}/{plan.group.name}/{CONFIDENCE}"
        root.attrs.update(image_attributes(version, levels.prefixed(prefix)))
    listed.attrs.update(labels_attributes(version, names))  # Last, when all of it is there.
    _update_consolidated(plan.group.store)


def _create_arrays(group: "zarr.Group", plan: OutputPlan, dtype: Any, fill_value: float) -> None:
    for level in range(plan.pyramid.levels):
        chunks = plan.pyramid.level_chunk()
        more: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if group.metadata.zarr_format == 3:
            shard = plan.pyramid.level_shard(level)
            more = {
                "shards": None if shard == chunks else shard,
                "dimension_names": [axis.name for axis in plan.axes],
            }
        group.create_array(
            str(level),
            shape=plan.pyramid.level_shape(level),
            dtype=dtype,
            chunks=chunks,
            fill_value=fill_value,
            **more,
        )


def _update_consolidated(store: Path) -> None:
    """Write the metadata of all groups into those of the store again, if it had them there."""
    import zarr

    if zarr.open_group(store, mode="r").metadata.consolidated_metadata is None:
        return
    with warnings.catch_warnings():
        # Zarr 3 warns that it is not in the specification yet; the store has it already.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(store)


def _format(version: Version) -> Any:
    return 2 if version == "0.4" else 3


class OutputArrays:
    """Arrays of an output, written shard by shard.

    Parameters
    ----------
    group : OutputGroup
        Label group, made by `create_output`.
    pyramid : Pyramid
        Shapes and shards of all levels.
    """

    def __init__(self, group: OutputGroup, pyramid: Pyramid) -> None:
        import zarr

        self._pyramid = pyramid
        folders = (group.path, group.path / CONFIDENCE)
        self._levels = [
            [zarr.open_array(folder / str(level), mode="r+") for folder in folders]
            for level in range(pyramid.levels)
        ]

    def write(
        self, part: Slices, labels: NDArray[Any], confidence: NDArray[np.float32], stage: int = 0
    ) -> None:
        """Write one shard, and the levels that are made from it.

        Parameters
        ----------
        part : tuple of slices
            Part of the level of the stage that the shard covers.
        labels : (..., Y, X) integer array
            Labels of the part.
        confidence : (..., Y, X) float32 array
            Confidence of the part.
        stage : int
            Stage of the pyramid; its first level is only written in the first stage.

        Raises
        ------
        WritingError
            If a file cannot be written.
        """
        try:
            if stage == 0:
                self._write(0, part, labels, confidence)
            for level in self._pyramid.made_levels(stage):
                labels, confidence = labels[..., ::2, ::2], confidence[..., ::2, ::2]
                *leading, rows, columns = part
                part = (*leading, _halved(rows), _halved(columns))
                self._write(level, part, labels, confidence)
        except OSError as error:
            raise WritingError(
                f"A part of the fine map cannot be written ({error.strerror or error}); free some "
                "space or check the permissions, then run the same command again."
            ) from error

    def _write(self, level: int, part: Slices, *values: NDArray[Any]) -> None:
        for array, written in zip(self._levels[level], values, strict=True):
            array[part] = written

    def build(self, stage: int, number: int) -> None:
        """Make further levels of the pyramid from one shard of the last level of a stage.

        Parameters
        ----------
        stage : int
            Stage of the pyramid, from 1 on.
        number : int
            Number of the shard in the grid of the stage.

        Raises
        ------
        WritingError
            If a file cannot be written.
        """
        part = self._pyramid.grid(stage)[number]
        labels, confidence = (
            np.asarray(array[part]) for array in self._levels[self._pyramid.first_level(stage)]
        )
        self.write(part, labels, confidence, stage)


def _halved(axis: slice) -> slice:
    return slice(axis.start // 2, -(-axis.stop // 2))


def output_axes(image: Multiscale, level: int) -> tuple[list[Axis], list[float], list[float]]:
    """Return axes, scale and translation of a map of a resolution level: those of the image.

    Parameters
    ----------
    image : Multiscale
        OME-Zarr image; its channels have no place in the map.
    level : int
        Resolution level of which the map is.
    """
    of_level = image.levels[level]
    kept = [number for number, axis in enumerate(image.axes) if axis.name != "c"]
    return (
        [image.axes[number] for number in kept],
        [of_level.scale[number] for number in kept],
        [of_level.translation[number] for number in kept],
    )
