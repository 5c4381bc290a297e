"""Train and score all rows of the FASSEG tables; write docs/results/.

    python scripts/fasseg.py --data FASSEG --splits FASSEG/splits.json [--models stage1 control]
    python scripts/fasseg.py --tables-only

Every run is one record in docs/results/fasseg.json; a run that is recorded is not
trained again, so the script can be stopped and started as often as need be. Pages
and figures are made from the records (see `fasseg_pages.py`). Scores are those of the
last checkpoint on pairs of which nothing is used in training: not to choose a
checkpoint, nor by the guard of stage 2.

Folds 0 to 4 are those of the splits file. Fold "report" is its split in the report's
proportions. Fold "annotators" holds out the persons whose photographs were annotated
twice, to compare a model with both annotators.
"""

import argparse
import itertools
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fasseg_pages import REFERENCE, Fold, read_records, write_pages, write_records
from results import default_hardware, finished_run, today

from c2f_core.config.presets import report_settings
from c2f_core.config.settings import TrainConfig
from c2f_core.data.batches import REPORT_CROP
from c2f_core.data.layouts import open_pairs
from c2f_core.experiments.cross_validation import held_out_scores, scores_of_record
from c2f_core.experiments.evaluation import evaluate
from c2f_core.io.atomic import atomic_path
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint

FOLDS: tuple[Fold, ...] = (0, 1, 2, 3, 4, "report", "annotators")
REPORT_FINE = 20
"""Fine maps that stage 1 may see in the report's split."""
NO_COARSE_ONLY = {"pseudo_label_weight": 0.0, "adversarial_weight": 0.0}
NO_DISCRIMINATOR = {"adversarial_weight": 0.0, "discriminator_threshold": 0.0}
NO_GAME = ("mean-teacher", "ablation-discriminator")
"""Rows of which stage 2 has no adversarial loss on the fine pairs either."""

ECONOMICAL: dict[str, Any] = {
    "crop": 192,
    "batch_size": 8,
    "steps": 400,
    "discriminator": {"widths": (16, 32, 64)},
    "augmentation": {"background_class": "background", "background_share": 0.1,
                     "wide_scale_share": 0.1, "colour": 0.5},
}  # fmt: skip
"""Settings of stage 1 that two CPU cores can train through all folds."""
WITHOUT: dict[str, dict[str, Any]] = {
    "-no-recolouring": {"recolour_share": 0.0, "colour": 0.25},
    "-no-distortion": {"coarse_distortion": 0.0},
}
"""What differs in the augmentation of the rows that end so."""
LONGER = "-longer"
"""Suffix of the row of a stage 1 that also takes the steps of its continuation."""
SUPERVISED_STEPS = 1200
"""Steps of Model 1."""
PLAIN_STEPS = 2400
"""Steps of the plain U-Net, which learns more slowly."""
STAGE2_STEPS = 600
"""Steps of stage 2 and of everything else that continues from stage 1."""
REPORT_STEPS = 500
"""Steps of each run with the report's settings, see `epochs_of_report`."""

ABLATIONS: dict[str, dict[str, Any]] = {
    "ablation-discriminator": NO_DISCRIMINATOR,
    "ablation-colours": {"colour_weight": 0.0},
    "ablation-pseudo-labels": {"pseudo_label_weight": 0.0},
    "ablation-cut-mix": {"cut_mix": False},
    "ablation-strong-colours": {"strong_colour": 0.0},
    "ablation-replay": {"replay": False},
    "ablation-all-but-verdict": {"recipe": "report"},
}
STAGE2: dict[str, dict[str, Any]] = {
    "stage2": {},
    "control": NO_COARSE_ONLY,
    "mean-teacher": NO_DISCRIMINATOR | {"colour_weight": 0.0},
    **ABLATIONS,
}
"""Changes to the default stage 2 in each row that continues from stage 1."""
SUPERVISED = ("model1", "plain", "model1-report", "plain-report")
STAGE1 = tuple(f"stage1{suffix}" for suffix in ("", LONGER, *WITHOUT))
MODELS = (REFERENCE, *SUPERVISED, *STAGE1, *STAGE2, "stage1-report", "stage2-report")


