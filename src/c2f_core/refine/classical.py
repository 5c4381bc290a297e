"""Classical refiners: watershed and random walker from the eroded coarse map.

They need no training and work with any classes: baselines, and a fallback if no
trained model fits.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import (
    Size,
    Sliceable,
    Window,
    area,
    boundary_pixels,
    from_corner,
    grid_blocks,
    grown,
    halves,
    whole,
)
from c2f_core.refine.certainty import Certainty, contrast_of, log_contrast
from c2f_core.refine.gradients import colour_gradient
from c2f_core.refine.interface import (
    ClassIds,
    Confidence,
    Monitor,
    RefinerInterface,
)
from c2f_core.refine.markers import Markers, markers
from c2f_core.refine.random_walk import mean_difference, walk
from c2f_core.refine.reduced import ReducedMap, reduced_map

NOTHING_LABELLED = "Nothing is labelled in the coarse map; draw at least one class."
BLOCK, HALO = 2048, 64
"""Side of the blocks of large images, and surroundings that are seen of a block, in pixels."""
SAMPLES, SAMPLE_SIDE, SAMPLE_HALO = 16, 256, 32
"""Number of windows from which what all blocks share is learned, their side and surroundings."""
SPOTS, SPOT = 8, 64
"""Number of spots along each axis from which the gradient of an image is taken, and their side."""


@dataclass(frozen=True)
class _Shared:
    """What all blocks of a large image share."""

    reduced: ReducedMap
    difference: float | None = None
    contrast: float = 0.0

    def markers(self, class_ids: ClassIds, window: Window, erosion: float) -> Markers:
        """Return the markers of a window, also of unlabelled pixels that are far from labels."""
        sure = markers(class_ids, erosion)
        np.copyto(sure, self.reduced.far_markers(class_ids, window), where=sure == 0)
        return sure


@dataclass(frozen=True)
class _Sample:
    """Window of a large image with its markers."""

    rgb: NDArray[np.uint8]
    sure: Markers


def _is_in_blocks(size: Size) -> bool:
    return size[0] * size[1] > BLOCK**2


def _sample_windows(reduced: ReducedMap, size: Size) -> list[Window]:
    """Return some windows along boundaries, evenly taken over the image."""
    found = reduced.boundary_blocks(SAMPLE_SIDE, size)
    chosen = np.linspace(0, len(found) - 1, min(SAMPLES, len(found))).astype(int)
    return [grown(found[number], SAMPLE_HALO, size) for number in chosen]


def _scattered(rgb: Sliceable, size: Size) -> NDArray[np.float32]:
    """Return colour gradients of pixels all over an image."""
    rows, columns = (np.linspace(0, max(0, length - SPOT), SPOTS).astype(int) for length in size)
    spots = [
        colour_gradient(np.asarray(rgb[row : row + SPOT, column : column + SPOT]))
        for row in rows.tolist()
        for column in columns.tolist()
    ]
    return np.concatenate([spot.ravel() for spot in spots])


class MarkerRefiner(RefinerInterface):
    """Common part: markers, and then a method that floods the rest.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse and fine maps.
    erosion : float
        Depth in pixels by which the coarse regions are eroded.
    """

    certainty: Certainty
    most_unknown: int | None = None
    """Number of pixels without a marker above which a block is cut; None for any number."""

    def __init__(self, class_table: ClassTable, erosion: float = 10.0) -> None:
        self.class_table = class_table
        self._erosion = erosion
        self._shared: _Shared | None = None

    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids; see `RefinerInterface.refine_ids`.

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop, between steps.
        """
        marking, flooding, judging = monitor.split([2, 7, 1])
        marking.raise_if_stopped()
        sure = markers(class_ids, self._erosion)
        if not sure.any():
            raise ImageError(NOTHING_LABELLED)
        marking.report(1.0)
        return self._flooded(rgb, class_ids, sure, flooding, judging)

    def _flooded(
        self,
        rgb: NDArray[np.uint8],
        class_ids: ClassIds,
        sure: Markers,
        flooding: Monitor,
        judging: Monitor,
    ) -> tuple[ClassIds, Confidence]:
        """Flood an image, or a part of the one that was prepared, and judge the result."""
        shared = self._shared
        flooding.raise_if_stopped()
        gradient = colour_gradient(rgb)
        flooded, probability = self.flood(
            rgb, gradient, sure, flooding, None if shared is None else shared.difference
        )
        fine = flooded - np.uint8(1)
        flooding.report(1.0)
        judging.raise_if_stopped()
        contrast = log_contrast(fine, gradient) if shared is None else shared.contrast
        confidence = self.certainty.confidence(class_ids, fine, contrast, probability)
        judging.report(1.0)
        return fine, confidence

    def refine_parts(
        self,
        rgb: Sliceable,
        class_ids: Sliceable,
        monitor: Monitor,
        /,
        place: Window | None = None,
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        """Refine a large image block by block; see `RefinerInterface.refine_parts`."""
        if self._shared is None:
            yield from super().refine_parts(rgb, class_ids, monitor, place)
            return
        size = class_ids.shape[0], class_ids.shape[1]
        wanted = grid_blocks(place or whole(size), BLOCK, size)
        monitors = monitor.split([area(grown(block, HALO, size)) for block in wanted])
        for block, share in zip(wanted, monitors, strict=True):
            yield from self._refine_block(rgb, class_ids, block, share)

    def _refine_block(
        self, rgb: Sliceable, class_ids: Sliceable, block: Window, monitor: Monitor
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        assert self._shared is not None
        monitor.raise_if_stopped()
        window = grown(block, HALO, (class_ids.shape[0], class_ids.shape[1]))
        seen = np.asarray(class_ids[window])
        sure = self._shared.markers(seen, window, self._erosion)
        unknown = np.count_nonzero(sure == 0)
        if self.most_unknown is not None and unknown > self.most_unknown:
            for half, share in zip(halves(block), monitor.split([1, 1]), strict=True):
                yield from self._refine_block(rgb, class_ids, half, share)
            return
        flooding, judging = monitor.split([9, 1])
        fine, confidence = self._flooded(np.asarray(rgb[window]), seen, sure, flooding, judging)
        inner = from_corner(block, window)
        yield block, fine[inner], confidence[inner]

    def learning_cost(self, size: Size, /) -> int:
        """Return what `prepared` costs; see `RefinerInterface.learning_cost`."""
        return SAMPLES * (SAMPLE_SIDE + 2 * SAMPLE_HALO) ** 2 if _is_in_blocks(size) else 0

    def prepared(
        self, rgb: Sliceable, class_ids: Sliceable, monitor: Monitor, /
    ) -> "MarkerRefiner":
        """Return a refiner for the blocks of a large image; see `RefinerInterface.prepared`.

        They share the scale of colour differences and the contrast of the result, from some
        windows along boundaries, and what a reduced image says about far unlabelled pixels.

        Raises
        ------
        ImageError
            If nothing is labelled.
        Cancelled
            If the monitor asked to stop, between windows.
        """
        size = class_ids.shape[0], class_ids.shape[1]
        if self._shared is not None or not _is_in_blocks(size):
            return self
        monitor.raise_if_stopped()
        quiet = Monitor(should_stop=monitor.should_stop)

        def flood(image: NDArray[np.uint8], sure: Markers) -> Markers:
            return self.flood(image, colour_gradient(image), sure, quiet)[0]

        reduced = reduced_map(rgb, class_ids, flood)
        if not reduced.markers.any():
            raise ImageError(NOTHING_LABELLED)
        learned, unmeasured = copy(self), _Shared(reduced)
        samples = [
            _Sample(np.asarray(rgb[window]), unmeasured.markers(seen, window, self._erosion))
            for window in _sample_windows(reduced, size)
            for seen in [np.asarray(class_ids[window])]
        ]
        difference = self.colour_difference(samples)
        contrast = self._contrast(samples, difference, _scattered(rgb, size), monitor)
        learned._shared = _Shared(reduced, difference, contrast)
        return learned

    def colour_difference(self, samples: Sequence[_Sample]) -> float | None:  # noqa: ARG002
        """Return what colour differences are compared to in all blocks, if they are."""
        return None

    def _contrast(
        self,
        samples: Sequence[_Sample],
        difference: float | None,
        everywhere: NDArray[np.float32],
        monitor: Monitor,
    ) -> float:
        """Return the log contrast of the result, measured in samples."""
        found = [np.empty(0, np.float32)]
        for sample, share in zip(samples, monitor.split([1] * len(samples)), strict=True):
            gradient = colour_gradient(sample.rgb)
            flooded, _ = self.flood(sample.rgb, gradient, sample.sure, share, difference)
            found.append(gradient[boundary_pixels(flooded)])
            share.report(1.0)
        return contrast_of(np.concatenate(found), everywhere)

    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the whole image, or of a large one the blocks of a part and their surroundings.

        Within a block, a class can flood unlabelled pixels from far away.
        """
        if not _is_in_blocks(size):
            return whole(size)
        return grown(grown(part, 0, size, BLOCK), HALO, size)

    @abstractmethod
    def flood(
        self,
        rgb: NDArray[np.uint8],
        gradient: NDArray[np.float32],
        sure: Markers,
        monitor: Monitor,
        difference: float | None = None,
        /,
    ) -> tuple[Markers, Confidence | None]:
        """Extend the markers to all pixels.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image.
        gradient : (Y, X) float32 array
            Its colour gradient.
        sure : (Y, X) uint8 array
            Markers, from `markers`.
        monitor : Monitor
            Receives the progress, and is asked between steps whether to stop.
        difference : float, optional
            What `colour_difference` returned for a part of a large image.

        Returns
        -------
        markers : (Y, X) uint8 array
            Marker of each pixel.
        probability : (Y, X) float32 array or None
            The method's own probability of these in [0, 1], if it has one.
        """


class WatershedRefiner(MarkerRefiner):
    """Marker-controlled watershed of the colour gradient (Meyer and Beucher 1990).

    The confidence is a calibrated probability; see `c2f_core.refine.certainty`.
    """

    name = "watershed"
    certainty = Certainty(
        same=0.75,
        same_distance=1.35,
        other=-0.24,
        other_distance=-0.57,
        unlabelled=2.53,
        unlabelled_distance=-0.76,
        contrast=0.33,
    )

    def flood(
        self,
        _rgb: NDArray[np.uint8],
        gradient: NDArray[np.float32],
        sure: Markers,
        _monitor: Monitor,
        _difference: float | None = None,
        /,
    ) -> tuple[Markers, None]:
        """Flood the gradient from the markers; see `MarkerRefiner.flood`."""
        # Markers inside of others do not flood, and would take 32 bytes each in the queue.
        inside = (sure > 0) & ~boundary_pixels(sure, unlabelled=None)
        flooded: Markers = watershed(gradient, sure, mask=~inside)
        flooded[inside] = sure[inside]
        return flooded, None


class RandomWalkerRefiner(MarkerRefiner):
    """Random walker (Grady, PAMI 2006) with differences of CIELAB colours.

    The confidence is a calibrated probability; see `c2f_core.refine.certainty`.
    """

    name = "random walker"
    most_unknown = 4_000_000
    certainty = Certainty(
        same=-0.03,
        same_distance=1.06,
        other=-1.02,
        other_distance=-0.56,
        unlabelled=1.62,
        unlabelled_distance=-0.75,
        contrast=0.43,
        probability=0.19,
    )

    def flood(
        self,
        rgb: NDArray[np.uint8],
        _gradient: NDArray[np.float32],
        sure: Markers,
        monitor: Monitor,
        difference: float | None = None,
        /,
    ) -> tuple[Markers, Confidence]:
        """Let random walkers look for the markers; see `MarkerRefiner.flood`."""
        return walk(rgb, sure, monitor, difference)

    def colour_difference(self, samples: Sequence[_Sample]) -> float | None:
        """Return the mean squared difference of neighbours between the markers."""
        found = [mean_difference(sample.rgb, sample.sure) for sample in samples]
        return float(np.mean(found)) if found else None


CLASSICAL_REFINERS: dict[str, type[MarkerRefiner]] = {
    WatershedRefiner.name: WatershedRefiner,
    RandomWalkerRefiner.name: RandomWalkerRefiner,
}
