"""`c2f-train`: flags, files and presets, errors, stopping and resuming."""

import csv
import os
import shlex
import signal
import time
from codecs import BOM_UTF8

import pytest
import torch

from c2f_core.cli.console import StopOnInterrupt
from c2f_core.cli.train import main, parse
from c2f_core.errors import ConfigError
from c2f_core.training.events import StepDone
from c2f_core.training.trainer import train


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Six pairs with fine maps."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 6, 64)


@pytest.fixture
def make_config(tiny_config):
    base = {"network": {"widths": (8, 16)}, "batch_size": 4, "steps": 6, "validate_every": 3}
    return lambda root, run_folder, **changes: tiny_config(root, run_folder, **(base | changes))


def train_steps(config, steps):
    """Train, and stop after the given number of steps."""
    done = []
    for event in train(config, should_stop=lambda: len(done) >= steps):
        if isinstance(event, StepDone):
            done.append(event)


@pytest.mark.parametrize("name", ["config.toml", "CONFIG.TOML"])
def test_flags_file_and_preset_make_one_config(tmp_path, name):
    flags = ["--data.root", "d", "--run-folder", "r", "--preset", "report", "--check"]
    command = parse(flags)
    config = command.config
    assert (config.preprocessing, config.optimiser.learning_rate) == ("report", 2e-4)
    assert (command.resume, command.check) == (False, True)
    file = tmp_path / name
    settings = b'steps = 7\nrun_folder = "r"\n[data]\nroot = "d"\n[network]\nwidths = [4, 8]\n'
    file.write_bytes(BOM_UTF8 + settings)  # As Windows' Notepad saves it.
    config = parse(["--config", str(file), "--seed", "3"]).config
    assert (config.steps, config.seed, config.network.widths) == (7, 3, (4, 8))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read"),
        ('{"stepz": 1}', "stepz"),
        ('{"data": 3}', "setting data is invalid: it must be a table"),
        ("{}", "setting data.root is missing"),
        ('{"data": {"root": "d"}}', "setting run_folder is missing"),
        ('{"steps": "many"}', "setting steps is invalid"),
        ("[]", "contains no settings"),
    ],
)
def test_bad_config_files_give_one_sentence(tmp_path, content, match):
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=match):
        parse(["--config", str(file)])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--steps", "0"], "The setting steps is invalid: "),
        (["--optimiser.learning-rate", "0"], "The setting optimiser.learning_rate is invalid: "),
        (["--crop", "16", "--batch-size", "1"], "use a batch_size of 2"),
    ],
)
def test_settings_that_flags_cannot_have_give_one_sentence(tmp_path, capsys, flags, sentence):
    with pytest.raises(SystemExit) as caught:
        main(["--data.root", str(tmp_path), "--run-folder", str(tmp_path / "run"), *flags])
    assert caught.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: The setting")
    assert sentence in error
    assert "pydantic" not in error


def test_a_folder_without_a_run_is_reported(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="contains no run to resume"):
            parse(["--resume", str(folder)])


def test_errors_end_with_status_two_and_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--data.root", str(tmp_path / "none"), "--run-folder", str(tmp_path / "run")])
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: The data folder")


def test_a_moved_run_continues_in_its_new_folder(make_config, shapes_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(shapes_folder.parent)
    data = {"root": shapes_folder.name, "class_table": f"{shapes_folder.name}/classes.json"}
    config = make_config(shapes_folder, tmp_path / "run", data=data)
    train_steps(config, 2)
    (tmp_path / "run").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["--resume", "moved"])
    assert caught.value.code == 0
    assert (tmp_path / "moved" / "best.safetensors").exists()
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_early_says_how_to_resume(
    make_config, shapes_folder, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "my run"
    train_steps(make_config(shapes_folder, run), 2)
    monkeypatch.setattr(StopOnInterrupt, "__call__", lambda self: True)
    with pytest.raises(SystemExit):
        main(["--resume", str(run)])
    command = capsys.readouterr().out.partition("Resume with: ")[2]
    assert shlex.split(command) == ["c2f-train", "--resume", str(run)]


def test_ctrl_c_saves_and_says_how_to_resume(make_config, shapes_folder, start_command, tmp_path):
    run = tmp_path / "run"
    config = make_config(shapes_folder, run, steps=5000, validate_every=1000)
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    process, output = start_command("c2f_core.cli.train", "--config", file)
    log = run / "log.csv"
    deadline = time.monotonic() + 90
    while not (log.exists() and log.stat().st_size > 200):
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0
    assert f"c2f-train --resume {run}" in output.read_text()
    with log.open(newline="") as opened:
        steps = [int(row["step"]) for row in csv.DictReader(opened)]
    state = torch.load(run / "state.pt", weights_only=True)
    assert state["step"] == max(steps)
    assert list((run / "tensorboard").iterdir())
