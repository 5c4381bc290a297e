"""Cross-validation: folds, records, comparison and `c2f-evaluate --folds`."""

import csv
import itertools
import json
import math

import pytest

from c2f_core.cli.evaluate import main
from c2f_core.config.files import with_settings
from c2f_core.data.splits import draw_folds, draw_validation, read_split
from c2f_core.errors import C2FError, ConfigError, DataError
from c2f_core.experiments.comparison import comparison_tables, estimates_of
from c2f_core.experiments.cross_validation import (
    RunScored,
    cross_validate,
    fold_config,
    last_checkpoint,
    plan_folds,
    read_records,
    records_of,
)
from c2f_core.io.images import read_image, write_image
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.training.events import RunStarted, StepDone
from c2f_core.training.loading import load_training_data
from c2f_core.training.run_folder import RunFolder

PERSONS = [["0", "1"], ["2", "3", "8"], ["4", "5"], ["6", "7"]]
COARSE_ONLY = ("8", "9")


@pytest.fixture(scope="module")
def shapes_folder(write_shapes, tmp_path_factory):
    """Ten pairs of five persons; 8, 9 and all pairs of the person of 9 have no fine map."""
    coarse_only = [int(name) for name in COARSE_ONLY]
    root = write_shapes(tmp_path_factory.mktemp("shapes"), 10, 32, coarse_only=coarse_only)
    names = [str(number) for number in range(10)]
    (root / "splits.json").write_text(json.dumps({"all": names, "same_person": PERSONS}))
    return root


@pytest.fixture
def make_config(tiny_config):
    def make(root, run_folder, **changes):
        settings = {
            "data": {
                "root": root,
                "class_table": str(root / "classes.json"),
                "splits": root / "splits.json",
                "train": "all",
            },
            "discriminator": {"widths": (4, 8)},
            "steps": 2,
            "validate_every": 1,
        }
        return tiny_config(root, run_folder, **(settings | changes))

    return make


def persons_of(names):
    return {person for person, group in enumerate(PERSONS) if set(group) & set(names)}


def loaded_names(config):
    data = load_training_data(config)
    return [pair.name for pair in (*data.train, *data.coarse_only, *data.validation)]


def records(events):
    return [event.record for event in events if isinstance(event, RunScored)]


# Folds


def test_folds_split_no_group_and_are_even():
    names = [str(number) for number in range(20)]
    groups = [["0", "1", "2"], ["2", "3"], ["7", "19"]]
    folds = draw_folds(names, 4, 5, groups)
    assert sorted(itertools.chain(*folds), key=int) == names
    assert [len(fold) for fold in folds] == [5, 5, 5, 5]
    for together in ({"0", "1", "2", "3"}, {"7", "19"}):
        assert any(together <= set(fold) for fold in folds)
    assert folds == draw_folds(names, 4, 5, groups) != draw_folds(names, 4, 6, groups)


def test_groups_that_share_a_name_are_one_group():
    groups = [["a", "b"], ["c", "d"], ["b", "c"]]
    for seed in range(5):
        sides = draw_validation(list("abcde"), 0.3, seed, groups)
        assert any(set("abcd") <= set(side) for side in sides)


@pytest.mark.parametrize("count", [1, 5])
def test_too_many_or_too_few_folds_are_refused(make_config, shapes_folder, tmp_path, count):
    config = make_config(shapes_folder, tmp_path)
    with pytest.raises(DataError, match="4 unrelated pairs with fine maps cannot make"):
        plan_folds(config.data, count)


