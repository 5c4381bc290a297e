"""Runs and their folders: the lock, starting weights, exhausted memory, the catalogue."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from c2f_core.config import TrainConfig, preset_settings
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import C2FError, CheckpointError, ConfigError, DataError, is_out_of_memory
from c2f_core.events import Finished, RunStarted, Saved, StepDone
from c2f_core.resources import describe_memory
from c2f_core.training.catalogue import delete_run, export_model, list_runs, stages_of, summarise
from c2f_core.training.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.training.curves import Curves
from c2f_core.training.listeners import RunLogs
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.supervised import SupervisedLearner
from c2f_core.training.trainer import train
from c2f_core.training.validation import validate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five pairs; the last has no fine map."""
    root = tmp_path_factory.mktemp("data")
    pairs = [replace(synthetic_pair(48, seed), name=str(seed)) for seed in range(5)]
    write_pairs(root, [*pairs[:4], replace(pairs[4], fine=None)], SHAPES)
    return root


def make_config(data, run_folder, **changes):
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


def run(config, **options):
    with RunLogs() as logs:
        events = []
        for event in train(config, **options):
            logs(event)
            events.append(event)
    return events


def stop_after(config, steps):
    done = []
    events = train(config, should_stop=lambda: len(done) >= steps)
    with RunLogs() as logs:
        for event in events:
            logs(event)
            if isinstance(event, StepDone):
                done.append(event)


# The lock


def test_a_second_run_in_the_same_folder_is_refused(data, tmp_path):
    config = make_config(data, tmp_path / "run")
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
    data, tmp_path, monkeypatch
):
    config = make_config(data, tmp_path / "run", steps=1)
    run(config)
    monkeypatch.setattr("c2f_core.training.trainer.load_training_data", None)
    with pytest.raises(ConfigError, match="already holds a run"):
        run(config)
    with pytest.raises(ConfigError, match="another seed"):
        run(config.model_copy(update={"seed": 7}), resume=True)
    with RunFolder(config.run_folder).locked(), pytest.raises(ConfigError, match="under way"):
        run(config, resume=True)


