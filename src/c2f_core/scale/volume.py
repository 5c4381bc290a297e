"""Refine an OME-Zarr image in shards.

Each plane is refined in blocks of a fixed grid, each with its own surroundings, and a shard is
some of these blocks. What depends on the whole image, its intensity limits, is part of the
plan, and what depends on a whole plane is learned from the same sample of it by every worker.
So the result does not depend on how the work is cut into shards or who does them.
"""

import math
import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.documents import existing_parent
from c2f_core.errors import DataError, ImageError
from c2f_core.geometry.arrays import (
    Slices,
    Window,
    blocks,
    extent,
    from_corner,
    lengths,
    plane_of,
    to_corner,
)
from c2f_core.io.intensity import FIXED_LIMITS, intensity_limits
from c2f_core.refine.interface import SILENT, RefinerInterface
from c2f_core.refine.plane import Limits, PlaneInputs, prepared_for, refine_plane
from c2f_core.refine.scope import Scope
from c2f_core.scale.coarse import CoarseMap
from c2f_core.scale.ledger import Task
from c2f_core.scale.multiscale import Version, open_multiscale
from c2f_core.scale.output import (
    OutputArrays,
    OutputGroup,
    OutputPlan,
    create_output,
    output_axes,
)
from c2f_core.scale.plan import Plan
from c2f_core.scale.planes import PlaneStack, image_planes
from c2f_core.scale.shards import CHUNK, SHARD, Grid, Pyramid, place_of

BLOCK = SHARD
"""Side in pixels of the blocks in which a plane is refined, whatever the size of the shards."""
LEAST_BYTES = 0.25
"""Bytes per pixel that an output takes on the disk at least, compressed."""


class VolumePlan(Plan):
    """Plan of the refinement of an OME-Zarr image.

    Attributes
    ----------
    image, coarse : Path
        Image group, and label group, store or folder of the coarse map.
    store, name : Path, str
        Store and name of the label group to write.
    level : int
        Resolution level of the image.
    channels : tuple of int, optional
        Channels to refine with.
    limits : (float, float), optional
        Values of the image that are black and white; None for uint8 and bool.
    tolerance : float
        Maximum RGB distance from a class colour, for colour images of maps.
    levels, side, chunk, block : int
        Number of resolution levels to write, and sides of shards, chunks and blocks in pixels.
    """

    image: Path
    coarse: Path
    store: Path
    name: str
    level: int
    channels: tuple[int, ...] | None
    limits: Limits | None
    tolerance: float
    levels: int
    side: int = SHARD
    chunk: int = CHUNK
    block: int = BLOCK

    @property
    def group(self) -> OutputGroup:
        """Label group to write."""
        return OutputGroup(self.store, self.name)

    @property
    def output(self) -> OutputPlan:
        """What the arrays and the metadata of the output are."""
        image = open_multiscale(self.image)
        axes, scale, translation = output_axes(image, self.level)
        shape = CoarseMap(self.coarse, image, self.level).shape
        version: Version = image.version
        return OutputPlan(
            group=self.group,
            version=version,
            pyramid=Pyramid(shape, self.levels, self.side, self.chunk),
            axes=axes,
            scale=scale,
            translation=translation,
            class_table=self.refiner.class_table,
            image=self.image,
        )


class VolumeJob:
    """Refinement of an OME-Zarr image in shards: the first stage refines, others make levels.

    Parameters
    ----------
    plan : VolumePlan
        The plan. Arrays and refiner are opened when the first shard is done.
    """

    def __init__(self, plan: VolumePlan) -> None:
        self._plan = plan
        self._output = plan.output
        self._pyramid = self._output.pyramid
        self._opened: _OpenedVolume | None = None

    @property
    def stages(self) -> tuple[int, ...]:
        """Number of shards of each stage."""
        return tuple(len(self._pyramid.grid(stage)) for stage in range(self._pyramid.stages))

    def place(self, task: Task) -> str:
        """Describe for the user what a shard covers."""
        part = self._pyramid.grid(task.stage)[task.number]
        names = [axis.name for axis in self._output.axes[:-2]]
        place = place_of(part, names)
        level = self._pyramid.first_level(task.stage)
        return place if level == 0 else f"level {level}: {place}"

    def create_output(self) -> None:
        """Create the empty output.

        Raises
        ------
        WritingError
            If it cannot be written.
        """
        create_output(self._output)

    def perform(self, task: Task) -> None:
        """Do one shard; doing it again gives the same output.

        Raises
        ------
        C2FError
            If the shard cannot be read, refined or written.
        """
        if self._opened is None:
            self._opened = _OpenedVolume(self._plan, self._output)
        if task.stage == 0:
            self._opened.refine(self._pyramid.grid(0)[task.number])
        else:
            self._opened.arrays.build(task.stage, task.number)


