"""Data and quick settings for runs."""

from dataclasses import replace

import pytest

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.training.events import StepDone
from c2f_core.training.listeners import RunLogs
from c2f_core.training.trainer import train


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Five pairs; the last has no fine map."""
    root = tmp_path_factory.mktemp("data")
    pairs = [replace(synthetic_pair(48, seed), name=str(seed)) for seed in range(5)]
    write_pairs(root, [*pairs[:4], replace(pairs[4], fine=None)], SHAPES)
    return root


@pytest.fixture
def make_config(data):
    """Return the settings of a run of a few quick steps."""

    def make(run_folder, **changes):
        settings = {
            "data": {"root": data, "class_table": str(data / "classes.json")},
            "run_folder": run_folder,
            "network": {"widths": (4, 8)},
            "discriminator": {"widths": (4,)},
            "crop": 32,
            "batch_size": 2,
            "steps": 4,
            "validate_every": 2,
            "stage2": {"steps": 2, "coarse_only_batch_size": 2},
            "device": "cpu",
            "threads": 1,
        }
        return TrainConfig.model_validate({**settings, **changes})

    return make


@pytest.fixture
def run():
    """Train with logs, and return the events."""

    def listen(config, **options):
        with RunLogs() as logs:
            events = []
            for event in train(config, **options):
                logs(event)
                events.append(event)
        return events

    return listen


@pytest.fixture
def stop_after():
    """Train with logs, and stop after so many steps."""

    def listen(config, steps):
        done = []
        events = train(config, should_stop=lambda: len(done) >= steps)
        with RunLogs() as logs:
            for event in events:
                logs(event)
                if isinstance(event, StepDone):
                    done.append(event)

    return listen
