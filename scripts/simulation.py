"""Compare simulated with real coarse maps of FASSEG; write docs/results/simulation.md.

    python scripts/simulation.py --data FASSEG --splits FASSEG/splits.json

For each fine map, each kind of simulation makes a coarse map that is about as coarse as
the real ones of the split. The parameters of the simulations were chosen on the images for
training; the page shows those for testing. Also draws docs/images/simulation.png, and the
kinds of simulation on the sample face in docs/images/simulation-kinds.png.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from results import DOCS, TEST, default_hardware, today
from scipy.stats import wasserstein_distance

from c2f_core.classes.colours import encode_colours
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.data.simulation import FULL_KINDS, KINDS, CoarseSimulation
from c2f_core.data.splits import read_split
from c2f_core.geometry.arrays import boundary_pixels
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table
from c2f_core.metrics.scores import confusion_matrix, intersection_over_union, mean_iou

TRAIN = "report:train_fine+report:train_coarse_only"
CLASSES = 6
"""Number of classes of FASSEG."""
MERGED = ("nose", "skin")
"""Class that is counted as another one."""
OTHER_REAL = "real, training images"
COLUMNS = (50, 75, 90)
"""Percentiles of the distances in the table."""
DRAWN = ("real", OTHER_REAL, "polygons", "freehand", "displacement")

PAGE = """# How real are simulated coarse maps?

Written by `scripts/simulation.py`; no figure here was entered by hand.

