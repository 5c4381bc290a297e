"""Runs that are resumed on other data than they began with."""

import json
import re
import shutil

import numpy as np
import pytest

from c2f_core.cli.train import main
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import ChangedDataError, ConfigError, DataError
from c2f_core.io.images import write_image
from c2f_core.training.catalogue import delete_run
from c2f_core.training.events import RunStarted
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train

WITHOUT_CHANGES = ("Pairs without fine maps (1) are skipped.",)


@pytest.fixture
def own_data(data, tmp_path):
    """Return a copy of the data that a test may change."""
    return shutil.copytree(data, tmp_path / "data")


@pytest.fixture
def config(tiny_config, own_data, tmp_path, stop_after):
    """Return the config of a run that was stopped after a step."""
    config = tiny_config(own_data, tmp_path / "run")
    stop_after(config, 1)
    return config


def add_pair(root, seed):
    """Write another pair to the data."""
    new = root.parent / f"new{seed}"
    write_pairs(new, [synthetic_pair(48, seed)], SHAPES)
    for kind in ("images", "coarse", "fine"):
        for file in (new / kind).iterdir():
            shutil.copy(file, root / kind / f"{seed}{file.suffix}")


def record_of(config):
    return RunFolder(config.run_folder).read_data_record()


def add(root):
    for seed in range(20, 30):
        add_pair(root, seed)


def remove(root):
    for kind in ("images", "coarse", "fine"):
        (root / kind / "0.png").unlink()


def invert(root):
    (file,) = (root / "images").glob("1.*")
    write_image(file, 255 - synthetic_pair(48, 1).image)


def remove_fine_map(root):
    (root / "fine" / "2.png").unlink()


def edit_classes(root, edit):
    file = root / "classes.json"
    table = json.loads(file.read_text())
    edit(table["classes"])
    file.write_text(json.dumps(table))


def swap(classes):
    classes[0]["name"], classes[1]["name"] = classes[1]["name"], classes[0]["name"]


def rename(classes):
    classes[0]["name"] = "backdrop"


def reorder(classes):
    classes.reverse()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (add, "pairs added: 20, 21, 22, 23, 24 and 5 more"),
        (remove, "pairs removed: 0"),
        (invert, "pairs changed: 1"),
        (remove_fine_map, "pairs changed: 2"),
        (lambda root: edit_classes(root, swap), "classes swapped: "),
        (lambda root: edit_classes(root, rename), "classes renamed: .* to backdrop"),
        (lambda root: edit_classes(root, reorder), "classes swapped: "),
    ],
)
def test_changed_data_are_named_and_nothing_is_trained(config, own_data, run, change, named):
    before = {path: path.read_bytes() for path in config.run_folder.glob("*.*")}
    change(own_data)
    with pytest.raises(ChangedDataError, match=named):
        run(config, resume=True)
    assert {path: path.read_bytes() for path in config.run_folder.glob("*.*")} == before


def test_a_class_more_or_less_is_refused_for_good(config, own_data, run):
    edit_classes(own_data, lambda classes: classes.pop())
    with pytest.raises(DataError, match=r"classes removed: .*start a new run"):
        run(config, resume=True, accept_changes=True)


def test_accepted_pairs_never_change_between_training_and_validation(config, own_data, run):
    before = record_of(config)
    add(own_data)
    invert(own_data)
    events = run(config, resume=True, accept_changes=True)
    assert isinstance(events[0], RunStarted)
    assert events[0].first_step == 1
    assert re.search("pairs added: 20.* changed: 1", events[0].messages[0])
    after = record_of(config)
    assert after.validation == before.validation
    assert set(before.train) < set(after.train)
    assert not set(after.validation) & set(after.train)
    assert run(config, resume=True)[0].messages == WITHOUT_CHANGES


def test_a_renamed_validation_pair_still_validates(config, own_data, run):
    (name,) = record_of(config).validation
    for kind in ("images", "coarse", "fine"):
        (file,) = (own_data / kind).glob(f"{name}.*")
        file.rename(file.with_stem("renamed"))
    run(config, resume=True, accept_changes=True)
    assert record_of(config).validation == ("renamed",)


