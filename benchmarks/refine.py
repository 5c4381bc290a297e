"""Time of refining one face, compared with the bare network and the classical methods.

    python benchmarks/refine.py [--size 512] [--repeats 15] [--device cpu] [--threads 1]

All methods take turns in one run; the table shows medians and their ratio to
the bare forward pass on the ready-made tensor, and the share of the pixels in
which the result differs from the fine map: all of them, and those that are more
than one pixel of the photograph away from a boundary, where the class is certain.
GrabCut runs once per class.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from c2f_core.config.settings import TrainConfig
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import CROP_SIDE, astronaut_class_table, astronaut_pair
from c2f_core.device import choose_device
from c2f_core.geometry.arrays import boundary_pixels
from c2f_core.models.bundled import BUNDLED_FOLDER, bundled_models
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.encoding import one_hot
from c2f_core.networks.unet import UNet, build_generator, generator_input
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.learned import Refiner

Method = Callable[[], Any]
BARE = "bare forward pass"
EROSION = 10
GRABCUT_ITERATIONS = 3


def main() -> None:
    """Time all methods and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the face in pixels")
    parser.add_argument("--repeats", type=int, default=15, help="turns of the quick methods")
    parser.add_argument("--slow-repeats", type=int, default=3, help="turns of the slow methods")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="CPU threads; torch decides without it")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    pair = astronaut_pair(options.size)
    learned, classical = learned_methods(pair, options.device), classical_methods(pair)
    seconds = time_in_turns(learned, options.repeats)
    seconds |= time_in_turns(classical, options.slow_repeats)
    methods = learned | classical
    print(
        f"{options.size} x {options.size} pixels, {choose_device(options.device)}, "
        f"{torch.get_num_threads()} CPU threads\n"
    )
    print_table(seconds, {name: errors_of(method(), pair) for name, method in methods.items()})


def learned_methods(pair: Pair, device: str) -> dict[str, Method]:
    """Return the bare forward pass and the refiner around the same network."""
    generator, metadata = load_or_build()
    refiner = Refiner(generator, metadata, name="network", device=device)
    twice = Refiner(generator, metadata, name="network", device=device, average_flips=True)
    usual_weight = TrainConfig.model_fields["colour_weight"].default
    config = metadata.config.model_copy(update={"colour_weight": usual_weight})
    coloured = metadata.model_copy(update={"config": config})
    with_colours = Refiner(generator, coloured, name="network", device=device)
    image = torch.from_numpy(pair.image).permute(2, 0, 1)[None] / 127.5 - 1
    classes = metadata.class_table.number_of_classes
    coarse = one_hot(torch.from_numpy(pair.coarse)[None], classes)
    bare: Any = generator.eval()
    bare.to(refiner.device, memory_format=torch.channels_last)
    inputs = generator_input(image, coarse, generator.conditional).to(
        refiner.device, memory_format=torch.channels_last
    )

    def forward() -> None:
        with torch.inference_mode():
            bare(inputs)
        if refiner.device.type == "cuda":
            torch.cuda.synchronize()

    coarse_labels = metadata.class_table.to_labels(pair.coarse)
    return {
        BARE: forward,
        "refiner": lambda: refiner.refine(pair.image, coarse_labels),
        "refiner, average of flips": lambda: twice.refine(pair.image, coarse_labels),
        "refiner, with the colours of the classes": lambda: with_colours.refine(
            pair.image, coarse_labels
        ),
    }


def load_or_build() -> tuple[UNet, CheckpointMetadata]:
    """Return the bundled network, or an untrained one of the same shape."""
    if "fasseg" in bundled_models():
        return load_checkpoint(BUNDLED_FOLDER / "fasseg.safetensors")
    print("No bundled model found; timing an untrained network of the default architecture.")
    table = astronaut_class_table()
    metadata = CheckpointMetadata(config=RecordedConfig(colour_weight=0.0), class_table=table)
    return build_generator(metadata.config.architecture, table.number_of_classes), metadata


def classical_methods(pair: Pair) -> dict[str, Method]:
    """Return the classical refiners, and GrabCut."""
    table = astronaut_class_table()
    coarse_labels = table.to_labels(pair.coarse)
    methods: dict[str, Method] = {
        name: partial(make(table).refine, pair.image, coarse_labels)
        for name, make in CLASSICAL_REFINERS.items()
    }
    return methods | {"GrabCut per class": lambda: grabcut(pair, table.number_of_classes)}


def grabcut(pair: Pair, number_of_classes: int) -> NDArray[np.uint8]:
    """Cut out each class against the rest; (Y, X) class ids.

    A pixel that no class claims, or several, stays what it is in the coarse map.
    """
    inside = []
    for class_id in range(number_of_classes):
        own = pair.coarse == class_id
        mask = np.where(own, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[ndimage.binary_erosion(own, iterations=EROSION)] = cv2.GC_FGD
        mask[ndimage.binary_erosion(~own, iterations=EROSION)] = cv2.GC_BGD
        models = np.zeros((2, 1, 65))
        cv2.grabCut(pair.image, mask, None, *models, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK)
        inside.append((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))
    claims = np.stack(inside)
    labels = claims.argmax(axis=0).astype(np.uint8)
    return np.where(claims.sum(axis=0) == 1, labels, pair.coarse)


def time_in_turns(methods: dict[str, Method], repeats: int) -> dict[str, list[float]]:
    """Run all methods once to warm up, then in turns; return their seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(repeats + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def errors_of(result: Any, pair: Pair) -> list[str]:
    """Return the share of wrong pixels in %, and of those away from boundaries; dashes for none."""
    if result is None:
        return ["–", "–"]
    assert pair.fine is not None
    table = astronaut_class_table()
    refined = table.to_class_ids(result.labels) if hasattr(result, "labels") else result
    wrong = refined != pair.fine
    pixel_of_photograph = math.ceil(len(pair.fine) / CROP_SIDE)
    away = ndimage.distance_transform_edt(~boundary_pixels(pair.fine)) >= pixel_of_photograph
    return [f"{100 * where.mean():.2f} %" for where in (wrong, wrong & away)]


def print_table(seconds: dict[str, list[float]], errors: dict[str, list[str]]) -> None:
    """Print medians, their ratio to the bare forward pass, and errors."""
    bare = statistics.median(seconds[BARE])
    print("| method | median | ratio | error | away from boundaries |")
    print("|---|---:|---:|---:|---:|")
    for name, values in seconds.items():
        median = statistics.median(values)
        cells = [name, f"{1000 * median:.0f} ms", f"{median / bare:.2f}", *errors[name]]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
