"""The result of every refiner is bit for bit that of one process without shards."""

import numpy as np
import pytest
import torch
from tests.core.scale.conftest import pixels, scene, write_labels, write_multiscale

from c2f_core.config.settings import NetworkConfig
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.refine import classical
from c2f_core.refine.instant import refiner as instant
from c2f_core.refine.scope import Scope
from c2f_core.scale.ledger import Share
from c2f_core.scale.run import Execution, refine_volume
from c2f_core.scale.volume import VolumeJob

UNTRAINED = ("watershed", "random walker", "instant")
MODELS = (*UNTRAINED, "any", "trained")
BLOCK = 128
"""Side in pixels of the blocks, of which a plane of the volume has four."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let the refiners treat planes of some hundred pixels as they treat large ones."""
    monkeypatch.setattr(classical, "BLOCK", BLOCK)
    monkeypatch.setattr(instant, "BLOCK", BLOCK)


@pytest.fixture(scope="module")
def trained(two_classes, tmp_path_factory):
    """Checkpoint of a small network with random weights."""
    torch.manual_seed(0)
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8), stem=1), colour_weight=0.0)
    generator = build_generator(config.architecture, two_classes.number_of_classes)
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=two_classes))
    return str(path)


@pytest.mark.parametrize("model", MODELS)
def test_shards_and_parts_make_the_map_of_one_process(plan_volume, tmp_path, model, trained):
    settings = {
        "model": trained if model == "trained" else model,
        "chunk": 64,
        "block": BLOCK,
        "scope": Scope(care="model", smallest_region=4),
    }
    whole = plan_volume(tmp_path / "whole.zarr", 256, **settings)
    assert refine_volume(whole).is_complete
    expected = pixels(whole.store)
    coarse = 1 + np.stack([scene(200, 230, seed)[1] for seed in range(2)])
    assert (expected[0] != coarse).any()

    parts = plan_volume(tmp_path / "parts.zarr", BLOCK, **settings)
    assert VolumeJob(parts).stages[0] == 8
    for index in (2, 3, 1):  # Each opens the refiner anew, and begins somewhere else.
        report = refine_volume(parts, Execution(share=Share(index, 3)))
        assert not report.failures
    assert report.is_complete
    for found, wanted in zip(pixels(parts.store), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("model", [*UNTRAINED, "any"])
@pytest.mark.parametrize("block", [64, 256])
def test_a_plane_without_labels_stays_so_and_is_no_failure(
    plan_volume, two_classes, tmp_path, monkeypatch, model, block
):
    image = np.stack([scene(100, 120, seed)[0] for seed in range(3)])
    coarse = np.full((3, 100, 120), 255, np.uint8)
    coarse[0], coarse[2] = (scene(100, 120, seed)[1] for seed in (0, 2))
    path = write_multiscale(tmp_path / "image.zarr", np.moveaxis(image, -1, 0), "czyx", levels=3)
    write_labels(path, "coarse", coarse, "zyx", levels=3, label={})
    monkeypatch.setattr(classical, "BLOCK", block)
    monkeypatch.setattr(instant, "BLOCK", block)
    plan = plan_volume(tmp_path / "out.zarr", 64, model=model)
    plan = plan.model_copy(
        update={
            "image": path,
            "coarse": path / "labels" / "coarse",
            "refiner": plan.refiner.model_copy(update={"class_table": two_classes}),
        }
    )
    report = refine_volume(plan)
    assert (report.failures, report.is_complete) == ([], True)
    labels, _, _, confidence, _, _ = pixels(plan.store)
    assert (labels[1] == 255).all()
    assert np.isnan(confidence[1]).all()
    assert (labels[[0, 2]] != 255).all()
