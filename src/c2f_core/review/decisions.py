"""Decisions on the regions of a review, read from the pixels of the final map.

The final map is the single source of truth: undoing a change of its pixels undoes the
decision. Only a rejection leaves no trace in it, so rejected regions are stored separately.
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
"""Identity of a region across reviews; see `ChangedPixels.keys`."""


class Decision(IntEnum):
    """Decision on a region."""

    UNDECIDED = 0
    ACCEPTED = 1
    REJECTED = 2
    EDITED = 3


@dataclass(frozen=True, eq=False)
class ChangedPixels:
    """Changed pixels of a review, sorted by region; make them with `changed_pixels`.

    Attributes
    ----------
    flat_indices : (N,) integer array
        Index of each pixel in the flattened map.
    sizes : (R,) integer array
        Number of pixels of each region, by region number.
    coarse, refined : (N,) integer array
        Label values in both maps.
    """

    flat_indices: NDArray[np.intp]
    sizes: NDArray[np.intp]
    coarse: NDArray[Any]
    refined: NDArray[Any]

    @cached_property
    def keys(self) -> tuple[RegionKey, ...]:
        """Key of each region: its first flat index, its size and its label in the refined map.

        A key stays the same in a later review of the same maps. Numbers do not: they
        follow the confidence, which may have been rounded since.
        """
        columns = (self.flat_indices[self._firsts], self.sizes, self.refined[self._firsts])
        return tuple(zip(*(column.tolist() for column in columns), strict=True))

    def numbers_of(self, keys: Collection[RegionKey]) -> list[int]:
        """Return the numbers of the regions whose key is listed in `keys`."""
        return [number for number, key in enumerate(self.keys, 1) if key in keys]

    def of(self, numbers: Collection[int]) -> NDArray[np.intp]:
        """Return the indices of the N pixels that belong to the regions listed in `numbers`."""
        return np.flatnonzero(np.repeat(self._mask_of(numbers), self.sizes))

    def decisions(self, final: NDArray[Any], rejected: Collection[int]) -> NDArray[np.uint8]:
        """Read the decision on each region from a final map.

        A region is accepted where all its pixels are as in the refined map. It is edited
        where only some are, or where some are neither as in the refined nor as in the
        coarse map.

        Parameters
        ----------
        final : (Y, X) integer array
            Label values.
        rejected : collection of int
            Numbers of the regions marked as rejected; those whose pixels changed since
            count as accepted or edited.

        Returns
        -------
        (R,) uint8 array
            A `Decision` for each region.
        """
        labels = np.take(final, self.flat_indices)
        refined, coarse = (self._all(labels == each) for each in (self.refined, self.coarse))
        decisions = np.full(len(self.sizes), Decision.EDITED, dtype=np.uint8)
        decisions[coarse] = Decision.UNDECIDED
        decisions[coarse & self._mask_of(rejected)] = Decision.REJECTED
        decisions[refined] = Decision.ACCEPTED
        return decisions

    @property
    def _firsts(self) -> NDArray[np.intp]:
        """Index of the first pixel of each region."""
        return np.cumsum(self.sizes) - self.sizes

    def _mask_of(self, numbers: Collection[int]) -> NDArray[np.bool_]:
        """Return a mask of the regions listed in `numbers`."""
        mask = np.zeros(len(self.sizes), dtype=np.bool_)
        mask[np.fromiter(numbers, np.intp) - 1] = True
        return mask

    def _all(self, agree: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the regions in which all pixels agree."""
        if not len(self.sizes):
            return np.zeros(0, dtype=np.bool_)
        regions: NDArray[np.bool_] = np.logical_and.reduceat(agree, self._firsts)
        return regions


def changed_pixels(review: Review) -> ChangedPixels:
    """Return the changed pixels of a review, sorted by region."""
    numbers = review.numbers.ravel()
    changed = np.flatnonzero(numbers)
    flat_indices = changed[np.argsort(numbers[changed], kind="stable")]
    return ChangedPixels(
        flat_indices,
        np.array([region.size for region in review.regions], dtype=np.intp),
        np.take(review.coarse, flat_indices),
        np.take(review.refined, flat_indices),
    )
