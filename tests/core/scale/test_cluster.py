"""Shards on a Dask cluster: workers may die, shards may fail, and nothing is lost."""

import os
import signal

import numpy as np
import pytest
from tests.core.scale.conftest import pixels

from c2f_core import extras
from c2f_core.errors import ConfigError, DataError, MissingPackageError
from c2f_core.scale import cluster
from c2f_core.scale.engine import run_here, run_job
from c2f_core.scale.ledger import Ledger, Task
from c2f_core.scale.run import Execution, refine_volume
from c2f_core.scale.volume import VolumeJob, perform


@pytest.mark.slow
def test_a_worker_that_is_killed_has_its_shards_done_by_others(plan_volume, tmp_path):
    expected = plan_volume(tmp_path / "expected.zarr")
    refine_volume(expected)
    plan = plan_volume(tmp_path / "out.zarr")
    job = VolumeJob(plan)
    finished = []
    with cluster.local_cluster(2) as client, Ledger(tmp_path / "out.ledger") as ledger:
        victim = next(iter(client.run(os.getpid).values()))

        def kill_after_the_third():
            finished.append(1)
            if len(finished) == 3:
                os.kill(victim, signal.SIGKILL)

        plan.begin(ledger)
        job.create_output()
        arguments = perform, str(ledger.plan), plan.fingerprint
        run = cluster.run_on_cluster(client, *arguments)
        assert run_job(job, ledger, run, kill_after_the_third) == []
        assert len(ledger.finished()) == sum(job.stages)
        for found, wanted in zip(pixels(plan.store), pixels(expected.store), strict=True):
            np.testing.assert_array_equal(found, wanted)

        wrong, right = Task(0, 99), Task(0, 0)
        outcomes = {each.task: each.error for each in run(iter([wrong, right]))}
        assert outcomes == {wrong: "99", right: ""}


def test_a_shard_that_fails_here_does_not_stop_the_others():
    class Job:
        stages = (3,)

        def perform(self, task):
            if task.number == 1:
                raise ValueError

    tasks = [Task(0, number) for number in range(3)]
    assert [each.error for each in run_here(Job())(tasks)] == ["", "ValueError", ""]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    message = r"No scheduler answers at tcp://127.0.0.1:1; check the address"
    with pytest.raises(DataError, match=message), cluster.remote_cluster("tcp://127.0.0.1:1"):
        pass


def test_workers_need_the_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with (
        pytest.raises(MissingPackageError, match=r"--workers needs the package dask; .*\[scale\]"),
        cluster.local_cluster(2),
    ):
        pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 2, "scheduler": "tcp://x:1"}, "Give one of --workers"),
        ({"workers": 0}, "give at least 1"),
    ],
)
def test_executions_that_contradict_themselves_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Execution(**given)
