"""Train and score all rows of the FASSEG tables; write docs/results/.

    python scripts/fasseg.py --data FASSEG --splits FASSEG/splits.json [--models stage1 control]
    python scripts/fasseg.py --tables-only

Every run is one record in docs/results/fasseg.json; a run that is recorded is not
trained again, so the script can be stopped and started as often as need be. Tables
and figures are made from the records. Scores are those of the last checkpoint on the
pairs of a fold, of which nothing is used in training: not to choose a checkpoint, nor
by the guard of stage 2.
"""

import argparse
import itertools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from results import DOCS, default_hardware, finished_run, today

from c2f_core.config import TrainConfig
from c2f_core.data.folder import open_pairs
from c2f_core.data.splits import read_split
from c2f_core.evaluation import evaluate, markdown_table
from c2f_core.io import atomic_path
from c2f_core.metrics import mean_scores
from c2f_core.refine.learned import Refiner

RECORDS = DOCS / "results" / "fasseg.json"
PAGE = DOCS / "results" / "fasseg.md"
FOLDS = 5
ALL_PAIRS = 56
"""Training pairs of a fold: Model 1 and the plain U-Net see all their fine maps."""
NO_COARSE_ONLY = {"pseudo_label_weight": 0.0, "evidence_weight": 0.0, "adversarial_weight": 0.0}
SCORES = ("pixel_accuracy", "miou", "trimap5", "damage")

ECONOMICAL: dict[str, Any] = {
    "network": {"stem": 2, "widths": (32, 48, 96, 160, 192)},
    "crop": 192,
    "batch_size": 8,
    "steps": 300,
    "discriminator": {"widths": (16, 32, 64)},
    "stage1": {"discriminator_learning_rate": 1e-3},
    "augmentation": {"background_class": "background", "background_share": 0.1,
                     "wide_scale_share": 0.1},
}  # fmt: skip
"""Settings that two CPU cores can train through all folds in an hour or two."""

STAGE2: dict[str, dict[str, Any]] = {
    "stage2": {},
    "control": NO_COARSE_ONLY,
    "ablation-discriminator": {"adversarial_weight": 0.0, "discriminator_threshold": 0.0},
    "ablation-evidence": {"evidence_weight": 0.0, "evidence_teacher": False, "hidden_share": 0.0},
    "ablation-evidence-teacher": {"evidence_teacher": False},
    "ablation-pseudo-labels": {"pseudo_label_weight": 0.0},
    "ablation-classwise": {"classwise": False},
    "ablation-replay": {"replay": False},
    "stage2-report": {"recipe": "report"},
    "mean-teacher": {"evidence_weight": 0.0, "evidence_teacher": False, "hidden_share": 0.0,
                     "adversarial_weight": 0.0, "discriminator_threshold": 0.0},
}  # fmt: skip
"""What differs from the default stage 2 in each row that goes on from stage 1."""


PAGE_TEXT = """# Few fine maps: both stages of Model 2 on FASSEG

Written by `scripts/fasseg.py` from `docs/results/fasseg.json`; no figure here was
entered by hand.

Five folds of 14 images, no person in two of them; 56 images train, of which only the
first few show their fine maps and the rest have coarse maps only. Scores are of the
last checkpoint on the fold's images, in per cent, as mean ± standard deviation over the
folds named, which are those run so far; one fold alone is a hint and no proof. *worse*
counts images that refining made worse. *control* goes on from
stage 1 with the fine pairs alone, for as many steps as stage 2 takes. Model 1 and the
plain U-Net see all 56 fine maps. The coarse maps themselves have 91.2 %.

{summary}
## Stage 2 beside its control

{paired}
![Scores over the number of fine maps](../images/label-efficiency.png)

## How it was made

The economical settings of the script: crops of {crop} px, {batch} in a batch, {steps}
steps of stage 1, {stage2_steps} of stage 2 or control, {supervised_steps} of Model 1 and
plain U-Net. That is far from converged: compare rows with one another, not with the
bundled model.

| | |
| --- | --- |
| command | `python scripts/fasseg.py --data FASSEG --splits FASSEG/splits.json` |
| runs | {runs}, {hours} hours in all |
| seed | 0 |
| hardware | {devices} |
| date | {dates} |
"""


