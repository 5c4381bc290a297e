"""Fit the gate that decides which changes of a refiner are kept.

    python scripts/fit_gate.py --data ANY

ANY contains data sets with the folders `images` and `masks` (labels, 255 where unknown).
Fine maps of these sets, and made-up scenes, are made coarser, refined by the instant
refiner and by the watershed, and compared: for each changed region, the share of its pixels
that became right less the share that became wrong. Boosted regression trees learn to expect
it from what can be seen without the fine map. Every fourth image of a set is left out, for
tests. The script prints what the gate keeps of sets that are left out of its fit, and
writes src/c2f_core/refine/gate.json. It needs scikit-learn.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import HistGradientBoostingRegressor

from c2f_core.classes.table import UNLABELLED_ID, ClassEntry, ClassTable
from c2f_core.data.simulation import FULL_KINDS, MixedSimulation
from c2f_core.refine.changes import FEATURES, find_changes
from c2f_core.refine.classical import WatershedRefiner
from c2f_core.refine.clean_up import dissolve_islands
from c2f_core.refine.gate import DEMANDS, MODEL_FILE
from c2f_core.refine.instant.refiner import InstantRefiner
from c2f_core.refine.interface import SILENT, RefinerInterface
from c2f_core.refine.scope import SMALLEST_REGION

KINDS = ("polygons", "polygons", "polygons", *FULL_KINDS)
"""Kinds of simulated maps; half of them are polygons, as people draw them most often."""
IOU = (0.7, 0.97)
RISING = (
    "log odds of the confidence",
    "nearer in colour to the new class",
    "contrast of the new against the old boundary",
)
"""Features that cannot make a change worse, so that the trees extrapolate sensibly."""
FOLDS = 5
SCENES = "made-up scenes"


@dataclass(frozen=True)
class Sample:
    """The changed regions of one refined map."""

    data_set: str
    features: NDArray[np.float32]
    sizes: NDArray[np.int64]
    gains: NDArray[np.float64]
    known: NDArray[np.float64]
    errors: int


def main() -> None:
    """Fit the gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--images", type=int, default=24, help="images of each set")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    samples = list(_samples(options))
    for care, demand in DEMANDS.items():
        removed, worse, count = _cross_validated(samples, demand.of_region, demand.of_map)
        print(f"{care}: removes {100 * removed:.1f} % of the errors, {worse} of {count} worse")
    removed, worse, count = _scores(samples, [np.ones(len(each.sizes)) for each in samples], 0, 0)
    print(f"without a gate: {100 * removed:.1f} %, {worse} of {count} worse")
    MODEL_FILE.write_text(json.dumps(_exported(_fit(samples))) + "\n", encoding="utf-8")


def _samples(options: argparse.Namespace) -> Iterator[Sample]:
    table = ClassTable(
        name="regions",
        classes=tuple(ClassEntry(name=str(k), index=k, colour=(k, 0, 0)) for k in range(200)),
        unlabelled=ClassEntry(name="unlabelled", index=255, colour=(0, 0, 1)),
    )
    refiners = (InstantRefiner(table), WatershedRefiner(table))
    simulation = MixedSimulation(KINDS, IOU)
    for number, (data_set, rgb, fine) in enumerate(_images(options)):
        rng = np.random.default_rng([options.seed, number])
        coarse = simulation.simulate(fine, rng).class_ids
        coarse[coarse == UNLABELLED_ID] = np.bincount(fine.ravel())[:UNLABELLED_ID].argmax()
        for refiner in refiners:
            sample = _sample(data_set, rgb, coarse, fine, refiner)
            if len(sample.sizes):
                yield sample


