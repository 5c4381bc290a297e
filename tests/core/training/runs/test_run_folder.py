"""Runs and their folders: the lock, resuming, starting weights."""

import json
import time

import pytest
import torch

from c2f_core.errors import CheckpointError, ConfigError, DataError
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.curves import Curves
from c2f_core.training.events import Finished, RunStarted, Saved
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train


def test_a_second_run_in_the_same_folder_is_refused(make_config, run, tmp_path):
    config = make_config(tmp_path / "run")
    first = train(config)
    next(first)
    assert RunFolder(tmp_path / "run").is_under_way
    for resume in (False, True):
        with pytest.raises(ConfigError, match="under way"):
            next(train(config, resume=resume))
    first.close()
    assert not RunFolder(tmp_path / "run").is_under_way
    run(config)


def test_a_folder_that_does_not_fit_is_refused_before_the_data_are_read(
    make_config, run, tmp_path, monkeypatch
):
    config = make_config(tmp_path / "run", steps=1)
    run(config)
    monkeypatch.setattr("c2f_core.training.trainer.load_training_data", None)
    with pytest.raises(ConfigError, match="already holds a run"):
        run(config)
    with pytest.raises(ConfigError, match="another seed"):
        run(config.model_copy(update={"seed": 7}), resume=True)
    with RunFolder(config.run_folder).locked(), pytest.raises(ConfigError, match="under way"):
        run(config, resume=True)


def test_a_refused_run_leaves_no_trace(make_config, run, data, tmp_path):
    with pytest.raises(ConfigError, match="contains no run to resume"):
        run(make_config(tmp_path / "new"), resume=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(ConfigError, match="contains no run to resume"):
        run(make_config(tmp_path / "other"), resume=True)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]
    config = make_config(tmp_path / "new")
    nowhere = config.data.model_copy(update={"root": data / "nowhere"})
    with pytest.raises(DataError):
        run(config.model_copy(update={"data": nowhere}))
    assert not (tmp_path / "new").exists()


def test_a_killed_run_loses_one_checkpoint_interval_and_leaves_no_lock(
    make_config, start_command, tmp_path
):
    config = make_config(tmp_path / "run", steps=100_000, validate_every=5)
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    process, _ = start_command("c2f_core.cli.train", "--config", file)
    folder, deadline = RunFolder(tmp_path / "run"), time.monotonic() + 90
    while not folder.state.exists():
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.05)
    assert folder.is_under_way
    with pytest.raises(ConfigError, match="under way"):
        next(train(config, resume=True))
    process.kill()
    process.join(30)
    lost_from = Curves.read(folder.log).last_step
    events = train(config, resume=True)
    started = next(events)
    events.close()
    assert isinstance(started, RunStarted)
    assert lost_from - 5 <= started.first_step <= lost_from
    assert started.first_step > 0


@pytest.mark.parametrize("place", ["", "panels"])
def test_resuming_deletes_what_a_killed_process_left_unfinished(make_config, run, tmp_path, place):
    config = make_config(tmp_path / "run")
    run(config)
    folder = tmp_path / "run" / place
    folder.mkdir(exist_ok=True)
    left = folder / ".c2f-unfinished-0123456789abcdef-abcdefgh.png"
    left.write_text("half")
    run(config, resume=True)
    assert not left.exists()


def test_a_run_without_checkpoint_starts_over(make_config, run, tmp_path):
    """If a run failed in its first step, the user fixes the settings and trains in its folder."""
    config = make_config(tmp_path / "run")
    events = train(config)
    assert isinstance(next(events), RunStarted)
    events.close()
    assert run(config, resume=True)[0].first_step == 0
    with pytest.raises(ConfigError, match="already holds a run"):
        run(config)
    events = train(make_config(tmp_path / "other"))
    next(events)
    events.close()
    run(make_config(tmp_path / "other", seed=3))


def test_a_run_may_continue_with_settings_that_take_less_memory(
    make_config, run, stop_after, tmp_path
):
    stop_after(make_config(tmp_path / "run", batch_size=4), 1)
    smaller = make_config(tmp_path / "run", batch_size=2, crop=16)
    assert run(smaller, resume=True)[0].first_step == 1
    assert RunFolder(tmp_path / "run").read_config() == smaller