@dataclass(frozen=True)
class Job:
    """One run: a row of the tables, a fold, a number of fine maps, a seed."""

    model: str
    fold: Fold
    fine: int
    seed: int

    @property
    def suffix(self) -> str:
        """Names the settings: "-report", one that differs, or empty for the usual ones."""
        suffixes = ("-report", LONGER, *WITHOUT)
        return next((suffix for suffix in suffixes if self.model.endswith(suffix)), "")

    @property
    def row(self) -> str:
        """The model whatever its settings."""
        return self.model.removesuffix(self.suffix)

    @property
    def method(self) -> str:
        """Method of the trainer."""
        return self.row if self.row in ("model1", "plain", "stage1") else "stage2"

    @property
    def reports_settings(self) -> bool:
        """Whether it is trained as the report did it."""
        return self.suffix == "-report"

    def folder(self, runs: Path) -> Path:
        """Folder of the run."""
        return runs / f"fold{self.fold}-fine{self.fine}-seed{self.seed}" / self.model

    @property
    def beginning(self) -> "Job":
        """The stage 1 that it continues from."""
        return replace(self, model=f"stage1{self.suffix}")


def main() -> None:
    """Train what is missing and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/fasseg"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--folds", nargs="+", choices=FOLDS, type=fold, default=FOLDS[:-1])
    parser.add_argument("--fine", nargs="+", type=int, default=[1, 2, 5, 10, 20])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--hardware", default=default_hardware())
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    if not options.tables_only:
        splits = Splits(options.splits)
        for job in jobs_of(options, splits):
            if not any(job == job_of(record) for record in read_records()):
                record = run(job, splits, options)
                write_records([*read_records(), record])
                print(json.dumps(record), flush=True)
    ours = {
        "command": "`python scripts/fasseg.py --data FASSEG --splits FASSEG/splits.json`",
        "steps": f"{ECONOMICAL['steps']} of stage 1, {STAGE2_STEPS} of its continuation, "
        f"{ECONOMICAL['steps'] + STAGE2_STEPS} of the longer stage 1, {SUPERVISED_STEPS} of "
        f"Model 1, {PLAIN_STEPS} of the plain U-Net",
        "crops": f"{ECONOMICAL['batch_size']} of {ECONOMICAL['crop']} px in a step",
        "seconds": "of training, some while other work shared the machine",
    }
    write_pages(ours, ours | {"with the report's settings": epochs_of_report()})


def epochs_of_report() -> str:
    """Describe the length of the runs with the report's settings; an image is four corner crops."""
    crops = REPORT_STEPS * TrainConfig.model_fields["batch_size"].default

    def epochs(images: int) -> int:
        return round(crops / (4 * images))

    return (
        f"{REPORT_STEPS} steps of 8 corner crops of {REPORT_CROP} px, scaled down to what one core "
        f"does in minutes: {epochs(50)} epochs of Model 1 and plain U-Net, "
        f"{epochs(REPORT_FINE)} of stage 1, {epochs(50 - REPORT_FINE)} of stage 2"
    )


def fold(text: str) -> Fold:
    """Read the name of a fold."""
    return int(text) if text.isdigit() else text


class Splits:
    """Which pairs train and test in each fold.

    Parameters
    ----------
    path : Path
        `splits.json` of FASSEG.
    """

    def __init__(self, path: Path) -> None:
        lists = json.loads(path.read_text(encoding="utf-8"))
        folds, report, self.persons = lists["folds"], lists["report"], lists["same_person"]
        everyone = [name for each in folds for name in each]
        twice = {name for pair in lists["same_photo_annotated_twice"] for name in pair}
        known = twice.union(*(set(group) for group in self.persons if twice & set(group)))
        self.test: dict[Fold, list[str]] = {
            **dict(enumerate(folds)),
            "report": report["test"],
            "annotators": [name for name in everyone if name in twice],
        }
        # Each begins with another fold, so that its few fine maps are others.
        self.train: dict[Fold, list[str]] = {
            number: [name for each in folds[number + 1 :] + folds[:number] for name in each]
            for number in range(len(folds))
        }
        self.train["report"] = report["train_fine"] + report["train_coarse_only"]
        self.train["annotators"] = [name for name in everyone if name not in known]

    def write(self, fold: Fold, path: Path) -> None:
        """Write the splits file of one fold: its lists `train` and `test`, and who is who."""
        lists: dict[str, Any] = {"fold": {"train": self.train[fold], "test": self.test[fold]}}
        if fold != "report":  # Which fine maps that may use stands in its list.
            lists["same_person"] = self.persons
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(lists), encoding="utf-8")


