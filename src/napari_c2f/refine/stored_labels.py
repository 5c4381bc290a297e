"""Controller that edits labels of OME-Zarr stores: a copy in memory, and the way back.

napari shows pyramids read-only, and each dab of paint on a dask array makes its graph grow, so
labels are edited in a copy: of the whole layer, or of the view if the layer is large.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils import resize_dask_cache
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, ImageError
from c2f_core.geometry.arrays import Sliceable, Slices, common, is_empty, lengths
from c2f_core.refine.interface import Monitor
from c2f_core.scale.multiscale import is_zarr
from c2f_core.scale.output import LABELS, OutputGroup, label_groups
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import level0, new_map
from napari_c2f.layers.lineage import placed_keywords
from napari_c2f.layers.planes import current_plane, view_of

PART_KEY = "c2f_stored_part"
"""Metadata key of the part of a label group that a layer is a copy of."""
LARGEST_COPY = 1 << 25
"""Largest number of pixels of a copy."""
NAPARI_NUMBER = re.compile(r" \[\d+\]$")
"""Number that napari appends to the names of layers of the same name."""


@dataclass(frozen=True)
class StoredPart:
    """Part of a label group that a layer is a copy of.

    Attributes
    ----------
    group : OutputGroup
        Label group of an OME-Zarr store.
    slices : tuple of slices
        Part of its level 0.
    """

    group: OutputGroup
    slices: Slices

    def shares_pixels(self, other: "StoredPart") -> bool:
        """Return whether some pixels belong to both parts."""
        shared = common(self.slices, other.slices) if self.group == other.group else ()
        return bool(shared) and not is_empty(shared)


def stored_part(layer: Labels | None) -> StoredPart | None:
    """Return the part of a label group that a layer is a copy of; None if it is none."""
    found = None if layer is None else layer.metadata.get(PART_KEY)
    return found if isinstance(found, StoredPart) else None


def image_folder(layer: Labels | None) -> Path | None:
    """Return the OME-Zarr image whose labels a layer shows; None if it was opened otherwise."""
    if layer is None or layer.source.path is None:
        return None
    path = Path(layer.source.path)
    image = path.parent.parent if path.parent.name == LABELS else path
    image = path.parent if path.name == LABELS else image
    return image if is_zarr(image / LABELS) else None


def label_group_of(layer: Labels) -> OutputGroup:
    """Return the label group that a layer was opened from.

    Raises
    ------
    C2FError
        If the layer was not opened from OME-Zarr, or the store has several groups, and none has
        the name of the layer.
    """
    image = image_folder(layer)
    groups = [] if image is None else label_groups(image)
    name = NAPARI_NUMBER.sub("", layer.name).rsplit("/", 1)[-1]
    named = [group for group in groups if group.name == name]
    if len(groups) == 1 or named:
        return (named or groups)[0]
    if not groups:
        raise C2FError(f"'{layer.name}' was not opened from a label group of an OME-Zarr store.")
    names = ", ".join(f"'{group.name}'" for group in groups)
    raise C2FError(
        f"'{layer.name}' may be any of the label groups of {image}; give the layer the name of "
        f"its group again: {names}."
    )


@dataclass(frozen=True)
class _Copy:
    labels: NDArray[Any]
    class_table: ClassTable


def copy_labels(group: OutputGroup, labels: Sliceable, slices: Slices) -> TaskFunction:
    """Return the function that copies a part of labels that can be written back, for a thread.

    Parameters
    ----------
    group : OutputGroup
        Label group of the labels.
    labels : (..., Y, X) integer array
        All labels of the group, which may be loaded lazily.
    slices : tuple of slices
        Part to copy.
    """

    def copy(_report: Report, _should_stop: ShouldStop) -> _Copy:
        from c2f_core.scale.edits import open_editable  # It imports optional packages.

        _, table = open_editable(group)
        return _Copy(np.array(labels[slices]), table)

    return copy


def write_labels(part: StoredPart, labels: NDArray[Any]) -> TaskFunction:
    """Return the function that writes edited labels back, for a thread.

    Parameters
    ----------
    part : StoredPart
        Where the labels came from.
    labels : (..., Y, X) integer array
        The edited labels.
    """

    def write(report: Report, should_stop: ShouldStop) -> int:
        from c2f_core.scale.edits import write_back  # It imports optional packages.

        monitor = Monitor(report, should_stop)
        return write_back(part.group.path, labels, part.slices, monitor)

    return write


class StoredLabelsController(Controller[Activity]):
    """Copies labels of an OME-Zarr store to edit them, and writes them back.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose labels are edited.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(Activity())
        self._viewer = viewer

    def edit_copy(self, layer: Labels | None) -> None:
        """Add a copy of a layer, or of what the view shows of a large one, that can be edited."""
        with self._showing_errors():
            if layer is None:
                raise C2FError("Choose labels that were opened from an OME-Zarr store first.")
            group = label_group_of(layer)
            slices = self._part_to_copy(layer)
            earlier = self._copy_of(StoredPart(group, slices))
            if earlier is not None:
                self._show(layer, earlier)
                self.model.message = (
                    f"'{earlier.name}' is a copy of this part already; edit it, or write it back "
                    "and remove it to make another one."
                )
                return
            self.model.message = f"Copying '{layer.name}'…"
            work = copy_labels(group, level0(layer), slices)
            self._start(
                work, self._show_progress, lambda copy: self._add(layer, group, slices, copy)
            )

    def write_back(self, layer: Labels | None) -> None:
        """Write an edited copy back into its store."""
        with self._showing_errors():
            part = stored_part(layer)
            if layer is None or part is None:
                raise C2FError("Choose a copy of stored labels first, made by 'Edit a copy'.")
            self.model.message = f"Writing '{layer.name}' back to {part.group.store}…"
            work = write_labels(part, np.array(layer.data))
            self._start(work, self._show_progress, lambda count: self._written(part, count))

    def _part_to_copy(self, layer: Labels) -> Slices:
        """Return all of a layer, or what the view shows of a large one."""
        shape = level0(layer).shape
        everything = tuple(slice(0, length) for length in shape)
        if np.prod(shape, dtype=np.int64) <= LARGEST_COPY:
            return everything
        plane = current_plane(self._viewer, layer)
        planes = tuple(slice(index, index + 1) for index in plane)
        part = (*planes, *view_of(self._viewer, layer))
        pixels = np.prod(lengths(part), dtype=np.int64)
        if pixels > LARGEST_COPY:
            raise ImageError(
                f"The view shows {pixels / 1e6:.0f} megapixels of '{layer.name}', and a copy has "
                f"at most {LARGEST_COPY / 1e6:.0f}; zoom in on what you want to edit."
            )
        return part

    def _copy_of(self, part: StoredPart) -> Labels | None:
        """Return a copy in the viewer that shares pixels with a part, None if there is none."""
        for layer in self._viewer.layers:
            other = stored_part(layer) if isinstance(layer, Labels) else None
            if other is not None and other.shares_pixels(part):
                return layer
        return None

    def _add(self, layer: Labels, group: OutputGroup, slices: Slices, copy: _Copy) -> None:
        name = f"{group.name} copy"
        placed = placed_keywords(layer, slices)
        added = new_map(self._viewer, copy.labels, copy.class_table, name, placed)
        added.metadata[PART_KEY] = StoredPart(group, slices)
        self._viewer.add_layer(added)
        self._show(layer, added)
        self._succeed(
            f"Edit '{added.name}', and click 'Write back' to change {group.path}; '{layer.name}' "
            "is now hidden."
        )

    def _show(self, hidden: Labels, shown: Labels) -> None:
        hidden.visible, shown.visible = False, True
        self._viewer.layers.selection.active = shown

    def _written(self, part: StoredPart, count: int) -> None:
        if count:
            self._show_stored(part.group)
        shards = "1 shard" if count == 1 else f"{count} shards"
        self._succeed(
            f"Wrote the edits into {shards} of {part.group.path}, and into all its levels."
            if count
            else f"{part.group.path} has these labels already; nothing was written."
        )

    def _show_stored(self, group: OutputGroup) -> None:
        """Let layers of the same store show what was written, which napari may have cached."""
        resize_dask_cache().cache.clear()
        for layer in self._viewer.layers:
            if isinstance(layer, Labels) and image_folder(layer) == group.store:
                layer.refresh()
