"""Train and score driving scenes with coarse maps like those of Cityscapes.

    python scripts/camvid.py --data CAMVID [--rows model1 plain stage1-10 control-10 stage2-10]
    python scripts/camvid.py --tables-only

CAMVID has the folders train, trainannot, val and valannot of the SegNet tutorial. Coarse
maps are simulated (see `cityscapes_like`) and kept in the folder of the runs. Two
sequences train, and all frames of the third are held out: those of val, and every
second one of its other frames. Every run and every refiner
without training is one record in docs/results/camvid.json. What is recorded is not
computed again, so the script can be stopped and started as often as need be; the page
is made from the records alone (see `camvid_pages.py`).
"""

import argparse
import json
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from camvid_pages import (
    BASELINES,
    COARSE,
    PICTURE,
    SHARES,
    Record,
    read_records,
    write_page,
    write_records,
)
from numpy.typing import NDArray
from PIL import Image
from results import default_hardware, finished_run, today

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.config.settings import TrainConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import FilePairs, Pair
from c2f_core.data.simulation import CoarseSimulation
from c2f_core.data.splits import read_split
from c2f_core.data.writing import write_pairs
from c2f_core.io.atomic import atomic_path
from c2f_core.metrics.scores import Scores, mean_scores, score_pair
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.learned import Refiner
from c2f_core.refine.run import open_refiner
from c2f_core.training.run_folder import RunFolder

SIZE = (240, 180)
"""Width and height to which the frames are reduced, in pixels."""
TRAINING_SEQUENCES = ("0001TP", "0006R0")
DEFORMED, INSIDE = (0.4, 0.6), (0.4, 0.55)
"""Ranges of the mean IoU of both steps of `cityscapes_like`."""
EVERY = {"val": 1, "drive": 2}
"""Interval between the scored frames of a held-out list."""
PROBE = 20
"""Interval between the frames of val scored during training; no choice depends on them."""
WORTH = 10
"""Percentage of fine maps with which the worth of refined maps is measured."""
SETTINGS: dict[str, Any] = {
    "crop": 128,
    "batch_size": 8,
    "network": {"stem": 2, "widths": (32, 48, 64, 96, 128)},
    "discriminator": {"widths": (8, 16, 32)},
    "class_weight_cap": 10.0,
    "augmentation": {"wide_scale_share": 0.0, "rotation": 3.0, "recolour_share": 0.0,
                     "coarse_shift": 1.0, "coarse_distortion": 3.0},
}  # fmt: skip
"""Settings of all runs: those of a network that one CPU core trains in minutes."""
STEPS = {"model1": 1500, "plain": 1000, "stage1": 500, "stage2": 350}
"""Steps by method."""
LONG = 4
"""How many times as many steps a run takes whose row ends in "-long"."""
STEP_NAMES = {"model1": "Model 1", "plain": "the plain U-Net", "stage1": "stage 1",
              "stage2": "stage 2 and its control"}  # fmt: skip
SHOWN = ("control-10", "stage2-10", "model1")
"""Runs whose errors are drawn, next to those of the coarse maps."""
RIGHT, WRONG, UNLABELLED, NOT_SCORED = (190, 190, 190), (214, 39, 40), (255, 255, 255), (0, 0, 0)
"""Colours of pixels in the picture of errors."""
NO_COARSE_ONLY = {"pseudo_label_weight": 0.0, "adversarial_weight": 0.0}
STAGE2: dict[str, dict[str, Any]] = {
    "control": NO_COARSE_ONLY,
    "stage2": {},
}
"""Changes to the default stage 2 in each row that continues from stage 1."""

Map = NDArray[np.uint8]


def cityscapes_like(fine: Map, name: str) -> Map:
    """Simulate a coarse map like those of Cityscapes; the same name gives the same map.

    Regions are redrawn as jittered polygons, without those that are small or thin; then
    polygons are drawn inside of what this leaves, with unlabelled gaps between them. As in
    Cityscapes (Cordts et al., CVPR 2016, section 2.2 and table 1), about two thirds of the
    pixels are labelled, and about 97 % of these are right.
    """
    rng = np.random.default_rng([0, zlib.crc32(name.encode())])
    deformed = CoarseSimulation("polygons", DEFORMED).simulate(fine, rng).class_ids
    return CoarseSimulation("inside_polygons", INSIDE).simulate(deformed, rng).class_ids


@dataclass(frozen=True)
class Job:
    """A row of the tables: a run, or a refiner without training."""

    row: str
    seed: int = 0

    @property
    def kind(self) -> str:
        """Row without the percentage of fine maps."""
        return self.row.split("-", maxsplit=1)[0]

    @property
    def share(self) -> int:
        """Percentage of the fine maps; 100 where the row names none."""
        last = self.row.rsplit("-", maxsplit=1)[-1]
        return int(last) if last.isdigit() else 100

    @property
    def method(self) -> str:
        """Method of the trainer."""
        return "stage2" if self.kind in STAGE2 else self.kind

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return STEPS[self.method] * (LONG if self.row.endswith("-long") else 1)

    @property
    def data_set(self) -> str:
        """Folder of the data set: the pairs, or those with other maps to learn from."""
        return self.row if self.row in WORTH_ROWS else "data"


