"""Refine coarse maps of many kinds of images with every method; write docs/results/any.md.

    python scripts/any.py --data ANY --camvid CAMVID --fasseg FASSEG [--methods instant]
        [--model "NAME=FILE:SET,SET"]
    python scripts/any.py --tables

ANY contains data sets with the folders `images` and `masks` (class ids, 255 where
unknown). Images whose number in the sorted list of masks can be divided by four are
tested; networks and gate were fitted on others. Coarse maps are made of the fine ones:
each region is redrawn as a polygon of few jittered vertices, in three strengths. FASSEG
has real coarse maps.

Every measurement is one line of docs/results/any.json; what is there is not computed
again, so the script can be stopped and started as often as need be. A network is scored
on the sets after its colon only, or on all; several files may share a name, so that each
set is scored with a network that has not seen it. If the name ends with ", all changes",
none of its changes are taken back.
"""

import argparse
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from any_pages import COARSE, Pictures, Records, Row, draw_pictures, write_page
from numpy.typing import NDArray
from PIL import Image
from results import TEST, default_hardware, today

from c2f_core.classes.table import UNLABELLED_ID, ClassTable, table_from_colours
from c2f_core.data.layouts import open_pairs
from c2f_core.data.outlines import regions_of
from c2f_core.data.splits import read_split
from c2f_core.metrics.scores import (
    boundary_iou,
    confusion_matrix,
    mean_of_known,
    pixel_accuracy,
    trimap_accuracy,
)
from c2f_core.refine.instant.smoothing import GuidedFilter
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.markers import markers
from c2f_core.refine.run import open_refiner
from c2f_core.refine.within import refine_within

STRENGTHS = {"weak": 2.0, "medium": 4.0, "strong": 7.0}
"""Tolerance of the polygons in pixels, in images whose longest side is 512 px."""
REAL = "real"
"""Strength of coarse maps that people drew."""
REGIONS = "bsds500_regions"
"""Set whose masks have regions instead of classes; they are united at random."""
IMAGES = 8
"""Largest number of images per set."""
CAMVID, FASSEG = "camvid", "fasseg"
CAMVID_VOID = 11
ALL_CHANGES = ", all changes"
"""End of the names of methods of which all changes are kept."""
EROSION = 10.0
"""Depth in pixels up to which GrabCut may change a map; that of the classical refiners."""
GRABCUT_ROUNDS = 3

Rgb = NDArray[np.uint8]
Map = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """An image to refine, by its files."""

    data_set: str
    name: str
    strength: str
    classes: int
    image: Path
    mask: Path


@dataclass(frozen=True)
class Job:
    """A case and the methods to measure on it; networks by name and file."""

    case: Case
    methods: tuple[str, ...]
    networks: tuple[tuple[str, str], ...]
    fasseg: Path | None
    seed: int


def main() -> None:
    """Measure what is missing; write the page."""
    options = read_options()
    records = Records.read()
    if not options.tables:
        records.describe(options.seed, default_hardware(), today())
        cases = list(all_cases(options))
        if options.pictures:
            draw_pictures(pictures(cases, records, options))
            records.write()
        else:
            measure_missing(cases, records, options)
    write_page(records)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of sets with images and masks")
    parser.add_argument("--camvid", type=Path)
    parser.add_argument("--fasseg", type=Path)
    parser.add_argument("--methods", nargs="*", default=[COARSE, *METHODS], metavar="METHOD")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE[:SET,...]")
    parser.add_argument("--first", type=int, default=IMAGES, help="measure fewer images per set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="measure again what is recorded")
    parser.add_argument("--tables", action="store_true", help="only rebuild the page")
    parser.add_argument("--pictures", metavar="METHOD", help="only draw the pictures of a method")
    options = parser.parse_args()
    if not (options.tables or options.data):
        parser.error("give --data, or --tables to rebuild the page")
    return options


# Cases ------------------------------------------------------------------------------------


def all_cases(options: argparse.Namespace) -> Iterator[Case]:
    """Return the cases of all sets, such that the first of them are of all sets and strengths."""
    sets = {folder.name: folder_files(folder) for folder in sorted(options.data.glob("*/"))}
    if options.camvid:
        sets[CAMVID] = camvid_files(options.camvid)
    chosen = {name: evenly(files, IMAGES) for name, files in sets.items()}
    classes = {name: count_classes(name, files) for name, files in chosen.items()}
    faces = list(face_cases(options.fasseg)) if options.fasseg else []
    for number in range(options.first):
        for strength in STRENGTHS:
            for name, files in chosen.items():
                if number < len(files):
                    image, mask = files[number]
                    yield Case(name, mask.stem, strength, classes[name], image, mask)
        yield from faces[number::IMAGES]


def face_cases(folder: Path) -> Iterator[Case]:
    """Return all test images of FASSEG, which have real coarse maps."""
    count = open_pairs(folder).class_table.number_of_classes
    for name in read_split(folder / "splits.json", TEST):
        yield Case(FASSEG, name, REAL, count, folder, folder)


def folder_files(folder: Path) -> list[tuple[Path, Path]]:
    """Return image and mask of the test images of a set."""
    masks = sorted((folder / "masks").iterdir())[::4]
    return [(next((folder / "images").glob(f"{mask.stem}.*")), mask) for mask in masks]


def camvid_files(folder: Path) -> list[tuple[Path, Path]]:
    return [(folder / "val" / mask.name, mask) for mask in sorted((folder / "valannot").iterdir())]


def evenly(files: Sequence[tuple[Path, Path]], count: int) -> list[tuple[Path, Path]]:
    """Return at most so many files, from the first to the last."""
    places = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [files[place] for place in places.tolist()]


def count_classes(data_set: str, files: Iterable[tuple[Path, Path]]) -> int:
    masks = (read_mask(data_set, mask) for _, mask in files)
    return 1 + max(int(mask[mask != UNLABELLED_ID].max()) for mask in masks)


def read_mask(data_set: str, path: Path) -> Map:
    mask = np.array(Image.open(path))
    if data_set == CAMVID:
        mask[mask == CAMVID_VOID] = UNLABELLED_ID
    return united(mask, zlib.crc32(path.stem.encode())) if data_set == REGIONS else mask


def united(regions: Map, seed: int) -> Map:
    """Unite the regions of a map to two to five classes; each of the largest is in another."""
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 6))
    lookup = random.integers(0, count, UNLABELLED_ID + 1).astype(np.uint8)
    lookup[:count] = range(count)  # Regions are numbered by size.
    lookup[UNLABELLED_ID] = UNLABELLED_ID
    return lookup[regions]


