"""Stage 2 improves the generator on images that have no fine map."""

import json

import pytest

from c2f_core import Refiner
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.training.trainer import train
from c2f_core.training.validation import scores_of

SIDE = 64
FINE, COARSE_ONLY, HELD_OUT = 6, 10, 4


@pytest.fixture(scope="module")
def pairs():
    numbers = range(100, 100 + FINE + COARSE_ONLY + HELD_OUT)
    return {f"{number}": synthetic_pair(SIDE, number) for number in numbers}


@pytest.fixture(scope="module")
def run_folder(pairs, write_shapes, tiny_config, tmp_path_factory):
    """Train both stages; the trainer never reads the fine maps of the coarse-only pairs."""
    root, names = tmp_path_factory.mktemp("shapes"), list(pairs)
    coarse_only = [int(name) for name in names[FINE : FINE + COARSE_ONLY]]
    write_shapes(root, len(pairs), SIDE, first=100, coarse_only=coarse_only)
    lists = {"of": {"train": names[:-HELD_OUT], "validation": names[-HELD_OUT:]}}
    (root / "splits.json").write_text(json.dumps(lists))
    config = tiny_config(
        root,
        root / "run",
        data={
            "root": root,
            "class_table": str(root / "classes.json"),
            "splits": root / "splits.json",
            "train": "of:train",
            "validation": "of:validation",
        },
        method="model2",
        network={"widths": (16, 32), "stem": 2},
        discriminator={"widths": (8, 16)},
        crop=SIDE,
        batch_size=4,
        steps=150,
        validate_every=150,
        stage2={"steps": 100, "coarse_only_batch_size": 4, "guard": None},
        precision="float32",
    )
    list(train(config))
    return root / "run"


@pytest.mark.slow
def test_stage_2_improves_the_generator_on_images_without_fine_maps(pairs, run_folder):
    unseen = list(pairs.values())[FINE : FINE + COARSE_ONLY]

    def scores_after(stage):
        refiner = Refiner.load(run_folder / stage / "last.safetensors", "cpu")
        refined = (refiner.refine(each.image, SHAPES.to_labels(each.coarse)) for each in unseen)
        return scores_of([SHAPES.to_class_ids(each.labels) for each in refined], unseen, SHAPES)

    before, after = scores_after("stage1"), scores_after("stage2")
    assert after["pixel accuracy"] > before["pixel accuracy"] + 0.003
    assert after["mIoU"] > before["mIoU"] + 0.01
    assert after["trimap 5"] > before["trimap 5"]
