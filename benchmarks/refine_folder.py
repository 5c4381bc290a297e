"""A folder of images refined by `c2f-refine`, compared with the refiner alone.

    python benchmarks/refine_folder.py [--count 200] [--model fasseg] [--threads 2]

The refiner alone refines the same pairs from memory to memory. Both take turns in one run, on
parts of the folder; shown are the sums. The times of `c2f-refine` include all that it does with a
pair: checking, reading, refining, and writing the fine map. CPU time counts all threads, so
reading and writing that go on meanwhile are in it.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from c2f_core.classes.table import ClassTable
from c2f_core.cli.refine import Options, refine_files
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.io.images import read_image
from c2f_core.io.maps import read_map, write_map
from c2f_core.refine.interface import SILENT
from c2f_core.refine.plane import PlaneInputs, refine_plane
from c2f_core.refine.run import open_refiner
from c2f_core.refine.scope import Scope

HEIGHT, WIDTH = 480, 360
PARTS = 5


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="images in all")
    parser.add_argument("--model", default="fasseg")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; torch decides without it")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Take turns between the refiner alone and the command."""
    table = ClassTable.preset("fasseg")
    refiner = open_refiner(options.model, lambda: table, options.device)
    spent: dict[str, list[float]] = {"refiner alone": [0.0, 0.0], "c2f-refine": [0.0, 0.0]}
    count = max(1, options.count // PARTS)
    for part in range(-1, PARTS):  # The first part warms up.
        root = folder / str(part)
        write_folder(root, count if part >= 0 else 2, part * count)
        planes = [plane_of(path, table) for path in sorted((root / "images").iterdir())]

        def alone(planes: list[PlaneInputs] = planes) -> None:
            for plane in planes:
                labels = np.zeros(plane.coarse.shape, np.uint8)
                refine_plane(refiner, plane, labels, np.zeros(labels.shape, np.float32), SILENT)

        def command(root: Path = root) -> None:
            given = Options(root / "images", root / "coarse", root / "fine", model=options.model)
            with contextlib.redirect_stdout(io.StringIO()):
                refine_files(given)

        for name, run in (("refiner alone", alone), ("c2f-refine", command)):
            wall, cpu = timed(run)
            if part >= 0:
                spent[name][0] += wall
                spent[name][1] += cpu
    total = count * PARTS
    print(f"{total} images of {WIDTH} x {HEIGHT}, {torch.get_num_threads()} CPU threads.\n")
    print("| | wall time per image | share | CPU time per image | share |")
    print("| --- | ---: | ---: | ---: | ---: |")
    whole = spent["refiner alone"]
    for name, (wall, cpu) in spent.items():
        print(
            f"| {name} | {1000 * wall / total:.1f} ms | {100 * whole[0] / wall:.0f} % "
            f"| {1000 * cpu / total:.1f} ms | {100 * whole[1] / cpu:.0f} % |"
        )


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Return wall time and CPU time in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def write_folder(root: Path, count: int, first: int) -> None:
    """Write images as JPEG files, and coarse maps."""
    table = ClassTable.preset("fasseg")
    for kind in ("images", "coarse"):
        (root / kind).mkdir(parents=True)
    for number in range(count):
        pair = synthetic_pair(HEIGHT, abs(first) + number)
        name = f"{number:05d}"
        Image.fromarray(pair.image[:, :WIDTH]).save(root / "images" / f"{name}.jpg", quality=90)
        coarse = table.to_labels(np.ascontiguousarray(pair.coarse[:, :WIDTH]))
        write_map(root / "coarse" / f"{name}.png", coarse, table)


def plane_of(image: Path, table: ClassTable) -> PlaneInputs:
    """Read a pair into memory."""
    coarse = image.parent.with_name("coarse") / f"{image.stem}.png"
    labels, _ = read_map(coarse, table)
    return PlaneInputs(read_image(image), labels, table, Scope(), None)


if __name__ == "__main__":
    main()