def test_nothing_of_the_held_out_persons_enters_a_run(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", method="stage1")
    for event in cross_validate({"a": config}, 2):
        if isinstance(event, RunStarted):
            break
    splits = plan_folds(config.data, 2)
    assert splits["always"] == ["9"]
    for fold in range(2):
        inside = loaded_names(fold_config(config, 2, fold, 0))
        held_out = splits["folds"][fold]
        assert "9" in inside
        assert not persons_of(inside) & persons_of(held_out)
        assert persons_of(inside) | persons_of(held_out) == {0, 1, 2, 3}


def test_few_fine_maps_are_others_in_each_fold(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", method="stage1")
    for event in cross_validate({"a": config}, 4):
        if isinstance(event, RunStarted):
            break
    runs = [fold_config(config, 4, fold, 0).data for fold in range(4)]
    first = [read_split(data.splits, data.train)[0] for data in runs]
    assert len(persons_of(first)) == len(set(first)) == 4


def write_splits(path, folds):
    path.write_text(json.dumps({"folds": folds, "same_person": PERSONS}))


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        ([["0", "1"], ["4", "5"], ["2"]], "lists 3 folds"),
        ([["0", "4"], ["1", "5"]], r"have pairs of the same person \('0'\)"),
        ([["0", "1"], ["8", "9"]], "Fold 1 has no pair with a fine map"),
        ([["0", "1"], ["4", "other"]], "'other'"),
    ],
)
def test_listed_folds_are_checked(make_config, shapes_folder, tmp_path, folds, sentence):
    write_splits(tmp_path / "listed.json", folds)
    config = make_config(shapes_folder, tmp_path / "run")
    config = with_settings(config, {"data.splits": tmp_path / "listed.json"})
    with pytest.raises(C2FError, match=sentence):
        list(cross_validate({"a": config}, 2))
    assert not (tmp_path / "run").exists()


def test_listed_folds_are_taken_as_they_are(make_config, shapes_folder, tmp_path):
    folds = [["0", "1"], ["4", "5", "6", "7"]]
    write_splits(tmp_path / "listed.json", folds)
    config = make_config(shapes_folder, tmp_path / "run")
    config = with_settings(config, {"data.splits": tmp_path / "listed.json"})
    assert plan_folds(config.data, 2)["folds"] == folds


# Runs


def test_runs_are_recorded_once_and_interrupted_ones_continue(make_config, shapes_folder, tmp_path):
    configs = {
        name: make_config(shapes_folder, tmp_path / name, method=method)
        for name, method in (("first", "plain"), ("second", "model1"))
    }
    steps = []
    for event in cross_validate(configs, 2, should_stop=lambda: len(steps) == 3):
        if isinstance(event, StepDone):
            steps.append(event)
    # One run is done, the second was stopped after one of its two steps.
    assert len(records_of(configs["first"])) == 1
    assert not records_of(configs["second"])
    events = list(cross_validate(configs, 2))
    starts = [event for event in events if isinstance(event, RunStarted)]
    assert [start.first_step for start in starts] == [1, 0, 0]
    assert len(records(events)) == 3
    assert not list(cross_validate(configs, 2))
    (record, _) = records_of(configs["second"])
    assert {key: record[key] for key in ("config", "method", "fold", "seed")} == {
        "config": "second",
        "method": "model1",
        "fold": 0,
        "seed": 0,
    }
    assert 0 <= record["pixel_accuracy"] <= 100
    assert record["worse"] <= 5
    assert record["device"] == "cpu"


