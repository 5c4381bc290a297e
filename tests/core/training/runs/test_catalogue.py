"""The list of runs, their curves, exported models."""

from dataclasses import replace

import pytest

from c2f_core.errors import CheckpointError, ConfigError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.catalogue import delete_run, export_model, list_runs, stages_of, summarise
from c2f_core.training.curves import Curves
from c2f_core.training.events import Finished
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train
from c2f_core.training.validation import validate


def test_curves_of_events_and_of_the_log_are_the_same(make_config, run, tmp_path):
    config = make_config(tmp_path / "run", method="stage1")
    curves = Curves()
    for event in run(config):
        curves(event)
    logged = Curves.read(tmp_path / "run" / "log.csv")
    assert logged.series.keys() == curves.series.keys()
    assert {"loss", "discriminator loss", "validation mIoU"} <= logged.series.keys()
    for name, series in curves.series.items():
        assert logged[name].steps == series.steps
        assert logged[name].values == pytest.approx(series.values)
    assert logged.minutes_at([2, 4])[1] == pytest.approx(sum(logged["seconds"].values) / 60)
    assert Curves.read(tmp_path / "run" / "log.csv", last_step=2).last_step == 2


def test_runs_are_listed_with_state_and_scores(make_config, run, stop_after, data, tmp_path):
    run(make_config(tmp_path / "runs" / "done"))
    stop_after(make_config(tmp_path / "runs" / "halted"), 1)
    run(make_config(tmp_path / "runs" / "deep" / "both", method="model2"))
    going = train(make_config(tmp_path / "runs" / "going"))
    next(going)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("{")
    found = {each.name: each for each in list_runs(tmp_path / "runs")}
    assert {name: each.state for name, each in found.items()} == {
        "done": "finished",
        "halted": "stopped",
        "both": "finished",
        "going": "running",
    }
    assert (found["done"].step, found["done"].steps) == (4, 4)
    assert (found["halted"].step, found["halted"].scores) == (1, {})
    assert (found["both"].step, found["both"].steps, found["both"].method) == (6, 6, "model2")
    assert found["both"].scores["pixel accuracy"] > 0
    assert found["both"].best_model.parent.name == "stage2"
    assert found["done"].data == data
    config = RunFolder(found["both"].folder).read_config()
    stages = stages_of(found["both"].folder, config)
    assert [(stage, curves.last_step) for stage, curves in stages] == [("stage1", 4), ("stage2", 2)]
    with pytest.raises(ConfigError, match="under way"):
        delete_run(found["going"].folder)
    going.close()


def test_a_model_is_exported_and_a_run_deleted(make_config, run, stop_after, tmp_path):
    config = make_config(tmp_path / "run", method="model2")
    run(config)
    target = export_model(tmp_path / "run", tmp_path / "model")
    assert target == tmp_path / "model.safetensors"
    load_checkpoint(target)
    with pytest.raises(DataError, match="another place"):
        export_model(tmp_path / "run", tmp_path / "run" / "mine")
    mine = tmp_path / "run" / "notes.txt"
    mine.write_text("of the user")
    delete_run(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == [mine]
    with pytest.raises(ConfigError, match="no run"):
        delete_run(tmp_path / "run")
    mine.unlink()
    stop_after(make_config(tmp_path / "run"), 1)
    with pytest.raises(CheckpointError, match="no model"):
        export_model(tmp_path / "run", tmp_path / "model")
    delete_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_temporary_files_of_a_killed_run_go_and_files_of_the_user_stay(
    make_config, stop_after, tmp_path
):
    run, outside = tmp_path / "run", tmp_path / "outside"
    stop_after(make_config(run), 1)
    with atomic_path(run / "best.safetensors") as temporary:
        left = temporary.name
    for folder in (run, run / "stage1", outside):
        folder.mkdir(exist_ok=True)
        (folder / left).write_bytes(b"half")
    (outside / "config.json").write_text("mine")
    (run / "stage2").symlink_to(outside)
    mine = run / "._notes-20240131.txt"
    mine.write_text("mine")
    with RunFolder.open(RunFolder(run).read_config(), resume=True):
        assert not (run / left).exists()
    (run / left).write_bytes(b"half")
    delete_run(run)
    assert {path.name for path in run.rglob("*")} == {mine.name, "stage1", "stage2"}
    assert {path.name for path in outside.iterdir()} == {left, "config.json"}


def test_an_export_replaces_no_file_but_the_one_that_was_named(make_config, run, tmp_path):
    for name in ("run", "other"):
        run(make_config(tmp_path / name, steps=1))
    before = (tmp_path / "other" / "best.safetensors").read_bytes()
    for name in ("best", "best.safetensors", "mine"):
        with pytest.raises(DataError, match="choose another place"):
            export_model(tmp_path / "run", tmp_path / "other" / name)
    assert (tmp_path / "other" / "best.safetensors").read_bytes() == before
    model = tmp_path / "model.safetensors"
    model.write_text("of the user")
    with pytest.raises(DataError, match="already exists"):
        export_model(tmp_path / "run", tmp_path / "model")
    assert model.read_text() == "of the user"
    load_checkpoint(export_model(tmp_path / "run", model))


def test_a_run_that_was_rolled_back_says_so_in_the_list(make_config, run, tmp_path, monkeypatch):
    first = make_config(tmp_path / "stage1", method="stage1", steps=2)
    run(first)
    second = {"start": first.run_folder, "steps": 30, "guard": 0.0, "coarse_only_batch_size": 2}
    config = make_config(tmp_path / "run", method="stage2", stage2=second, validate_every=1)
    monkeypatch.setattr("c2f_core.training.supervised.validate", worse_each_time())
    curves = Curves()
    for event in run(config):
        curves(event)
    found = summarise(tmp_path / "run")
    assert (found.state, found.step, found.steps) == ("rolled back", 1, 30)
    assert found.note.startswith(
        "Stage 2 was stopped at step 1: the validation pixel accuracy fell"
    )
    logged = Curves.read(tmp_path / "run" / "log.csv")
    assert logged.notes == curves.notes
    assert logged.guard_note == found.note
    resumed = run(config, resume=True)
    assert resumed[-1] == Finished(1, False, tmp_path / "run" / "best.safetensors")
    assert Curves.read(tmp_path / "run" / "log.csv", last_step=1).guard_note == found.note


def worse_each_time():
    """Return a validation that finds a smaller accuracy with each call."""
    accuracies = iter((0.9, 0.8))

    def worse(*arguments):
        result = validate(*arguments)
        return replace(result, scores=result.scores | {"pixel accuracy": next(accuracies)})

    return worse


def test_damaged_rows_of_a_log_are_passed_over(tmp_path):
    rows = ["step,name,value", "1,loss,0.5", "1,note,a sentence, with", "2,loss,wrong", "2,note,ok"]
    (tmp_path / "log.csv").write_text("\n".join([*rows, "3,lo"]))
    curves = Curves.read(tmp_path / "log.csv")
    assert (curves["loss"].values, curves.notes) == ([0.5], [(2, "ok")])
