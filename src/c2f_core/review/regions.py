"""Regions of a refined map to review: what changed, and where the refiner is in doubt."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from c2f_core.classes.table import MAX_CLASS_IDS, ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.arrays import Window

DOUBTFUL_BELOW = 0.7
"""Default confidence below which a pixel is doubtful."""
EIGHT_NEIGHBOURS = np.ones((3, 3))


@dataclass(frozen=True)
class ReviewRegion:
    """Connected pixels that deserve a look.

    Attributes
    ----------
    number : int
        Rank by priority, from 1.
    window : (slice, slice)
        Rows and columns of the bounding box.
    size : int
        Area in pixels.
    confidence : float
        Mean confidence of the pixels, in [0, 1].
    """

    number: int
    window: Window
    size: int
    confidence: float

    @property
    def priority(self) -> float:
        """Doubt times size: the expected number of wrong pixels."""
        return (1 - self.confidence) * self.size


@dataclass(frozen=True)
class ChangedRegion(ReviewRegion):
    """Connected pixels that a refiner changed from one class to another.

    Attributes
    ----------
    before, after : str
        Class names in the coarse and in the refined map.
    """

    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Review:
    """Changes between a coarse and a refined map; make one with `review_changes`.

    Attributes
    ----------
    coarse, refined : (Y, X) integer array
        Label values.
    numbers : (Y, X) int32 array
        Region number of each pixel, 0 where nothing changed.
    regions : tuple of ChangedRegion
        Regions by falling priority: `regions[n - 1]` has the number n.
    accepted : frozenset of int
        Numbers of the accepted regions.
    """

    coarse: NDArray[Any]
    refined: NDArray[Any]
    numbers: NDArray[np.int32]
    regions: tuple[ChangedRegion, ...]
    accepted: frozenset[int] = frozenset()

    def accept(self, regions: Iterable[ChangedRegion]) -> "Review":
        """Return the same review with these regions accepted, too; it shares its arrays.

        Raises
        ------
        ValueError
            If a region belongs to another review.
        """
        regions = list(regions)
        for region in regions:
            if self.regions[region.number - 1 : region.number] != (region,):
                raise ValueError(f"{region} is not of this review; take it from its regions.")
        return replace(self, accepted=self.accepted.union(region.number for region in regions))

    def final_map(self) -> NDArray[Any]:
        """Return the coarse map with the accepted regions, and no others, refined.

        Returns
        -------
        (Y, X) integer array
        """
        taken = np.zeros(len(self.regions) + 1, dtype=bool)
        taken[list(self.accepted)] = True
        return np.where(taken[self.numbers], self.refined, self.coarse)


def review_changes(
    coarse: NDArray[Any],
    refined: NDArray[Any],
    confidence: NDArray[np.floating[Any]],
    class_table: ClassTable,
) -> Review:
    """Divide the pixels that differ between two maps into regions to decide on.

    A region is a set of 8-connected pixels that changed from the same class to the
    same other class, so that one answer fits all of it. Together the regions are
    the pixels that changed.

    Parameters
    ----------
    coarse, refined : (Y, X) integer array
        Label values.
    confidence : (Y, X) float array
        Confidence of the refined map, in [0, 1]; NaN counts as 0.
    class_table : ClassTable
        Classes of both maps.

    Returns
    -------
    Review
        The changed regions; none is accepted yet.

    Raises
    ------
    ImageError
        If the shapes differ.
    ClassTableError
        If a changed pixel has a label that is missing from the class table.
    """
    if not coarse.shape == refined.shape == confidence.shape:
        raise ImageError(
            f"The coarse map, the refined map and the confidence have shapes {coarse.shape}, "
            f"{refined.shape} and {confidence.shape}; choose those of one image."
        )
    changed = coarse != refined
    before, after = (class_table.to_class_ids(each[changed]) for each in (coarse, refined))
    codes = np.zeros(coarse.shape, dtype=np.uint16)
    codes[changed] = before * np.uint16(MAX_CLASS_IDS) + after
    numbers, regions = _ranked(label(codes, background=0, connectivity=2), confidence)
    code_of = np.zeros(len(regions) + 1, dtype=np.uint16)
    code_of[numbers[changed]] = codes[changed]
    names = class_table.names_by_id
    changed_regions = tuple(
        ChangedRegion(
            region.number,
            region.window,
            region.size,
            region.confidence,
            before=names[code // MAX_CLASS_IDS],
            after=names[code % MAX_CLASS_IDS],
        )
        for region, code in zip(regions, code_of[1:].tolist(), strict=True)
    )
    return Review(coarse, refined, numbers, changed_regions)


def doubtful_regions(
    confidence: NDArray[np.floating[Any]],
    below: float = DOUBTFUL_BELOW,
    ignore: NDArray[np.bool_] | None = None,
) -> list[ReviewRegion]:
    """Find 8-connected pixels of low confidence, changed or not.

    Parameters
    ----------
    confidence : (Y, X) float array
        Confidences in [0, 1]; NaN is never doubtful.
    below : float
        Confidence below which a pixel is doubtful.
    ignore : (Y, X) boolean array, optional
        Pixels to leave out, such as those already checked or painted by hand.

    Returns
    -------
    list of ReviewRegion
        Regions by falling priority.
    """
    doubtful = confidence < below
    if ignore is not None:
        doubtful &= ~ignore
    return _ranked(ndimage.label(doubtful, EIGHT_NEIGHBOURS)[0], confidence)[1]


def _ranked(
    parts: NDArray[np.integer[Any]], confidence: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.int32], list[ReviewRegion]]:
    """Renumber connected parts (0 is background) by falling priority, and measure them."""
    windows = ndimage.find_objects(parts)
    marked = parts > 0
    part, known = parts[marked], np.nan_to_num(confidence[marked], nan=0.0)
    sizes = np.bincount(part, minlength=len(windows) + 1)[1:]
    means = np.bincount(part, weights=known, minlength=len(windows) + 1)[1:] / sizes
    order = np.argsort(-(1 - means) * sizes, kind="stable")
    rank = np.zeros(len(windows) + 1, dtype=np.int32)
    rank[order + 1] = np.arange(1, len(windows) + 1)
    regions = [
        ReviewRegion(number, windows[old], size, mean)
        for number, (old, size, mean) in enumerate(
            zip(order.tolist(), sizes[order].tolist(), means[order].tolist(), strict=True), 1
        )
    ]
    return rank[parts], regions
