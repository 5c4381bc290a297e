"""Regenerate the page of results: train what is missing, evaluate, draw, write.

    python scripts/results.py --data FASSEG --splits FASSEG/splits.json [--runs runs]

Model 1 is trained with the settings of the bundled model, the plain U-Net with
the same settings but RGB only and fewer steps. A run whose folder exists is
resumed or, when it is done, left as it is. Writes docs/results.md and the
pictures on it.
"""

import argparse
import datetime
import os
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from c2f_core.config.settings import TrainConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.splits import read_split
from c2f_core.device import computes_in_bfloat16
from c2f_core.experiments.evaluation import class_rows, evaluate, summary_rows
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import markdown_table
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.learned import Refiner
from c2f_core.training.curves import VALIDATION, Curves
from c2f_core.training.listeners import SHOWN_SCORES, CsvLog
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train_or_resume

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEST = "report:test"
METHODS = {"model1": "Model 1", "plain": "plain U-Net (RGB only)"}

PAGE = """# Results

Written by `scripts/results.py`; no figure here was entered by hand.

## Faces (FASSEG)

{count} test images of the split `report`, in which both photographs of a person
are on one side. In per cent, except counts; pixel accuracy and boundary scores
are means over the images, mIoU is that of the pooled pixels. The agreement of two annotators
of the same photographs: [As good as a second annotator?](results/annotators.md)

{summary}
### By class

{classes}
| | |
| --- | --- |
| command | `python scripts/results.py --data FASSEG --splits FASSEG/splits.json` |
| Model 1 alone | `c2f-train --config src/c2f_core/models/fasseg.config.json \
--data.root FASSEG --data.splits FASSEG/splits.json --validate-every {interval}` |
| training pairs | 50 of the split, of which {validation} choose the checkpoint and calibrate it |
{runs}| seed | {seed} |
| hardware | {hardware} |
| date | {date} |

## Learning curve

![Validation accuracy over minutes](images/learning-curve.png)

Minutes are the sum of the measured seconds of all training steps; validation
and startup are not included.

## Spikes of the loss

The loss of each step is divided by the median of the {before} steps before it. A single step above
{spike} is a hard batch; a network that is set back shows in the mean of ten steps.

| method | steps | above {spike} | mean of ten steps above {spike} | largest |
| --- | ---: | ---: | ---: | ---: |
{spikes}"""
INTERVAL = 200
"""Steps between validations: few, so that the curve shows how a network learns."""
BEFORE = 50
"""Steps whose median loss tells what is usual."""
SPIKE = 2
"""Medians from which on a loss stands out."""


def main() -> None:
    """Train, evaluate, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--plain-steps", type=int, default=3000)
    parser.add_argument("--hardware", default=default_hardware())
    options = parser.parse_args()
    folders = {method: finished_run(settings_of(method, options)) for method in METHODS}
    pairs = open_pairs(options.data).subset(read_split(options.splits, TEST))
    refiners = [
        *(kind(pairs.class_table) for kind in CLASSICAL_REFINERS.values()),
        *(named(Refiner.load(folders[method].best), METHODS[method]) for method in METHODS),
    ]
    evaluations = evaluate(refiners, pairs)
    draw_curves(folders, DOCS / "images" / "learning-curve.png")
    configs = {method: folder.read_config() for method, folder in folders.items()}
    page = PAGE.format(
        count=len(pairs),
        summary=markdown_table(summary_rows(evaluations, pairs.class_table.names)),
        classes=markdown_table(class_rows(evaluations, pairs.class_table.names)),
        validation=f"{100 * configs['model1'].data.validation_share:.0f} %",
        runs="".join(
            f"| {METHODS[method]} | {config.steps} steps of {config.batch_size} crops, "
            f"{read_curve(folders[method].log)[0][-1]:.0f} minutes |\n"
            for method, config in configs.items()
        ),
        seed=configs["model1"].seed,
        interval=INTERVAL,
        before=BEFORE,
        spike=SPIKE,
        spikes="".join(
            f"| {METHODS[method]} | {spike_row(folder.log)} |\n"
            for method, folder in folders.items()
        ),
        hardware=options.hardware,
        date=today(),
    )
    with atomic_path(DOCS / "results.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def settings_of(method: str, options: argparse.Namespace) -> TrainConfig:
    """Return the bundled model's settings for another method, data and run folder."""
    text = (BUNDLED_FOLDER / "fasseg.config.json").read_text(encoding="utf-8")
    config = TrainConfig.model_validate_json(text)
    data = config.data.model_copy(update={"root": options.data, "splits": options.splits})
    changes = {"data": data, "method": method, "run_folder": options.runs / method}
    changes["validate_every"] = INTERVAL
    if method == "plain":
        changes["steps"] = options.plain_steps
    return config.model_copy(update=changes)


def spike_row(log: Path) -> str:
    """Return the cells of a run's row: steps, spikes, and the largest of them."""
    losses = np.array(Curves.read(log)["loss"].values)
    usual = np.median(sliding_window_view(losses[:-1], BEFORE), axis=1)
    relative = losses[BEFORE:] / usual
    lasting = sliding_window_view(relative, 10).mean(axis=1)
    counts = [int((each > SPIKE).sum()) for each in (relative, lasting)]
    return f"{len(losses)} | {counts[0]} | {counts[1]} | {relative.max():.1f}"


def options_of_fasseg_runs(description: str) -> argparse.Namespace:
    """Read the flags of a script that continues from the runs of `fasseg.py`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/fasseg"))
    return parser.parse_args()


def finished_run(config: TrainConfig) -> RunFolder:
    """Train, or resume, until the run is done; return its folder."""
    with CsvLog() as log:
        for event in train_or_resume(config):
            log(event)
    return RunFolder(config.run_folder)


def named(refiner: Refiner, name: str) -> Refiner:
    """Return the refiner under another name."""
    refiner.name = name
    return refiner


def draw_curves(folders: dict[str, RunFolder], path: Path) -> None:
    """Draw validation pixel accuracy over minutes of training for each run."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for method, folder in folders.items():
        minutes, curves = read_curve(folder.log)
        axes.plot(minutes, curves["pixel accuracy"], marker=".", label=METHODS[method])
    axes.set(xlabel="minutes of training", ylabel="validation pixel accuracy (%)", ylim=(88, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def read_curve(path: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Read minutes of training and the validation scores (%) at them from a run's log."""
    curves = Curves.read(path)
    minutes = curves.minutes_at(curves[f"{VALIDATION}{SHOWN_SCORES[0]}"].steps)
    return minutes, {
        score: [100 * value for value in curves[f"{VALIDATION}{score}"].values]
        for score in SHOWN_SCORES
    }


def default_hardware() -> str:
    """Describe the machine in a few words."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    half = "bfloat16" if computes_in_bfloat16("auto") else "float32"
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {gpu}, {half}"


def today() -> str:
    """Return the date as YYYY-MM-DD."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


if __name__ == "__main__":
    main()
