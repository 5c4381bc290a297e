"""Time of a stroke in a map of 1,000 x 1,000 pixels with an instant session.

    python benchmarks/instant_session.py [--size 1000] [--strokes 7]

From the changed map to the refined part, without the window: see refine_widget.py for that.
To be run on an idle machine.
"""

import argparse
import time
from statistics import median

import numpy as np
from skimage.draw import disk

from c2f_core.data.sample import astronaut_pair
from c2f_core.geometry.arrays import whole
from c2f_core.refine.instant.session import InstantSession

RADIUS = 10


def main() -> None:
    """Refine the whole map once, then after each of some strokes; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--strokes", type=int, default=7)
    options = parser.parse_args()
    pair = astronaut_pair(options.size)
    session, coarse = InstantSession(pair.image), pair.coarse.copy()
    started = time.perf_counter()
    session.refine_part(coarse, whole(coarse.shape))
    print("| what | seconds |\n| --- | ---: |")
    print(f"| learning, and the whole map | {time.perf_counter() - started:.2f} |")
    times = [_stroke(session, coarse, number) for number in range(options.strokes)]
    print(f"| a stroke, median | {median(times):.3f} |\n| a stroke, longest | {max(times):.3f} |")


def _stroke(session: InstantSession, coarse: np.ndarray, number: int) -> float:
    """Draw a short stroke along the middle row; return the seconds until its part is refined."""
    height, width = coarse.shape
    row, column = height // 2, width // 4 + number * width // 20
    touched = slice(row - RADIUS, row + RADIUS + 1), slice(column - RADIUS, column + 3 * RADIUS)
    for step in range(0, 2 * RADIUS, 3):
        coarse[disk((row, column + step), RADIUS)] = number % 2
    started = time.perf_counter()
    session.refine_part(coarse, session.affected(touched))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
