"""Inspection of the data before a run starts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.cli.train import main
from c2f_core.config.settings import DataConfig, TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import DataError
from c2f_core.training.inspection import InspectionProgress, inspect_data
from c2f_core.training.loading import load_training_data
from c2f_core.training.run_folder import RunFolder


@pytest.fixture
def data(write_shapes, tmp_path):
    """Five pairs; the last has no fine map."""
    return write_shapes(tmp_path / "data", 5, 48, coarse_only=[4])


@pytest.fixture
def make_config(tiny_config):
    return lambda data, **changes: tiny_config(data, data.parent / "run", **changes)


def inspect(config, **options):
    *_, found = inspect_data(config, **options)
    return found


def test_roles_are_those_of_the_training(make_config, data):
    config = make_config(data, seed=3)
    found, loaded = inspect(config), load_training_data(config)
    roles = {pair.name: pair.role for pair in found.pairs}
    assert [name for name in roles if roles[name] == "trains"] == [p.name for p in loaded.train]
    assert [name for name in roles if roles[name] == "validates"] == [
        pair.name for pair in loaded.validation
    ]
    assert roles["4"] == "unused"
    both = inspect(make_config(data, method="model2"))
    assert {pair.name: pair.role for pair in both.pairs}["4"] == "coarse only"


@pytest.mark.parametrize("method", ["stage1", "model2"])
def test_pairs_keep_their_roles_when_a_run_with_changed_data_is_resumed(
    make_config, data, write_shapes, method
):
    config = make_config(data, seed=3, method=method)
    record = load_training_data(config).record
    folder = RunFolder(config.run_folder / "stage1" if method == "model2" else config.run_folder)
    folder.root.mkdir(parents=True)
    folder.write_data_record(record)
    write_shapes(data, 7, 48, first=5)
    folder.state.touch()
    kept = load_training_data(config, earlier=record, accept_changes=True)
    found = {pair.name: pair.role for pair in inspect(config, resume=True).pairs}
    assert {name for name in found if found[name] == "trains"} == {p.name for p in kept.train}
    assert [name for name in found if found[name] == "validates"] == list(record.validation)
    redrawn = {pair.name: pair.role for pair in inspect(config).pairs}
    assert redrawn != found


def test_histogram_accuracy_and_pictures(make_config, data):
    found = inspect(make_config(data))
    assert sum(found.fine_shares.values()) == pytest.approx(1)
    assert set(found.coarse_shares) == set(SHAPES.names)
    pair = synthetic_pair(48, 0)
    assert found.pairs[0].accuracy == pytest.approx(np.mean(pair.coarse == pair.fine))
    assert found.pairs[0].thumbnail.shape == (48, 3 * 48, 3)
    assert found.pairs[4].thumbnail.shape == (48, 2 * 48, 3)
    assert found.pairs[4].accuracy is None
    assert not found.all_problems
    assert found.lines()[0] == "5 pairs: 3 for training, 1 for validation, 1 skipped."


def test_simulated_coarse_maps_are_shown(make_config, data):
    assert inspect(make_config(data)).examples is None
    kinds = ["polygons", "displacement", "scribbles"]
    examples = inspect(make_config(data, simulation={"share": 0.5, "kinds": kinds})).examples
    assert list(examples.ious) == kinds
    side, gap = 48, 4
    assert examples.pixels.shape == (2 * side + gap, 3 * side + 2 * gap, 3)
    assert re.match(r"Simulated coarse maps of \d, .*: polygons \d\d %, ", examples.message())


def test_pairs_without_coarse_maps_are_used_with_simulated_ones(make_config, data):
    (data / "coarse" / "1.png").unlink()
    assert "1: the image has no coarse map" in inspect(make_config(data)).all_problems[0]
    config = make_config(data, simulation={"share": 0.5})
    found = inspect(config)
    assert not found.all_problems
    assert [pair.name for pair in found.pairs if pair.is_simulated] == ["1"]
    assert found.pairs[1].accuracy is None
    message = "Pairs without a coarse map (1) are used with simulated coarse maps."
    assert message in found.lines()
    assert message in load_training_data(config).messages


def test_everything_that_does_not_fit_is_reported_by_file(make_config, data):
    (data / "coarse" / "0.png").unlink()
    (data / "images" / "1.png").rename(data / "images" / "eins.png")
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(data / "coarse" / "2.png")
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(data / "fine" / "3.png")
    found = inspect(make_config(data))
    text = "\n".join(found.all_problems)
    for expected in (
        "0: the image has no coarse map",
        "eins: the image has no coarse map",
        "1: the coarse map has no image",
        "1: the fine map has no image",
        "2: the image has (48, 48) and its coarse map (48, 40)",
        "77",
    ):
        assert expected in text
    with pytest.raises(DataError, match="2 of the images have no coarse map"):
        load_training_data(make_config(data))


def test_too_few_fine_maps_and_doubtful_colours_are_reported(make_config, data):
    with Image.open(data / "coarse" / "0.png") as opened:
        colours = encode_colours(np.array(opened), SHAPES)
    colours[3, 5] = (0, 255, 255)
    Image.fromarray(colours).save(data / "coarse" / "0.png")
    for name in "123":
        (data / "fine" / f"{name}.png").unlink()
    found = inspect(make_config(data))
    assert any("row 3, column 5" in doubt for doubt in found.pairs[0].warnings)
    assert any("at least two" in problem for problem in found.problems)
    assert {pair.role for pair in found.pairs} == {"unused"}


def test_a_fine_map_with_nothing_drawn_is_reported_and_refused(make_config, data):
    empty = np.full((48, 48), SHAPES.unlabelled.index, np.uint8)
    Image.fromarray(empty).save(data / "fine" / "1.png")
    assert any("1: nothing is drawn" in each for each in inspect(make_config(data)).all_problems)
    with pytest.raises(DataError, match="1: nothing is drawn in the fine map"):
        load_training_data(make_config(data))


@pytest.mark.parametrize("kind", ["coarse", "fine"])
def test_maps_of_another_class_table_are_reported_and_refused(make_config, data, kind):
    Image.fromarray(np.full((48, 48, 3), 255, np.uint8)).save(data / kind / "1.png")
    message = (
        f"{kind}/1.png: 2304 of 2304 pixels .*drawn with another class table; choose that table"
    )
    (problem,) = inspect(make_config(data)).all_problems
    assert re.match(f"1: {message}", problem)
    with pytest.raises(DataError, match=message):
        load_training_data(make_config(data))


def test_colours_that_leave_nothing_drawn_are_reported(make_config, data):
    colours = np.zeros((48, 48, 3), np.uint8)
    colours[3:9, 5] = 255
    Image.fromarray(colours).save(data / "fine" / "1.png")
    message = (
        r"1: no pixel of the fine map was read as a class; fine/1\.png: 6 of 2304 .*row 3, column 5"
    )
    (problem,) = inspect(make_config(data)).all_problems
    assert re.match(message, problem)
    with pytest.raises(DataError, match=message):
        load_training_data(make_config(data))


def test_warnings_about_a_pair_are_reported_with_its_problems(make_config, data):
    with Image.open(data / "fine" / "1.png") as opened:
        colours = encode_colours(np.array(opened)[:, :40], SHAPES)
    colours[3, 5] = 255
    Image.fromarray(colours).save(data / "fine" / "1.png")
    pair = inspect(make_config(data)).pairs[1]
    assert "fine map (48, 40)" in pair.problems[0]
    assert "row 3, column 5" in pair.warnings[0]


def test_blended_boundaries_of_fasseg_are_summed_up(tmp_path):
    table = ClassTable.preset("fasseg")
    config = TrainConfig(data=DataConfig(root=tmp_path), run_folder=tmp_path / "run")
    colours = np.full((20, 20, 3), table.classes[1].colour, np.uint8)
    for part in ("V1/Train_RGB", "V1/Test_RGB", "V1/Train_Labels", "V1/Test_Labels",
                 "V2/Train_Labels", "V2/Test_Labels"):  # fmt: skip
        (tmp_path / part).mkdir(parents=True)
        Image.fromarray(colours).save(tmp_path / part / "1.png")
    assert inspect(config).blending == ""
    for version, count in (("V1", 2), ("V2", 5)):
        colours[0, :count] = 128
        Image.fromarray(colours).save(tmp_path / version / "Train_Labels" / "1.png")
    found = inspect(config)
    (line,) = (line for line in found.lines() if line.startswith("Blended"))
    assert "7 pixels of 2 maps" in line
    assert "V2/Train_Labels/1.png (5 of 400)" in line
    assert not any(pair.warnings for pair in found.pairs)


def test_both_stages_need_pairs_without_fine_maps(make_config, data):
    (data / "images" / "4.png").unlink()
    (data / "coarse" / "4.png").unlink()
    found = inspect(make_config(data, method="model2"))
    assert any("coarse maps only" in problem for problem in found.problems)


def test_pairs_that_the_run_does_not_read_are_not_read(make_config, data):
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(data / "images" / "3.png")
    splits = data.parent / "splits.json"
    splits.write_text('{"train": ["0", "1", "4"], "validation": ["2"]}')
    lists = {"splits": splits, "train": "train", "validation": "validation"}
    config = make_config(data, method="model2")
    config = config.model_copy(update={"data": config.data.model_copy(update=lists)})
    *counted, found = inspect_data(config)
    assert counted == [InspectionProgress(count, 4) for count in range(1, 5)]
    load_training_data(config)
    assert not found.all_problems
    roles = ["trains", "trains", "validates", "unused", "coarse only"]
    assert [pair.role for pair in found.pairs] == roles
    assert found.pairs[3].shape is None
    assert any("3: the image has (" in each for each in inspect(make_config(data)).all_problems)


def test_inspecting_ends_when_asked(make_config, data):
    assert list(inspect_data(make_config(data), should_stop=lambda: True)) == []


def test_the_command_line_checks_too(data, capsys):
    flags = ["--data.root", str(data), "--data.class-table", str(data / "classes.json")]
    flags += ["--run-folder", str(data / "run"), "--check"]
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 0
    assert "5 pairs" in capsys.readouterr().out
    assert not (data / "run").exists()
    (data / "coarse" / "0.png").unlink()
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    assert "0: the image has no coarse map" in capsys.readouterr().out


def test_pairs_are_never_overwritten(data):
    pair = replace(synthetic_pair(48, 9), name="0")
    with pytest.raises(DataError, match="already exists"):
        write_pairs(data, [pair], SHAPES)
    before = (data / "coarse" / "0.png").read_bytes()
    (data / "images" / "0.png").rename(data / "images" / "0.jpg")
    with pytest.raises(DataError, match="already exists"):
        write_pairs(data, [replace(pair, name="new"), pair], SHAPES)
    assert (data / "coarse" / "0.png").read_bytes() == before
    assert not (data / "images" / "new.png").exists()
    other = SHAPES.model_copy(update={"name": "others"})
    with pytest.raises(DataError, match="other classes"):
        write_pairs(data, [replace(pair, name="9")], other)
