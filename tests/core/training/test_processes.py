"""Training in two processes: the losses of one with the doubled batch, stops and losses."""

import csv
import os
import runpy
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch

from c2f_core.errors import C2FError, ConfigError
from c2f_core.training import launch
from c2f_core.training.events import Finished, Preview, StepDone, Validated
from c2f_core.training.launch import _environment, _free_port
from c2f_core.training.processes import check_processes, processes_per_node
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train

if sys.platform == "win32":
    pytest.skip("several processes need another system", allow_module_level=True)

STEPS, CLOSE = 20, 1e-4


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Seven pairs with fine maps, some of them with few labels, and three without."""
    root = write_shapes(tmp_path_factory.mktemp("shapes"), 10, 64, coarse_only=range(7, 10))
    return root


WORKER = """
import os

os.environ.clear()
os.environ.update(environment)

from c2f_core.training.worker import main

main(connection.fileno())
"""


class Forked:
    """A forked process in the place of one that `subprocess` started."""

    def __init__(self, process):
        self.process, self.kill = process, process.kill

    def wait(self):
        self.process.join()
        return self.process.exitcode


@pytest.fixture
def quick_start(fork_server, tmp_path, monkeypatch):
    """Fork the processes of a run, instead of letting each import torch."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)

    def start(connection, environment):
        given = {"connection": connection, "environment": environment}
        process = fork_server.Process(
            target=runpy.run_path, args=(str(script),), kwargs={"init_globals": given}
        )
        process.start()
        return Forked(process)

    monkeypatch.setattr(launch, "_start", start)


@pytest.fixture
def make_config(tiny_config, shapes_folder):
    def make(run_folder, devices, batch_size=2, **changes):
        settings = {
            "data": {
                "root": shapes_folder,
                "class_table": str(shapes_folder / "classes.json"),
                "validation_share": 0.4,
            },
            "network": {"widths": (4, 8)},
            "class_agnostic": {"class_widths": (4,) * 4, "detail_width": 4, "key_width": 4},
            "discriminator": {"widths": (4, 8)},
            # Rotated crops have unlabelled pixels, in some crops more than in others.
            "augmentation": {"rotation": 40, "wide_scale_share": 0.5},
            "batch_size": batch_size,
            "steps": STEPS,
            "validate_every": STEPS,
            "stage2": {"steps": STEPS, "coarse_only_batch_size": batch_size, "guard": None},
            "devices": devices,
            "precision": "float32",
        }
        return tiny_config(shapes_folder, run_folder, **(settings | changes))

    return make


def steps_of(events):
    return [event for event in events if isinstance(event, StepDone)]


def assert_same_step(found, expected):
    """Compare losses; a single pixel at a threshold changes accuracies and rates."""
    assert found.step == expected.step
    assert found.loss == pytest.approx(expected.loss, abs=CLOSE)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-3)
    for name, value in expected.values.items():
        close = CLOSE if name.endswith("loss") else 0.01
        assert found.values[name] == pytest.approx(value, abs=close), (found.step, name)


@pytest.mark.usefixtures("quick_start")
@pytest.mark.parametrize("method", ["model1", "model2", "any"])
def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(make_config, tmp_path, method):
    one = list(train(make_config(tmp_path / "one", 1, 4, method=method)))
    two = list(train(make_config(tmp_path / "two", 2, 2, method=method)))
    assert [type(event) for event in two] == [type(event) for event in one]
    assert len(steps_of(two)) == STEPS * (2 if method == "model2" else 1)
    for first, second in zip(steps_of(one), steps_of(two), strict=True):
        assert_same_step(second, first)
    for first, second in zip(one, two, strict=True):
        if isinstance(first, Validated):
            assert second.scores == pytest.approx(first.scores, abs=1e-3)
        if isinstance(first, Preview):
            assert (second.prediction == first.prediction).mean() > 0.99


def test_a_run_that_lost_a_process_is_saved_and_continues_in_one(make_config, tmp_path):
    expected = steps_of(train(make_config(tmp_path / "one", 1, 4, method="stage1")))
    found = []

    def train_and_kill():
        for event in train(make_config(tmp_path / "two", 2, 2, method="stage1")):
            found.append(event)
            if isinstance(event, StepDone) and event.step == 6:
                _process_of_rank(1).kill()

    with pytest.raises(C2FError, match=r"Process 1 of 2 .* SIGKILL.*resume it from step"):
        train_and_kill()
    step = RunFolder(tmp_path / "two").read_state()["step"]
    assert 6 <= step < STEPS
    found = steps_of(found)[:step]
    found += steps_of(train(make_config(tmp_path / "two", 1, 4, method="stage1"), resume=True))
    assert [event.step for event in found] == list(range(1, STEPS + 1))
    for first, second in zip(expected, found, strict=True):
        assert_same_step(second, first)


