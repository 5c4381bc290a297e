"""State that the Review widget shows. Evented; only the controller and its parts write it."""

import operator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from c2f_core.review.decisions import Decision
from c2f_core.review.regions import ChangedRegion
from napari_c2f.base.activity import Activity


@dataclass
class ReviewModel(Activity):
    """State of a review.

    Attributes
    ----------
    regions : tuple of ChangedRegion
        Changed regions by falling priority; empty without a review.
    decisions : (R,) uint8 array
        A `Decision` for each region.
    current : int
        Number of the region in view, 0 for none.
    threshold : float
        Minimum mean confidence of regions that are accepted together, in [0, 1].
    small : int
        Largest size in pixels of regions that are decided on together as small ones.
    reviewing : bool
        Whether a review is under way.
    shows_final : bool
        Whether the final map is shown instead of the fine map.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"regions": operator.is_, "decisions": operator.is_}
    )

    regions: tuple[ChangedRegion, ...] = ()
    decisions: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    current: int = 0
    threshold: float = 0.9
    small: int = 10
    reviewing: bool = False
    shows_final: bool = False

    def region(self, number: int) -> ChangedRegion:
        """Return the region of a number."""
        return self.regions[number - 1]

    def count(self, decision: Decision) -> int:
        """Return how many regions have a decision."""
        return int(np.count_nonzero(self.decisions == decision))

    def numbers(self, decision: Decision) -> list[int]:
        """Return the numbers of the regions that have a decision, by falling priority."""
        return [int(index) + 1 for index in np.flatnonzero(self.decisions == decision)]