WORTH_ROWS = {"plain-coarse": "coarse", "plain-refined": "refined"}
"""Rows of the plain U-Net whose fine maps are replaced by other maps beyond a few."""
ROWS = (
    COARSE,
    *BASELINES,
    "model1",
    "model1-long",
    "plain",
    *(f"{kind}-{share}" for share in SHARES for kind in ("stage1", "control", "stage2")),
    *WORTH_ROWS,
)


def main() -> None:
    """Train what is missing and write the page."""
    options = read_options()
    if not options.tables_only:
        prepare(options)
        for job in (Job(row, seed) for seed in options.seeds for row in options.rows):
            if not any(job == Job(each["row"], each["seed"]) for each in read_records()):
                record = run(job, options)
                write_records([*read_records(), record])
    if options.pictures:
        draw_errors(options)
    write_page(", ".join(f"{count} of {STEP_NAMES[method]}" for method, count in STEPS.items()))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--hardware", default=default_hardware())
    parser.add_argument("--pictures", action="store_true", help="draw the errors of the runs")
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    if not (options.tables_only or options.data):
        parser.error("give --data, or --tables-only to rebuild the page")
    return options


# Data -------------------------------------------------------------------------------------


def prepare(options: argparse.Namespace) -> None:
    """Write the reduced pairs with their simulated coarse maps, and the lists."""
    root = options.runs / "data"
    if (root / "splits.json").exists():
        return
    pairs = [
        read_pair(image)
        for part in ("train", "val")
        for image in sorted((options.data / part).glob("*.png"))
    ]
    write_pairs(root, pairs, ClassTable.preset("camvid"))
    names = [pair.name for pair in pairs]
    val = [path.stem for path in sorted((options.data / "val").glob("*.png"))]
    train = [name for name in names if name.startswith(TRAINING_SEQUENCES)]
    lists = {
        # In random order, so that the first few, whose fine maps are used, are of all kinds.
        "train": [train[place] for place in np.random.default_rng(0).permutation(len(train))],
        "val": val,
        "drive": [name for name in names if name not in {*train, *val}],
        "probe": val[::PROBE],
    }
    with atomic_path(root / "splits.json") as temporary:
        temporary.write_text(json.dumps(lists), encoding="utf-8")


def read_pair(path: Path) -> Pair:
    """Read a frame and its fine map, reduce both, and simulate a coarse map."""
    table = ClassTable.preset("camvid")
    image = Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.BOX)
    labels = Image.open(path.parents[1] / f"{path.parent.name}annot" / path.name)
    fine = table.to_class_ids(np.array(labels.resize(SIZE, Image.Resampling.NEAREST)))
    return Pair(path.stem, np.array(image), cityscapes_like(fine, path.stem), fine)


def pairs_of(options: argparse.Namespace, names: Sequence[str]) -> FilePairs:
    """Open pairs of the reduced data set."""
    return open_pairs(options.runs / "data", ClassTable.preset("camvid")).subset(names)


def names_of(options: argparse.Namespace, name: str) -> list[str]:
    """Return the pairs of a list."""
    return read_split(options.runs / "data" / "splits.json", name)


def few(options: argparse.Namespace, share: int) -> int:
    """Return a percentage of the number of training frames."""
    return round(share / 100 * len(names_of(options, "train")))


def write_other_maps(job: Job, options: argparse.Namespace) -> None:
    """Write a data set in which all but a few fine maps are coarse or refined maps."""
    root = options.runs / job.data_set
    if (root / "images").exists():
        return
    train = names_of(options, "train")
    known = set(train[: few(options, WORTH)])
    pairs = pairs_of(options, [*train, *names_of(options, "probe")])
    refiner = None
    if WORTH_ROWS[job.row] == "refined":
        folder = finished_run(config_of(Job(f"stage2-{WORTH}", job.seed), options))
        refiner = Refiner.load(folder.last, "cpu", class_table=pairs.class_table)
    others = set(train) - known
    write_pairs(
        root,
        (with_other_map(pair, refiner) if pair.name in others else pair for pair in pairs),
        pairs.class_table,
    )


def with_other_map(pair: Pair, refiner: RefinerInterface | None) -> Pair:
    """Replace the fine map of a pair by its coarse map, or by what a refiner makes of that."""
    fine = pair.coarse if refiner is None else predicted(refiner, pair)
    return Pair(pair.name, pair.image, pair.coarse, fine)


# Runs -------------------------------------------------------------------------------------