def _process_of_rank(rank):
    return next(
        child for child in psutil.Process().children() if child.environ().get("RANK") == str(rank)
    )


def test_ctrl_c_in_the_command_saves_in_both_processes(make_config, start_command, tmp_path):
    run, file = tmp_path / "run", tmp_path / "config.json"
    file.write_text(make_config(run, 2, steps=5000, validate_every=5000).model_dump_json())
    process, output = start_command("c2f_core.cli.train", "--config", file)
    log, deadline = run / "log.csv", time.monotonic() + 120
    while not (log.exists() and log.stat().st_size > 200):
        assert time.monotonic() < deadline
        assert process.is_alive(), output.read_text()
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0
    assert f"c2f-train --resume {run}" in output.read_text()
    with log.open(newline="") as opened:
        steps = [int(row["step"]) for row in csv.DictReader(opened)]
    assert torch.load(run / "state.pt", weights_only=True)["step"] == max(steps)
    assert not any(worker.is_running() for worker in workers)


def test_of_processes_started_by_torchrun_only_the_first_writes(make_config, tmp_path):
    """The second one has another run folder, in which it would write."""
    port, started = _free_port(), []
    for rank in range(2):
        config = make_config(tmp_path / f"run{rank}", 2, steps=2, validate_every=1)
        file = tmp_path / f"config{rank}.json"
        file.write_text(config.model_dump_json())
        command = [sys.executable, "-m", "c2f_core.cli.train", "--config", str(file)]
        environment = _environment(rank, 2, port)
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    outputs = [process.communicate(timeout=240)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert not (tmp_path / "run1").exists()
    assert (tmp_path / "run0" / "best.safetensors").exists()
    assert len(list((tmp_path / "run0" / "tensorboard").iterdir())) == 1
    assert "Done" in outputs[0]
    assert not outputs[1]


@pytest.mark.usefixtures("quick_start")
def test_an_error_of_the_processes_is_that_of_the_run(make_config, tmp_path):
    list(train(make_config(tmp_path / "first", 1, steps=1)))
    start = str(tmp_path / "first")
    config = make_config(tmp_path / "run", 2, network={"widths": (8, 16)}, initial_weights=start)
    with pytest.raises(C2FError, match="another network"):
        list(train(config))
    assert not RunFolder(tmp_path / "run").is_under_way


@pytest.mark.usefixtures("quick_start")
def test_a_run_is_stopped_before_its_first_step_in_both_processes(make_config, tmp_path):
    events = list(train(make_config(tmp_path / "run", 2), should_stop=lambda: True))
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert not steps_of(events)


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"nodes": 2}, "torchrun or srun"), ({"device": "cuda"}, "torch finds 0 GPUs")],
)
def test_processes_that_cannot_be_started_are_refused(
    make_config, tmp_path, monkeypatch, changes, match
):
    monkeypatch.setattr("c2f_core.training.processes.number_of_gpus", lambda: 0)
    with pytest.raises(ConfigError, match=match):
        list(train(make_config(tmp_path / "run", 2, **changes)))
    assert not (tmp_path / "run").exists()


def test_another_number_of_launched_processes_is_refused(make_config, tmp_path, monkeypatch):
    for name, value in _environment(0, 4, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ConfigError, match="4 processes were launched, but devices x nodes is 2 x 1"
    ):
        check_processes(make_config(tmp_path / "run", 2))


@pytest.mark.parametrize(
    ("devices", "device", "gpus", "count"),
    [(None, "auto", 3, 3), (None, "cuda", 2, 2), (None, "auto", 0, 1), (None, "cpu", 3, 1)],
)
def test_none_stands_for_all_gpus(make_config, tmp_path, monkeypatch, devices, device, gpus, count):
    monkeypatch.setattr("c2f_core.training.processes.number_of_gpus", lambda: gpus)
    assert processes_per_node(make_config(tmp_path / "run", devices, device=device)) == count
