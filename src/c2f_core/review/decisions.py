"""What was decided on each region of a review, read off the pixels of the final map.

The final map is the one truth: undoing a change of its pixels undoes the decision.
Only rejecting leaves no trace in it, so rejected regions are remembered beside it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.review.regions import Review

RegionKey = tuple[int, int, int]


class Decision(IntEnum):
    """What was decided on a region."""

    UNDECIDED = 0
    ACCEPTED = 1
    REJECTED = 2
    EDITED = 3


@dataclass(frozen=True, eq=False)
class ChangedPixels:
    """The changed pixels of a review, region by region; make them with `changed_pixels`.

    Attributes
    ----------
    places : (N,) integer array
        Where each pixel is in the flattened map.
    sizes : (R,) integer array
        Pixels of each region, in the order of their numbers.
    coarse, refined : (N,) integer array
        Class indices.
    """

    places: NDArray[np.intp]
    sizes: NDArray[np.intp]
    coarse: NDArray[Any]
    refined: NDArray[Any]

    @cached_property
    def keys(self) -> tuple[RegionKey, ...]:
        """What tells each region from others, also in a later review of the same maps.

        That is its first place in the flattened map, its size, and its class index in
        the refined map; regions are numbered by their confidence, which may be rounded.
        """
        columns = (self.places[self._firsts], self.sizes, self.refined[self._firsts])
        return tuple(zip(*(column.tolist() for column in columns), strict=True))

    def numbers_of(self, keys: Collection[RegionKey]) -> list[int]:
        """Return the numbers of those regions whose key is among these."""
        return [number for number, key in enumerate(self.keys, 1) if key in keys]

    def of(self, numbers: Collection[int]) -> NDArray[np.intp]:
        """Return which of the N pixels belong to the regions of these numbers."""
        return np.flatnonzero(np.repeat(self._are(numbers), self.sizes))

    def decisions(self, final: NDArray[Any], rejected: Collection[int]) -> NDArray[np.uint8]:
        """Read what was decided off a final map.

        A region is accepted where all its pixels are as refined, and edited where
        some are and some are not, or are neither as refined nor as in the coarse map.

        Parameters
        ----------
        final : (Y, X) integer array
            Class indices.
        rejected : collection of int
            Numbers of the regions that were rejected, whatever became of them.

        Returns
        -------
        (R,) uint8 array
            A `Decision` for each region.
        """
        labels = np.take(final, self.places)
        refined, coarse = (self._all(labels == each) for each in (self.refined, self.coarse))
        decisions = np.full(len(self.sizes), Decision.EDITED, dtype=np.uint8)
        decisions[coarse] = Decision.UNDECIDED
        decisions[coarse & self._are(rejected)] = Decision.REJECTED
        decisions[refined] = Decision.ACCEPTED
        return decisions

    @property
    def _firsts(self) -> NDArray[np.intp]:
        """Which of the N pixels is the first of each region."""
        return np.cumsum(self.sizes) - self.sizes

    def _are(self, numbers: Collection[int]) -> NDArray[np.bool_]:
        """Tell for each region whether its number is among these."""
        among = np.zeros(len(self.sizes), dtype=np.bool_)
        among[np.fromiter(numbers, np.intp) - 1] = True
        return among

    def _all(self, agree: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for each region whether all its pixels agree."""
        if not len(self.sizes):
            return np.zeros(0, dtype=np.bool_)
        together: NDArray[np.bool_] = np.logical_and.reduceat(agree, self._firsts)
        return together


def changed_pixels(review: Review) -> ChangedPixels:
    """Sort the changed pixels of a review by region."""
    numbers = review.numbers.ravel()
    changed = np.flatnonzero(numbers)
    places = changed[np.argsort(numbers[changed], kind="stable")]
    return ChangedPixels(
        places,
        np.array([region.size for region in review.regions], dtype=np.intp),
        np.take(review.coarse, places),
        np.take(review.refined, places),
    )
