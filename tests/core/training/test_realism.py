"""The discriminator of a run scores maps as it does in training."""

import numpy as np
import pytest
import torch

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import DiscriminatorConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import Cancelled, CheckpointError, ImageError
from c2f_core.networks.discriminators import build_discriminator
from c2f_core.training import realism
from c2f_core.training.loading import load_training_data
from c2f_core.training.optimisation import make_fabric
from c2f_core.training.realism import DiscriminatorScorer
from c2f_core.training.run_folder import RunFolder, has_discriminator
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.trainer import train


@pytest.fixture(scope="module")
def config(write_shapes, tiny_config, tmp_path_factory):
    """Config of a finished run of stage 1."""
    root = tmp_path_factory.mktemp("realism")
    data = write_shapes(root / "data", 4, 48)
    config = tiny_config(
        data,
        root / "run",
        data={"root": data, "class_table": str(data / "classes.json"), "validation_share": 0.3},
        method="stage1",
        discriminator={"widths": (4, 8)},
        steps=2,
        precision="float32",
    )
    list(train(config))
    return config


def test_the_scores_are_those_of_training(config):
    folder = RunFolder(config.run_folder)
    assert has_discriminator(folder.best)
    learner = Stage1Learner(config, make_fabric(config), load_training_data(config))
    learner.load_state_dict(folder.read_state())
    pair = synthetic_pair(48, 9)
    expected = learner.realism_map(pair.image, pair.coarse)
    scores = DiscriminatorScorer.load(folder.best, "cpu").realism_map(
        pair.image, SHAPES.to_labels(pair.coarse)
    )
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert scores.shape == pair.coarse.shape
    assert ((scores >= 0) & (scores <= 1)).all()


def test_tiles_show_no_seams(monkeypatch):
    monkeypatch.setattr(realism, "TILE", 128)
    monkeypatch.setattr(realism, "OVERLAP", 64)
    torch.manual_seed(0)
    network = build_discriminator(DiscriminatorConfig(widths=(4, 8)), SHAPES.number_of_classes)
    pair = synthetic_pair(200, 0)
    inputs = pair.image, SHAPES.to_labels(pair.coarse)
    tiled = DiscriminatorScorer(network, SHAPES, "minimax", "cpu").realism_map(*inputs)
    monkeypatch.setattr(realism, "TILE", 1024)
    np.testing.assert_allclose(
        tiled,
        DiscriminatorScorer(network, SHAPES, "minimax", "cpu").realism_map(*inputs),
        atol=1e-4,
    )


def test_models_without_discriminator_are_reported(config, tmp_path):
    folder = RunFolder(config.run_folder)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(folder.best.read_bytes())
    assert not has_discriminator(alone)
    assert not has_discriminator(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="without a discriminator"):
        DiscriminatorScorer.load(alone)


def test_a_state_that_does_not_fit_is_refused(config, tmp_path):
    source, folder = RunFolder(config.run_folder), RunFolder(tmp_path)
    other = config.model_copy(update={"discriminator": DiscriminatorConfig(widths=(4, 16))})
    folder.config.write_text(other.model_dump_json())
    for name in ("best", "state"):
        getattr(folder, name).write_bytes(getattr(source, name).read_bytes())
    with pytest.raises(CheckpointError, match="does not fit its config"):
        DiscriminatorScorer.load(folder.best)


def test_scoring_can_be_stopped_and_checks_its_inputs(config):
    loaded = DiscriminatorScorer.load(RunFolder(config.run_folder).best, "cpu")
    pair = synthetic_pair(48, 1)
    labels = SHAPES.to_labels(pair.coarse)
    with pytest.raises(Cancelled):
        loaded.realism_map(pair.image, labels, should_stop=lambda: True)
    with pytest.raises(ImageError):
        loaded.realism_map(pair.image, labels[1:])
    assert isinstance(loaded.class_table, ClassTable)
