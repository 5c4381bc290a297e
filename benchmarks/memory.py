"""Seconds per megapixel and peak memory of `c2f-refine`, by refiner and size of the image.

    python benchmarks/memory.py --sizes 1 4 16 64 --models watershed fasseg > docs/results/memory.md

Each figure is of one process that reads, refines and writes; its start is included. The image has
four noisy materials in squares of 300 pixels, and its coarse map is 6 pixels off.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from results import default_hardware, today

from c2f_core.io.tables import markdown_table

SIDES = {1: 1000, 4: 2000, 16: 4000, 64: 8000, 400: 20_000}
"""Side of the image in pixels, by its size in megapixels."""
SQUARE, OFF, ROWS = 300, 6, 64
"""Side of the squares, displacement of the coarse map, and rows of a strip, in pixels."""
CLASSES = 4
FACES = "fasseg"
PAGE = """# Memory and time by size

Written by `benchmarks/memory.py`; no figure here was entered by hand. One process of
`c2f-refine` reads a TIFF in strips, refines it and writes map and confidence; its start is
included. CPU seconds hold on a busy machine, too. What is not in the table was not measured.

{table}
| | |
| --- | --- |
| command | `{command}` |
| seed | 0 |
| hardware | {hardware} |
| date | {date} |
"""


def main() -> None:
    """Measure, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIDES, default=[1, 4, 16, 64])
    parser.add_argument("--models", nargs="+", default=["watershed", "random walker", FACES])
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            image, coarse = write_pair(Path(folder), SIDES[size])
            for model in options.models:
                seconds, peak = measure(image, coarse, model)
                print(f"{size} MP, {model}: {seconds:.1f} s, {peak} MiB", file=sys.stderr)
                rows.append(
                    {
                        "megapixels": str(size),
                        "model": model,
                        "CPU seconds": f"{seconds:.1f}",
                        "per megapixel": f"{seconds / size:.2f}",
                        "peak memory": f"{peak} MiB",
                    }
                )
    command = "python benchmarks/memory.py " + " ".join(sys.argv[1:])
    print(
        PAGE.format(
            table=markdown_table(rows),
            command=command.strip(),
            hardware=default_hardware(),
            date=today(),
        ),
        end="",
    )


def write_pair(folder: Path, side: int) -> tuple[Path, Path]:
    """Write an image and its coarse map, strip by strip."""
    image, coarse = folder / f"image{side}.tif", folder / f"coarse{side}.tif"
    noise = np.random.default_rng(0).integers(0, 60, (ROWS, side, 3), dtype=np.uint8)
    shape = {"rowsperstrip": ROWS, "compression": "zlib", "dtype": np.uint8}
    colours = (
        (60 * squares[..., None] + noise[: len(squares)]).astype(np.uint8)
        for squares in strips(side, 0)
    )
    tifffile.imwrite(image, map(packed, colours), shape=(side, side, 3), photometric="rgb", **shape)
    tifffile.imwrite(
        coarse,
        map(packed, strips(side, OFF)),
        shape=(side, side),
        photometric="minisblack",
        **shape,
    )
    return image, coarse


def packed(strip: NDArray[np.uint8]) -> bytes:
    """Compress a strip."""
    return zlib.compress(strip.tobytes(), 1)


def strips(side: int, offset: int) -> Iterator[NDArray[np.uint8]]:
    """Return the class ids of strips of the image, moved by some pixels."""
    columns = (np.arange(side) + offset) // SQUARE
    for top in range(0, side, ROWS):
        rows = (np.arange(top, min(top + ROWS, side)) + offset) // SQUARE
        yield ((rows[:, None] + columns) % CLASSES).astype(np.uint8)


def measure(image: Path, coarse: Path, model: str) -> tuple[float, int]:
    """Return CPU seconds and peak MiB of a process that refines a pair."""
    output = image.parent
    command = [
        *(sys.executable, "-m", "c2f_core.cli.refine", str(image), str(coarse)),
        *("--output", str(output / "fine.png"), "--confidence", str(output / "confidence.tif")),
        *("--overwrite", "--model", model, "--class-table", FACES),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{model} failed on {image.name}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


if __name__ == "__main__":
    main()
