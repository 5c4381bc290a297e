"""Training of the class-agnostic network."""

import numpy as np
import pytest
import torch

from c2f_core.config.settings import AugmentationConfig, SimulationConfig
from c2f_core.data.batches import CropSampling
from c2f_core.data.pairs import Pair
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.errors import CheckpointError, DataError
from c2f_core.models.checkpoint import load_class_agnostic
from c2f_core.training.events import RunStarted, StepDone, Validated
from c2f_core.training.evidence_batches import IGNORED, MOST_CLASSES, EvidenceBatches
from c2f_core.training.trainer import train

SHAPE = {"class_widths": (8, 8, 8, 8), "detail_width": 8, "key_width": 8}


@pytest.fixture(scope="module")
def folder(write_shapes, tmp_path_factory):
    """Four pairs with fine maps."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 4, 64)


@pytest.fixture
def make_config(tiny_config, folder):
    base = {"method": "any", "class_agnostic": SHAPE, "crop": 48, "steps": 4}
    return lambda run_folder, **changes: tiny_config(folder, run_folder, **(base | changes))


def _batches(pairs, share=0.0, side=48):
    sampling = CropSampling(side, 3, 5)
    return EvidenceBatches(pairs, sampling, AugmentationConfig(), SimulationConfig(share=share))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_batches_have_evidence_and_the_place_of_the_right_class(share):
    batches = _batches([synthetic_pair(64, seed) for seed in range(2)], share)
    batch, again = batches(3), batches(3)
    assert torch.equal(batch.evidence, again.evidence)
    assert torch.equal(batch.images, again.images)
    assert sum(batch.counts) == len(batch.evidence)
    assert max(batch.counts) <= MOST_CLASSES
    for fine, count in zip(batch.fine, batch.counts, strict=True):
        assert set(fine.unique().tolist()) <= {IGNORED, *range(count)}
    masks = torch.split(batch.evidence[:, 0], batch.counts)
    right = [
        (mask.argmax(dim=0) == fine)[fine != IGNORED].float().mean().item()
        for mask, fine in zip(masks, batch.fine, strict=True)
    ]
    assert np.mean(right) > 0.5  # The coarse map is right in most pixels.


def test_crops_larger_than_the_image_do_not_count_outside():
    batch = _batches([synthetic_pair(32, 0)])(0)
    assert batch.fine.shape == (3, 48, 48)
    assert ((batch.fine != IGNORED).sum(dim=(1, 2)) <= 32 * 32).all()


def test_pairs_without_labels_are_refused():
    pair = synthetic_pair(32, 0)
    empty = Pair("a", pair.image, np.full_like(pair.coarse, 255), pair.fine)
    with pytest.raises(DataError, match="hardly any labels"):
        _batches([empty])(0)


def test_the_network_learns_and_is_saved(make_config, tmp_path):
    config = make_config(
        tmp_path / "run",
        steps=40,
        validate_every=20,
        augmentation={"colour": 0},
        optimiser={"learning_rate": 1e-2, "average_decay": 0.9},
    )
    events = list(train(config))
    started = events[0]
    assert isinstance(started, RunStarted)
    assert started.class_weights == {}
    assert started.classical is not None
    assert started.classical.name == "instant"
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    scores = [event.scores for event in events if isinstance(event, Validated)][-1]
    assert scores["pixel accuracy"] > started.reference["pixel accuracy"]
    _, metadata = load_class_agnostic(tmp_path / "run" / "best.safetensors")
    assert metadata.config.method == "any"
    assert metadata.scores["pixel accuracy"] > 0


def test_resuming_equals_an_uninterrupted_run_bit_for_bit(make_config, tmp_path):
    whole, parts = make_config(tmp_path / "whole"), make_config(tmp_path / "parts")
    list(train(whole))
    done = []
    events = train(parts, should_stop=lambda: len(done) >= 3)
    for event in events:
        done += [event] if isinstance(event, StepDone) else []
    assert len(done) == 3
    list(train(parts, resume=True))
    first, _ = load_class_agnostic(tmp_path / "whole" / "last.safetensors")
    second, _ = load_class_agnostic(tmp_path / "parts" / "last.safetensors")
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), key


def test_a_run_starts_from_another_of_the_same_shape(make_config, tmp_path):
    list(train(make_config(tmp_path / "first", steps=1, validate_every=1)))
    start = {"initial_weights": str(tmp_path / "first"), "steps": 1}
    list(train(make_config(tmp_path / "second", **start)))
    other = make_config(tmp_path / "third", **start, class_agnostic=SHAPE | {"key_width": 4})
    with pytest.raises(CheckpointError, match=r"class_agnostic\.key_width 8"):
        list(train(other))
