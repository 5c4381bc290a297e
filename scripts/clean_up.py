"""Measure what cleaning up does to refined maps: of the sample, and of many kinds of images.

    python scripts/clean_up.py [--data ANY]

For each refiner and care it prints the numbers of wrong pixels and of regions below 16 pixels,
without and with cleaning up. ANY contains data sets with the folders `images` and `masks`; of
each, one image is refined from a coarse map as `scripts/any.py` simulates it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from any import Case, count_classes, evenly, folder_files, load, numbered_classes
from numpy.typing import NDArray
from skimage.measure import label

from c2f_core.classes.codec import UNLABELLED_ID
from c2f_core.classes.table import ClassTable
from c2f_core.data.sample import astronaut_pair
from c2f_core.refine.run import open_refiner
from c2f_core.refine.scope import SMALLEST_REGION, Care, Scope
from c2f_core.refine.within import refine_within

SIDES = (512, 256)
"""Sizes of the sample in pixels."""


class Example(NamedTuple):
    """An image with its maps of class ids."""

    rgb: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    table: ClassTable


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of sets with images and masks")
    data = parser.parse_args().data
    print_table("sample", list(samples()), ("fasseg", "instant", "any"))
    if data is not None:
        print_table("many kinds of images", list(simulated(data)), ("instant", "any"))


def samples() -> Iterator[Example]:
    """Return the sample in two sizes."""
    for side in SIDES:
        pair = astronaut_pair(side)
        yield Example(pair.image, pair.coarse, pair.fine, ClassTable.preset("fasseg"))


def simulated(data: Path) -> Iterator[Example]:
    """Return one test image of each set."""
    for folder in sorted(path for path in data.iterdir() if (path / "masks").is_dir()):
        files = evenly(folder_files(folder), 3)
        image, mask = files[len(files) // 2]
        classes = count_classes(folder.name, files)
        case = Case(folder.name, mask.stem, "medium", classes, image, mask)
        yield Example(*load(case, 0), numbered_classes(classes))


def print_table(name: str, examples: list[Example], models: tuple[str, ...]) -> None:
    """Print the sums of all examples, without and with cleaning up, and how many got worse."""
    print(f"{name}: wrong pixels, small regions; examples with more wrong pixels")
    for model in models:
        for care in get_args(Care):
            counts = np.array([_counts(example, model, care) for example in examples])
            (wrong, small), (fewer, left) = counts.sum(axis=0)
            more = int((counts[:, 1, 0] > counts[:, 0, 0]).sum())
            print(f"{model}, {care}: {wrong} -> {fewer}, {small} -> {left}; {more}", flush=True)


def _counts(example: Example, model: str, care: Care) -> list[tuple[int, int]]:
    refiner = open_refiner(model, lambda: example.table, "cpu")
    without = Scope(care=care, smallest_region=0, smallest_hole=0, smallest_spur=0)
    coarse = example.table.to_labels(example.coarse)
    results = (
        refine_within(refiner, example.rgb, coarse, scope) for scope in (without, Scope(care=care))
    )
    return [_faults(example, example.table.to_class_ids(result.labels)) for result in results]


def _faults(example: Example, refined: NDArray[np.uint8]) -> tuple[int, int]:
    wrong = (refined != example.fine) & (example.fine != UNLABELLED_ID)
    sizes = np.bincount(label(refined.astype(np.int16) + 1, connectivity=1).ravel())[1:]
    return int(wrong.sum()), int((sizes < SMALLEST_REGION).sum())


if __name__ == "__main__":
    main()
