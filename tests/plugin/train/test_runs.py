"""The list of runs, without a widget."""

import datetime
import os
from pathlib import Path

import pytest

from c2f_core.training.catalogue import RunSummary
from napari_c2f.train.model import RunList, possible_actions
from napari_c2f.train.runs import RunsController, distinct_names


@pytest.fixture
def controller(qapp):
    controller = RunsController()
    yield controller
    controller.close()


def test_equal_names_get_those_of_parent_folders(tmp_path):
    folders = [tmp_path / "a" / "fold0-seed0", tmp_path / "b" / "fold0-seed0"]
    assert distinct_names(folders) == ["a/fold0-seed0", "b/fold0-seed0"]
    assert distinct_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_runs_of_one_name_on_two_drives_have_their_whole_paths(tmp_path, monkeypatch):
    def refuse(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", refuse)
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert distinct_names(folders) == [str(folder) for folder in folders]


def summary(best_model):
    now = datetime.datetime.now(datetime.UTC)
    return RunSummary(
        Path("run"), "model1", Path("data"), now, "stopped", 1, 2, {}, best_model, note=""
    )


def test_actions_depend_on_the_selected_runs():
    with_model, without = summary(Path("best.safetensors")), summary(None)
    on_one = {"compare", "open", "delete"}
    assert possible_actions([]) == set()
    assert possible_actions([without]) == on_one
    assert possible_actions([with_model]) == on_one | {"start", "use", "export"}
    assert possible_actions([with_model, without]) == {"compare"}
    assert possible_actions([with_model] * 3) == set()


RUN, ELSEWHERE = Path("/runs/data-1"), Path("/elsewhere")


@pytest.mark.parametrize(
    ("root", "latest", "run", "planned", "expected"),
    [
        (None, None, None, None, None),
        (None, None, None, RUN, RUN.parent),
        (ELSEWHERE, None, None, RUN, ELSEWHERE),
        (None, None, RUN, None, RUN.parent),
        (ELSEWHERE, None, RUN, None, RUN.parent),
        (ELSEWHERE, RUN, RUN, None, ELSEWHERE),
        (RUN.parent.parent, None, RUN, None, RUN.parent.parent),
    ],
)
def test_the_list_goes_to_a_new_run_and_stays_where_the_user_chose(
    root, latest, run, planned, expected
):
    assert RunList(root=root, latest=latest).root_for(run, planned) == expected


def test_a_folder_that_the_user_chose_stays_until_another_run(controller, qtbot, tmp_path):
    run = tmp_path / "runs" / "data-1"
    controller.enter(None, run)
    assert controller.model.root == tmp_path / "runs"
    controller.choose_root(tmp_path / "elsewhere")
    controller.enter(None, run)
    assert controller.model.root == tmp_path / "elsewhere"
    controller.enter(run, run)
    assert controller.model.root == tmp_path / "runs"
    controller.choose_root(tmp_path / "elsewhere")
    controller.enter(run, run)
    assert controller.model.root == tmp_path / "elsewhere"
    qtbot.waitUntil(lambda: not controller.model.busy)


def test_the_folder_is_remembered(controller, qtbot, tmp_path):
    controller.choose_root(tmp_path)
    controller.refresh()
    qtbot.waitUntil(lambda: not controller.model.busy)
    assert controller.model.message == "No runs here; choose another folder."
    assert RunsController().model.root == tmp_path


def test_without_a_folder_the_user_is_asked_for_one(controller):
    controller.refresh()
    assert controller.model.message == "Choose the folder that contains your runs."
    assert not controller.model.busy
