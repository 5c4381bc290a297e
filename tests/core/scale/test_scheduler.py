"""Shards done by the workers of a scheduler that was started elsewhere, and may be lost."""

import json
import logging
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from tests.core.scale.conftest import pixels

from c2f_core.errors import DataError
from c2f_core.scale.cluster import remote_cluster, run_on_cluster
from c2f_core.scale.ledger import Ledger, Task
from c2f_core.scale.run import Execution, ledger_folder, refine_volume
from c2f_core.scale.volume import VolumeJob

pytest.importorskip("distributed")
LOST = "The scheduler is lost; start it again, and run the same command to continue"
STARTED = 60
"""Seconds after which a scheduler or worker should have started."""


@contextmanager
def process(*arguments):
    """Start a process of Dask as a user does, and kill it at the end of the block."""
    started = subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextmanager
def scheduler(file):
    """Start a scheduler; yield its process and its address."""
    options = "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file
    with process("scheduler", *options) as started:
        deadline = time.monotonic() + STARTED
        while not (file.exists() and file.read_text().endswith("}")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield started, json.loads(file.read_text())["address"]


@contextmanager
def worker(file):
    """Start a worker of the scheduler of a file."""
    options = "--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard"
    with process("worker", *options, "--local-directory", file.parent):
        yield


@pytest.mark.slow
def test_a_run_that_lost_its_scheduler_is_continued_with_the_next_one(
    plan_volume, tmp_path, caplog
):
    expected = plan_volume(tmp_path / "expected.zarr")
    refine_volume(expected)
    plan = plan_volume(tmp_path / "out.zarr")
    logging.getLogger("distributed.client").addHandler(caplog.handler)
    file = tmp_path / "first.json"
    with scheduler(file) as (started, address), worker(file):

        def kill_after_the_third(done, _total):
            if done == 3:
                started.kill()

        with pytest.raises(DataError, match=LOST):
            refine_volume(plan, Execution(scheduler=address), progress=kill_after_the_third)
    with Ledger(ledger_folder(plan.store, plan.name)) as ledger:
        before = len(ledger.finished())
    assert before >= 3
    assert not caplog.records  # Dask would print a traceback.
    file = tmp_path / "second.json"
    with scheduler(file) as (_, address), worker(file):
        report = refine_volume(plan, Execution(scheduler=address))
    assert report.is_complete
    assert report.shards == sum(VolumeJob(plan).stages) - before
    for found, wanted in zip(pixels(plan.store), pixels(expected.store), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_nothing_is_submitted_to_a_scheduler_that_is_lost_already(tmp_path):
    with (
        scheduler(tmp_path / "lost.json") as (started, address),
        remote_cluster(address) as client,
    ):
        started.kill()
        deadline = time.monotonic() + STARTED
        while client.status == "running":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(DataError, match=LOST):
            next(run_on_cluster(client, print)(iter([Task(0, 0)])))
