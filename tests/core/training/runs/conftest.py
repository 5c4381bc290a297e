"""Data and quick settings for runs."""

import pytest

from c2f_core.training.events import StepDone
from c2f_core.training.listeners import RunLogs
from c2f_core.training.trainer import train


@pytest.fixture(scope="session")
def data(write_shapes, tmp_path_factory):
    """Five pairs; the last has no fine map."""
    return write_shapes(tmp_path_factory.mktemp("data"), 5, 48, coarse_only=[4])


@pytest.fixture
def make_config(tiny_config, data):
    """Return the config of a tiny run in a folder."""
    return lambda run_folder, **changes: tiny_config(data, run_folder, **changes)


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
    """Train with logs, and stop after the given number of steps."""

    def listen(config, steps):
        done = []
        events = train(config, should_stop=lambda: len(done) >= steps)
        with RunLogs() as logs:
            for event in events:
                logs(event)
                if isinstance(event, StepDone):
                    done.append(event)

    return listen
