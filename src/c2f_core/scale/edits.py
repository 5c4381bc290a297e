"""Write edited labels back into the label group that they came from."""

from pathlib import Path

import numpy as np

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Sliceable
from c2f_core.scale.label_metadata import KEY, class_table_of
from c2f_core.scale.ledger import Task
from c2f_core.scale.multiscale import Multiscale, open_multiscale
from c2f_core.scale.output import OutputArrays, OutputGroup
from c2f_core.scale.planes import PlaneStack
from c2f_core.scale.shards import SHARD, Pyramid


def write_back(path: Path, labels: Sliceable) -> int:
    """Write edited labels back: only shards that differ, and what the pyramid has of them.

    Parameters
    ----------
    path : Path
        Store or label group that this program wrote; see `OutputGroup.of`.
    labels : (..., Y, X) integer array
        Labels of the class table of the group, in memory or loaded lazily; the shape is that
        of level 0. The confidence of the group does not change.

    Returns
    -------
    int
        Number of shards that were changed.

    Raises
    ------
    DataError
        If the group does not exist, was written by another program, or has another shape.
    ClassTableError
        If there is a label that is not in the class table; nothing is written then.
    WritingError
        If a file cannot be written.
    """
    output = OutputGroup.of(path)
    group = open_multiscale(output.path)
    table = class_table_of(group)
    if KEY not in group.attributes or table is None:
        raise DataError(f"{output.path} is of another program; write the map into a new store.")
    pyramid = pyramid_of(group)
    if tuple(labels.shape) != pyramid.shape:
        raise DataError(
            f"The labels have shape {tuple(labels.shape)} and {output.path} {pyramid.shape}; write "
            "the map of this image."
        )
    changed = _changed(group, pyramid, labels, table)
    _write(OutputArrays(output, pyramid), output, pyramid, labels, changed)
    return len(changed)


def pyramid_of(group: Multiscale) -> Pyramid:
    """Return the levels, shards and chunks of a group that this program wrote."""
    array = group.array(0)
    side = SHARD if array.shards is None else array.shards[-1]
    return Pyramid(group.levels[0].shape, len(group.levels), side, array.chunks[-1])


def _changed(
    group: Multiscale, pyramid: Pyramid, labels: Sliceable, table: ClassTable
) -> list[Task]:
    """Return the shards that differ, after a check of all labels in them."""
    stored, grid = PlaneStack(group.array(0), group.axis_names), pyramid.grid(0)
    changed = []
    for number in range(len(grid)):
        part = np.asarray(labels[grid[number]])
        if (part != stored[grid[number]]).any():
            table.to_class_ids(part)  # Raises if there is another label.
            changed.append(Task(0, number))
    return changed


def _write(
    arrays: OutputArrays,
    output: OutputGroup,
    pyramid: Pyramid,
    labels: Sliceable,
    changed: list[Task],
) -> None:
    confidence = open_multiscale(output.path / "confidence").array(0)
    grid = pyramid.grid(0)
    for task in changed:
        part = grid[task.number]
        arrays.write(part, np.asarray(labels[part]), np.asarray(confidence[part]))
    if changed:
        for stage in range(1, pyramid.stages):
            for number in range(len(pyramid.grid(stage))):
                arrays.build(stage, number)
