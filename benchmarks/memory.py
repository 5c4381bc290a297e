"""Seconds per megapixel and peak memory of `c2f-refine`, by refiner and size of the image.

    python benchmarks/memory.py [--models instant any] [--sizes 1 4 16 64 400]

Each figure is of one process that reads, refines and writes; its start is included. The image has
four noisy materials in squares of 300 pixels, and its coarse map is 6 pixels off. Figures are kept
in docs/results/memory.json, from which docs/results/memory.md is written; a run replaces those of
its refiners and sizes. A refiner that takes too long is stopped, and larger sizes are left out.
"""

import argparse
import json
import os
import resource
import signal
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
from results import DOCS, default_hardware, today

from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import markdown_table

SIDES = {1: 1000, 4: 2000, 16: 4000, 64: 8000, 400: 20_000}
"""Side of the image in pixels, by its size in megapixels."""
SQUARE, OFF, ROWS = 300, 6, 64
"""Side of the squares, displacement of the coarse map, and rows of a strip, in pixels."""
CLASSES = 4
FACES = "fasseg"
MODELS = ["watershed", "random walker", "instant", "any", FACES]
LONGEST = 900
"""CPU seconds after which a process is stopped."""
FIGURES = DOCS / "results" / "memory.json"
PAGE = """# Memory and time by size

Written by `benchmarks/memory.py`; no figure here was entered by hand. One process of
`c2f-refine` with one thread reads a TIFF in strips, refines it and writes map and confidence;
its start is included. CPU seconds hold on a busy machine, too. The image has four noisy materials
in squares of 300 px, and its coarse map is 6 px off: every part of it has boundaries to refine.
A process was stopped after {longest} CPU minutes; its memory is that until then. Refiners and sizes
that are missing were not measured.

Goals: at most 2 GiB for 400 megapixels (20,000 x 20,000), and about the same time per megapixel
for all sizes.

{table}
| | |
| --- | --- |
| command | `python benchmarks/memory.py` |
| hardware | {hardware} |
"""


def main() -> None:
    """Measure, and write the page after each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIDES, default=list(SIDES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            for size in sorted(options.sizes):
                seconds, peak, finished = measure(*pair(Path(folder), SIDES[size]), model)
                keep(model, size, {"seconds": seconds, "peak": peak, "finished": finished})
                print(f"{model}, {size} MP: {seconds:.1f} s, {peak} MiB, {finished=}", flush=True)
                if not finished:
                    break


def keep(model: str, size: int, figures: dict[str, float | bool]) -> None:
    """Add figures to those that were measured before, and write the page."""
    kept = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    kept.setdefault(model, {})[str(size)] = {**figures, "date": today()}
    page = PAGE.format(
        longest=LONGEST // 60, table=markdown_table(rows(kept)), hardware=default_hardware()
    )
    for path, text in ((FIGURES, json.dumps(kept, indent=1)), (FIGURES.with_suffix(".md"), page)):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def rows(kept: dict[str, dict[str, dict[str, float | bool | str]]]) -> list[dict[str, str]]:
    """Return the rows of the table: for each refiner, its sizes."""
    found = []
    for model in (each for each in MODELS if each in kept):
        for size in (each for each in SIDES if str(each) in kept[model]):
            figures = kept[model][str(size)]
            seconds, least = float(figures["seconds"]), "" if figures["finished"] else "over "
            found.append(
                {
                    "refiner": model,
                    "megapixels": str(size),
                    "CPU seconds": f"{least}{seconds:.1f}",
                    "per megapixel": f"{least}{seconds / size:.2f}",
                    "peak memory": f"{figures['peak']} MiB",
                    "date": str(figures["date"]),
                }
            )
    return found


def pair(folder: Path, side: int) -> tuple[Path, Path]:
    """Return an image and its coarse map, which are written if they do not exist."""
    image, coarse = folder / f"image{side}.tif", folder / f"coarse{side}.tif"
    if not coarse.exists():
        write_pair(image, coarse, side)
    return image, coarse


def write_pair(image: Path, coarse: Path, side: int) -> None:
    """Write an image and its coarse map, strip by strip."""
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


def packed(strip: NDArray[np.uint8]) -> bytes:
    """Compress a strip."""
    return zlib.compress(strip.tobytes(), 1)


def strips(side: int, offset: int) -> Iterator[NDArray[np.uint8]]:
    """Return the class ids of strips of the image, moved by some pixels."""
    columns = (np.arange(side) + offset) // SQUARE
    for top in range(0, side, ROWS):
        rows = (np.arange(top, min(top + ROWS, side)) + offset) // SQUARE
        yield ((rows[:, None] + columns) % CLASSES).astype(np.uint8)


def measure(image: Path, coarse: Path, model: str) -> tuple[float, int, bool]:
    """Return CPU seconds and peak MiB of a process that refines a pair, and whether it finished."""
    output = image.parent
    command = [
        *(sys.executable, "-m", "c2f_core.cli.refine", str(image), str(coarse)),
        *("--output", str(output / "fine.png"), "--confidence", str(output / "confidence.tif")),
        *("--overwrite", "--model", model),
        # The face model has its own class table.
        *(() if model == FACES else ("--class-table", FACES)),
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=limit_time,
    )
    _, status, used = os.wait4(process.pid, 0)
    stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    if status and not stopped:
        raise SystemExit(f"{model} failed on {image.name}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, not stopped


def limit_time() -> None:
    """Have this process stopped when it has used its time."""
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST + 10))


if __name__ == "__main__":
    main()
