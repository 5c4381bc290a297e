"""The state that the model derives from the reports of a check or a run; without Qt."""

from collections import Counter

import numpy as np
import pytest

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.training.curves import Curves
from c2f_core.training.events import RunStarted, StepDone
from c2f_core.training.inspection import Inspection, InspectionProgress
from napari_c2f.base.clock import Clock
from napari_c2f.train.model import Panel, Phase, Training
from napari_c2f.train.monitor import Monitor
from napari_c2f.train.tasks import RunOpened


@pytest.fixture
def model():
    return Training()


@pytest.fixture
def monitor(model):
    return Monitor(model)


@pytest.fixture
def config(tmp_path):
    """Return a function that makes the config of a run."""

    def make(**settings):
        return TrainConfig(data={"root": tmp_path}, run_folder=tmp_path / "run", **settings)

    return make


@pytest.fixture
def opened(tmp_path):
    """Return a function that makes the report of a run's start."""

    def make(method, steps, first=0):
        scores = {"pixel accuracy": 1}
        start = RunStarted(tmp_path, method, first, steps, "cpu", 1, 1, 1, {}, (), scores)
        return RunOpened(start, Curves())

    return make


def step_done(step):
    return StepDone(step, 1.0, 1.0, 1.0, 0.0)


def messages_of(model):
    """Return a list that gets the messages of a model from now on."""
    seen = []
    model.events.message.connect(lambda message: seen.append(message))
    return seen


def test_progress_and_time_left_are_those_of_both_stages(
    monitor, model, config, opened, monkeypatch
):
    seconds = iter(range(0, 10_000, 10))
    monkeypatch.setattr(
        "napari_c2f.train.monitor.Clock", lambda steps: Clock(steps, lambda: next(seconds))
    )
    monitor.begin(config(method="model2", steps=60, stage2={"steps": 120}))
    model.phase = Phase.TRAINING
    shown = []
    for method, steps in (("stage1", 60), ("stage2", 120)):
        monitor.show([opened(method, steps)])
        for step in range(1, steps + 1):
            monitor.show([step_done(step)])
            shown.append((model.progress, model.message))
    assert [share for share, _ in shown] == pytest.approx([step / 180 for step in range(1, 181)])
    assert "Stage 1: Step 30 of 60" in shown[29][1]
    assert "About 25 min left, if the steps of stage 2 take as long as these. " in shown[29][1]
    assert "Stage 2: Step 60 of 120" in shown[119][1]
    assert "About 10 min left. " in shown[119][1]


def test_many_steps_update_the_views_once(monitor, model, config, opened):
    monitor.begin(config(steps=9000))
    counted = Counter()
    for name in ("updates", "progress", "message"):
        getattr(model.events, name).connect(lambda *_, name=name: counted.update([name]))
    model.phase = Phase.PREPARING
    monitor.show([opened("model1", 9000), *(step_done(step) for step in range(1, 4501))])
    assert counted == {"updates": 1, "progress": 1, "message": 1}
    assert model.phase is Phase.TRAINING
    assert model.stages[0].curves.last_step == 4500
    assert model.progress == 0.5
    assert "Step 4500 of 9000" in model.message


def test_pairs_are_counted_as_they_are_checked(monitor, model, config):
    said = messages_of(model)
    for phase in (Phase.CHECKING, Phase.PREPARING):
        model.message = ""
        said.clear()
        monitor.begin(config())
        model.phase = phase
        monitor.show([InspectionProgress(1, 5), InspectionProgress(2, 5)])
        assert said == ["Checking the data… 2 of 5"]
    monitor.show([InspectionProgress(3, 5), Inspection(SHAPES, [], [])])
    assert said[1:] == ["Reading the data…"]


def test_a_run_that_is_being_stopped_keeps_its_message(monitor, model, config, opened):
    monitor.begin(config(steps=9))
    model.phase, model.message = Phase.STOPPING, "Stopping"
    monitor.show([InspectionProgress(1, 5), opened("model1", 9), step_done(1)])
    assert (model.phase, model.message) == (Phase.STOPPING, "Stopping")
    assert model.stages[0].curves.last_step == 1


def test_only_data_without_problems_count_as_checked(monitor, model, config):
    monitor.begin(config(seed=3))
    monitor.show([Inspection(SHAPES, [], [])])
    assert model.checked.seed == 3
    found = Inspection(SHAPES, [], ["0: the image has no coarse map"])
    monitor.show([found])
    assert model.checked is None
    assert model.inspection is found


def test_events_before_the_start_and_previews_do_no_harm(monitor, model, config, sample_panel):
    monitor.begin(config())
    monitor.show([step_done(1), sample_panel])
    assert model.stages == []
    assert model.preview is sample_panel


@pytest.fixture
def sample_panel():
    return Panel(1, np.zeros((2, 2, 3), np.uint8))