{count} test images of the split `report` of FASSEG, which have a real coarse and a fine map. For
each fine map, every [kind of simulation](../training.md#simulated-coarse-maps) makes a coarse map
whose mean IoU is drawn from {low:.2f} to {high:.2f}: between these values are nine of ten real
maps. The parameters that all simulations share (how the deviation grows with the size of a part,
how far apart displacements are, how coarse polygons may be) were chosen on the {training} training
images. The row *{other_real}* compares real with real maps: no simulation
can be expected to be closer.

In the real coarse maps, a nose is only its lower part (IoU {nose:.0f} %). That is another
definition of the class, not coarseness, and no simulation knows it; noses are therefore counted as
skin here, in all maps.

## By class

IoU with the fine map in per cent, of the pooled pixels, and its mean absolute difference from the
real maps.

{classes}
## Distance of the boundaries

Percentiles of the distances in pixels (images are 512 px high), and the mean distance by which both
distributions are apart (Wasserstein distance). Missing parts show in the distance from fine to
coarse boundaries, invented ones in that from coarse to fine.

{distances}
![Distances between fine and coarse boundaries](../images/simulation.png)

The boundaries of **{closest}** are closest to real ones: {apart:.2f} px apart, with a difference of
{difference:.1f} points in IoU. Small parts and low resolution are other ways of being coarse, which
FASSEG does not have. The real maps draw the eyes too large in most images; a simulation draws a
class too large in one image and too small in the next.

| | |
| --- | --- |
| command | `python scripts/simulation.py --data FASSEG --splits FASSEG/splits.json` |
| seed | {seed} |
| hardware | {hardware} |
| date | {date} |
"""

Map = NDArray[np.uint8]


@dataclass(frozen=True)
class Deviation:
    """How coarse maps differ from fine maps.

    Attributes
    ----------
    iou : (C,) float array
        IoU of each class of the pooled pixels.
    to_coarse, to_fine : (N,) float array
        Distances in pixels from fine boundaries to coarse ones, and the other way round.
    """

    iou: NDArray[np.float64]
    to_coarse: NDArray[np.float32]
    to_fine: NDArray[np.float32]

    def iou_difference(self, other: "Deviation") -> float:
        """Return the mean absolute difference of the classes' IoU."""
        return float(np.nanmean(np.abs(self.iou - other.iou)))

    def apart(self, other: "Deviation") -> list[float]:
        """Return how far the distributions of both distances are apart, in pixels."""
        return [
            float(wasserstein_distance(self.to_coarse, other.to_coarse)),
            float(wasserstein_distance(self.to_fine, other.to_fine)),
        ]


def main() -> None:
    """Simulate, compare, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = open_pairs(options.data)
    names = source.class_table.names
    test, training = (
        list(source.subset(read_split(options.splits, each))) for each in (TEST, TRAIN)
    )
    nose = float(deviation([pair.coarse for pair in test], test).iou[names.index(MERGED[0])])
    test, training = (merged(pairs, names) for pairs in (test, training))
    real = [mean_iou(confusion_matrix(pair.coarse, fine_of(pair), CLASSES)) for pair in test]
    low, high = np.percentile(real, [5, 95])
    deviations = {
        "real": deviation([pair.coarse for pair in test], test),
        OTHER_REAL: deviation([pair.coarse for pair in training], training),
    }
    for kind in FULL_KINDS:
        simulation = CoarseSimulation(kind, (float(low), float(high)))
        maps = [
            simulation.simulate(fine_of(pair), np.random.default_rng([options.seed, number]))
            for number, pair in enumerate(test)
        ]
        deviations[kind] = deviation([each.class_ids for each in maps], test)
    closest = min(FULL_KINDS, key=lambda kind: sum(deviations[kind].apart(deviations["real"])))
    draw(deviations, DOCS / "images" / "simulation.png")
    draw_kinds(options.seed, DOCS / "images" / "simulation-kinds.png")
    page = PAGE.format(
        count=len(test),
        training=len(training),
        low=low,
        high=high,
        other_real=OTHER_REAL,
        nose=100 * nose,
        classes=markdown_table(list(class_rows(deviations, names))),
        distances=markdown_table(list(distance_rows(deviations))),
        closest=closest.replace("_", " "),
        apart=float(np.mean(deviations[closest].apart(deviations["real"]))),
        difference=100 * deviations[closest].iou_difference(deviations["real"]),
        seed=options.seed,
        hardware=default_hardware(),
        date=today(),
    )
    with atomic_path(DOCS / "results" / "simulation.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def fine_of(pair: Pair) -> Map:
    """Return the fine map of a pair, which must have one."""
    assert pair.fine is not None, "all pairs of FASSEG have fine maps"
    return pair.fine


def merged(pairs: Sequence[Pair], names: Sequence[str]) -> list[Pair]:
    """Return the pairs with the first class of `MERGED` counted as the second."""
    first, second = (names.index(name) for name in MERGED)

    def merge(class_ids: Map) -> Map:
        return np.where(class_ids == first, np.uint8(second), class_ids)

    return [replace(pair, coarse=merge(pair.coarse), fine=merge(fine_of(pair))) for pair in pairs]


def deviation(maps: Sequence[Map], pairs: Sequence[Pair]) -> Deviation:
    """Compare the coarse maps of some pairs with their fine maps."""
    fine = [fine_of(pair) for pair in pairs]
    compared = list(zip(maps, fine, strict=True))
    counts = [confusion_matrix(coarse, truth, CLASSES) for coarse, truth in compared]
    return Deviation(
        intersection_over_union(np.sum(counts, axis=0)),
        np.concatenate([distances(truth, coarse) for coarse, truth in compared]),
        np.concatenate([distances(coarse, truth) for coarse, truth in compared]),
    )


def distances(class_ids: Map, other: Map) -> NDArray[np.float32]:
    """Return the distance in pixels of each boundary pixel to the boundaries of another map."""
    away = (~boundary_pixels(other)).view(np.uint8)
    distance = np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    return np.asarray(distance[boundary_pixels(class_ids)], np.float32)


def class_rows(deviations: Mapping[str, Deviation], names: Sequence[str]) -> Iterator[Row]:
    """Return the IoU of each class by kind of coarse map."""
    for kind, found in deviations.items():
        row: Row = {"coarse maps": kind.replace("_", " ")}
        row |= {
            name: float(value)
            for name, value in zip(names, found.iou, strict=True)
            if name != MERGED[0]
        }
        yield row | {"difference": found.iou_difference(deviations["real"])}


def distance_rows(deviations: Mapping[str, Deviation]) -> Iterator[Row]:
    """Return percentiles of the distances by kind of coarse map."""
    for kind, found in deviations.items():
        row: Row = {"coarse maps": kind.replace("_", " ")}
        apart = found.apart(deviations["real"])
        ways = (("fine to coarse", found.to_coarse), ("coarse to fine", found.to_fine))
        for (way, values), away in zip(ways, apart, strict=True):
            percentiles = np.percentile(values, COLUMNS).tolist()
            for percent, value in zip(COLUMNS, percentiles, strict=True):
                row[f"{way}, {percent} %"] = f"{value:.1f}"
            row[f"{way}, apart"] = f"{away:.2f}"
        yield row


def draw(deviations: Mapping[str, Deviation], path: Path) -> None:
    """Draw the distributions of both distances."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", sharey=True)
    edges = np.arange(0, 31)
    for axis, way in zip(axes, ("to_coarse", "to_fine"), strict=True):
        for kind in DRAWN:
            counts, _ = np.histogram(getattr(deviations[kind], way), edges)
            share = 100 * counts / len(getattr(deviations[kind], way))
            style = {"linewidth": 2.5, "color": "black"} if kind == "real" else {}
            axis.stairs(share, edges, label=kind, **style)
        fine, coarse = ("fine", "coarse") if way == "to_coarse" else ("coarse", "fine")
        axis.set(xlabel=f"from {fine} to {coarse} boundaries (px)", xlim=(0, 30))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of boundary pixels (%)")
    axes[0].legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_kinds(seed: int, path: Path) -> None:
    """Draw every kind of simulation on the sample face."""
    pair, table = astronaut_pair(), astronaut_class_table()
    maps = {"fine map": fine_of(pair)}
    for kind in KINDS:
        found = CoarseSimulation(kind).simulate(fine_of(pair), np.random.default_rng(seed))
        maps[f"{kind.replace('_', ' ')} ({found.iou:.2f})"] = found.class_ids
    figure, axes = plt.subplots(2, 5, figsize=(11, 4.8), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    axes.flat[0].imshow(pair.image)
    axes.flat[0].set_title("image", fontsize=9)
    for axis, (title, class_ids) in zip(axes.flat[1:], maps.items(), strict=True):
        axis.imshow(encode_colours(table.to_labels(class_ids), table), interpolation="nearest")
        axis.set_title(title, fontsize=9)
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