def run(job: Job, options: argparse.Namespace) -> Record:
    """Train and score a job; train what it builds on if its run is not at hand."""
    seconds = 0.0
    refiner: RefinerInterface | None = None
    table = ClassTable.preset("camvid")
    if job.row in BASELINES:
        refiner = open_refiner(BASELINES[job.row], lambda: table, "cpu")
    elif job.row != COARSE:
        if job.row in WORTH_ROWS:
            write_other_maps(job, options)
        if job.method == "stage2":
            finished_run(config_of(start_of(job), options))
        began = time.perf_counter()
        folder = finished_run(config_of(job, options))
        seconds = time.perf_counter() - began
        refiner = Refiner.load(folder.last, "cpu", class_table=table)
    scores = {
        name: scores_of(refiner, pairs_of(options, names_of(options, name)[:: EVERY[name]]))
        for name in EVERY
    }
    made = {"seconds": round(seconds, 1), "device": options.hardware, "date": today()}
    fine = few(options, job.share)
    return {"row": job.row, "seed": job.seed, "fine": fine, **scores, **made}


def start_of(job: Job) -> Job:
    """Return the stage 1 that a job continues from."""
    return Job(f"stage1-{job.share}", job.seed)


def run_folder(job: Job, options: argparse.Namespace) -> Path:
    return Path(options.runs / f"seed{job.seed}" / job.row)


def config_of(job: Job, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of a job."""
    steps = job.steps
    settings = SETTINGS | {
        "data": {
            "root": options.runs / job.data_set,
            "class_table": "camvid",
            "splits": options.runs / "data" / "splits.json",
            "train": "train",
            "validation": "probe",
            "fine_maps": None if job.share == 100 else few(options, job.share),
        },
        "run_folder": run_folder(job, options),
        "method": job.method,
        "steps": steps,
        "validate_every": steps,
        "seed": job.seed,
        "threads": options.threads,
    }
    if job.method == "stage2":
        start = run_folder(start_of(job), options)
        settings["stage2"] = {"start": start, "steps": steps, "guard": None, **STAGE2[job.kind]}
    return TrainConfig.model_validate(settings)


# Scores -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """Scores of images, and how many pixels are right by what the coarse map says."""

    scores: list[Scores] = field(default_factory=list)
    right: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    total: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def add(self, pair: Pair, found: Map, classes: int) -> None:
        """Score one image."""
        assert pair.fine is not None, "all frames have fine maps"
        self.scores.append(score_pair(found, pair.coarse, pair.fine, classes))
        for labelled in (True, False):
            where = ((pair.coarse != UNLABELLED_ID) == labelled) & (pair.fine != UNLABELLED_ID)
            self.right[labelled] += int((found == pair.fine)[where].sum())
            self.total[labelled] += int(where.sum())

    def summary(self, names: Iterable[str]) -> dict[str, float]:
        """Return the scores in per cent; images made worse are a number."""
        means = mean_scores(self.scores, list(names))
        worse = means.pop("images made worse")
        shares = {
            "labelled": self.right[True] / self.total[True],
            "unlabelled": self.right[False] / self.total[False],
        }
        in_percent = {name: round(100 * value, 2) for name, value in (means | shares).items()}
        return in_percent | {"worse": int(worse), "images": len(self.scores)}


def scores_of(refiner: RefinerInterface | None, pairs: FilePairs) -> dict[str, float]:
    """Score a refiner, or the coarse maps, on whole images."""
    tally = Tally()
    for pair in pairs:
        found = pair.coarse if refiner is None else predicted(refiner, pair)
        tally.add(pair, found, pairs.class_table.number_of_classes)
    return tally.summary(pairs.class_table.names)


def predicted(refiner: RefinerInterface, pair: Pair) -> Map:
    """Return the class ids that a refiner gives to a pair; all of its changes are kept."""
    table = refiner.class_table
    labels = refiner.refine(pair.image, table.to_labels(pair.coarse)).labels
    return table.to_class_ids(labels)


# Pictures ---------------------------------------------------------------------------------


def draw_errors(options: argparse.Namespace) -> None:
    """Draw where coarse and refined maps of three frames of val are wrong."""
    table = ClassTable.preset("camvid")
    folders = [run_folder(Job(row, options.seeds[0]), options) for row in SHOWN]
    refiners = [Refiner.load(RunFolder(each).last, "cpu", class_table=table) for each in folders]
    rows = []
    for pair in pairs_of(options, names_of(options, "val")[10::40]):
        maps = [pair.coarse, *(predicted(refiner, pair) for refiner in refiners)]
        rows.append(np.hstack([errors(each, pair) for each in maps]))
    PICTURE.parent.mkdir(exist_ok=True)
    with atomic_path(PICTURE) as temporary:
        Image.fromarray(np.vstack(rows)).quantize(8).save(temporary, format="PNG", optimize=True)


def errors(found: Map, pair: Pair) -> NDArray[np.uint8]:
    """Return the picture (Y, X, 3) of where a map is right, wrong or unlabelled, framed."""
    assert pair.fine is not None, "all frames have fine maps"
    shown = np.full((*found.shape, 3), WRONG, np.uint8)
    shown[found == pair.fine] = RIGHT
    shown[found == UNLABELLED_ID] = UNLABELLED
    shown[pair.fine == UNLABELLED_ID] = NOT_SCORED
    return np.pad(shown, ((2, 2), (2, 2), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
