"""The controller of training, without a viewer and without a widget."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from c2f_core.cli.console import StopOnInterrupt
from c2f_core.cli.train import main
from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import C2FError
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.curves import Curves
from c2f_core.training.events import Finished, RolledBack, RunStarted, Saved
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.stage2 import Stage2Learner
from c2f_core.training.trainer import train
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.train.controller import TrainController
from napari_c2f.train.model import ADVICE, Phase

ENDED = (Phase.IDLE, Phase.STOPPED, Phase.DONE, Phase.FAILED)


@pytest.fixture
def controller(qtbot):
    controller = TrainController()
    yield controller
    controller.close()


@pytest.fixture
def phases(controller):
    """Phases that the controller went through."""
    seen = []
    controller.model.events.phase.connect(lambda phase: seen.append(phase))
    return seen


@pytest.fixture
def ended(controller, qtbot):
    """Wait until the work has ended."""

    def wait():
        qtbot.waitUntil(lambda: controller.model.phase in ENDED, timeout=60000)

    return wait


def test_a_run_goes_through_its_phases(controller, phases, ended, tiny, tmp_path):
    controller.train(tiny)
    ended()
    assert phases == [Phase.PREPARING, Phase.TRAINING, Phase.DONE]
    model = controller.model
    assert "Done after step 4" in model.message
    assert model.progress == 1.0
    assert model.resources.startswith("cpu: this program uses")
    assert model.inspection.count("trains") == 3
    assert model.preview.step == 4
    text = "\n".join(model.log)
    for part in ("class weights: ground", "coarse reference", "step 4: pixel accuracy"):
        assert part in text
    assert RECENT_MODELS.paths() == [str(tmp_path / "run" / "best.safetensors")]
    logged = Curves.read(tmp_path / "run" / "log.csv")
    assert logged["loss"].values == pytest.approx(model.stages[0].curves["loss"].values)
    for name in ("panels", "tensorboard"):
        assert list((tmp_path / "run" / name).iterdir())


def test_both_stages_are_shown_one_after_the_other(controller, ended, tiny):
    controller.train({**tiny, "method": "model2"})
    ended()
    starts = [stage.start.method for stage in controller.model.stages]
    assert starts == ["stage1", "stage2"]
    assert controller.model.phase is Phase.DONE


def test_stop_saves_and_resume_continues(controller, phases, ended, tiny, qtbot, tmp_path):
    controller.train({**tiny, "steps": 100_000})
    qtbot.waitUntil(lambda: controller.model.phase is Phase.TRAINING, timeout=60000)
    controller.stop()
    assert controller.model.phase is Phase.STOPPING
    assert "a checkpoint is saved" in controller.model.message
    ended()
    assert phases[-2:] == [Phase.STOPPING, Phase.STOPPED]
    reached = Curves.read(tmp_path / "run" / "log.csv").last_step
    controller.resume(tmp_path / "run", {})
    qtbot.waitUntil(lambda: bool(controller.model.stages), timeout=60000)
    stage = controller.model.stages[0]
    assert stage.start.first_step == reached
    assert stage.curves["loss"].steps[:reached] == list(range(1, reached + 1))
    controller.stop()
    ended()


def test_stop_while_the_data_are_read_trains_nothing(controller, ended, tiny, tmp_path):
    controller.train(tiny)
    controller.stop()
    assert "checkpoint" not in controller.model.message + controller.model.advice
    ended()
    assert controller.model.phase is Phase.IDLE
    assert "nothing was trained" in controller.model.message
    assert "Resume" not in controller.model.advice
    assert controller.model.run_folder is None
    assert not (tmp_path / "run" / "state.pt").exists()


def test_reset_forgets_the_run_and_keeps_its_files(controller, ended, tiny, tmp_path):
    controller.train(tiny)
    ended()
    controller.reset()
    model = controller.model
    assert (model.phase, model.stages, model.log, model.progress) == (Phase.IDLE, [], (), 0.0)
    load_checkpoint(tmp_path / "run" / "best.safetensors")


def test_the_data_are_checked_before_the_first_step(controller, ended, tiny, data, tmp_path):
    (data / "coarse" / "0.png").unlink()
    (data / "coarse" / "1.png").unlink()
    controller.train(tiny)
    ended()
    assert controller.model.phase is Phase.FAILED
    assert "The data have 2 problems; fix them first: " in controller.model.message
    assert any("1: the image has no coarse map" in each for each in problems(controller))
    assert not (tmp_path / "run").exists()


def problems(controller):
    return controller.model.inspection.all_problems


def test_a_check_reports_its_result(controller, phases, ended, tiny):
    controller.check(tiny)
    assert controller.model.message == "Checking the data…"
    ended()
    assert phases == [Phase.CHECKING, Phase.IDLE]
    assert controller.model.message == "The data are ready for training."
    assert problems(controller) == []


def test_a_check_that_is_stopped_saves_no_checkpoint(controller, ended, tiny):
    controller.check(tiny)
    controller.stop()
    assert controller.model.message == "Stopping the check…"
    assert "checkpoint" not in controller.model.advice
    ended()
    assert controller.model.phase is Phase.IDLE


def test_all_pairs_are_written_even_if_stop_is_asked_for(controller, ended, tmp_path):
    pairs = [replace(synthetic_pair(48, seed), name=str(seed)) for seed in range(3)]
    written = []
    controller.write_pairs(lambda: (pairs, SHAPES), tmp_path / "drawn", written.append)
    assert "Stop" not in controller.model.advice
    controller.stop()
    assert controller.model.phase is Phase.WRITING
    ended()
    assert written == [tmp_path / "drawn" / "classes.json"]
    assert len(list((tmp_path / "drawn" / "images").iterdir())) == 3


def test_a_run_that_the_command_line_accepts_trains_in_the_widget(
    controller, ended, tiny, data, tmp_path
):
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(data / "images" / "4.png")
    (tmp_path / "splits.json").write_text('{"four": ["0", "1", "2", "3"]}')
    lists = {"splits": tmp_path / "splits.json", "train": "four"}
    controller.train({**tiny, "data": tiny["data"] | lists})
    ended()
    assert controller.model.phase is Phase.DONE
    assert controller.model.inspection.count("unused") == 1


def test_invalid_settings_are_named(controller, tiny):
    controller.train({**tiny, "optimiser": {"learning_rate": "fast"}})
    assert controller.model.phase is Phase.FAILED
    assert "optimiser.learning_rate is invalid" in controller.model.message


def start_of(config, method, steps):
    scores = {"pixel accuracy": 0.95}
    return RunStarted(config.run_folder, method, 0, steps, "cpu", 1, 1, 1, {}, (), scores)


def failing(error):
    def train_in(folder, config, resume, accept_changes, should_stop):
        yield start_of(config, "model1", 4)
        raise error

    return train_in


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("mat1 and mat2"), "Unexpected error (RuntimeError: mat1 and mat2)"),
        (ValueError("bad"), "Unexpected error (ValueError: bad)"),
        (C2FError("Fix it."), "Fix it."),
    ],
)
def test_errors_in_the_thread_reach_the_user(
    controller, ended, tiny, monkeypatch, tmp_path, error, message, caplog
):
    monkeypatch.setattr("c2f_core.training.trainer.train_in", failing(error))
    controller.train(tiny)
    ended()
    assert controller.model.phase is Phase.FAILED
    assert message in controller.model.message
    assert message in controller.model.log[-1]
    assert not controller.model.busy
    has_traceback = any(line.startswith("Traceback") for line in controller.model.log)
    assert has_traceback is ("see the log" in controller.model.message)


def test_a_model_is_remembered_even_if_a_later_stage_fails(
    controller, ended, tiny, monkeypatch, tmp_path
):
    def step(self, number):
        raise C2FError("Fix it.")

    monkeypatch.setattr(Stage2Learner, "step", step)
    controller.train({**tiny, "method": "model2"})
    ended()
    assert controller.model.phase is Phase.FAILED
    assert RECENT_MODELS.paths() == [str(tmp_path / "run" / "stage2" / "best.safetensors")]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not enough memory: 1")]
)
def test_exhausted_memory_comes_with_advice(controller, ended, tiny, monkeypatch, error):
    from c2f_core.training.supervised import SupervisedLearner

    def step(self, number):
        raise error

    monkeypatch.setattr(SupervisedLearner, "step", step)
    controller.train(tiny)
    ended()
    assert "smaller batch_size or crop" in controller.model.message
    monkeypatch.undo()
    controller.train({**tiny, "crop": 16, "batch_size": 4})
    ended()
    assert controller.model.phase is Phase.DONE


def test_a_second_run_in_the_folder_is_refused(controller, ended, tiny, tmp_path):
    with RunFolder(tmp_path / "run").locked():
        controller.train(tiny)
    assert "A run is under way" in controller.model.message
    assert controller.model.phase is Phase.IDLE


def test_the_folder_is_checked_once_and_stays_locked(controller, ended, tiny, monkeypatch):
    opened, really_open = [], RunFolder.open

    def count(config, resume):
        opened.append(config.run_folder)
        return really_open(config, resume)

    monkeypatch.setattr(RunFolder, "open", count)
    controller.train(tiny)
    assert controller.model.message == "Checking the data…"
    assert RunFolder(tiny["run_folder"]).is_under_way
    ended()
    assert opened == [tiny["run_folder"]]
    assert not RunFolder(tiny["run_folder"]).is_under_way


def test_a_refused_run_leaves_what_is_shown(controller, ended, tiny, tmp_path):
    controller.train(tiny)
    ended()
    model = controller.model
    shown, log, folder = list(model.stages), model.log, model.run_folder
    controller.train(tiny)
    assert "already holds a run" in model.message
    controller.resume(tmp_path / "nothing", {})
    assert "contains no run to resume" in model.message
    with RunFolder(folder).locked():
        controller.resume(folder, {})
    assert "A run is under way" in model.message
    assert (model.phase, model.stages, model.log) == (Phase.DONE, shown, log)
    assert (model.run_folder, model.progress) == (folder, 1.0)


def test_runs_of_the_command_line_continue_here_and_vice_versa(
    controller, ended, tiny, tmp_path, capsys, monkeypatch, qtbot
):
    file = tmp_path / "config.json"
    file.write_text(TrainConfig.model_validate({**tiny, "steps": 100_000}).model_dump_json())
    log = tmp_path / "run" / "log.csv"
    monkeypatch.setattr(StopOnInterrupt, "__call__", lambda _: Curves.read(log).last_step > 2)
    with pytest.raises(SystemExit, match="0"):
        main(["--config", str(file)])
    reached = Curves.read(tmp_path / "run" / "log.csv").last_step
    assert reached
    controller.resume(tmp_path / "run", {"device": "cpu"})
    qtbot.waitUntil(lambda: bool(controller.model.stages), timeout=60000)
    assert controller.model.stages[0].start.first_step == reached
    controller.stop()
    ended()
    reached = Curves.read(tmp_path / "run" / "log.csv").last_step
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["--resume", str(tmp_path / "run")])
    assert f"Resume with: c2f-train --resume {tmp_path / 'run'}" in capsys.readouterr().out
    assert RunFolder(tmp_path / "run").read_state()["step"] == reached


def test_resume_names_changed_data_and_accepts_them_when_clicked_again(
    controller, ended, tiny_settings, data, tmp_path
):
    root = Path(shutil.copytree(data, tmp_path / "own"))
    settings = tiny_settings(root, tmp_path / "run", precision="float32")
    events = train(TrainConfig.model_validate(settings))
    assert any(isinstance(event, Saved) for event in events)
    events.close()
    write_pairs(tmp_path / "new", [replace(synthetic_pair(48, 30), name="new")], SHAPES)
    for kind in ("images", "coarse", "fine"):
        (file,) = (tmp_path / "new" / kind).iterdir()
        file.rename(root / kind / file.name)
    controller.resume(tmp_path / "run", {})
    ended()
    assert controller.model.phase is Phase.FAILED
    assert "pairs added: new" in controller.model.message
    assert "click Resume again" in controller.model.message
    controller.resume(tmp_path / "run", {})
    ended()
    assert controller.model.phase is Phase.DONE


def test_a_run_stopped_as_it_resumes_is_not_called_untrained(controller, ended, tiny, tmp_path):
    controller.train(tiny)
    ended()
    controller.resume(tmp_path / "run", {})
    controller.stop()
    ended()
    assert controller.model.phase is Phase.STOPPED
    assert f"Stopped {tmp_path / 'run'} before its next step" in controller.model.message
    assert "Resume continues" in controller.model.advice
    assert controller.model.progress == 0.0


def test_the_guard_is_reported(controller, ended, tiny, monkeypatch, tmp_path):
    best = tmp_path / "run" / "best.safetensors"

    def train_in(folder, config, resume, accept_changes, should_stop):
        best.touch()
        yield start_of(config, "stage2", 9)
        yield RolledBack(3, 0.95, 0.9, best)
        yield Finished(3, False, best)

    monkeypatch.setattr("c2f_core.training.trainer.train_in", train_in)
    controller.train(tiny)
    ended()
    for part in ("fell to 90.00 % from 95.00 %", "in use again", f"the best model is {best}"):
        assert part in controller.model.message


def test_the_guard_is_reported_again_when_its_run_is_resumed(controller, ended, tiny, tmp_path):
    controller.train({**tiny, "steps": 2, "validate_every": 1})
    ended()
    log = tmp_path / "run" / "log.csv"
    with log.open("a") as opened:
        opened.write("1,note,The game is balanced.\n2,rolled back,0.5\n2,note,Stage 2 fell.\n")
    controller.reset()
    controller.resume(tmp_path / "run", {})
    ended()
    assert controller.model.message.endswith("Stage 2 fell.")
    assert "step 1: The game is balanced." in controller.model.log


def test_a_closed_controller_ends_the_run_with_a_checkpoint(controller, tiny, qtbot, tmp_path):
    controller.train({**tiny, "steps": 100_000})
    qtbot.waitUntil(lambda: controller.model.phase is Phase.TRAINING, timeout=60000)
    controller.close()
    assert (tmp_path / "run" / "state.pt").exists()
    assert not RunFolder(tmp_path / "run").is_under_way


def test_every_phase_has_advice():
    assert set(ADVICE) == set(Phase)
