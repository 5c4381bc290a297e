"""Clean up a refined map: specks, holes and spurs of edges that the coarse map does not have."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.refine.interface import ClassIds

ROUNDS = 3
"""Number of passes: the class around an island can be that of another island."""
DRAWN = 4
"""All that is left of a drawn region with fewer pixels than this times an island's stays."""
SQUARE = np.ones((3, 3), np.uint8)
Regions = NDArray[np.int32]
"""Numbers of connected regions of one class, from 1."""


def clean_up(
    coarse: ClassIds, fine: ClassIds, smallest_region: int, smallest_hole: int, smallest_spur: int
) -> ClassIds:
    """Remove spurs of edges, holes and islands from a refined map.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    smallest_region, smallest_hole, smallest_spur : int
        Number of pixels below which islands, holes and spurs are removed; 0 keeps all.
        See `dissolve_islands`, `fill_holes` and `remove_spurs`. A pixel depends on others
        within the `reach` of a `Scope` with these sizes.

    Returns
    -------
    (Y, X) uint8 array
        The cleaned map. Unlabelled pixels stay unlabelled, and what the refiner left as it
        was drawn stays so, unless it is the rest of a larger region.
    """
    smooth = remove_spurs(coarse, fine, smallest_spur)
    return dissolve_islands(coarse, fill_holes(coarse, smooth, smallest_hole), smallest_region)


def dissolve_islands(coarse: ClassIds, fine: ClassIds, smallest: int) -> ClassIds:
    """Give the islands of a refined map the class around them.

    An island is a connected region with fewer pixels than `smallest`. Small things that were
    drawn stay: what is left of a region of the coarse map with fewer pixels than `smallest`,
    and all that is left of one with fewer than `DRAWN` times as many.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    smallest : int
        Smallest number of pixels of a region that is kept; 0 or 1 leaves the map unchanged.

    Returns
    -------
    (Y, X) uint8 array
        The map without islands.
    """
    if smallest <= 1:
        return fine
    drawn = _drawn(coarse, fine, smallest)
    cleaned = fine
    for _ in range(ROUNDS):
        regions, small = _small(cleaned, smallest)
        islands = small & ~np.isin(regions, np.unique(regions[drawn]))
        islands &= cleaned != UNLABELLED_ID
        if not islands.any():
            break
        known = ~islands & (cleaned != UNLABELLED_ID)
        cleaned = _replaced(cleaned, regions, islands, _contacts(cleaned, regions, islands, known))
    return cleaned


def _drawn(coarse: ClassIds, fine: ClassIds, smallest: int) -> NDArray[np.bool_]:
    """Mark what is left of small regions that were drawn."""
    regions = _regions(coarse)
    sizes = np.bincount(regions.ravel())
    left = (coarse == fine) & (coarse != UNLABELLED_ID)
    has_more = np.zeros(len(sizes), np.bool_)
    has_more[regions[left & ~_small(fine, smallest)[1]]] = True
    stays = (sizes < smallest) | ((sizes < DRAWN * smallest) & ~has_more)
    drawn: NDArray[np.bool_] = left & stays[regions]
    return drawn


def fill_holes(coarse: ClassIds, fine: ClassIds, smallest: int) -> ClassIds:
    """Fill the holes of a refined map: small regions that one other class encloses.

    A region of which the coarse map has a part stays, and so does one at the edge of the map.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    smallest : int
        Smallest number of pixels of a hole that is kept; 0 or 1 leaves the map unchanged.

    Returns
    -------
    (Y, X) uint8 array
        The map without holes.
    """
    if smallest <= 1:
        return fine
    regions, small = _small(fine, smallest)
    stays = np.zeros(int(regions.max(initial=0)) + 1, np.bool_)
    stays[regions[(coarse == fine) | (fine == UNLABELLED_ID)]] = True
    for edge in (regions[:1], regions[-1:], regions[:, :1], regions[:, -1:]):
        stays[edge] = True
    holes = small & ~stays[regions]
    contacts = _contacts(fine, regions, holes, np.ones_like(holes))
    numbers = contacts.regions
    enclosing = np.bincount(numbers, minlength=len(stays)) == 1
    unlabelled = np.isin(np.arange(len(stays)), numbers[contacts.classes == UNLABELLED_ID])
    return _replaced(fine, regions, holes & (enclosing & ~unlabelled)[regions], contacts)


