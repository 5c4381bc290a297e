"""What is left to decide in the review of an image, without a screen."""

import numpy as np

from c2f_core.decisions import Decision, changed_pixels
from c2f_core.project.snapshots import Work
from c2f_core.review import review_changes


def undecided_regions(work: Work) -> int:
    """Count the regions of a review under way that are still as in the coarse map.

    Parameters
    ----------
    work : Work
        Without a review there are none.

    Returns
    -------
    int

    Raises
    ------
    ClassTableError
        A map holds an index that is not in the class table.
    """
    if work.refined is None or work.fine is None:
        return 0
    nowhere_sure = np.zeros(work.coarse.shape, dtype=np.float32)  # It only tells their order.
    pixels = changed_pixels(
        review_changes(work.coarse, work.refined, nowhere_sure, work.class_table)
    )
    decisions = pixels.decisions(work.fine, pixels.numbers_of(work.record.rejected))
    return int(np.count_nonzero(decisions == Decision.UNDECIDED))


def undecided_text(number: int) -> str:
    """Say that so many regions, at least one, are undecided, and what that means."""
    regions = "One region is" if number == 1 else f"{number} regions are"
    return f"{regions} undecided, and as in the coarse map."