@dataclass(frozen=True)
class Job:
    """One run: a row of the tables, a fold, a number of fine maps, a seed."""

    model: str
    fold: int
    fine: int
    seed: int

    def folder(self, runs: Path) -> Path:
        """Folder of the run."""
        return runs / f"fold{self.fold}-fine{self.fine}-seed{self.seed}" / self.model


def main() -> None:
    """Train what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/fasseg"))
    models = ["model1", "plain", "stage1", *STAGE2]
    parser.add_argument("--models", nargs="+", choices=models, default=models[:5])
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(FOLDS)))
    parser.add_argument("--fine", nargs="+", type=int, default=[1, 2, 5])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--hardware", default=default_hardware())
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    if not options.tables_only:
        for job in jobs_of(options):
            if not any(job == job_of(record) for record in read_records()):
                add_record(run(job, options))
    page = page_of(read_records())
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """List the jobs in an order in which starts come first and folds go round."""
    supervised = [model for model in options.models if model in ("model1", "plain")]
    others = [model for model in options.models if model not in supervised]
    jobs = [
        Job(model, fold, ALL_PAIRS, seed)
        for seed, model, fold in itertools.product(options.seeds, supervised, options.folds)
    ]
    for seed, fine, fold in itertools.product(options.seeds, options.fine, options.folds):
        jobs += [Job(model, fold, fine, seed) for model in others]
    return jobs


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Train and score one job."""
    began = time.perf_counter()
    folder = finished_run(config_of(job, options))
    seconds = time.perf_counter() - began
    names = read_split(options.splits, f"folds:{job.fold}")
    refiner = Refiner.load(folder.last, "cpu")
    scores = evaluate([refiner], open_pairs(options.data).subset(names))[1].scores
    summary = mean_scores(scores, refiner.class_table.names)
    keys = ("pixel accuracy", "mIoU", "trimap 5", "damage")
    return asdict(job) | {
        **{name: round(100 * summary[key], 3) for name, key in zip(SCORES, keys, strict=True)},
        "worse": int(summary["images made worse"]),
        "seconds": round(seconds, 1),
        "device": options.hardware,
        "date": today(),
    }