def test_a_run_without_its_validation_pairs_is_refused(config, own_data, run):
    for name in record_of(config).validation:
        for kind in ("images", "coarse", "fine"):
            (own_data / kind / f"{name}.png").unlink()
    with pytest.raises(DataError, match="cannot both train and validate"):
        run(config, resume=True, accept_changes=True)


def test_a_split_file_cannot_make_trained_pairs_validate(
    tiny_config, own_data, tmp_path, stop_after, run
):
    splits = tmp_path / "splits.json"
    splits.write_text('{"train": ["0", "1", "2"], "held": ["3"]}')
    names = {"splits": splits, "validation": "held"}
    config = tiny_config(own_data, tmp_path / "run")
    config = config.model_copy(update={"data": config.data.model_copy(update=names)})
    stop_after(config, 1)
    splits.write_text('{"train": ["0", "1", "3"], "held": ["2"]}')
    with pytest.raises(ChangedDataError, match=r"moved to validation: 2; .*from validation: 3"):
        run(config, resume=True)
    run(config, resume=True, accept_changes=True)
    assert record_of(config).validation == ("3",)


def test_stage_2_validates_the_pairs_of_stage_1(tiny_config, own_data, tmp_path, stop_after, run):
    config = tiny_config(own_data, tmp_path / "run", method="model2")
    stop_after(config, 3)
    add(own_data)
    with pytest.raises(ChangedDataError, match="pairs added"):
        run(config, resume=True)
    run(config, resume=True, accept_changes=True)
    first, second = (
        RunFolder(tmp_path / "run" / stage).read_data_record() for stage in ("stage1", "stage2")
    )
    assert first == second


def test_a_run_of_an_earlier_version_resumes_with_a_sentence(config, run):
    RunFolder(config.run_folder).data_record.unlink()
    started = run(config, resume=True)[0]
    assert "earlier version" in started.messages[0]
    assert started.first_step == 1
    assert record_of(config) is not None


@pytest.mark.parametrize(
    ("change", "named"), [(invert, "training pairs"), (lambda r: edit_classes(r, swap), "swapped")]
)
def test_a_run_of_an_earlier_version_is_compared_with_its_checkpoint(
    tiny_config, own_data, tmp_path, stop_after, run, change, named
):
    config = tiny_config(own_data, tmp_path / "run", seed=1)
    stop_after(config, 2)
    assert "1" in record_of(config).train
    RunFolder(config.run_folder).data_record.unlink()
    change(own_data)
    with pytest.raises(ChangedDataError, match=named):
        run(config, resume=True)
    assert "earlier version" in run(config, resume=True, accept_changes=True)[0].messages[0]


@pytest.mark.parametrize("text", ["{", "[]", '{"train": 3}', '{"class_table": {}}', "[" * 100_000])
def test_a_damaged_record_says_what_to_do(config, run, text):
    RunFolder(config.run_folder).data_record.write_text(text)
    with pytest.raises(ConfigError, match="delete it to resume without comparing the data"):
        run(config, resume=True)


def test_the_command_says_how_to_accept_changes(config, own_data, capsys):
    add(own_data)
    resume = ["--resume", str(config.run_folder)]
    with pytest.raises(SystemExit) as refused:
        main(resume)
    assert refused.value.code == 2
    assert "add --accept-data-changes;" in capsys.readouterr().err
    with pytest.raises(SystemExit) as accepted:
        main([*resume, "--accept-data-changes"])
    assert accepted.value.code == 0


def test_the_order_of_the_pairs_stays_so_that_resuming_is_exact(config, run, tmp_path):
    limited = config.model_copy(
        update={
            "data": config.data.model_copy(update={"fine_maps": 2}),
            "run_folder": tmp_path / "limited",
        }
    )
    for _ in range(2):
        events = train(limited, resume=(tmp_path / "limited").exists())
        next(events)
        next(events)
        events.close()
        record = record_of(limited)
        assert (len(record.train), len(record.coarse_only)) == (2, 2)


def test_the_record_is_deleted_with_its_run(config):
    delete_run(config.run_folder)
    assert not config.run_folder.exists()


def test_hashes_do_not_depend_on_the_folder(config, own_data, run, tmp_path):
    own_data.rename(tmp_path / "elsewhere")
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert run(config, resume=True)[0].messages == WITHOUT_CHANGES
    assert np.all([len(each) == 64 for each in record_of(config).hashes.values()])