def test_a_run_continues_whose_config_names_the_data_as_they_were_typed(
    make_config, run, stop_after, data, tmp_path, monkeypatch
):
    monkeypatch.chdir(data.parent)
    stop_after(make_config(tmp_path / "run"), 1)
    file = tmp_path / "run" / "config.json"
    settings = json.loads(file.read_text())
    settings["data"]["root"] = data.name
    file.write_text(json.dumps(settings))
    assert run(make_config(tmp_path / "run"), resume=True)[0].first_step == 1


def test_a_killed_run_finds_its_first_weights_from_another_folder(
    make_config, run, tmp_path, monkeypatch
):
    run(make_config(tmp_path / "first", steps=1))
    monkeypatch.chdir(tmp_path)
    config = make_config(tmp_path / "run", initial_weights="first/best.safetensors")
    with RunFolder.open(config, resume=False) as folder:
        folder.write_config(config)  # Killed before its first checkpoint.
    monkeypatch.chdir(tmp_path / "first")
    begun = RunFolder(tmp_path / "run").read_config()
    assert run(begun, resume=True)[0].first_step == 0
    assert begun.initial_weights == str(tmp_path / "first" / "best.safetensors")
    bundled = make_config(tmp_path / "other", initial_weights="fasseg")
    with RunFolder.open(bundled, resume=False) as folder:
        folder.write_config(bundled)
    assert RunFolder(tmp_path / "other").read_config().initial_weights == "fasseg"


def test_a_run_stopped_while_the_data_are_read_ends_at_once(make_config, run, tmp_path):
    events = run(make_config(tmp_path / "run"), should_stop=lambda: True)
    assert events == [Finished(0, True, None)]
    assert not (tmp_path / "run").exists()


def test_both_stages_are_refused_before_the_first_where_all_fine_maps_are_there(
    make_config, run, data, tmp_path
):
    names = {"splits": tmp_path / "splits.json", "train": "four"}
    names["splits"].write_text('{"four": ["0", "1", "2", "3"]}')
    config = make_config(tmp_path / "run", method="model2")
    with pytest.raises(DataError, match="coarse maps only"):
        run(config.model_copy(update={"data": config.data.model_copy(update=names)}))


def test_a_run_starts_from_the_weights_of_another(make_config, run, tmp_path):
    run(make_config(tmp_path / "first"))
    start, _ = load_checkpoint(tmp_path / "first" / "best.safetensors")
    second = make_config(
        tmp_path / "second",
        initial_weights=str(tmp_path / "first"),
        optimiser={"learning_rate": 1e-9, "average_decay": 0.0, "weight_decay": 0.0},
        steps=1,
    )
    run(second)
    end, _ = load_checkpoint(tmp_path / "second" / "best.safetensors")
    for key, tensor in start.named_parameters():
        torch.testing.assert_close(tensor, dict(end.named_parameters())[key])
    (tmp_path / "first" / "best.safetensors").unlink()
    run(second, resume=True)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"initial_weights": "fasseg"}, "has the classes"),
        ({"network": {"widths": (4, 8), "stem": 1}}, r"another network \(stem 4\)"),
        ({"method": "plain"}, "conditional True"),
    ],
)
def test_weights_of_another_network_or_of_other_classes_are_refused(
    make_config, run, tmp_path, changes, match
):
    run(make_config(tmp_path / "first", steps=1))
    settings = {"initial_weights": str(tmp_path / "first"), **changes}
    with pytest.raises(CheckpointError, match=match):
        run(make_config(tmp_path / "second", **settings))


def test_weights_come_from_somewhere(make_config, run, data, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint of a model"):
        run(make_config(tmp_path / "run", initial_weights=str(data)))
    with pytest.raises(ValueError, match=r"starts from stage2\.start"):
        make_config(
            tmp_path / "run",
            method="stage2",
            initial_weights="fasseg",
            stage2={"start": tmp_path},
        )


def test_the_best_classical_refiner_is_a_reference(make_config, run, tmp_path):
    started = run(make_config(tmp_path / "run", steps=1))[0]
    assert started.classical.name in ("watershed", "random walker")
    assert 0.5 < started.classical.scores["pixel accuracy"] <= 1
    assert started.classical.pairs == 1


def test_every_checkpoint_is_reported(make_config, run, tmp_path):
    events = run(make_config(tmp_path / "run"))
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4]
    assert isinstance(events[-1], Finished)
