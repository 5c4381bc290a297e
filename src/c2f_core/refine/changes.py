"""The changed regions of a refined map, and what can be seen of each without a fine map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import first_boundary_pixels
from c2f_core.opencv import cv2
from c2f_core.refine.interface import ClassIds, Confidence

SURROUNDINGS = 8.0
"""Distance in pixels up to which unchanged pixels around a region are compared with it."""
SMOOTHING = 0.7
"""Standard deviation in pixels of the smoothing of the image before contrasts are measured."""
UNKNOWN_DIFFERENCE, UNKNOWN_SPREAD = 30.0, 10.0
"""Difference and spread of colours where there are too few pixels to compare with."""
FEW_PIXELS = 3
FEATURES = (
    "log size",
    "log odds of the confidence",
    "mean distance to the coarse boundary",
    "largest distance to the coarse boundary",
    "nearer in colour to the new class",
    "difference to the old class",
    "difference to the new class",
    "nearer to the new class, in spreads",
    "contrast of the new against the old boundary",
    "contrast of the new boundary",
    "contrast of the old boundary",
    "share of the old class",
    "share of the new class",
    "length of the old boundary",
    "length of the new boundary",
    "changed share along the boundaries",
    "image: nearer in colour to the new class",
    "image: log odds of the confidence",
    "image: contrast of the new against the old boundary",
)


@dataclass(frozen=True)
class Changes:
    """Changed regions of a refined map: connected pixels that left one class for another.

    Attributes
    ----------
    regions : (Y, X) int32 array
        Number of the region of each pixel from 1, and 0 where nothing changed or the
        coarse map is unlabelled.
    sizes : (N,) int64 array
        Number of pixels of each region.
    features : (N, 19) float32 array
        Features of each region, in the order of `FEATURES`.
    """

    regions: NDArray[np.int32]
    sizes: NDArray[np.int64]
    features: NDArray[np.float32]


def find_changes(
    rgb: NDArray[np.uint8], coarse: ClassIds, fine: ClassIds, confidence: Confidence
) -> Changes:
    """Find the changed regions of a refined map and compute their features.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    confidence : (Y, X) float32 array
        Confidence of the refined map in [0, 1].

    Returns
    -------
    Changes
    """
    changed = (coarse != fine) & (coarse != UNLABELLED_ID)
    codes = np.where(changed, coarse.astype(np.int32) * 256 + fine + 1, 0)
    regions = label(codes, connectivity=1, background=0).astype(np.int32)
    count = int(regions.max())
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    if not count:
        return Changes(regions, sizes, np.empty((0, len(FEATURES)), np.float32))
    measures = _Measures(rgb, coarse, fine, regions, sizes)
    features = np.column_stack(
        [
            *measures.sizes_and_distances(confidence),
            *measures.colours(),
            *measures.contrasts_and_shares(),
        ]
    )
    shares = sizes / sizes.sum()
    of_image = np.array([shares @ features[:, column] for column in (4, 1, 8)])
    features = np.column_stack([features, np.broadcast_to(of_image, (count, 3))])
    return Changes(regions, sizes, features.astype(np.float32))


class _Measures:
    """Measure the changed regions of one map."""

    def __init__(
        self,
        rgb: NDArray[np.uint8],
        coarse: ClassIds,
        fine: ClassIds,
        regions: NDArray[np.int32],
        sizes: NDArray[np.int64],
    ) -> None:
        self._coarse, self._fine, self._regions, self._sizes = coarse, fine, regions, sizes
        scaled = rgb.astype(np.float32) / 255
        lab = cv2.cvtColor(np.ascontiguousarray(scaled), cv2.COLOR_RGB2Lab)
        self._lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), SMOOTHING), np.float32)
        first = np.full(len(sizes) + 1, -1)
        inside = np.flatnonzero(regions)
        first[regions.ravel()[inside]] = inside
        self._old, self._new = coarse.ravel()[first[1:]], fine.ravel()[first[1:]]
        steps = [np.linalg.norm(np.diff(self._lab, axis=axis), axis=-1) for axis in (0, 1)]
        self._steps = steps
        self._mean_step = np.mean([step.mean() if step.size else 0 for step in steps]) + 0.5

    def sizes_and_distances(self, confidence: Confidence) -> list[NDArray[np.float64]]:
        """Return size, confidence and distances to the boundaries of the coarse map."""
        numbers = np.arange(1, len(self._sizes) + 1)
        boundary = first_boundary_pixels(self._coarse).astype(np.uint8)
        self._boundary_length = max(int(boundary.sum()), 1)
        distances = np.asarray(
            cv2.distanceTransform(1 - boundary, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32
        )
        mean = self._sum(np.nan_to_num(confidence)) / self._sizes
        return [
            np.log(self._sizes),
            np.log(mean / (1 - mean + 1e-3) + 1e-6),
            self._sum(distances) / self._sizes,
            np.asarray(ndimage.maximum(distances, self._regions, numbers)),
        ]

    def colours(self) -> list[NDArray[np.float64]]:
        """Return how near the colours are to those of both classes around the region."""
        own = self._mean_colours(self._regions)
        nearest = self._nearest_regions()
        known = np.concatenate([[0], self._old]), np.concatenate([[0], self._new])
        of_old = self._compare(own, np.where(self._coarse == known[0][nearest], nearest, 0))
        of_new = self._compare(own, np.where(self._coarse == known[1][nearest], nearest, 0))
        gap = of_old[0] - of_new[0]
        return [
            gap / (of_old[0] + of_new[0] + 2),
            np.log1p(of_old[0]),
            np.log1p(of_new[0]),
            gap / (of_old[1] + of_new[1] + 2),
        ]

    def contrasts_and_shares(self) -> list[NDArray[np.float64]]:
        """Return contrasts along the boundaries, and what the change means for both classes."""
        new_sum, new_count = self._along(self._fine, self._coarse)
        old_sum, old_count = self._along(self._coarse, self._fine)
        new = np.log(new_sum / np.maximum(new_count, 1) / self._mean_step + 0.1)
        old = np.log(old_sum / np.maximum(old_count, 1) / self._mean_step + 0.1)
        areas = np.maximum(np.bincount(self._coarse.ravel(), minlength=256), 1)
        changed = np.log(self._sizes.sum() / self._boundary_length + 0.05)
        return [
            new - old,
            new,
            old,
            np.log(self._sizes / areas[self._old]),
            np.log(self._sizes / areas[self._new]),
            old_count / np.sqrt(self._sizes),
            new_count / np.sqrt(self._sizes),
            np.full(len(self._sizes), changed),
        ]

    def _sum(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        return _sums(self._regions, values, len(self._sizes))

    def _nearest_regions(self) -> NDArray[np.int32]:
        """Return the region to which each unchanged pixel is nearest, and 0 for far ones."""
        outside = (self._regions == 0).astype(np.uint8)
        distances, pixels = cv2.distanceTransformWithLabels(
            outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        numbers = np.zeros(int(pixels.max()) + 1, np.int32)
        inside = outside == 0
        numbers[pixels[inside]] = self._regions[inside]
        unchanged = (self._coarse == self._fine) & (distances <= SURROUNDINGS) & (distances > 0)
        return np.where(unchanged, numbers[pixels], 0)

    def _mean_colours(self, numbers: NDArray[np.int32]) -> NDArray[np.float64]:
        counts = np.bincount(numbers.ravel(), minlength=len(self._sizes) + 1)[1:]
        sums = [_sums(numbers, self._lab[..., axis], len(self._sizes)) for axis in range(3)]
        return np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None]

    def _compare(
        self, own: NDArray[np.float64], numbers: NDArray[np.int32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the difference to the mean colour of some pixels, and their spread."""
        count = np.bincount(numbers.ravel(), minlength=len(self._sizes) + 1)[1:]
        mean = self._mean_colours(numbers)
        square = (
            np.stack(
                [_sums(numbers, self._lab[..., axis] ** 2, len(self._sizes)) for axis in range(3)],
                axis=-1,
            )
            / np.maximum(count, 1)[:, None]
        )
        spread = np.sqrt(np.maximum(square - mean**2, 0)).mean(axis=1)
        few = count < FEW_PIXELS
        difference = np.linalg.norm(own - mean, axis=1)
        return (
            np.where(few, UNKNOWN_DIFFERENCE, difference),
            np.where(few, UNKNOWN_SPREAD, spread),
        )

    def _along(
        self, this: ClassIds, other: ClassIds
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return sum and number of the colour steps from a region to where `this` has its class.

        With the fine map as `this`, the class is the old one and the steps lie on the new
        boundary; with the coarse map, it is the new class, and the old boundary.
        """
        count = len(self._sizes) + 1
        sums, numbers = np.zeros(count), np.zeros(count, np.int64)
        for axis, steps in enumerate(self._steps):
            low = (slice(None),) * axis + (slice(None, -1),)
            high = (slice(None),) * axis + (slice(1, None),)
            for here, there in ((low, high), (high, low)):
                at = (self._regions[here] > 0) & (this[there] == other[here])
                regions = self._regions[here][at]
                sums += np.bincount(regions, steps[at], minlength=count)
                numbers += np.bincount(regions, minlength=count)
        return sums[1:], numbers[1:]


def _sums(
    numbers: NDArray[np.int32], values: NDArray[np.floating], count: int
) -> NDArray[np.float64]:
    sums = np.bincount(numbers.ravel(), values.ravel(), minlength=count + 1)
    return np.asarray(sums[1:], np.float64)
