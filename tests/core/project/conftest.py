"""Fixtures for the tests of projects: a project of one image, a model, refined maps."""

from dataclasses import replace

import pytest

from c2f_core.config.settings import NetworkConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.project import Project
from c2f_core.project.records import Parameters

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


@pytest.fixture
def project(tmp_path):
    """A project of one image whose coarse map is drawn."""
    with Project.create(tmp_path / "project", SHAPES) as made:
        made.add_image(PAIR.image, "face")
        made.save(replace(made.read("face"), coarse=COARSE))
        yield made


@pytest.fixture
def model(tmp_path):
    """A small model with random weights."""
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8), stem=1), colour_weight=0.0)
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    metadata = CheckpointMetadata(config=config, class_table=SHAPES)
    save_checkpoint(tmp_path / "random.safetensors", generator, metadata)
    return tmp_path / "random.safetensors"


@pytest.fixture
def refined():
    """Save a fine map as if a model had made it."""

    def save(project, fine=FINE, name="face", doubt=0.25):
        work = project.read(name)
        record = work.record.refined("watershed", 1 - doubt, Parameters())
        project.save(replace(work, record=record, fine=fine))

    return save
