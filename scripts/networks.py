"""Compare shapes of the generator: accuracy after the same minutes of training.

    python scripts/networks.py --data FASSEG --splits FASSEG/splits.json [--minutes 4]

Each candidate trains Model 1 on seven tenths of the 50 training pairs of the split
`report`; the rest, of other persons, validates. A candidate gets as many steps as
fit into the minutes, after a few timed steps, and its own schedule over them.
Writes docs/networks.md and the picture in it; runs that are done are not repeated.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from results import DOCS, default_hardware, finished_run, read_curve, today

from c2f_core.config.settings import NetworkConfig, TrainConfig
from c2f_core.io.atomic import atomic_path
from c2f_core.io.tables import Row, markdown_table
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.networks.unet import build_generator
from c2f_core.training.events import StepDone
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train

TIMED_STEPS = 8
VALIDATIONS = 6


@dataclass(frozen=True)
class Candidate:
    """One shape of the network and what it is called."""

    name: str
    network: NetworkConfig


CANDIDATES = (
    Candidate("full resolution, 16 to 160 channels", NetworkConfig(
        stem=1, widths=(16, 32, 64, 128, 160))),
    Candidate("half resolution, 32 to 192 channels", NetworkConfig(
        stem=2, widths=(32, 48, 96, 160, 192))),
    Candidate("half resolution, 24 to 128 channels", NetworkConfig(
        stem=2, widths=(24, 32, 64, 96, 128))),
    Candidate("quarter resolution, 64 to 192 channels (default)", NetworkConfig()),
)  # fmt: skip

PAGE = """# Which network

Written by `scripts/networks.py`; no figure here was entered by hand.

The generator is a U-Net with a space-to-depth stem and a sub-pixel head: it works at a quarter of
the resolution, and its output has the full resolution. Without a GPU that is
the best use of the time. All candidates below were trained for {minutes} minutes; scores are those
of the last checkpoint on validation images of people that it was not trained on, in per cent.

{table}
![Validation accuracy over minutes](images/networks.png)

| | |
| --- | --- |
| command | `python scripts/networks.py --data FASSEG --splits FASSEG/splits.json \
--minutes {minutes}` |
| split | 70 % of the 50 training pairs of `report`; 30 %, of other people, are for validation |
| seed | {seed} |
| hardware | {hardware} |
| date | {date} |

## Any classes

The network of the [method any](training.md#a-model-for-any-classes) has one set of weights for
all classes. It runs once for each class, on seven planes of evidence: the mask of the class, the
signed distance to it, the log-posterior of the instant refiner, three log-likelihoods (colours,
colours nearby, texture), and how far these recognise the pixels inside the coarse regions. The
features of the image are computed once: those of the first stages of EfficientNet-lite0, trained
on ImageNet and not trained further, and a few trained channels for details. Pixels deep inside a
coarse region make prototypes of its class, one of the whole window and one of the surroundings of
each pixel; how similar a pixel is to them is a further input. So that the classes compete, the
mean of their features is mixed in at each level; one softmax over the classes then makes a
partition, whatever their number and order. The output is added to the log-posterior, so that an
untrained network is the instant refiner.

It works at half the resolution, has 1.00 M parameters, of which 0.31 M are trained, and sees
windows of at most 512 pixels with 64 pixels around them, smaller where there are many classes. Only
classes in a window or within 20 pixels of it take part. Windows without unlabelled pixels and
without a coarse boundary within 24 pixels are skipped.
"""


def main() -> None:
    """Train all candidates, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--hardware", default=default_hardware())
    options = parser.parse_args()
    folders = {
        candidate.name: trained(candidate, number, options)
        for number, candidate in enumerate(CANDIDATES)
    }
    draw(folders, DOCS / "images" / "networks.png")
    page = PAGE.format(
        minutes=f"{options.minutes:g}",
        table=markdown_table([row_of(name, folder) for name, folder in folders.items()]),
        seed=next(iter(folders.values())).read_config().seed,
        hardware=options.hardware,
        date=today(),
    )
    with atomic_path(DOCS / "networks.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


def trained(candidate: Candidate, number: int, options: argparse.Namespace) -> RunFolder:
    """Return the folder of the candidate's run, trained if it is not there yet."""
    folder = RunFolder(options.runs / f"network-{number}")
    if folder.config.exists():
        return finished_run(folder.read_config())
    settings = settings_of(candidate, options)
    steps = int(60 * options.minutes / seconds_of_a_step(settings))
    settings |= {
        "run_folder": folder.root,
        "steps": steps,
        "validate_every": -(-steps // VALIDATIONS),
    }
    return finished_run(TrainConfig.model_validate(settings))


def settings_of(candidate: Candidate, options: argparse.Namespace) -> dict[str, Any]:
    """Return the bundled model's settings with another network."""
    text = (BUNDLED_FOLDER / "fasseg.config.json").read_text(encoding="utf-8")
    settings = TrainConfig.model_validate_json(text).model_dump()
    settings["data"] |= {"root": options.data, "splits": options.splits, "validation_share": 0.3}
    return settings | {"network": candidate.network, "threads": options.threads}


def seconds_of_a_step(settings: dict[str, Any]) -> float:
    """Time a few steps of a run that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {"run_folder": Path(folder) / "run", "steps": TIMED_STEPS}
        events = train(TrainConfig.model_validate(settings | changes))
        seconds = [event.seconds for event in events if isinstance(event, StepDone)]
    return statistics.median(seconds)


def row_of(name: str, folder: RunFolder) -> Row:
    """Return steps, size and last scores of a run."""
    config = folder.read_config()
    parameters = build_generator(config.architecture, 6).parameters()
    _, curves = read_curve(folder.root / "log.csv")
    row: Row = {
        "network": name,
        "parameters": f"{sum(each.numel() for each in parameters) / 1e6:.2f} M",
        "steps": str(config.steps),
    }
    return row | {score: values[-1] / 100 for score, values in curves.items()}


def draw(folders: dict[str, RunFolder], path: Path) -> None:
    """Draw validation pixel accuracy over minutes of training for each candidate."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, folder in folders.items():
        minutes, curves = read_curve(folder.root / "log.csv")
        axes.plot(minutes, curves["pixel accuracy"], marker=".", label=name)
    axes.set(xlabel="minutes of training", ylabel="validation pixel accuracy (%)", ylim=(90, 97))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