@lru_cache(maxsize=2)
def load(case: Case, seed: int) -> tuple[Rgb, Map, Map]:
    """Return image, coarse and fine map of a case."""
    if case.data_set == FASSEG:
        (pair,) = open_pairs(case.image).subset([case.name])
        assert pair.fine is not None, "all pairs of FASSEG have fine maps"
        return pair.image, pair.coarse, pair.fine
    rgb = np.array(Image.open(case.image).convert("RGB"))
    fine = read_mask(case.data_set, case.mask)
    reach = STRENGTHS[case.strength] * max(max(fine.shape) / 512, 0.5)
    name = f"{case.data_set}/{case.name}/{case.strength}"
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return rgb, redrawn(fine, reach, random), fine


def redrawn(fine: Map, reach: float, random: np.random.Generator) -> Map:
    """Redraw each region as a polygon of few jittered vertices, the smaller over the larger.

    Polygons are `reach` pixels off, less where a region is small; regions that are smaller
    than a square of that side are left out.
    """
    classes, pixels = np.unique(fine[fine != UNLABELLED_ID], return_counts=True)
    coarse = np.full(fine.shape, classes[pixels.argmax()], np.uint8)
    for region in regions_of(fine, classes.tolist()):
        side = region.area**0.5
        if region.area < max(12.0, reach**2):
            continue
        vertices = cv2.approxPolyDP(region.outline, min(reach, 0.15 * side), True)
        jitter = random.normal(0, min(0.6 * reach, 0.12 * side), vertices.shape)
        cv2.fillPoly(coarse, [np.rint(vertices + jitter).astype(np.int32)], region.class_id)
    return coarse


# Methods ----------------------------------------------------------------------------------


def refine_default(model: str, rgb: Rgb, coarse: Map, table: ClassTable) -> Map:
    """Refine as the widget and the command line do by default: with the gate."""
    return refine_within(refiner(model, table), rgb, coarse).labels.astype(np.uint8)


def refine_alone(model: str, rgb: Rgb, coarse: Map, table: ClassTable) -> Map:
    """Refine and keep all that the refiner changed."""
    return refiner(model, table).refine(rgb, coarse).labels.astype(np.uint8)


def refining(name: str, model: str) -> "Method":
    """Return how a network is run: as its name says, by default or with all changes."""
    return partial(refine_alone if name.endswith(ALL_CHANGES) else refine_default, model)


@cache
def refiner(model: str, table: ClassTable) -> RefinerInterface:
    return open_refiner(model, lambda: table, "cpu")


def guided_filter(rgb: Rgb, coarse: Map, _table: ClassTable) -> Map:
    """Smooth the mask of each class along the edges of the image; the largest wins."""
    smooth = GuidedFilter(rgb)
    classes = np.unique(coarse)
    planes = [smooth((coarse == class_id).astype(np.float32)) for class_id in classes]
    return np.asarray(classes[np.argmax(planes, axis=0)], np.uint8)


def grabcut(rgb: Rgb, coarse: Map, _table: ClassTable) -> Map:
    """Run GrabCut for each class in a band around its coarse boundary.

    A pixel that several classes claim goes to the nearest of them; one that none claims
    keeps its coarse class.
    """
    core = markers(coarse, EROSION)
    fine, nearest = coarse.copy(), np.full(coarse.shape, np.inf, np.float32)
    for class_id in np.unique(coarse).tolist():
        inside = coarse == class_id
        mask = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[core > 0] = cv2.GC_BGD
        mask[core == class_id + 1] = cv2.GC_FGD
        if not (core == class_id + 1).any() or not (mask == cv2.GC_BGD).any():
            continue
        models = np.zeros((2, 1, 65))
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        cv2.grabCut(bgr, mask, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
        distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
        claimed = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)) & (distance < nearest)
        fine[claimed], nearest[claimed] = class_id, distance[claimed]
    return fine