def test_a_killed_run_loses_one_checkpoint_interval_and_leaves_no_lock(data, tmp_path):
    config = make_config(data, tmp_path / "run", steps=100_000, validate_every=5)
    file = tmp_path / "config.json"
    file.write_text(config.model_dump_json())
    command = [sys.executable, "-m", "c2f_core.cli.train", "--config", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, deadline = RunFolder(tmp_path / "run"), time.monotonic() + 90
    while not folder.state.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    assert folder.is_under_way
    with pytest.raises(ConfigError, match="under way"):
        next(train(config, resume=True))
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    lost_from = Curves.read(folder.log).last_step
    events = train(config, resume=True)
    started = next(events)
    events.close()
    assert isinstance(started, RunStarted)
    assert lost_from - 5 <= started.first_step <= lost_from
    assert started.first_step > 0


def test_a_run_without_checkpoint_is_as_good_as_none(data, tmp_path):
    """It failed in its first step, say: the user mends the settings and trains there."""
    config = make_config(data, tmp_path / "run")
    events = train(config)
    assert isinstance(next(events), RunStarted)
    events.close()
    assert run(config, resume=True)[0].first_step == 0
    with pytest.raises(ConfigError, match="already holds a run"):
        run(config)
    events = train(make_config(data, tmp_path / "other"))
    next(events)
    events.close()
    run(make_config(data, tmp_path / "other", seed=3))


def test_a_run_may_go_on_with_what_takes_less_memory(data, tmp_path):
    stop_after(make_config(data, tmp_path / "run", batch_size=4), 1)
    smaller = make_config(data, tmp_path / "run", batch_size=2, crop=16)
    assert run(smaller, resume=True)[0].first_step == 1
    assert RunFolder(tmp_path / "run").read_config() == smaller


def test_a_run_of_an_earlier_version_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    stop_after(make_config(data, tmp_path / "run"), 1)
    file = tmp_path / "run" / "config.json"
    settings = json.loads(file.read_text()) | {"devices": 1}
    settings["data"]["root"] = data.name  # As it was typed.
    file.write_text(json.dumps(settings))
    assert run(make_config(data, tmp_path / "run"), resume=True)[0].first_step == 1


def test_a_run_stopped_while_the_data_are_read_ends_at_once(data, tmp_path):
    events = run(make_config(data, tmp_path / "run"), should_stop=lambda: True)
    assert events == [Finished(0, True, None)]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte"),
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
    ],
)
def test_exhausted_memory_is_a_sentence_with_advice(data, tmp_path, monkeypatch, error):
    def step(self, number):
        raise error

    monkeypatch.setattr(SupervisedLearner, "step", step)
    with pytest.raises(C2FError, match="smaller batch_size"):
        run(make_config(data, tmp_path / "run"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_libraries_of_the_gpu_tell_an_exhausted_memory_in_words_of_their_own(text):
    assert is_out_of_memory(RuntimeError(text))


def test_exhausted_memory_in_validation_comes_with_other_advice(data, tmp_path, monkeypatch):
    def validate(*_):
        raise torch.OutOfMemoryError("CUDA")

    config = make_config(data, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.validate", validate)
        with pytest.raises(C2FError, match="takes whole images") as caught:
            run(config)
    assert "checkpoint" not in str(caught.value)
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.best_classical", validate)
        with pytest.raises(C2FError, match="takes whole images"):
            run(make_config(data, tmp_path / "classical"))
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.load_training_data", validate)
        with pytest.raises(C2FError, match="fewer or smaller images"):
            run(make_config(data, tmp_path / "reading"))
    stop_after(make_config(data, tmp_path / "begun"), 1)
    monkeypatch.setattr("c2f_core.training.trainer.validate", validate)
    with pytest.raises(C2FError, match=r"takes whole images.*begun is whole"):
        run(make_config(data, tmp_path / "begun"), resume=True)


@contextmanager
def full_disk(size):
    """Let no file grow beyond so many bytes, as on a disk that is full; also not the tests' log."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_by_checkpoints_and_state(data, tmp_path):
    config = make_config(data, tmp_path / "run", steps=1)
    run(config)
    generator, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    folder = RunFolder(tmp_path / "run")
    before = folder.state.read_bytes()
    with full_disk(600), pytest.raises(DataError, match="free space"):
        folder.write_state({"weights": torch.zeros(1000)})
    with full_disk(600), pytest.raises(DataError, match="free space"):
        save_checkpoint(folder.best, generator, metadata)
    assert folder.state.read_bytes() == before
    load_checkpoint(folder.best)


@pytest.mark.filterwarnings(
    # TensorBoard's thread dies of it; the run hears of it at its next event.
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
def test_a_full_disk_is_told_by_the_logs(data, tmp_path):
    config = make_config(data, tmp_path / "run", steps=1000, validate_every=1000)
    with full_disk(20_000), pytest.raises(DataError, match="disk is full"):
        run(config)


def test_other_runtime_errors_are_not_dressed_up(data, tmp_path, monkeypatch):
    def step(self, number):
        raise RuntimeError("a bug")

    monkeypatch.setattr(SupervisedLearner, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        run(make_config(data, tmp_path / "run"))
    assert not RunFolder(tmp_path / "run").is_under_way


def test_both_stages_are_refused_before_the_first_where_all_fine_maps_are_there(data, tmp_path):
    names = {"splits": tmp_path / "splits.json", "train": "four"}
    names["splits"].write_text('{"four": ["0", "1", "2", "3"]}')
    config = make_config(data, tmp_path / "run", method="model2")
    with pytest.raises(DataError, match="coarse maps only"):
        run(config.model_copy(update={"data": config.data.model_copy(update=names)}))


# Weights to start from


def test_a_run_starts_from_the_weights_of_another(data, tmp_path):
    run(make_config(data, tmp_path / "first"))
    start, _ = load_checkpoint(tmp_path / "first" / "best.safetensors")
    second = make_config(
        data,
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
        ({"initial_weights": "fasseg"}, "knows the classes"),
        ({"network": {"widths": (4, 8), "stem": 1}}, r"another network \(stem 4\)"),
        ({"method": "plain"}, "conditional True"),
    ],
)
def test_weights_of_another_network_or_of_other_classes_are_refused(data, tmp_path, changes, match):
    run(make_config(data, tmp_path / "first", steps=1))
    settings = {"initial_weights": str(tmp_path / "first"), **changes}
    with pytest.raises(CheckpointError, match=match):
        run(make_config(data, tmp_path / "second", **settings))


def test_weights_come_from_somewhere(data, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint to start from"):
        run(make_config(data, tmp_path / "run", initial_weights=str(data)))
    with pytest.raises(ValueError, match=r"starts from stage2\.start"):
        make_config(
            data,
            tmp_path / "run",
            method="stage2",
            initial_weights="fasseg",
            stage2={"start": tmp_path},
        )


@pytest.mark.parametrize("name", ["quick", "balanced", "thorough", "report"])
@pytest.mark.parametrize("method", ["model1", "stage1", "model2"])
def test_every_preset_is_valid_for_every_method(name, method, tmp_path):
    settings = {"data": {"root": tmp_path}, "run_folder": tmp_path, "method": method}
    config = TrainConfig.model_validate(settings | preset_settings(name))
    assert config.stage2.recipe == ("report" if name == "report" else "default")


# What is told at the start


def test_the_best_classical_refiner_is_a_reference(data, tmp_path):
    started = run(make_config(data, tmp_path / "run", steps=1))[0]
    assert started.classical.name in ("watershed", "random walker")
    assert 0.5 < started.classical.scores["pixel accuracy"] <= 1
    assert started.classical.pairs == 1


def test_the_memory_in_use_is_told():
    assert re.fullmatch(
        r"this program uses [\d.]+ GiB, [\d.]+ GiB are free", describe_memory("cpu")
    )


# The catalogue


def test_curves_of_events_and_of_the_log_are_the_same(data, tmp_path):
    config = make_config(data, tmp_path / "run", method="stage1")
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


def test_runs_are_listed_with_state_and_scores(data, tmp_path):
    run(make_config(data, tmp_path / "runs" / "done"))
    stop_after(make_config(data, tmp_path / "runs" / "halted"), 1)
    run(make_config(data, tmp_path / "runs" / "deep" / "both", method="model2"))
    going = train(make_config(data, tmp_path / "runs" / "going"))
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


def test_a_model_is_exported_and_a_run_deleted(data, tmp_path):
    config = make_config(data, tmp_path / "run", method="model2")
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
    stop_after(make_config(data, tmp_path / "run"), 1)
    with pytest.raises(CheckpointError, match="no model"):
        export_model(tmp_path / "run", tmp_path / "model")
    delete_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_export_replaces_no_file_but_the_one_that_was_named(data, tmp_path):
    for name in ("run", "other"):
        run(make_config(data, tmp_path / name, steps=1))
    before = (tmp_path / "other" / "best.safetensors").read_bytes()
    for name in ("best", "best.safetensors", "mine"):
        with pytest.raises(DataError, match="choose another place"):
            export_model(tmp_path / "run", tmp_path / "other" / name)
    assert (tmp_path / "other" / "best.safetensors").read_bytes() == before
    model = tmp_path / "model.safetensors"
    model.write_text("of the user")
    with pytest.raises(DataError, match="exists already"):
        export_model(tmp_path / "run", tmp_path / "model")
    assert model.read_text() == "of the user"
    load_checkpoint(export_model(tmp_path / "run", model))


def test_a_run_that_was_rolled_back_says_so_in_the_list(data, tmp_path, monkeypatch):
    first = make_config(data, tmp_path / "stage1", method="stage1", steps=2)
    run(first)
    second = {"start": first.run_folder, "steps": 30, "guard": 0.0, "coarse_only_batch_size": 2}
    config = make_config(data, tmp_path / "run", method="stage2", stage2=second, validate_every=1)
    monkeypatch.setattr("c2f_core.training.trainer.validate", worse_each_time())
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


def test_every_checkpoint_is_told(data, tmp_path):
    events = run(make_config(data, tmp_path / "run"))
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4]
    assert isinstance(events[-1], Finished)
