"""Refine a plane, an image with its coarse map, block by block into arrays, within a scope."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError, enough_memory
from c2f_core.geometry.arrays import (
    Size,
    Sliceable,
    Slices,
    Window,
    area,
    around,
    blocks,
    common,
    extent,
    from_corner,
    grown,
    row_bands,
    to_corner,
)
from c2f_core.geometry.lazy import Computed, Writable
from c2f_core.io.intensity import FIXED_LIMITS, as_rgb8, intensity_limits
from c2f_core.io.scratch import is_large, new_array
from c2f_core.refine.interface import (
    NO_MEMORY,
    SILENT,
    ClassCodec,
    ClassIds,
    Confidence,
    Monitor,
    RefinerInterface,
    check_sizes,
)
from c2f_core.refine.report import ChangeCounts, ScopeReport
from c2f_core.refine.scope import (
    ClassRules,
    Scope,
    cheapest_parts,
    editable_pixels,
    edits_everything,
)

Limits = tuple[float, float]
GATED_BLOCK = 2048
"""Side in pixels of the largest blocks in which changes are examined."""


@dataclass(frozen=True, eq=False)
class PlaneInputs:
    """Image, its coarse map, and where the map may change.

    Attributes
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Image of bool, integer or float values, in memory or loaded lazily.
    coarse : (Y, X) integer array
        Labels of the class table, in memory or loaded lazily.
    class_table : ClassTable
        Class table of the coarse map; that of the refiner may have other labels.
    scope : Scope
        Region in which the map may change.
    limits : (float, float), optional
        Values of the image that are black and white; see `refine_within`.
    folder : Path, optional
        Folder for temporary files of a large plane; without one, copies are in memory.
    """

    image: Sliceable
    coarse: Sliceable
    class_table: ClassTable
    scope: Scope
    limits: Limits | None = None
    folder: Path | None = None

    @cached_property
    def size(self) -> Size:
        """Height and width in pixels; raises `ImageError` if image, map and masks do not fit."""
        size = check_sizes(tuple(self.image.shape), tuple(self.coarse.shape))
        self.scope.check_shapes(size)
        return size

    @cached_property
    def region(self) -> Window:
        """Smallest window that contains box and mask of the scope."""
        return self.scope.region(self.size)

    def rgb(self) -> Sliceable:
        """Return the image as refiners see it, (Y, X, 3) uint8, converted where it is sliced."""
        limits = self.limits or _limits_of(self.image)
        return Computed(
            (*self.size, 3), np.uint8, lambda key: as_rgb8(np.asarray(self.image[key]), limits)
        )

    def class_ids_of(self, labels: NDArray[Any], window: Window, codec: ClassCodec) -> ClassIds:
        """Return the labels of a window of the coarse map as a refiner sees them."""
        protected = self.scope.protected
        return codec.to_class_ids(
            labels, None if protected is None else np.asarray(protected[window], dtype=bool)
        )


def prepared_for(
    refiner: RefinerInterface, plane: PlaneInputs, monitor: Monitor = SILENT
) -> RefinerInterface:
    """Return a refiner that knows what all parts of a plane share.

    Whoever refines a large plane part by part prepares the refiner once; it can be sent to
    other processes.

    Parameters
    ----------
    refiner : RefinerInterface
        The refiner.
    plane : PlaneInputs
        Image, coarse map and scope.
    monitor : Monitor
        Receives the progress, and is asked between steps whether to stop.

    Raises
    ------
    C2FError
        As `refine_within`.
    """
    codec = ClassCodec(plane.class_table, refiner.class_table)
    class_ids = Computed(
        plane.size,
        np.uint8,
        lambda key: plane.class_ids_of(np.asarray(plane.coarse[key]), key, codec),
    )
    return refiner.prepared(plane.rgb(), class_ids, monitor)


@enough_memory(ImageError, NO_MEMORY)
def refine_plane(
    refiner: RefinerInterface,
    plane: PlaneInputs,
    labels: Writable,
    confidence: Writable,
    monitor: Monitor,
) -> tuple[Sliceable, ScopeReport]:
    """Refine a plane into arrays of the size of its region.

    Parameters
    ----------
    refiner : RefinerInterface
        The refiner.
    plane : PlaneInputs
        Image, coarse map and scope.
    labels : (Y, X) integer array
        Receives the labels of the region; in memory or on disk.
    confidence : (Y, X) float32 array
        Receives the confidence, NaN where pixels could not change; in memory or on disk.
    monitor : Monitor
        Receives the progress, and is asked between steps whether to stop.

    Returns
    -------
    before : (Y, X) integer array
        Labels of the coarse map in the region, in memory or on disk.
    report : ScopeReport
        What changed, in numbers.

    Raises
    ------
    C2FError
        As `refine_within`.
    """
    started = time.perf_counter()
    monitor.raise_if_stopped()
    work = _PlaneRefinement(refiner, plane, labels, confidence)
    parts = work.parts()
    costs = [refiner.learning_cost(plane.size), *(area(work.seen(part)) for part in parts)]
    learning, *shares = monitor.split(costs)
    work.learn(learning)
    for part, share in zip(parts, shares, strict=True):
        work.refine(part, share)
    work.clean_up(monitor)
    monitor.report(1.0)
    return work.before, work.report(time.perf_counter() - started)


@dataclass(frozen=True, eq=False)
class _Faults:
    """Pixels of a part of a map that are cleaned up.

    Attributes
    ----------
    part : (slice, slice)
        Part of the map.
    pixels : (N,) intp array
        Flat indices in the part.
    labels : (N,) integer array
        New labels.
    """

    part: Window
    pixels: NDArray[np.intp]
    labels: NDArray[Any]


class _PlaneRefinement:
    """Refines a plane part by part and writes what may change into the given arrays."""

    def __init__(
        self,
        refiner: RefinerInterface,
        plane: PlaneInputs,
        labels: Writable,
        confidence: Writable,
    ) -> None:
        self._refiner, self._plane = refiner, plane
        self._labels, self._confidence = labels, confidence
        self._codec = ClassCodec(plane.class_table, refiner.class_table)
        self._rgb = plane.rgb()
        self._rules = ClassRules.of(plane.scope, plane.class_table)

        self._around = self._surroundings()
        self._known = self._copy_of_known()
        self._class_ids = Computed(plane.size, np.uint8, self._class_ids_of)
        self._editable = self._editable_pixels()
        inner = from_corner(plane.region, self._around)
        self.before: Sliceable = Computed(
            extent(inner), self._known.dtype, lambda key: self._known[to_corner(key, inner)]
        )
        for rows in row_bands(self.before.shape):
            band = rows, slice(0, self.before.shape[1])
            labels[band] = self.before[band]
            confidence[band] = np.nan

    def _surroundings(self) -> Window:
        """Return the window of the map that refining and cleaning up the region see."""
        plane, scope = self._plane, self._plane.scope
        in_band = grown(plane.region, scope.band or 0, plane.size)
        if not area(plane.region):
            return self._refiner.receptive_window(in_band, plane.size)
        cleaned = grown(plane.region, scope.reach, plane.size)
        rows, columns = around((self._refiner.receptive_window(in_band, plane.size), cleaned))
        return rows, columns

    def _copy_of_known(self) -> Writable:
        """Return a copy of what is known of the coarse map: the user may go on drawing."""
        coarse, size = self._plane.coarse, extent(self._around)
        if self._plane.folder is None or not is_large(size):
            return np.array(coarse[self._around])
        known = new_array(size, coarse.dtype, self._plane.folder)
        for block in blocks(size, GATED_BLOCK):
            known[block] = coarse[to_corner(block, self._around)]
        return known

    def _editable_pixels(self) -> Sliceable:
        plane, size = self._plane, extent(self._plane.region)
        in_one = edits_everything(plane.scope, plane.class_table) or not is_large(size)
        if plane.folder is None or in_one:
            known = self._known[...]
            return editable_pixels(
                plane.scope, known, self._around, plane.region, plane.class_table
            )
        editable = new_array(size, np.bool_, plane.folder)
        for block in blocks(size, GATED_BLOCK):
            region = to_corner(block, plane.region)
            seen = grown(region, plane.scope.band or 0, plane.size)
            known = self._known[from_corner(seen, self._around)]
            editable[block] = editable_pixels(plane.scope, known, seen, region, plane.class_table)
        return editable

    def seen(self, part: Window) -> Window:
        """Return the window of the image that the refiner has to see for a part of the region."""
        in_image = to_corner(part, self._plane.region)
        return self._refiner.receptive_window(in_image, self._plane.size)

    def parts(self) -> list[Window]:
        """Return the parts of the region that are to be refined."""
        return cheapest_parts(self._editable, self.seen)

    def learn(self, monitor: Monitor) -> None:
        """Let the refiner learn what all parts share."""
        self._refiner = prepared_for(self._refiner, self._plane, monitor)

    def refine(self, part: Window, monitor: Monitor) -> None:
        """Refine one part of the region."""
        place = to_corner(part, self._plane.region)
        refined = self._refiner.refine_parts(self._rgb, self._class_ids, monitor, place)
        for finished, after, confidence in refined:
            for block in _gated_blocks(common(finished, place)):
                there = from_corner(block, finished)
                kept = after[there], confidence[there]
                if self._plane.scope.examines:
                    kept = self._examined(self._rgb[block], self._class_ids[block], *kept)
                self._write(block, *kept)

    def _examined(
        self, rgb: NDArray[np.uint8], before: ClassIds, after: ClassIds, confidence: Confidence
    ) -> tuple[ClassIds, Confidence]:
        """Take back what is not expected to gain."""
        # Imported here because it takes long: commands show their help without it.
        from c2f_core.refine.gate import keep_gains

        scope = self._plane.scope
        return keep_gains(
            rgb,
            before,
            after,
            confidence,
            scope.care,
            scope.smallest_region,
            confidence_weight=self._refiner.confidence_weight,
            usual_displacement=self._refiner.usual_displacement,
        )

    def _class_ids_of(self, window: Window) -> ClassIds:
        """Encode the copy of the coarse map as the refiner sees it."""
        known = self._known[from_corner(window, self._around)]
        return self._plane.class_ids_of(known, window, self._codec)

    def _write(self, window: Window, after: ClassIds, confidence: Confidence) -> None:
        """Write what may change in a window of the image."""
        part = from_corner(window, self._plane.region)
        before, labels = self.before[part], self._codec.to_labels(after)
        self._confidence[part] = np.where(self._editable[part], confidence, np.float32(np.nan))
        self._labels[part] = np.where(self._permitted(part, labels), labels, before)

    def _permitted(self, part: Window, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Mark the pixels of a part of the region that may have these labels."""
        before = self.before[part]
        is_sure = np.asarray(self._confidence[part]) >= self._plane.scope.minimal_confidence
        changes = is_sure & self._rules.permit(before, labels)
        permitted: NDArray[np.bool_] = self._editable[part] & (changes | (labels == before))
        return permitted

    def clean_up(self, monitor: Monitor) -> None:
        """Remove specks, holes and spurs, block by block of the region.

        All blocks see what the refiner made, so that it does not matter where they end.
        """
        if not self._plane.scope.reach:
            return
        faults: list[_Faults] = []
        for block in blocks(extent(self._plane.region), GATED_BLOCK):
            monitor.raise_if_stopped()
            faults += self._faults(block)
        for fault in faults:
            labels = np.array(self._labels[fault.part])
            labels.flat[fault.pixels] = fault.labels
            self._labels[fault.part] = labels

    def _faults(self, block: Window) -> "Iterator[_Faults]":
        """Yield what cleaning up changes in a block of the region, if there is anything."""
        # Imported here because it takes long: commands show their help without it.
        from c2f_core.refine.clean_up import clean_up

        plane = self._plane
        seen = grown(to_corner(block, plane.region), plane.scope.reach, plane.size)
        before = np.asarray(self._known[from_corner(seen, self._around)])
        labels = before.astype(self._labels.dtype)
        inside = common(seen, plane.region)
        labels[from_corner(inside, seen)] = self._labels[from_corner(inside, plane.region)]
        if np.array_equal(labels, before):
            return
        coarse, fine = (plane.class_table.to_class_ids(each) for each in (before, labels))
        cleaned = clean_up(coarse, fine, *plane.scope.clean_up_sizes)
        own = from_corner(to_corner(block, plane.region), seen)
        after = plane.class_table.to_labels(cleaned[own])
        pixels = np.flatnonzero((after != labels[own]) & self._permitted(block, after))
        if pixels.size:
            yield _Faults(block, pixels, after.flat[pixels])

    def report(self, seconds: float) -> ScopeReport:
        """Summarise what changed."""
        counts = ChangeCounts(self._plane.class_table)
        for rows in row_bands(self.before.shape):
            band = rows, slice(0, self.before.shape[1])
            after, confidence = np.asarray(self._labels[band]), np.asarray(self._confidence[band])
            counts.add(self.before[band], after, confidence, self._editable[band])
        return counts.report(seconds)


def _gated_blocks(window: Slices) -> Iterator[Window]:
    """Cut a window into the blocks in which changes are examined, to bound the memory."""
    rows, columns = window
    for block in blocks((rows.stop - rows.start, columns.stop - columns.start), GATED_BLOCK):
        yield to_corner(block, (rows, columns))


def _limits_of(image: Sliceable) -> Limits | None:
    if np.dtype(image.dtype).name in FIXED_LIMITS:
        return None
    if isinstance(image, np.ndarray):
        return intensity_limits(image)
    raise ImageError(
        f"The image is loaded lazily and has {image.dtype} values; give the limits, the values "
        "that are black and white, so that all parts look alike."
    )
