"""The curves of a run, and how long runs are drawn."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QApplication

from c2f_core.training.curves import Curves
from c2f_core.training.events import RunStarted, StepDone, Validated
from napari_c2f.train.curves import CurvesView, SeriesConcatenator
from napari_c2f.train.model import Stage


@pytest.fixture
def view(qtbot):
    view = CurvesView()
    qtbot.addWidget(view)
    view.resize(360, 600)
    view.show()
    return view


def make_stage(steps):
    reference = {"pixel accuracy": 0.9}
    start = RunStarted(Path("run"), "model1", 0, steps, "cpu", 1, 1, 1, {}, (), reference)
    return Stage(start, Curves())


def do_steps(stage, first, last):
    for step in range(first, last + 1):
        stage.curves(StepDone(step, 1 / step, 1.0, 1.0, 0.1))


def test_a_long_run_keeps_all_points_and_draws_few(view, qtbot):
    stage = make_stage(60_000)
    do_steps(stage, 1, 60_000)
    view.show_stages([stage])
    QApplication.processEvents()
    steps, values = view.losses.points("loss")
    assert steps == stage.curves["loss"].steps
    assert values == stage.curves["loss"].values
    (curve,) = view.losses.plot.plotItem.listDataItems()
    drawn, heights = curve.getData()
    assert len(drawn) < 20_000
    assert heights.max() == 1.0


def test_curves_grow_stage_by_stage(view):
    stages = [make_stage(4)]
    for last in (2, 4):
        do_steps(stages[0], last - 1, last)
        view.show_stages(stages)
    stages.append(make_stage(3))
    view.show_stages(stages)
    do_steps(stages[1], 1, 3)
    stages[1].curves(Validated(3, {"pixel accuracy": 0.5}, True))
    view.show_stages(stages)
    assert view.losses.points("loss") == (
        list(range(1, 8)),
        [1, 1 / 2, 1 / 3, 1 / 4, 1, 1 / 2, 1 / 3],
    )
    assert view.validation.points("pixel accuracy") == ([7], [50])
    view.show_stages([])
    other = make_stage(4)
    do_steps(other, 1, 1)
    view.show_stages([other])
    assert view.losses.points("loss") == ([1], [1])


def test_stages_of_a_finished_run_are_concatenated_at_once():
    stages = [make_stage(2), make_stage(2)]
    for stage in stages:
        do_steps(stage, 1, 2)
    line = SeriesConcatenator("loss", 2.0).line([stage.curves for stage in stages])
    assert (line.steps.tolist(), line.values.tolist()) == ([1, 2, 3, 4], [2, 1, 2, 1])
