"""Throughput of training compared with a bare loop, and minutes to a validation accuracy.

    python benchmarks/train.py [--steps 30] [--threads 2] [--crop 128] [--batch-size 4]
    python benchmarks/train.py --data FASSEG --splits FASSEG/splits.json --accuracy 0.945

The bare loop is written by hand: the same network, loss and optimiser on one
batch that lies ready in memory. Both take turns in one run; medians of wall time
and of CPU time, which other programs disturb less, and their ratios are printed. The
second form trains with the settings of the bundled
model, in a shortened schedule, until the validation pixel accuracy is reached
and prints the minutes from the start of the run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from PIL import Image

from c2f_core.config.settings import TrainConfig
from c2f_core.data.batches import AugmentedBatches, CropSampling
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.device import computes_in_bfloat16
from c2f_core.io.maps import write_map
from c2f_core.losses.pixelwise import weighted_cross_entropy
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.networks.unet import build_generator, generator_input
from c2f_core.training.events import RunStarted, StepDone, Validated
from c2f_core.training.trainer import train

WARM_UP = 3
PAIRS = 8


def main() -> None:
    """Measure what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="timed steps of either loop")
    parser.add_argument("--threads", type=int, help="CPU threads; torch decides without it")
    parser.add_argument("--crop", type=int, default=256, help="side of a crop in pixels")
    parser.add_argument("--batch-size", type=int, default=8, help="crops in a step")
    parser.add_argument("--data", type=Path, help="FASSEG; measure minutes to an accuracy")
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--accuracy", type=float, default=0.945)
    parser.add_argument("--schedule-steps", type=int, default=400)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    half = "bfloat16" if computes_in_bfloat16("auto") else "float32"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{torch.get_num_threads()} CPU threads, {gpu}, {half}.\n")
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            compare_throughput(synthetic_config(Path(folder), options), options.steps)
        else:
            time_to_accuracy(Path(folder), options)


def compare_throughput(config: TrainConfig, steps: int) -> None:
    """Take turns between a step of the trainer and a bare step."""
    events = (event for event in train(config) if isinstance(event, StepDone))
    bare = BareLoop(config)
    spent: dict[str, list[tuple[float, float]]] = {"trainer": [], "bare loop": []}
    for number in range(steps + WARM_UP):
        for name, step in (("trainer", lambda: next(events)), ("bare loop", bare.step)):
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if number >= WARM_UP:
                spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {
        name: [statistics.median(each) for each in zip(*values, strict=True)]
        for name, values in spent.items()
    }
    print("| loop | wall time | throughput | CPU time | throughput |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, median in medians.items():
        cells = [
            f"{1000 * own:.0f} ms/step | {100 * best / own:.1f} %"
            for own, best in zip(median, medians["bare loop"], strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def synthetic_config(folder: Path, options: argparse.Namespace) -> TrainConfig:
    """Write synthetic pairs of 512 x 512 and return a config that trains on them."""
    data = folder / "data"
    for kind in ("images", "coarse", "fine"):
        (data / kind).mkdir(parents=True)
    for seed in range(PAIRS):
        pair = synthetic_pair(512, seed)
        Image.fromarray(pair.image).save(data / "images" / f"{seed}.png")
        for kind, class_ids in (("coarse", pair.coarse), ("fine", pair.fine)):
            write_map(data / kind / f"{seed}.png", SHAPES.to_labels(class_ids), SHAPES)
    (data / "table.json").write_text(SHAPES.model_dump_json(), encoding="utf-8")
    return TrainConfig.model_validate(
        {
            "data": {"root": data, "class_table": str(data / "table.json")},
            "run_folder": folder / "run",
            "steps": options.steps + WARM_UP + 1,
            "validate_every": options.steps + WARM_UP + 1,
            "crop": options.crop,
            "batch_size": options.batch_size,
        }
    )


class BareLoop:
    """A hand-written training loop on one batch in memory."""

    def __init__(self, config: TrainConfig) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.half = computes_in_bfloat16("auto")
        network: Any = build_generator(config.architecture, SHAPES.number_of_classes)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3, fused=True)
        pairs = [synthetic_pair(512, seed) for seed in range(PAIRS)]
        sampling = CropSampling(config.crop, config.batch_size, seed=0)
        batches = AugmentedBatches(pairs, SHAPES, config.augmentation, sampling)
        batch = batches(0).to(torch.device(self.device))
        self.inputs = generator_input(batch.images, batch.coarse, True)
        self.fine = batch.fine
        self.weights = torch.ones(SHAPES.number_of_classes, device=self.device)

    def step(self) -> float:
        """Do one step and wait for it."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            logits = self.network(self.inputs)
        loss = weighted_cross_entropy(logits.float(), self.fine, self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.item()


def time_to_accuracy(folder: Path, options: argparse.Namespace) -> None:
    """Train until the validation pixel accuracy is reached."""
    text = (BUNDLED_FOLDER / "fasseg.config.json").read_text(encoding="utf-8")
    config = TrainConfig.model_validate_json(text)
    data = config.data.model_copy(update={"root": options.data, "splits": options.splits})
    config = config.model_copy(
        update={
            "data": data,
            "run_folder": folder / "run",
            "steps": options.schedule_steps,
            "validate_every": 20,
        }
    )
    began = time.perf_counter()
    for event in train(config):
        if isinstance(event, RunStarted):
            print(f"Trains on {event.device}.\n")
            print("| step | minutes | pixel accuracy (%) |\n| ---: | ---: | ---: |")
        if isinstance(event, Validated):
            minutes = (time.perf_counter() - began) / 60
            accuracy = event.scores["pixel accuracy"]
            print(f"| {event.step} | {minutes:.2f} | {100 * accuracy:.2f} |")
            if accuracy >= options.accuracy:
                print(f"\nReached {100 * options.accuracy:.1f} % after {minutes:.2f} minutes.")
                return
    print(f"\nNot reached within {options.schedule_steps} steps.")


if __name__ == "__main__":
    main()
