"""Training: learning, resuming, stopping, checkpoints."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from c2f_core.config.settings import TrainConfig
from c2f_core.data import pixel_store
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import CheckpointError, ConfigError
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.networks.unet import build_generator
from c2f_core.refine.learned import Refiner
from c2f_core.training import loading
from c2f_core.training.events import Finished, Preview, RunStarted, StepDone, Validated
from c2f_core.training.optimisation import NetworkWithOptimiser, learning_rate, make_fabric
from c2f_core.training.trainer import train

SMALL = {"class_widths": (8, 8, 8, 8), "detail_width": 8, "key_width": 8}
"""Shape of a small class-agnostic network."""


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Six pairs with fine maps."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 6, 64)


@pytest.fixture
def make_config(tiny_config):
    base = {"network": {"widths": (8, 16)}, "batch_size": 4, "steps": 6, "validate_every": 3}
    return lambda root, run_folder, **changes: tiny_config(root, run_folder, **(base | changes))


# Colours are random in each image, so that the plain U-Net has shapes alone to go by.
@pytest.mark.parametrize(
    ("method", "share_left", "least_accuracy"), [("model1", 0.5, 0.65), ("plain", 0.8, 0.1)]
)
def test_a_network_learns_on_tiny_data(
    make_config, shapes_folder, tmp_path, method, share_left, least_accuracy
):
    config = make_config(
        shapes_folder,
        tmp_path / "run",
        method=method,
        steps=120,
        validate_every=60,
        augmentation={
            "scale": (1, 1),
            "rotation": 0,
            "colour": 0,
            "blur_and_noise": 0,
            "coarse_distortion": 0,
        },
        optimiser={"learning_rate": 1e-2, "average_decay": 0.9},
    )
    events = list(train(config))
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert np.mean(losses[-10:]) < share_left * np.mean(losses[:10])
    scores = [event.scores for event in events if isinstance(event, Validated)][-1]
    assert scores["pixel accuracy"] > least_accuracy
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert metadata.class_table == SHAPES
    assert metadata.config.architecture.conditional == (method == "model1")
    assert metadata.config.method == method
    assert metadata.coarse_displacement is not None


@pytest.mark.parametrize(("stop_after", "share"), [(2, 0), (3, 0), (4, 0), (2, 0.5)])
def test_resuming_equals_an_uninterrupted_run_bit_for_bit(
    make_config, shapes_folder, tmp_path, stop_after, share
):
    changes = {"simulation": {"share": share}}
    whole = make_config(shapes_folder, tmp_path / "whole", **changes)
    list(train(whole))
    parts = make_config(shapes_folder, tmp_path / "parts", **changes)
    done = []
    events = train(parts, should_stop=lambda: len(done) >= stop_after)
    finished = [done.append(event) or event for event in events if isinstance(event, StepDone)]
    assert len(finished) in (stop_after, stop_after + 1)
    resumed = list(train(parts, resume=True))
    assert isinstance(resumed[0], RunStarted)
    assert resumed[0].first_step == len(finished)
    for name in ("last.safetensors", "best.safetensors"):
        first, _ = load_checkpoint(tmp_path / "whole" / name)
        second, _ = load_checkpoint(tmp_path / "parts" / name)
        for key, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[key]), (name, key)


@pytest.mark.parametrize("method", ["model1", "model2", "any"])
def test_pairs_that_do_not_fit_into_memory_train_bit_for_bit_the_same(
    make_config, write_shapes, tmp_path, monkeypatch, method
):
    monkeypatch.setattr(pixel_store, "PART", 1 << 20)
    root = write_shapes(tmp_path / "data", 6, 64)
    data = {"root": root, "class_table": str(root / "classes.json"), "fine_maps": 3}
    changes = {"method": method, "data": data, "steps": 2, "validate_every": 2, "crop": 48}
    if method == "any":
        changes |= {"data": data | {"fine_maps": None}, "class_agnostic": SMALL}
    list(train(make_config(root, tmp_path / "memory", **changes)))
    monkeypatch.setattr(loading, "SHARE_OF_MEMORY", 0.0)
    events = list(train(make_config(root, tmp_path / "file", **changes)))
    assert any("temporary file" in text for text in events[0].messages)
    checkpoints = list((tmp_path / "memory").rglob("*.safetensors"))
    assert checkpoints
    for checkpoint in checkpoints:
        held = load_file(checkpoint)
        mapped = load_file(tmp_path / "file" / checkpoint.relative_to(tmp_path / "memory"))
        assert all(torch.equal(held[key], mapped[key]) for key in held | mapped), checkpoint


def test_events_and_files_of_a_run(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    events = list(train(config))
    assert isinstance(events[0], RunStarted)
    assert set(events[0].class_weights) == set(SHAPES.names)
    assert events[0].reference["pixel accuracy"] > 0.7
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(1, 7))
    assert [event.step for event in events if isinstance(event, Validated)] == [3, 6]
    assert events[-1] == Finished(6, False, tmp_path / "run" / "best.safetensors")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig.model_validate(stored) == config


def test_the_refiner_of_a_checkpoint_sees_what_validation_saw(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", colour_weight=0.5, steps=3)
    shown = [event for event in train(config) if isinstance(event, Preview)][-1]
    refiner = Refiner.load(tmp_path / "run" / "last.safetensors", "cpu")
    assert refiner.metadata.config.colour_weight == 0.5
    result = refiner.refine(shown.image, SHAPES.to_labels(shown.coarse))
    different = SHAPES.to_class_ids(result.labels) != shown.prediction
    # Convolutions that hold the normalisation round otherwise.
    assert different.mean() < 0.01


def test_a_run_is_never_overwritten(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=1)
    list(train(config))
    with pytest.raises(ConfigError, match="already holds a run"):
        next(train(config))


def test_resuming_refuses_other_settings_and_empty_folders(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", steps=2)
    with pytest.raises(ConfigError, match="contains no run"):
        next(train(config, resume=True))
    list(train(config))
    with pytest.raises(ConfigError, match="another seed"):
        next(train(config.model_copy(update={"seed": 7}), resume=True))
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is damaged"):
        next(train(config, resume=True))


def test_clipping_bounds_the_step(make_config, shapes_folder, tmp_path):
    """Adam ignores the gradient's scale, so the clipped gradient itself is checked."""
    torch.manual_seed(0)
    config = make_config(shapes_folder, tmp_path / "run", precision="float32")
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    optimiser = torch.optim.SGD(generator.parameters(), lr=0.0)
    player = NetworkWithOptimiser(make_fabric(config), generator, optimiser, clip_norm=0.5)
    logits = player.network(torch.ones(1, 3 + SHAPES.number_of_classes, 32, 32))
    assert player.optimise(1000 * logits.square().sum()) > 0.5
    gradients = [parameter.grad.flatten() for parameter in generator.parameters()]
    assert torch.cat(gradients).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_the_schedule_warms_up_and_decays_to_zero(make_config, shapes_folder, tmp_path):
    optimiser = {"warmup_steps": 4, "learning_rate": 1.0}
    config = make_config(shapes_folder, tmp_path, steps=104, optimiser=optimiser)
    rates = [learning_rate(step, config) for step in range(104)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(1.0)
    assert rates[54] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_a_constant_rate_stays(make_config, shapes_folder, tmp_path):
    optimiser = {"warmup_steps": 0, "learning_rate": 2e-4, "schedule": "constant"}
    config = make_config(shapes_folder, tmp_path, steps=10, optimiser=optimiser)
    assert {learning_rate(step, config) for step in range(10)} == {2e-4}


def test_a_missing_device_gives_one_sentence(make_config, shapes_folder, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = make_config(shapes_folder, tmp_path / "run", device="cuda")
    with pytest.raises(ConfigError, match="choose device auto or cpu"):
        next(train(config))


def test_a_fine_map_of_one_class_has_no_boundary_to_score(make_config, shapes_folder, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(shapes_folder, root)
    plain = np.full((64, 64), SHAPES.classes[0].index, np.uint8)
    for seed in range(6):
        Image.fromarray(plain).save(root / "fine" / f"{seed}.png")
    list(train(make_config(root, tmp_path / "run")))
    _, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert set(metadata.scores) == {"pixel accuracy", "mIoU", "calibration error"}