Method = Callable[[Rgb, Map, ClassTable], Map]
METHODS: dict[str, Method] = {
    "instant": partial(refine_default, "instant"),
    f"instant{ALL_CHANGES}": partial(refine_alone, "instant"),
    "watershed": partial(refine_alone, "watershed"),
    "guided filter": guided_filter,
    "GrabCut per class": grabcut,
    "random walker": partial(refine_alone, "random walker"),
}
"""Methods without training. Those that keep all changes are measured as published."""


def keep(_rgb: Rgb, coarse: Map, _table: ClassTable) -> Map:
    """Leave a map as it is."""
    return coarse


# Measurements -----------------------------------------------------------------------------


def measure_missing(cases: Sequence[Case], records: Records, options: argparse.Namespace) -> None:
    """Measure and record, case by case."""
    jobs = list(missing_jobs(cases, records, options))
    with ProcessPoolExecutor(options.workers, initializer=one_thread) as pool:
        waiting = [pool.submit(measure, job) for job in jobs]
        for done, finished in enumerate(as_completed(waiting), start=1):
            records.add(finished.result())
            if done % 20 == 0 or done == len(jobs):
                records.write()
                print(f"{done} of {len(jobs)}", flush=True)


def one_thread() -> None:
    """Let each worker compute in one thread, so that the seconds mean one core."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def missing_jobs(
    cases: Sequence[Case], records: Records, options: argparse.Namespace
) -> Iterator[Job]:
    """Return what is asked for and not recorded yet."""
    networks = [parse_model(text) for text in options.model]
    for case in cases:

        def is_missing(method: str, case: Case = case) -> bool:
            key = case.data_set, case.name, case.strength, method
            return options.again or not records.contains(*key)

        methods = tuple(filter(is_missing, options.methods))
        trained = tuple(
            (name, file)
            for name, file, sets in networks
            if (not sets or case.data_set in sets) and is_missing(name)
        )
        if methods or trained:
            yield Job(case, methods, trained, options.fasseg, options.seed)


def parse_model(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Return name, file and sets of NAME=FILE[:SET,...]; no sets stand for all."""
    name, _, rest = text.partition("=")
    file, _, sets = rest.partition(":")
    return name, file, tuple(filter(None, sets.split(",")))


def measure(job: Job) -> list[Row]:
    """Measure the methods of a job."""
    rgb, coarse, fine = load(job.case, job.seed)
    methods = {name: METHODS.get(name, keep) for name in job.methods}
    methods |= {name: refining(name, file) for name, file in job.networks}
    table = numbered_classes(job.case.classes)
    rows = []
    for name, method in methods.items():
        started = time.perf_counter()
        refined = method(rgb, coarse, table)
        seconds = time.perf_counter() - started
        rows.append(score(job.case, name, seconds, refined, coarse, fine))
    return rows


def numbered_classes(count: int) -> ClassTable:
    """Return a class table whose labels are the class ids."""
    entries = {number: (f"class {number}", (number, 0, 1)) for number in range(count)}
    return table_from_colours("numbered classes", entries, UNLABELLED_ID)


def score(case: Case, method: str, seconds: float, refined: Map, coarse: Map, fine: Map) -> Row:
    """Score a refined map."""
    labelled = fine != UNLABELLED_ID
    before, after = (coarse == fine)[labelled], (refined == fine)[labelled]
    counts = confusion_matrix(refined, fine, case.classes)
    return Row(
        case.data_set,
        case.name,
        case.strength,
        method,
        round(pixel_accuracy(counts), 6),
        round(trimap_accuracy(refined, fine, (5,))[5], 4),
        round(boundary_iou(refined, fine, case.classes), 4),
        round(mean_of_known(before & ~after), 6),
        bool(after.sum() < before.sum()),
        round(seconds, 2),
        counts.ravel().tolist(),
    )


def pictures(
    cases: Sequence[Case], records: Records, options: argparse.Namespace
) -> Iterator[Pictures]:
    """Return maps of the best, the median and the worst image of the sets that may be shown."""
    networks = {name: refining(name, file) for name, file, _ in map(parse_model, options.model)}
    method = (METHODS | networks)[options.pictures]
    by_key = {(case.data_set, case.name, case.strength): case for case in cases}
    for data_set, chosen in records.extremes(options.pictures).items():
        shown = []
        for name, strength in chosen:
            case = by_key[data_set, name, strength]
            rgb, coarse, fine = load(case, options.seed)
            shown.append((rgb, coarse, method(rgb, coarse, numbered_classes(case.classes)), fine))
        yield data_set, shown


if __name__ == "__main__":
    main()
