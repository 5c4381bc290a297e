"""Write edited labels back into the label group that they came from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, DataError, WritingError
from c2f_core.geometry.arrays import (
    Sliceable,
    Slices,
    common,
    from_corner,
    is_empty,
    lengths,
)
from c2f_core.refine.interface import SILENT, Monitor
from c2f_core.scale.label_metadata import KEY, class_table_of
from c2f_core.scale.ledger import Ledger
from c2f_core.scale.multiscale import Multiscale, open_multiscale
from c2f_core.scale.output import OutputGroup
from c2f_core.scale.planes import PlaneStack
from c2f_core.scale.run import ledger_folder
from c2f_core.scale.shards import SHARD, Pyramid

if TYPE_CHECKING:
    import zarr


def write_back(
    path: Path, labels: Sliceable, part: Slices | None = None, monitor: Monitor = SILENT
) -> int:
    """Write edited labels back: only shards that differ, and what the pyramid has of them.

    All labels are checked before the first shard is written. A call that was interrupted is
    completed by repeating it.

    Parameters
    ----------
    path : Path
        Store or label group that this program wrote; see `OutputGroup.of`.
    labels : (..., Y, X) integer array
        Labels of the class table of the group, in memory or loaded lazily. The confidence of
        the group does not change.
    part : tuple of slices, optional
        Part of level 0 that the labels cover, by default all of it.
    monitor : Monitor
        Callbacks that report the progress, and can cancel it before the first shard is written.

    Returns
    -------
    int
        Number of shards that were changed.

    Raises
    ------
    Cancelled
        If the call was cancelled; nothing is written then.
    DataError
        If the group does not exist, was written by another program, is being written, or has
        another shape.
    ClassTableError
        If there is a label that is not in the class table; nothing is written then.
    WritingError
        If the store is read-only, or a file cannot be written.
    """
    output = OutputGroup.of(path)
    group, table = open_editable(output)
    pyramid = pyramid_of(group)
    whole = tuple(slice(0, length) for length in pyramid.shape)
    part = whole if part is None else part
    if tuple(labels.shape) != lengths(part) or common(part, whole) != part:
        raise DataError(
            f"The labels have shape {tuple(labels.shape)} and {output.path} {pyramid.shape}; write "
            "the map of this image."
        )
    with _locked(output):
        changed = _changed(group, pyramid, labels, part, table, monitor)
        arrays = _opened(output, pyramid.levels)
        for number, each in enumerate(changed):
            _write(arrays, each, np.asarray(labels[from_corner(each, part)]))
            monitor.report((1 + (number + 1) / len(changed)) / 2)
    return len(changed)


def open_editable(output: OutputGroup) -> tuple[Multiscale, ClassTable]:
    """Open a label group of this program whose labels are to be edited, and its class table.

    Parameters
    ----------
    output : OutputGroup
        The label group.

    Raises
    ------
    DataError
        If the group does not exist, or was written by another program.
    WritingError
        If the store is read-only.
    """
    group = open_multiscale(output.path)
    table = class_table_of(group)
    if KEY not in group.attributes or table is None:
        raise DataError(f"{output.path} is of another program; write the map into a new store.")
    output.check_writable()
    return group, table


def pyramid_of(group: Multiscale) -> Pyramid:
    """Return the levels, shards and chunks of a group that this program wrote."""
    array = group.array(0)
    side = SHARD if array.shards is None else array.shards[-1]
    return Pyramid(group.levels[0].shape, len(group.levels), side, array.chunks[-1])


@contextmanager
def _locked(output: OutputGroup) -> Iterator[None]:
    """Keep runs from writing the group during this block, if it has a ledger."""
    folder = ledger_folder(output.store, output.name)
    if not folder.is_dir():
        yield
        return
    with Ledger(folder):
        yield


def _changed(
    group: Multiscale,
    pyramid: Pyramid,
    labels: Sliceable,
    part: Slices,
    table: ClassTable,
    monitor: Monitor,
) -> list[Slices]:
    """Return what the part has of each shard that differs, after a check of all labels in it."""
    stored, grid = PlaneStack(group.array(0), group.axis_names), pyramid.grid(0)
    shared = [common(grid[number], part) for number in range(len(grid))]
    covered = [each for each in shared if not is_empty(each)]
    changed = []
    for number, each in enumerate(covered):
        _raise_if_stopped(monitor)
        values = np.asarray(labels[from_corner(each, part)])
        if (values != stored[each]).any():
            table.to_class_ids(values)  # Raises if there is another label.
            changed.append(each)
        monitor.report((number + 1) / len(covered) / 2)
    _raise_if_stopped(monitor)
    return changed


def _raise_if_stopped(monitor: Monitor) -> None:
    if monitor.should_stop is not None and monitor.should_stop():
        raise Cancelled("Writing back was cancelled; no file was changed.")


def _opened(output: OutputGroup, levels: int) -> "list[zarr.Array[Any]]":
    import zarr

    return [zarr.open_array(output.path / str(level), mode="r+") for level in range(levels)]


def _write(arrays: "list[zarr.Array[Any]]", part: Slices, labels: Any) -> None:
    """Write a part into all levels; the finest comes last, by which an interruption is noticed."""
    *leading, rows, columns = part
    try:
        for level, array in reversed(list(enumerate(arrays))):
            within = tuple(_in_level(axis, level) for axis in (rows, columns))
            kept = tuple(
                slice((axis.start << level) - first.start, None, 1 << level)
                for axis, first in zip(within, (rows, columns), strict=True)
            )
            if not is_empty(within):
                array[(*leading, *within)] = labels[(..., *kept)]
    except OSError as error:
        raise WritingError(
            f"The edited labels cannot be written ({error.strerror or error}); free some space or "
            "check the permissions, then write them back again."
        ) from error


def _in_level(axis: slice, level: int) -> slice:
    """Return the pixels of a level that are taken from a range of pixels of level 0."""
    return slice(-(-axis.start >> level), -(-axis.stop >> level))