def _images(options: argparse.Namespace) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    for folder in sorted(path for path in options.data.iterdir() if (path / "masks").is_dir()):
        masks = [path for at, path in enumerate(sorted((folder / "masks").iterdir())) if at % 4]
        for mask in masks[:: max(1, len(masks) // options.images)][: options.images]:
            image = next((folder / "images").glob(f"{mask.stem}.*"))
            yield folder.name, np.array(Image.open(image).convert("RGB")), _classes(mask)
    for number in range(2 * options.images):
        yield SCENES, *_scene(np.random.default_rng([options.seed, number]))


def _classes(mask: Path) -> NDArray[np.uint8]:
    """Return a mask with few classes: of many regions, some are joined at random."""
    fine = np.array(Image.open(mask))
    values = np.unique(fine[fine != UNLABELLED_ID])
    if len(values) > 12:
        joined = np.random.default_rng(len(values)).integers(0, 5, 256)
        fine = np.where(fine == UNLABELLED_ID, fine, joined[fine])
    return fine.astype(np.uint8)


def _scene(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture of smooth regions in plain, noisy colours, and its fine map."""
    size, count = int(rng.integers(96, 320)), int(rng.integers(2, 5))
    fields = rng.normal(size=(count, size, size)).astype(np.float32)
    smooth = [cv2.GaussianBlur(field, (0, 0), float(rng.uniform(8, 30))) for field in fields]
    fine = np.argmax([field / field.std() for field in smooth], axis=0).astype(np.uint8)
    colours = rng.integers(30, 225, (count, 3))
    noise = rng.normal(0, rng.uniform(0, 30), (size, size, 3))
    return np.clip(colours[fine] + noise, 0, 255).astype(np.uint8), fine


def _sample(
    data_set: str,
    rgb: NDArray[np.uint8],
    coarse: NDArray[np.uint8],
    fine: NDArray[np.uint8],
    refiner: RefinerInterface,
) -> Sample:
    refined, confidence = refiner.refine_ids(rgb, coarse, SILENT)
    refined = dissolve_islands(coarse, refined, SMALLEST_REGION)
    changes = find_changes(rgb, coarse, refined, confidence)
    known = fine != UNLABELLED_ID
    gain = ((refined == fine).astype(np.int64) - (coarse == fine)) * known
    count = len(changes.sizes)
    flat = changes.regions.ravel()
    return Sample(
        data_set,
        changes.features,
        changes.sizes,
        np.bincount(flat, gain.ravel(), minlength=count + 1)[1:],
        np.bincount(flat, known.ravel(), minlength=count + 1)[1:],
        int(((coarse != fine) & known).sum()),
    )


def _fit(samples: Sequence[Sample]) -> HistGradientBoostingRegressor:
    features = np.concatenate([sample.features for sample in samples])
    gains = np.concatenate([sample.gains for sample in samples])
    known = np.concatenate([sample.known for sample in samples])
    # Each map counts as its errors do: what matters is the share of them that is removed.
    weights = np.concatenate([sample.known / max(sample.errors, 30) for sample in samples])
    seen = known > 0
    trees = HistGradientBoostingRegressor(
        max_iter=60,
        max_leaf_nodes=6,
        learning_rate=0.1,
        min_samples_leaf=200,
        l2_regularization=1.0,
        monotonic_cst=[int(name in RISING) for name in FEATURES],
    )
    return trees.fit(features[seen], gains[seen] / known[seen], sample_weight=weights[seen])


def _cross_validated(
    samples: Sequence[Sample], of_region: float, of_map: float
) -> tuple[float, int, int]:
    sets = sorted({sample.data_set for sample in samples})
    expected: list[NDArray[np.float64]] = [np.empty(0)] * len(samples)
    for fold in range(FOLDS):
        left_out = set(sets[fold::FOLDS])
        trees = _fit([sample for sample in samples if sample.data_set not in left_out])
        for at, sample in enumerate(samples):
            if sample.data_set in left_out:
                expected[at] = trees.predict(sample.features)
    return _scores(samples, expected, of_region, of_map)


def _scores(
    samples: Sequence[Sample],
    expected: Sequence[NDArray[np.float64]],
    of_region: float,
    of_map: float,
) -> tuple[float, int, int]:
    """Return the removed share of the errors as mean over sets, and how many maps got worse."""
    removed: dict[str, list[float]] = {}
    errors: dict[str, list[int]] = {}
    worse = 0
    for sample, gains in zip(samples, expected, strict=True):
        kept = gains >= of_region
        if (gains * sample.sizes)[kept].sum() < of_map * sample.sizes.sum():
            kept[:] = False
        gain = float(sample.gains[kept].sum())
        worse += gain < 0
        removed.setdefault(sample.data_set, []).append(gain)
        errors.setdefault(sample.data_set, []).append(sample.errors)
    shares = [sum(removed[each]) / max(sum(errors[each]), 1) for each in removed]
    return float(np.mean(shares)), worse, len(samples)


def _exported(trees: HistGradientBoostingRegressor) -> dict[str, Any]:
    """Return the trees as lists: the feature of each node, or -1 of a leaf, and so on."""
    exported = []
    for (tree,) in trees._predictors:
        nodes = tree.nodes
        inner = ~nodes["is_leaf"].astype(bool)
        exported.append(
            {
                "feature": np.where(inner, nodes["feature_idx"], -1).astype(int).tolist(),
                "threshold": np.where(inner, nodes["num_threshold"], 0).round(6).tolist(),
                "left": nodes["left"].astype(int).tolist(),
                "right": nodes["right"].astype(int).tolist(),
                "value": nodes["value"].round(6).tolist(),
            }
        )
    return {"base": round(float(trees._baseline_prediction.item()), 6), "trees": exported}


if __name__ == "__main__":
    main()