def remove_spurs(coarse: ClassIds, fine: ClassIds, smallest: int) -> ClassIds:
    """Remove the spurs of edges in a refined map, and the notches between them.

    A spur is a part of a region narrower than 3 pixels (what an opening by a square of
    3 x 3 pixels removes) of fewer pixels than `smallest`. Its pixels take the class that
    most pixels without spurs in a square of 3 x 3 have; of two equally frequent classes,
    that of the coarse map. Thin lines are longer, and stay, as do spurs that were drawn.
    Only what the refiner changed, or what is next to it, is removed.

    Parameters
    ----------
    coarse, fine : (Y, X) uint8 array
        Class ids of the coarse map, `UNLABELLED_ID` where unlabelled, and of the
        refined map.
    smallest : int
        Smallest number of pixels of a spur that is kept; 0 or 1 leaves the map unchanged.

    Returns
    -------
    (Y, X) uint8 array
        The map with smooth edges.
    """
    if smallest <= 1:
        return fine
    changed = coarse != fine
    spurs = _spurs(fine, smallest) & (changed | ~_spurs(coarse, smallest))
    own, most, majority = np.zeros_like(fine), np.zeros_like(fine), fine.copy()
    for class_id in _classes_of(fine):
        inside = fine == class_id
        firm = (inside & ~spurs).astype(np.uint8)
        votes = 2 * cv2.filter2D(firm, -1, SQUARE, borderType=cv2.BORDER_REPLICATE)
        votes += coarse == class_id
        own[inside] = votes[inside]
        is_most = votes > most
        most[is_most], majority[is_most] = votes[is_most], class_id
    removed = spurs & (most > own) & (cv2.dilate(changed.astype(np.uint8), SQUARE) > 0)
    return np.where(removed, majority, fine)


def _classes_of(class_ids: ClassIds) -> ClassIds:
    return np.unique(class_ids[class_ids != UNLABELLED_ID])


def _spurs(class_ids: ClassIds, smallest: int) -> NDArray[np.bool_]:
    """Mark the spurs of all edges."""
    thin = np.zeros(class_ids.shape, np.bool_)
    for class_id in _classes_of(class_ids):
        mask = (class_ids == class_id).astype(np.uint8)
        border = cv2.copyMakeBorder(mask, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
        opened = cv2.morphologyEx(border, cv2.MORPH_OPEN, SQUARE)[2:-2, 2:-2]
        thin |= (mask > 0) & (opened == 0)
    parts = label(np.where(thin, class_ids.astype(np.int32) + 1, 0), connectivity=2, background=0)
    small: NDArray[np.bool_] = thin & (np.bincount(parts.ravel()) < smallest)[parts]
    return small


def _small(class_ids: ClassIds, smallest: int) -> tuple[Regions, NDArray[np.bool_]]:
    """Return the connected regions of a map, and which pixels are in small ones."""
    regions = _regions(class_ids)
    return regions, (np.bincount(regions.ravel()) < smallest)[regions]


def _regions(class_ids: ClassIds) -> Regions:
    regions = label(class_ids.astype(np.int16) + 1, connectivity=1, background=0)
    return np.asarray(regions, np.int32)


@dataclass(frozen=True)
class _Contacts:
    """Classes next to regions, as pairs; those with the longest common boundary come last.

    Attributes
    ----------
    regions : (N,) int64 array
        Numbers of the regions.
    classes : (N,) uint8 array
        A class next to each of them; a region has one pair for each of its neighbours.
    """

    regions: NDArray[np.int64]
    classes: ClassIds


def _contacts(
    class_ids: ClassIds, regions: Regions, inside: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> _Contacts:
    """Return the classes of pixels `outside` that are next to the regions `inside`."""
    codes: list[NDArray[np.int64]] = []
    for axis in (0, 1):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        for here, there in ((low, high), (high, low)):
            at = inside[here] & outside[there] & (regions[here] != regions[there])
            codes.append(regions[here][at].astype(np.int64) * 256 + class_ids[there][at])
    pairs, lengths = np.unique(np.concatenate(codes), return_counts=True)
    pairs = pairs[np.argsort(lengths, kind="stable")]
    return _Contacts(pairs // 256, (pairs % 256).astype(np.uint8))


def _replaced(
    class_ids: ClassIds, regions: Regions, inside: NDArray[np.bool_], contacts: _Contacts
) -> ClassIds:
    """Give the regions `inside` the class with which they have the longest common boundary."""
    target = np.full(int(regions.max(initial=0)) + 1, UNLABELLED_ID, np.uint8)
    target[contacts.regions] = contacts.classes  # The longest one is written last.
    new = target[regions]
    return np.where(inside & (new != UNLABELLED_ID), new, class_ids)