class _OpenedVolume:
    """Arrays and refiner of a volume, opened once per process."""

    def __init__(self, plan: VolumePlan, output: OutputPlan) -> None:
        image = open_multiscale(plan.image)
        coarse = CoarseMap(plan.coarse, image, plan.level)
        self._plan, self._dtype = plan, output.label_dtype
        self._image = image_planes(image, plan.level, plan.channels)
        self._coarse = coarse.planes(plan.refiner.class_table, plan.tolerance)
        self._scope = Scope.from_record(plan.refiner.scope)
        self._refiner = plan.refiner.open()
        self._prepared: tuple[tuple[int, ...], RefinerInterface] | None = None
        self._is_labelled = lru_cache(maxsize=64)(self._found_labels)
        self.arrays = OutputArrays(plan.group, output.pyramid)

    def refine(self, part: Slices) -> None:
        """Refine a part of the stack and write it."""
        labels = np.empty(lengths(part), self._dtype)
        confidence = np.empty(labels.shape, np.float32)
        *leading, rows, columns = part
        for index in np.ndindex(*lengths(tuple(leading))):
            there = tuple(axis.start + number for axis, number in zip(leading, index, strict=True))
            self._refine_plane(there, (rows, columns), labels[index], confidence[index])
        self.arrays.write(part, labels, confidence)

    def _refine_plane(
        self,
        index: tuple[int, ...],
        window: Window,
        labels: NDArray[Any],
        confidence: NDArray[np.float32],
    ) -> None:
        image, coarse = plane_of(self._image, index), plane_of(self._coarse, index)
        for block in self._blocks(window):
            inputs = PlaneInputs(
                image,
                coarse,
                self._plan.refiner.class_table,
                self._scope_of(block),
                self._plan.limits,
            )
            there = from_corner(block, window)
            try:
                refiner = self._prepared_for(index, inputs)
                refine_plane(refiner, inputs, labels[there], confidence[there], SILENT)
            except ImageError:
                if self._is_labelled(index):
                    raise
                # Refiners that learn from the labels of a plane alone cannot fill this one.
                labels[there], confidence[there] = coarse[block], np.nan

    def _prepared_for(self, index: tuple[int, ...], inputs: PlaneInputs) -> RefinerInterface:
        """Return the refiner prepared for a plane, which usually is that of the last block."""
        if self._prepared is None or self._prepared[0] != index:
            self._prepared = index, prepared_for(self._refiner, inputs)
        return self._prepared[1]

    def _found_labels(self, index: tuple[int, ...]) -> bool:
        """Return whether the coarse map of a plane has any label besides that of unlabelled."""
        coarse = plane_of(self._coarse, index)
        unlabelled = self._plan.refiner.class_table.unlabelled.index
        size = coarse.shape[0], coarse.shape[1]
        return any((coarse[block] != unlabelled).any() for block in blocks(size, SHARD))

    def _blocks(self, window: Window) -> list[Window]:
        """Return the blocks of a window, whose corner is one of the grid."""
        return [to_corner(block, window) for block in blocks(extent(window), self._plan.block)]

    def _scope_of(self, block: Window) -> Scope:
        """Return the scope of a block."""
        return replace(self._scope, box=block)


def stack_limits(planes: PlaneStack) -> Limits | None:
    """Return the intensity limits of a stack as a whole, which is read once in parts.

    Parameters
    ----------
    planes : PlaneStack
        Stack of images, loaded lazily.

    Returns
    -------
    (float, float), or None for uint8 and bool, whose limits are fixed

    Raises
    ------
    ImageError
        If the dtype is not supported, or there are NaN or infinite values.
    """
    if planes.dtype.name in FIXED_LIMITS:
        return None
    shape = planes.stack_shape
    grid = Grid(shape, (*[1] * (len(shape) - 2), SHARD, SHARD))
    parts = (planes[grid[number]] for number in range(len(grid)))
    ends = [(part.min(), part.max()) for part in parts]
    return intensity_limits(np.array(ends, planes.dtype))


def check_space(plan: VolumePlan) -> None:
    """Check that the disk has the space that an output takes at least.

    Raises
    ------
    DataError
        If it does not.
    """
    shape = plan.output.pyramid.shape
    needed = math.prod(shape) * LEAST_BYTES
    folder = existing_parent(plan.store)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{plan.store} will take at least {needed / 1e9:.1f} GB, but {folder} has "
            f"{free / 1e9:.1f} GB left; free some space or choose another store."
        )


@lru_cache(maxsize=1)
def _job(path: Path, _fingerprint: str) -> VolumeJob:
    return VolumeJob(VolumePlan.model_validate_json(path.read_bytes()))


def perform(path: str, fingerprint: str, task: Task) -> None:
    """Do one shard of the plan in a file; what it needs stays open for the next one.

    Parameters
    ----------
    path : str
        File of the plan, which all workers can read.
    fingerprint : str
        Fingerprint of the plan, so that a worker notices a new plan in the same file.
    task : Task
        The shard.
    """
    _job(Path(path), fingerprint).perform(task)