def test_a_run_killed_before_its_first_checkpoint_starts_over(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run", method="model2")
    for event in cross_validate({"a": config}, 2):
        if isinstance(event, RunStarted) and event.method == "stage2":
            break  # As a kill would: nothing of stage 2 is saved.
    events = list(cross_validate({"a": config}, 2))
    starts = [event for event in events if isinstance(event, RunStarted)]
    assert [(start.method, start.first_step) for start in starts[:2]] == [
        ("stage1", 2),
        ("stage2", 0),
    ]
    assert len(records(events)) == 2


def test_the_last_checkpoint_is_scored(make_config, shapes_folder, tmp_path, monkeypatch):
    from c2f_core.refine.learned import Refiner

    scored = []
    load = Refiner.load
    monkeypatch.setattr(
        Refiner, "load", lambda path, device, **_options: scored.append(path) or load(path)
    )
    config = make_config(shapes_folder, tmp_path / "run", method="model2")
    list(cross_validate({"a": config}, 2))
    assert scored == [last_checkpoint(fold_config(config, 2, fold, 0)) for fold in range(2)]
    assert scored[0] == tmp_path / "run" / "fold0-seed0" / "stage2" / "last.safetensors"


def test_stage_2_starts_from_the_stage_1_of_its_fold(make_config, shapes_folder, tmp_path):
    first = make_config(shapes_folder, tmp_path / "first", method="stage1")
    second = make_config(
        shapes_folder,
        tmp_path / "second",
        method="stage2",
        stage2={"start": tmp_path / "first", "steps": 1, "replay": False, "pseudo_label_weight": 0,
                "adversarial_weight": 0, "guard": None},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="There is no finished stage 1 of the same folds"):
        list(cross_validate({"second": second}, 2))
    done = []
    begun = cross_validate({"first": first}, 2, seeds=[4], should_stop=lambda: len(done) == 1)
    done.extend(event for event in begun if isinstance(event, StepDone))
    assert RunFolder(tmp_path / "first" / "fold0-seed4").state.exists()
    with pytest.raises(ConfigError, match="There is no finished stage 1 of the same folds"):
        list(cross_validate({"second": second}, 2, seeds=[4]))
    done = records(cross_validate({"first": first, "second": second}, 2, seeds=[3]))
    # This stage 2 changes nothing, so that fold by fold it equals its start.
    for before, after in zip(done[::2], done[1::2], strict=True):
        assert (before["fold"], before["seed"]) == (after["fold"], after["seed"])
        assert before["pixel_accuracy"] == after["pixel_accuracy"]
    states = [
        load_checkpoint(RunFolder(tmp_path / name / "fold1-seed3").last)[0].state_dict()
        for name in ("first", "second")
    ]
    assert all((states[0][key] == states[1][key]).all() for key in states[0])


@pytest.mark.parametrize(
    ("folder", "pairs", "sentence"),
    [("first", "all", "same run_folder"), ("second", "some", "cannot be compared")],
)
def test_configs_that_cannot_be_compared_are_refused(
    make_config, shapes_folder, tmp_path, folder, pairs, sentence
):
    (tmp_path / "splits.json").write_text(
        json.dumps({"all": list("012345"), "some": list("01234567")})
    )
    first = make_config(shapes_folder, tmp_path / "first")
    first = with_settings(first, {"data.splits": tmp_path / "splits.json"})
    second = with_settings(first, {"run_folder": tmp_path / folder, "data.train": pairs})
    with pytest.raises(ConfigError, match=sentence):
        next(cross_validate({"first": first, "second": second}, 2))


def test_a_run_folder_of_other_folds_or_settings_is_refused(make_config, shapes_folder, tmp_path):
    config = make_config(shapes_folder, tmp_path / "run")
    next(cross_validate({"a": config}, 2))
    with pytest.raises(ConfigError, match="over other folds"):
        next(cross_validate({"a": config}, 3))
    with pytest.raises(ConfigError, match="another steps"):
        next(cross_validate({"a": with_settings(config, {"steps": 3})}, 2))


def test_damaged_records_are_named(tmp_path):
    (tmp_path / "records.json").write_text("[{")
    with pytest.raises(DataError, match=r"records\.json cannot be read"):
        read_records(tmp_path / "records.json")


@pytest.mark.parametrize(
    "content", ["5", "[5]", "[{}]", '[{"fold": "0", "seed": 0}]', '[{"fold": [1], "seed": 0}]']
)
def test_records_without_a_fold_or_score_are_named(make_config, shapes_folder, tmp_path, content):
    config = make_config(shapes_folder, tmp_path)
    (tmp_path / "records.json").write_text(content)
    with pytest.raises(DataError, match=r"records\.json"):
        records_of(config)


def test_folds_are_not_continued_on_other_data(make_config, write_shapes, tmp_path):
    root = write_shapes(tmp_path / "shapes", 4, 32)
    table = root / "classes.json"
    config = make_config(root, tmp_path / "run", data={"root": root, "class_table": str(table)})
    next(each for each in cross_validate({"a": config}, 2) if isinstance(each, RunScored))
    image, classes = root / "images" / "0.png", table.read_text()
    pixels = image.read_bytes()
    write_image(image, 255 - read_image(image))
    with pytest.raises(DataError, match=r"have changed since it began \(pairs changed: 0\)"):
        next(cross_validate({"a": config}, 2))
    image.write_bytes(pixels)
    first, second = (entry["name"] for entry in json.loads(classes)["classes"][:2])
    table.write_text(classes.replace(first, "?").replace(second, first).replace("?", second))
    with pytest.raises(C2FError, match="classes swapped"):
        next(cross_validate({"a": config}, 2))
    table.write_text(classes)
    assert len(records(cross_validate({"a": config}, 2))) == 1


# Comparison


def make_record(fold, seed, accuracy, damage=1.0, worse=0):
    return {"fold": fold, "seed": seed, "pixel_accuracy": accuracy, "miou": 80.0,
            "trimap5": 70.0, "damage": damage, "worse": worse}  # fmt: skip


def test_means_and_paired_differences_by_hand():
    base = [make_record(0, 0, 90.0, 2.0, 1), make_record(0, 1, 92.0, 2.0, 1),
            make_record(1, 0, 95.0, 1.0), make_record(2, 0, 94.0, 1.0)]  # fmt: skip
    other = [make_record(0, 0, 92.0, 1.0, 0), make_record(0, 1, 92.0, 1.0, 2),
             make_record(1, 0, 94.0, 1.5), make_record(3, 0, 10.0)]  # fmt: skip
    found = {(each.config, each.against, each.score): each
             for each in estimates_of({"base": base, "other": other, "none": []})}  # fmt: skip
    alone = found["base", "", "pixel_accuracy"]
    # By fold 91, 95, 94: mean 93.33, deviations -2.33, 1.67, 0.67.
    assert (alone.folds, alone.runs) == (3, 4)
    assert alone.mean == pytest.approx(280 / 3)
    assert alone.deviation == pytest.approx(math.sqrt((49 + 25 + 4) / 9 / 2))
    gain = found["other", "base", "pixel_accuracy"]
    # Folds 0 and 1 are in both: 92 - 91 = 1 and 94 - 95 = -1.
    assert (gain.folds, gain.runs, gain.mean, gain.better_in) == (2, 3, 0.0, 1)
    assert gain.deviation == pytest.approx(math.sqrt(2))
    assert gain.error == pytest.approx(1.0)
    damage = found["other", "base", "damage"]
    assert (damage.mean, damage.better_in) == (-0.25, 1)
    assert found["other", "base", "worse"].better_in == 0
    assert not any("none" in key for key in found)


def test_tables_for_people():
    runs = {"a": [make_record(0, 0, 90.0)], "b": [make_record(0, 0, 91.5)]}
    scores, differences = comparison_tables(estimates_of(runs)).values()
    assert [row["config"] for row in scores] == ["a", "b"]
    assert scores[0]["pixel accuracy"] == "90.00"
    assert differences[0]["config"] == "b minus a"
    assert differences[0]["pixel accuracy"] == "+1.50 (1 of 1)"


# Command line


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_the_command_compares_configs(make_config, shapes_folder, tmp_path, capsys):
    files = []
    for name, method in (("a", "plain"), ("b", "model1")):
        config = make_config(shapes_folder, tmp_path / name, method=method, steps=1)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(config.model_dump_json())
    command = ("--folds", 2, "--config", *files, "--seeds", 0, 1)
    assert run(*command, "-o", tmp_path / "table.csv") == 0
    output = capsys.readouterr().out
    assert "b minus a" in output
    assert "b, fold 1, seed 1: pixel accuracy" in output
    with (tmp_path / "table.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    gains = [row for row in rows if row["against"] == "a"]
    assert [row["score"] for row in gains] == [
        "pixel_accuracy",
        "miou",
        "trimap5",
        "damage",
        "worse",
    ]
    assert {(row["folds"], row["runs"]) for row in rows} == {("2", "4")}
    assert run(*command, "-o", tmp_path / "table.md") == 0
    assert "fold 1, seed 1" not in capsys.readouterr().out, "recorded runs are not trained again"
    assert "| b minus a | 2 | 4 |" in (tmp_path / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--config",), "There is nothing to train"),
        (("--config", "none.toml"), "cannot be read"),
        (("--folds=2", "--config", "none.toml"), "cannot be read"),
        (("--config", "a.toml", "-o", "table.xlsx"), "give a .csv or .md file"),
        (("--config", "a.toml", "other/a.toml"), "rename one"),
        (("--config", "lacking.toml"), "The setting run_folder is missing"),
    ],
)
def test_one_sentence_for_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    for name in ("a.toml", "other/a.toml"):
        (tmp_path / name).write_text('run_folder = "r"\n[data]\nroot = "d"\n')
    (tmp_path / "lacking.toml").write_text('[data]\nroot = "d"\n')
    assert run("--folds", 2, *arguments) == 2
    assert sentence in capsys.readouterr().err