def jobs_of(options: argparse.Namespace, splits: Splits) -> list[Job]:
    """List the jobs in an order in which starts come first and folds go round."""
    jobs = []
    wanted = [model for model in MODELS if model in options.models]
    for seed, held_out in itertools.product(options.seeds, options.folds):
        everything = len(splits.train[held_out])
        jobs += [Job(REFERENCE, held_out, 0, 0)] if REFERENCE in wanted else []
        supervised = [model for model in wanted if model in SUPERVISED]
        jobs += [Job(model, held_out, everything, seed) for model in supervised]
    for seed, fine, held_out in itertools.product(options.seeds, options.fine, options.folds):
        if held_out == "annotators" or (held_out == "report" and fine != REPORT_FINE):
            continue
        few = [model for model in wanted if model not in (REFERENCE, *SUPERVISED)]
        jobs += [Job(model, held_out, fine, seed) for model in few]
    # The report's settings are for the report's split alone.
    return [job for job in jobs if job.fold == "report" or not job.reports_settings]


def run(job: Job, splits: Splits, options: argparse.Namespace) -> dict[str, Any]:
    """Train and score one job; train what it starts from if its run is not at hand."""
    pairs = open_pairs(options.data).subset(splits.test[job.fold])
    made = {"device": options.hardware, "date": today()}
    if job.model == REFERENCE:
        coarse, *_ = evaluate([], pairs)
        scores = scores_of_record(coarse, pairs.class_table.names)
        return {**asdict(job), **scores, "seconds": 0.0, **made}
    if job.method == "stage2":
        finished_run(config_of(job.beginning, splits, options))
    began = time.perf_counter()
    folder = finished_run(config_of(job, splits, options))
    seconds = time.perf_counter() - began
    return {
        **asdict(job),
        **held_out_scores(folder.last, pairs, "cpu"),
        "network_alone": held_out_scores(without_colours(folder.last), pairs, "cpu"),
        "seconds": round(seconds, 1),
        **made,
    }


def without_colours(checkpoint: Path) -> Path:
    """Write a copy of a checkpoint that uses the network alone; return its path."""
    path = checkpoint.with_stem("network-alone")
    generator, metadata = load_checkpoint(checkpoint)
    config = metadata.config.model_copy(update={"colour_weight": 0.0})
    save_checkpoint(path, generator, metadata.model_copy(update={"config": config}))
    return path


def config_of(job: Job, splits: Splits, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of a job."""
    folder = job.folder(options.runs)
    lists = options.runs / f"fold{job.fold}.json"
    splits.write(job.fold, lists)
    settings = steps_and_shape(job) | {
        "data": {
            "root": options.data,
            "splits": lists,
            "train": "fold:train",
            "validation": "fold:test",
            "fine_maps": job.fine,
        },
        "run_folder": folder,
        "method": job.method,
        "seed": job.seed,
        "threads": options.threads,
    }
    if job.method == "stage2":
        settings["stage2"] = settings["stage2"] | {"start": job.beginning.folder(options.runs)}
    return TrainConfig.model_validate(settings)


def steps_and_shape(job: Job) -> dict[str, Any]:
    """Return the fields of a job's config that do not depend on data and folders."""
    if job.reports_settings:
        settings: dict[str, Any] = report_settings() | {"steps": REPORT_STEPS}
        settings["stage2"] |= {"steps": REPORT_STEPS}
    else:
        stage2 = {"steps": STAGE2_STEPS, "guard": None, **STAGE2.get(job.row, {})}
        settings = ECONOMICAL | {"stage2": stage2}
        if job.row in NO_GAME:
            settings["stage1"] = {"adversarial_weight": 0.0}
        less = WITHOUT.get(job.suffix, {})
        settings["augmentation"] = settings["augmentation"] | less
        if job.method == "model1":
            settings["steps"] = SUPERVISED_STEPS
        if job.method == "plain":
            # Without a coarse map a recoloured class is not to be known.
            settings["augmentation"] = settings["augmentation"] | {"recolour_share": 0.0}
            settings["steps"] = PLAIN_STEPS
        if job.suffix == LONGER:
            settings["steps"] += STAGE2_STEPS
    steps = settings["stage2"]["steps"] if job.method == "stage2" else settings["steps"]
    return settings | {"validate_every": steps}


def job_of(record: dict[str, Any]) -> Job:
    """Return the job of a record."""
    return Job(**{key: record[key] for key in ("model", "fold", "fine", "seed")})


if __name__ == "__main__":
    main()
