"""What the Review widget shows. Evented; only its controller writes it."""

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
class ReviewState(Activity):
    """State of a review.

    Attributes
    ----------
    regions : tuple of ChangedRegion
        In the order of priority; empty where there is no review.
    decisions : (R,) uint8 array
        A `Decision` for each region.
    current : int
        Number of the region that is looked at, 0 for none.
    enough : float
        Mean confidence from which regions are accepted together, in [0, 1].
    reviewing : bool
        There is a review.
    shows_final : bool
        The final map is shown, not the refined one.
    outlined : bool
        Maps are shown as outlines of their classes.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators={"regions": operator.is_, "decisions": operator.is_}
    )

    regions: tuple[ChangedRegion, ...] = ()
    decisions: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    current: int = 0
    enough: float = 0.9
    reviewing: bool = False
    shows_final: bool = False
    outlined: bool = False

    def count(self, decision: Decision) -> int:
        """Number of regions on which this was decided."""
        return int(np.count_nonzero(self.decisions == decision))

    def numbers(self, decision: Decision) -> list[int]:
        """Numbers of the regions on which this was decided, in the order of priority."""
        return (np.flatnonzero(self.decisions == decision) + 1).tolist()