def config_of(job: Job, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of a job."""
    training = "+".join(f"folds:{fold}" for fold in range(FOLDS) if fold != job.fold)
    method = job.model if job.model in ("model1", "plain", "stage1") else "stage2"
    settings = ECONOMICAL | {
        "data": {
            "root": options.data,
            "splits": options.splits,
            "train": training,
            "validation": f"folds:{job.fold}",
            "fine_maps": job.fine,
        },
        "run_folder": job.folder(options.runs),
        "method": method,
        "seed": job.seed,
        "threads": options.threads,
    }
    if method in ("model1", "plain"):
        # As many steps as stage 1 and stage 2 have together.
        settings["steps"] = 2 * ECONOMICAL["steps"]
    settings["validate_every"] = settings["steps"]
    if method == "stage2":
        start = Job("stage1", job.fold, job.fine, job.seed).folder(options.runs)
        settings["stage2"] = {
            "steps": ECONOMICAL["steps"],
            "guard": None,
            "start": start,
            **STAGE2[job.model],
        }
    return TrainConfig.model_validate(settings)


def read_records() -> list[dict[str, Any]]:
    """Read all records; none where there is no file yet."""
    if not RECORDS.exists():
        return []
    records: list[dict[str, Any]] = json.loads(RECORDS.read_text(encoding="utf-8"))
    return records


def add_record(record: dict[str, Any]) -> None:
    """Add one record to the file, one line each."""
    lines = [json.dumps(each) for each in [*read_records(), record]]
    RECORDS.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(RECORDS) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(json.dumps(record), flush=True)


def job_of(record: dict[str, Any]) -> Job:
    """Return the job of a record."""
    return Job(**{key: record[key] for key in ("model", "fold", "fine", "seed")})


def page_of(records: list[dict[str, Any]]) -> str:
    """Write tables and figure from the records."""
    draw_label_efficiency(records, DOCS / "images" / "label-efficiency.png")
    settings = TrainConfig.model_validate(
        ECONOMICAL | {"data": {"root": "FASSEG"}, "run_folder": "runs"}
    )
    return PAGE_TEXT.format(
        summary=markdown_table(summary_rows(records)),
        paired=paired_text(records),
        crop=settings.crop,
        steps=settings.steps,
        stage2_steps=settings.steps,
        batch=settings.batch_size,
        supervised_steps=2 * settings.steps,
        runs=len(records),
        hours=f"{sum(record['seconds'] for record in records) / 3600:.1f}",
        devices=", ".join(sorted({record["device"] for record in records})),
        dates=", ".join(sorted({record["date"] for record in records})),
    )


def rows_of(records: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Group records by row of the tables: model and number of fine maps."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda each: (-each["fine"], each["model"], each["fold"])):
        groups.setdefault((record["model"], record["fine"]), []).append(record)
    return groups


def summary_rows(records: list[dict[str, Any]]) -> list[dict[str, str | float]]:
    """Return mean and standard deviation over the folds for each row."""
    rows: list[dict[str, str | float]] = []
    for (model, fine), group in rows_of(records).items():
        cells = {
            score: f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
            if len(values) > 1
            else f"{values[0]:.2f}"
            for score in SCORES
            for values in [[record[score] for record in group]]
        }
        row: dict[str, str | float] = {
            "method": model,
            "fine maps": str(fine),
            "folds": ", ".join(str(record["fold"]) for record in group),
        }
        rows.append(row | cells | {"worse": str(sum(record["worse"] for record in group))})
    return rows


def paired_text(records: list[dict[str, Any]]) -> str:
    """Compare stage 2 with its control, fold by fold, and with the way to Model 1."""
    by_job = {job_of(record): record for record in records}
    fines = sorted({record["fine"] for record in records} - {ALL_PAIRS})
    rows = [
        row
        for fine, score in itertools.product(fines, ("pixel_accuracy", "miou"))
        if (row := paired_row(by_job, fine, score))
    ]
    return markdown_table(rows) if rows else "No fold has all three runs yet.\n"


def paired_row(
    by_job: dict[Job, dict[str, Any]], fine: int, score: str
) -> dict[str, str | float] | None:
    """Return the comparison for one number of fine maps; None where no fold has all runs."""
    gains, ways = [], []
    for job, record in by_job.items():
        control = by_job.get(Job("control", job.fold, fine, job.seed))
        model1 = by_job.get(Job("model1", job.fold, ALL_PAIRS, job.seed))
        if (job.model, job.fine) == ("stage2", fine) and control and model1:
            gains.append(record[score] - control[score])
            ways.append(model1[score] - control[score])
    if not gains:
        return None
    return {
        "fine maps": str(fine),
        "score": score.replace("_", " "),
        "stage 2 less control, by fold": ", ".join(f"{gain:+.2f}" for gain in gains),
        "mean": f"{np.mean(gains):+.2f}",
        "better in": f"{sum(gain > 0 for gain in gains)} of {len(gains)}",
        "of the way to Model 1": f"{100 * np.mean(gains) / np.mean(ways):.0f} %",
    }


def draw_label_efficiency(records: list[dict[str, Any]], path: Path) -> None:
    """Draw mIoU and pixel accuracy over the number of fine maps, bars over the folds."""
    groups = rows_of(records)
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for axes, score in zip(panels, ("pixel_accuracy", "miou"), strict=True):
        for model in ("stage1", "control", "stage2"):
            fines = sorted(fine for name, fine in groups if name == model)
            values = [[each[score] for each in groups[model, fine]] for fine in fines]
            axes.errorbar(
                fines,
                [np.mean(each) for each in values],
                [np.std(each) for each in values],
                marker="o",
                capsize=3,
                label=model,
            )
        if ("model1", ALL_PAIRS) in groups:
            level = np.mean([each[score] for each in groups["model1", ALL_PAIRS]])
            axes.axhline(level, color="black", ls="--", label=f"Model 1, {ALL_PAIRS} fine maps")
        axes.set(xlabel="fine maps", ylabel=f"{score.replace('_', ' ')} (%)", xscale="log")
        axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        axes.grid(alpha=0.3)
    panels[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
