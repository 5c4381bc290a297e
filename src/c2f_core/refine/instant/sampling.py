"""Choice of the windows of a large image from which its classes are learned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.geometry.arrays import Sliceable, Window, blocks, extent, to_corner
from c2f_core.refine.instant.parts import WINDOW
from c2f_core.refine.interface import Monitor

SAMPLED = 64
"""Number of windows sampled from a large image; half of them have several classes."""
LEAST_SAMPLED = 2
"""Smallest number of sampled windows with each class, unless fewer windows have it."""
READ = 2048
"""Side in pixels of the blocks that are read at once, a multiple of `WINDOW`."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What a coarse map has, and where.

    Attributes
    ----------
    counts : (256,) int64 array
        Number of pixels of each class id.
    windows : list of (slice, slice)
        Windows of the map.
    found : (W, 256) boolean array
        Which class ids each window has.
    """

    counts: NDArray[np.int64]
    windows: list[Window]
    found: NDArray[np.bool_]

    @property
    def has_labels(self) -> bool:
        """Whether anything is labelled."""
        return bool(self.counts[:UNLABELLED_ID].any())


def survey(class_ids: Sliceable, monitor: Monitor) -> Survey:
    """Look through a coarse map, block by block.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, `UNLABELLED_ID` where unlabelled; in memory or loaded lazily.
    monitor : Monitor
        Asked between blocks whether to stop.
    """
    windows, found = [], []
    counts = np.zeros(256, np.int64)
    for block in blocks((class_ids.shape[0], class_ids.shape[1]), READ):
        monitor.raise_if_stopped()
        read = np.asarray(class_ids[block])
        for window in blocks(extent(block), WINDOW):
            in_window = np.bincount(read[window].ravel(), minlength=256)
            counts += in_window
            windows.append(to_corner(window, block))
            found.append(in_window > 0)
    return Survey(counts, windows, np.array(found))


def sample_windows(survey: Survey) -> list[Window]:
    """Return some windows, evenly taken over a map, which together have all of its classes."""
    labelled = np.flatnonzero(survey.found[:, :UNLABELLED_ID].any(axis=1))
    mixed = labelled[survey.found[labelled].sum(axis=1) > 1]
    if len(labelled) <= SAMPLED:
        return [survey.windows[number] for number in labelled]
    chosen = np.zeros(len(survey.windows), np.bool_)
    chosen[_evenly(mixed, SAMPLED // 2)] = True
    chosen[_evenly(labelled[~chosen[labelled]], SAMPLED - int(chosen.sum()))] = True
    by_frequency = np.argsort(survey.counts[:UNLABELLED_ID], kind="stable")
    for class_id in by_frequency[survey.counts[by_frequency] > 0]:
        having = survey.found[:, class_id]
        missing = LEAST_SAMPLED - int((chosen & having).sum())
        chosen[_evenly(np.flatnonzero(having & ~chosen), max(0, missing))] = True
    return [survey.windows[number] for number in np.flatnonzero(chosen)]


def _evenly(numbers: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the numbers, evenly spaced."""
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers)))
    return numbers[places.astype(np.intp)]
