"""Dissolve islands: small regions of a refined map that the coarse map does not have."""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.refine.interface import ClassIds

ROUNDS = 3
"""Number of passes: the class around an island can be that of another island."""


def dissolve_islands(coarse: ClassIds, fine: ClassIds, smallest: int) -> ClassIds:
    """Give the islands of a refined map the class around them.

    An island is a connected region with fewer pixels than `smallest`, of a class of
    which the coarse map has no region at least as small in the same place. So thin and
    small things that were drawn stay.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    smallest : int
        Number of pixels from which on a region is no island; 0 or 1 leaves the map
        unchanged.

    Returns
    -------
    (Y, X) uint8 array
        The map without islands.
    """
    if smallest <= 1:
        return fine
    drawn_small = _small(coarse, smallest)[1] & (coarse != UNLABELLED_ID)
    cleaned = fine
    for _ in range(ROUNDS):
        regions, small = _small(cleaned, smallest)
        keep = np.unique(regions[small & drawn_small & (coarse == cleaned)])
        islands = small & ~np.isin(regions, keep) & (cleaned != UNLABELLED_ID)
        if not islands.any() or islands.all():
            break
        cleaned = _filled(cleaned, regions, islands)
    return cleaned


def _small(class_ids: ClassIds, smallest: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the connected regions of a map, and which pixels are in small ones."""
    regions = label(class_ids.astype(np.int16) + 1, connectivity=1, background=0)
    sizes = np.bincount(regions.ravel())
    return regions.astype(np.int32), (sizes < smallest)[regions]


def _filled(
    class_ids: ClassIds, regions: NDArray[np.int32], islands: NDArray[np.bool_]
) -> ClassIds:
    """Give each island the class that most of the pixels next to it have."""
    count = int(regions.max()) + 1
    votes: list[NDArray[np.int64]] = []
    for axis in (0, 1):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        for here, there in ((low, high), (high, low)):
            at = islands[here] & ~islands[there] & (class_ids[there] != UNLABELLED_ID)
            votes.append(regions[here][at].astype(np.int64) * 256 + class_ids[there][at])
    pairs, numbers = np.unique(np.concatenate(votes), return_counts=True)
    order = np.argsort(numbers, kind="stable")
    target = np.full(count, UNLABELLED_ID, np.uint8)
    target[pairs[order] // 256] = pairs[order] % 256  # The most frequent one is written last.
    new = target[regions]
    return np.where(islands & (new != UNLABELLED_ID), new, class_ids)
