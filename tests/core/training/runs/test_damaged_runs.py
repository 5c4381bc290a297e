"""Run folders with damaged, foreign or unreadable files."""

import json
import os
import zipfile

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from c2f_core.cli.train import main
from c2f_core.errors import C2FError, CheckpointError, ConfigError, DataError
from c2f_core.io.lock import is_locked
from c2f_core.models.metadata import read_metadata
from c2f_core.training.catalogue import list_runs, summarise
from c2f_core.training.curves import Curves
from c2f_core.training.realism import DiscriminatorScorer
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.supervised import StepResult, SupervisedLearner

BAD_LOGS = {
    "latin 1": "step,name,value\n1,loss,0.5\n1,note,café\n2,loss,0.25\n".encode("latin-1"),
    "UTF-16": "step,name,value\n1,loss,0.5\n".encode("utf-16"),
    "noise": bytes(range(256)) * 40,
    "zeros": b"\0" * 5000,
    "open quote": b'step,name,value\n1,loss,0.5\n1,note,"a\n2,loss,0.25\n',
    "long field": b"1,note," + b"x" * 300_000 + b"\n",
    "long number": b"9" * 6000 + b",loss,1\n",
    "signs": "²,loss,1\n-4,loss,2\n".encode(),
}


@pytest.fixture
def stopped(make_config, stop_after, tmp_path):
    """Return the config of a run that was stopped after a step."""
    config = make_config(tmp_path / "runs" / "one")
    stop_after(config, 1)
    return config


@pytest.mark.parametrize("content", BAD_LOGS.values(), ids=BAD_LOGS)
def test_a_damaged_log_stops_neither_the_list_nor_the_run(stopped, run, tmp_path, content):
    RunFolder(stopped.run_folder).log.write_bytes(content)
    assert [found.name for found in list_runs(tmp_path / "runs")] == ["one"]
    run(stopped, resume=True)
    assert Curves.read(RunFolder(stopped.run_folder).log).last_step == 4


def test_readable_rows_of_a_damaged_log_are_kept(tmp_path):
    for name in ("latin 1", "open quote"):
        (tmp_path / "log.csv").write_bytes(BAD_LOGS[name])
        assert Curves.read(tmp_path / "log.csv")["loss"].values == [0.5, 0.25]


def test_one_unreadable_folder_or_log_is_reported_and_the_others_are_listed(
    stopped, stop_after, make_config, tmp_path, monkeypatch
):
    stop_after(make_config(tmp_path / "runs" / "two"), 1)
    (tmp_path / "runs" / "locked").mkdir()
    log = RunFolder(tmp_path / "runs" / "two").log
    log.unlink()
    log.mkdir()
    listed = os.listdir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    problems = []
    assert [found.name for found in list_runs(tmp_path / "runs", problems.append)] == ["one"]
    assert len(problems) == 2
    assert "locked cannot be read (Permission denied)" in problems[0]
    assert "log.csv is a folder" in problems[1]


def test_a_finished_run_whose_lock_cannot_be_written_is_finished(make_config, run, tmp_path):
    config = make_config(tmp_path / "run", steps=1)
    run(config)
    lock = tmp_path / "run" / ".lock"
    lock.touch()
    lock.chmod(0o400)
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*"))
    assert summarise(tmp_path / "run").state == "finished"
    assert not is_locked(tmp_path / "none")
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")) == before


@pytest.mark.parametrize("text", ["{", "[]", "\0", "[" * 100_000, '{"a":' * 5000, '{"steps": 3}'])
def test_a_damaged_config_is_one_sentence(stopped, tmp_path, capsys, text):
    RunFolder(stopped.run_folder).config.write_text(text)
    problems = []
    assert list_runs(tmp_path / "runs", problems.append) == []
    assert len(problems) == 1
    with pytest.raises(SystemExit):
        main(["--resume", str(stopped.run_folder)])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_config_nested_too_deeply_is_one_sentence(tmp_path, capsys, suffix):
    file = tmp_path / f"config{suffix}"
    file.write_text(("a = " if suffix == ".toml" else "") + "[" * 100_000)
    with pytest.raises(SystemExit):
        main(["--config", str(file)])
    (line,) = capsys.readouterr().err.splitlines()
    assert "nested too deeply" in line


