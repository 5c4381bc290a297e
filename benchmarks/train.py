"""Throughput of training compared with a bare loop, and minutes to a validation accuracy.

    python benchmarks/train.py [--steps 30] [--threads 2]
    python benchmarks/train.py --data FASSEG --splits FASSEG/splits.json --accuracy 0.945

The bare loop is written by hand: the same network, loss and optimiser on one
batch that lies ready in memory. Both take turns in one run; medians and their
ratio are printed. The second form trains with the settings of the bundled
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
            compare_throughput(Path(folder), options.steps)
        else:
            time_to_accuracy(Path(folder), options)


def compare_throughput(folder: Path, steps: int) -> None:
    """Take turns between a step of the trainer and a bare step."""
    config = synthetic_config(folder, steps + WARM_UP + 1)
    events = (event for event in train(config) if isinstance(event, StepDone))
    bare = BareLoop(config)
    seconds: dict[str, list[float]] = {"trainer": [], "bare loop": []}
    for number in range(steps + WARM_UP):
        for name, step in (("trainer", lambda: next(events)), ("bare loop", bare.step)):
            began = time.perf_counter()
            step()
            if number >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print("| loop | median | throughput |\n| --- | ---: | ---: |")
    for name, median in medians.items():
        share = 100 * medians["bare loop"] / median
        print(f"| {name} | {1000 * median:.0f} ms/step | {share:.1f} % |")


def synthetic_config(folder: Path, steps: int) -> TrainConfig:
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
            "steps": steps,
            "validate_every": steps,
        }
    )


class BareLoop:
    """A hand-written training loop on one batch in memory."""

    def __init__(self, config: TrainConfig) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.half = computes_in_bfloat16("auto")
        network: Any = build_generator(config.architecture, SHAPES.number_of_classes)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3)
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
