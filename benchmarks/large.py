"""Peak memory and time of refining parts of a lazily loaded image of 100 megapixels.

    python benchmarks/large.py [--size 10000]

Each scope runs in a separate process; memory is what the process took at its
peak above what it took with torch and the model loaded.
"""

import argparse
import resource
import subprocess
import sys
import time

import dask.array as da
import numpy as np

from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import RefineJob, run_refinement
from c2f_core.refine.scope import Scope

FACE = 3000
"""Side of the one face in the image."""
CHUNK = 1000
MEBIBYTE = 1 << 20
SCOPES = ("view of 1500 x 950", "band of 5 px", "band of 5 px in the view")


def main() -> None:
    """Run each scope and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--scope", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scope is not None:
        measure(options.scope, options.size)
        return
    print("| scope | computed | peak memory | time |\n| --- | ---: | ---: | ---: |", flush=True)
    for scope in SCOPES:
        command = [sys.executable, __file__, "--size", str(options.size), "--scope", scope]
        subprocess.run(command, check=True)


def measure(name: str, size: int) -> None:
    """Refine in one scope and print its row."""
    image, coarse, table = scene(size)
    refiner = Refiner.bundled("fasseg", "cpu")
    refiner.refine(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    middle = size // 2
    box = slice(middle - 475, middle + 475), slice(middle - 750, middle + 750)
    scope = {
        SCOPES[0]: Scope(box=box),
        SCOPES[1]: Scope(band=5),
        SCOPES[2]: Scope(box=box, band=5),
    }[name]
    before, begun = peak(), time.perf_counter()
    result = run_refinement(
        RefineJob(image, coarse, table, scope, whole=scope.box is None), refiner
    )
    seconds = time.perf_counter() - begun
    print(
        f"| {name} | {result.report.pixels / 1e6:.2f} MP | {peak() - before:.0f} MiB "
        f"| {seconds:.1f} s |",
        flush=True,
    )


def peak() -> float:
    """Return the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE


def scene(size: int) -> tuple[da.Array, da.Array, ClassTable]:
    """Return an image with one large face, and its coarse map; chunks are made when loaded."""
    pair, table = astronaut_pair(FACE), ClassTable.preset("fasseg")
    coarse = table.to_labels(pair.coarse)
    corner = (size - FACE) // 2

    def lazily(whole: np.ndarray, fill: int) -> da.Array:
        def chunk(block_info=None) -> np.ndarray:
            (top, bottom), (left, right) = block_info[None]["array-location"][:2]
            part = np.full((bottom - top, right - left, *whole.shape[2:]), fill, whole.dtype)
            rows = slice(max(top, corner), min(bottom, corner + FACE))
            columns = slice(max(left, corner), min(right, corner + FACE))
            if rows.start < rows.stop and columns.start < columns.stop:
                inner = whole[
                    rows.start - corner : rows.stop - corner,
                    columns.start - corner : columns.stop - corner,
                ]
                part[
                    rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                ] = inner
            return part

        sides = da.core.normalize_chunks(CHUNK, (size, size))
        chunks = (*sides, *((length,) for length in whole.shape[2:]))
        return da.map_blocks(chunk, chunks=chunks, dtype=whole.dtype, meta=whole[:0])

    return lazily(pair.image, 90), lazily(coarse, 0), table


if __name__ == "__main__":
    main()
