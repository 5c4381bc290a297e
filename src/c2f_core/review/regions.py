"""Review what a refiner changed, region by region, and find where it is in doubt."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from c2f_core.classes.table import MAX_CLASS_IDS, ClassTable
from c2f_core.errors import ImageError
from c2f_core.geometry.windows import Window

DOUBTFUL_BELOW = 0.7
"""Confidence below which a pixel is in doubt, unless said otherwise."""
EIGHT_NEIGHBOURS = np.ones((3, 3))


@dataclass(frozen=True)
class ReviewRegion:
    """Connected pixels that are worth a look.

    Attributes
    ----------
    number : int
        From 1, in the order of priority.
    window : (slice, slice)
        Rows and columns of its bounding box.
    size : int
        Pixels.
    confidence : float
        Mean of its pixels, in [0, 1].
    """

    number: int
    window: Window
    size: int
    confidence: float

    @property
    def priority(self) -> float:
        """Doubt times size: about how many of its pixels are wrong."""
        return (1 - self.confidence) * self.size

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the middle of its bounding box."""
        rows, columns = self.window
        return (rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2


@dataclass(frozen=True)
class ChangedRegion(ReviewRegion):
    """Connected pixels that a refiner changed from one class to another.

    Attributes
    ----------
    before, after : str
        Names of the class in the coarse map and in the refined one.
    """

    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Review:
    """Changes, and what was decided on them; make one with `review_changes`.

    A decision returns a new review and leaves this one as it is, so undoing is
    going back to it. Both share their arrays.

    Attributes
    ----------
    coarse, refined : (Y, X) integer array
        Class indices.
    numbers : (Y, X) int32 array
        Number of the region of each pixel, 0 where nothing changed.
    regions : tuple of ChangedRegion
        In the order of priority: `regions[n - 1]` has the number n.
    accepted, rejected : frozenset of int
        Numbers of the regions on which was decided.
    """

    coarse: NDArray[Any]
    refined: NDArray[Any]
    numbers: NDArray[np.int32]
    regions: tuple[ChangedRegion, ...]
    accepted: frozenset[int] = frozenset()
    rejected: frozenset[int] = frozenset()

    @property
    def undecided(self) -> tuple[ChangedRegion, ...]:
        """Regions on which nothing was decided, in the order of priority."""
        decided = self.accepted | self.rejected
        return tuple(region for region in self.regions if region.number not in decided)

    def accept(self, regions: Iterable[ChangedRegion]) -> "Review":
        """Take these regions over into the final map.

        Raises
        ------
        ValueError
            A region is not of this review.
        """
        numbers = self._numbers_of(regions)
        return replace(self, accepted=self.accepted | numbers, rejected=self.rejected - numbers)

    def reject(self, regions: Iterable[ChangedRegion]) -> "Review":
        """Keep the coarse map in these regions.

        Raises
        ------
        ValueError
            A region is not of this review.
        """
        numbers = self._numbers_of(regions)
        return replace(self, accepted=self.accepted - numbers, rejected=self.rejected | numbers)

    def accept_above(self, confidence: float) -> "Review":
        """Accept the undecided regions of at least this mean confidence."""
        return self.accept(region for region in self.undecided if region.confidence >= confidence)

    def mask(self, region: ChangedRegion) -> NDArray[np.bool_]:
        """Mark the pixels of a region in its window."""
        pixels: NDArray[np.bool_] = self.numbers[region.window] == region.number
        return pixels

    def final_map(self) -> NDArray[Any]:
        """Return the coarse map with the accepted regions, and no others, refined.

        Returns
        -------
        (Y, X) integer array
        """
        taken = np.zeros(len(self.regions) + 1, dtype=bool)
        taken[list(self.accepted)] = True
        return np.where(taken[self.numbers], self.refined, self.coarse)

    def _numbers_of(self, regions: Iterable[ChangedRegion]) -> frozenset[int]:
        regions = list(regions)
        for region in regions:
            if self.regions[region.number - 1 : region.number] != (region,):
                raise ValueError(f"{region} is not of this review; take it from its regions.")
        return frozenset(region.number for region in regions)


def review_changes(
    coarse: NDArray[Any],
    refined: NDArray[Any],
    confidence: NDArray[np.floating[Any]],
    class_table: ClassTable,
) -> Review:
    """Cut what differs between two maps into regions to decide on.

    A region holds connected pixels (of eight neighbours) that went from the
    same class to the same other one, so that one answer fits all of it. All
    regions together are the pixels that changed.

    Parameters
    ----------
    coarse, refined : (Y, X) integer array
        Class indices.
    confidence : (Y, X) float array
        Of the refined map, in [0, 1]; NaN counts as 0.
    class_table : ClassTable

    Returns
    -------
    Review
        Nothing is accepted or rejected yet.

    Raises
    ------
    ImageError
        The shapes differ.
    ClassTableError
        A map holds an index that is not in the class table where they differ.
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
    numbers, places = _ranked(label(codes, background=0, connectivity=2), confidence)
    code_of = np.zeros(len(places) + 1, dtype=np.uint16)
    code_of[numbers[changed]] = codes[changed]
    names = class_table.names_by_position
    regions = tuple(
        ChangedRegion(
            **vars(place), before=names[code // MAX_CLASS_IDS], after=names[code % MAX_CLASS_IDS]
        )
        for place, code in zip(places, code_of[1:].tolist(), strict=True)
    )
    return Review(coarse, refined, numbers, regions)


def doubtful_regions(
    confidence: NDArray[np.floating[Any]],
    below: float = DOUBTFUL_BELOW,
    ignore: NDArray[np.bool_] | None = None,
) -> list[ReviewRegion]:
    """Find where to look next: connected pixels of low confidence, changed or not.

    Parameters
    ----------
    confidence : (Y, X) float array
        In [0, 1]; pixels that are NaN are in no doubt.
    below : float
        Pixels of less confidence are in doubt.
    ignore : (Y, X) boolean array, optional
        Pixels that were looked at, or painted by hand.

    Returns
    -------
    list of ReviewRegion
        In the order of priority.
    """
    doubtful = confidence < below
    if ignore is not None:
        doubtful &= ~ignore
    return _ranked(ndimage.label(doubtful, EIGHT_NEIGHBOURS)[0], confidence)[1]


def _ranked(
    parts: NDArray[np.integer[Any]], confidence: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.int32], list[ReviewRegion]]:
    """Number connected parts (0 is none) in the order of priority and measure them."""
    windows = ndimage.find_objects(parts)
    marked = parts > 0
    part, sureness = parts[marked], np.nan_to_num(confidence[marked], nan=0.0)
    sizes = np.bincount(part, minlength=len(windows) + 1)[1:]
    means = np.bincount(part, weights=sureness, minlength=len(windows) + 1)[1:] / sizes
    order = np.argsort(-(1 - means) * sizes, kind="stable")
    rank = np.zeros(len(windows) + 1, dtype=np.int32)
    rank[order + 1] = np.arange(1, len(windows) + 1)
    places = [
        ReviewRegion(number, windows[old], size, mean)
        for number, (old, size, mean) in enumerate(
            zip(order.tolist(), sizes[order].tolist(), means[order].tolist(), strict=True), 1
        )
    ]
    return rank[parts], places