STATES = {
    "list": [1, 2],
    "nothing": {},
    "other keys": {"model": torch.zeros(3), "epoch": 7},
    "a tensor": torch.zeros(3),
    "numbers for tables": {"generator": 1, "average": 2, "step": 1, "best": 0.5},
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_state_of_another_program_is_one_sentence(stopped, run, state):
    torch.save(state, RunFolder(stopped.run_folder).state)
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        run(stopped, resume=True)


@pytest.mark.parametrize("key", ["generator", "average", "step", "best", "start", "rolled back"])
def test_a_state_with_an_entry_missing_or_wrong_is_one_sentence(stopped, run, key):
    folder = RunFolder(stopped.run_folder)
    whole = folder.read_state()
    for state in (
        {name: value for name, value in whole.items() if name != key},
        whole | {key: {"network": {}, "optimiser": {}}},
    ):
        torch.save(state, folder.state)
        if key == "rolled back" and key in state:
            continue
        with pytest.raises(CheckpointError, match=r"state\.pt does not fit its config"):
            run(stopped, resume=True)


def test_stage_2_refuses_a_damaged_state_of_stage_1(make_config, run, tmp_path):
    run(make_config(tmp_path / "one", method="stage1", steps=1))
    folder = RunFolder(tmp_path / "one")
    torch.save(folder.read_state() | {"discriminator": {"network": {}}}, folder.state)
    stage2 = {"start": tmp_path / "one", "steps": 1, "coarse_only_batch_size": 2}
    with pytest.raises(CheckpointError, match="does not fit its config"):
        run(make_config(tmp_path / "two", method="stage2", stage2=stage2))
    with pytest.raises(CheckpointError, match="does not fit its config"):
        DiscriminatorScorer.load(folder.best)


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
@pytest.mark.parametrize(
    "setting",
    ["optimiser.learning_rate", "stage2.learning_rate", "optimiser.weight_decay", "colour_weight"],
)
def test_numbers_that_are_not_finite_are_refused(tmp_path, capsys, setting, value):
    folders = ["--data.root", str(tmp_path), "--run-folder", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main([*folders, f"--{setting.replace('_', '-')}", value])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"The setting {setting} is invalid" in line


@pytest.mark.parametrize(
    ("method", "learner", "result"),
    [
        ("model1", SupervisedLearner, StepResult(float("nan"), 1.0)),
        ("model1", SupervisedLearner, StepResult(1.0, float("inf"))),
        ("stage1", Stage1Learner, StepResult(1.0, 1.0, {"discriminator loss": float("nan")})),
    ],
)
def test_a_run_that_diverges_ends_at_once(
    make_config, run, tmp_path, monkeypatch, method, learner, result
):
    first = iter([StepResult(1.0, 1.0)])
    monkeypatch.setattr(learner, "step", lambda self, number: next(first, result))
    with pytest.raises(C2FError, match=r"diverged at step 2.*smaller learning rate"):
        run(make_config(tmp_path / "run", method=method, validate_every=100, steps=100))
    assert Curves.read(tmp_path / "run" / "log.csv").last_step == 1


def test_a_huge_learning_rate_ends_the_run_before_the_next_validation(make_config, run, tmp_path):
    optimiser = {"learning_rate": 1e30, "warmup_steps": 0, "clip_norm": None}
    with pytest.raises(C2FError, match="smaller learning rate"):
        run(make_config(tmp_path / "run", optimiser=optimiser, steps=50, validate_every=50))


def test_tensorboard_reads_values_pictures_and_resumed_steps(
    make_config, stop_after, run, tmp_path
):
    config = make_config(tmp_path / "run", steps=4, validate_every=2)
    stop_after(config, 3)
    folder = tmp_path / "run"
    state = RunFolder(folder).read_state() | {"step": 2}
    RunFolder(folder).write_state(state)  # As if the run had been killed after step 3.
    run(config, resume=True)
    shown = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in shown.Images("sample")] == [2, 4]
    (logged, last) = Curves.read(folder / "log.csv")["loss"].values, shown.Scalars("loss")[-1]
    assert last.value == pytest.approx(logged[-1])


def test_an_unsearchable_run_folder_is_one_sentence(stopped, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        RunFolder(stopped.run_folder).read_config()
    with pytest.raises(DataError, match="check its permissions"):
        Curves.read(RunFolder(stopped.run_folder).log)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("name", ["state.pt", "config.json", "data.json", "log.csv"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(stopped, run, name):
    path = stopped.run_folder / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(C2FError, match="pipe"):
        run(stopped, resume=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="is a pipe"):
        read_metadata(tmp_path / "model.safetensors")


def test_a_state_that_grows_when_unpacked_is_not_unpacked(stopped, run):
    file = RunFolder(stopped.run_folder).state
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="compressed"):
        run(stopped, resume=True)


def test_a_record_of_pairs_without_a_role_is_damaged(stopped, run):
    record = RunFolder(stopped.run_folder).data_record
    content = json.loads(record.read_text(encoding="utf-8"))
    content["hashes"]["unknown"] = content["hashes"].popitem()[1]
    record.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError, match="is damaged"):
        run(stopped, resume=True)
