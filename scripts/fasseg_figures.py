"""Draw the loss curves and sample panels of the saved runs of `fasseg.py`.

    python scripts/fasseg_figures.py [--runs runs/fasseg]

Makes the figures of the report once with its settings and once with ours: the losses of
the runs on its split (figures 12 to 15), and what each model makes of a face (figures 16
to 20). The face is scikit-image's astronaut, as FASSEG's photographs may not be passed
on. Trains nothing.
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from fasseg_pages import NAMES
from figure_sample import agreement, draw_outline, overlay, show, title
from matplotlib.axes import Axes
from numpy.typing import NDArray
from results import DOCS

from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.refine.learned import Refiner
from c2f_core.training.run_folder import RunFolder

ROWS = {"model1": 50, "plain": 50, "stage1": 20, "stage2": 20}
"""Fine maps of the runs on the report's split."""
SETTINGS = {"-report": "the report's settings", "": "our settings"}
LOSSES = {
    "loss": "loss",
    "pixel loss": "pixel-wise",
    "adversarial loss": "adversarial, generator",
    "discriminator loss": "discriminator",
    "pseudo-label loss": "pseudo-labels",
}
"""Curves by their name in the log."""
SMOOTHED = 0.9
"""Decay of the moving average that is drawn over the raw values."""


def main() -> None:
    """Draw the figures of all runs that are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/fasseg"))
    options = parser.parse_args()
    for suffix, name in SETTINGS.items():
        folders = {
            model: RunFolder(options.runs / f"foldreport-fine{fine}-seed0" / f"{model}{suffix}")
            for model, fine in ROWS.items()
        }
        folders = {model: folder for model, folder in folders.items() if folder.last.exists()}
        if folders:
            draw_losses(folders, name, DOCS / "images" / f"losses{suffix}.png")
            draw_samples(folders, name, DOCS / "images" / f"samples{suffix}.png")


def draw_losses(folders: dict[str, RunFolder], settings: str, path: Path) -> None:
    """Draw the losses of each run over its steps."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for axes, (model, folder) in zip(panels.flat, folders.items(), strict=False):
        draw_log(axes, folder.root / "log.csv")
        axes.set_title(NAMES[model])
    for axes in panels.flat[len(folders) :]:
        axes.set_axis_off()
    figure.suptitle(f"Losses with {settings}")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_log(axes: Axes, log: Path) -> None:
    """Draw the losses in one log."""
    curves: dict[str, list[tuple[int, float]]] = {}
    with log.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            if row["name"] in LOSSES:
                curves.setdefault(row["name"], []).append((int(row["step"]), float(row["value"])))
    for name, points in curves.items():
        steps, values = np.array(points).T
        [line] = axes.plot(steps, averaged(values), label=LOSSES[name])
        axes.plot(steps, values, color=line.get_color(), alpha=0.2, lw=0.5)
    axes.set(xlabel="step", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average exponentially, without a bias to the first value."""
    mean, weight, means = 0.0, 0.0, []
    for value in values:
        mean = SMOOTHED * mean + (1 - SMOOTHED) * value
        weight = SMOOTHED * weight + (1 - SMOOTHED)
        means.append(mean / weight)
    return np.array(means)


def draw_samples(folders: dict[str, RunFolder], settings: str, path: Path) -> None:
    """Draw what each model makes of the astronaut's coarse map."""
    pair, table = astronaut_pair(512), astronaut_class_table()
    assert pair.fine is not None
    maps = {"coarse reference": pair.coarse}
    for model, folder in folders.items():
        refined = Refiner.load(folder.last, "cpu").refine(pair.image, table.to_labels(pair.coarse))
        maps[NAMES[model]] = table.to_class_ids(refined.labels)
    figure, panels = plt.subplots(1, len(maps) + 1, figsize=(2.2 * len(maps) + 2.2, 3.6))
    figure.set_layout_engine("constrained")
    for axes, (name, class_ids) in zip(panels, maps.items(), strict=False):
        show(axes, title(agreement(name, class_ids, pair, table)).replace(", ", "\n"),
             overlay(pair.image, class_ids, table))  # fmt: skip
        draw_outline(axes, pair.fine)
    show(panels[-1], "fine map", overlay(pair.image, pair.fine, table))
    figure.suptitle(f"With {settings}", fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
