"""`c2f-refine` on folders in shards: parts, continuation and failures."""

import numpy as np
import pytest
from PIL import Image
from tests.core.scale.conftest import scene

from c2f_core.classes.table import ClassTable
from c2f_core.cli import refine, refine_folder
from c2f_core.io.maps import write_map

TABLE = ClassTable.preset("camvid")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders with five images and coarse maps; two pairs make a shard."""
    monkeypatch.setattr(refine_folder, "PAIRS", 2)
    for name in ("images", "coarse"):
        (tmp_path / name).mkdir()
    for number in range(5):
        image, coarse = scene(60, 80, number)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        write_map(tmp_path / "coarse" / f"{number}.png", coarse, TABLE)
    return tmp_path


def run(capsys, folders, output, *arguments):
    """Run the command; return its status and what it printed."""
    paths = [folders / "images", folders / "coarse", "-o", folders / output]
    with pytest.raises(SystemExit) as end:
        refine.main([*map(str, paths), "--model", "watershed", *arguments])
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


def pixels(folder):
    return [np.asarray(Image.open(folder / f"{number}.png")) for number in range(5)]


def test_parts_write_what_one_process_writes_and_are_then_finished(folders, capsys):
    assert run(capsys, folders, "expected")[0] == 0
    for part in ("2/2", "1/2"):
        assert run(capsys, folders, "fine", "--shard", part)[0] == 0
    for found, wanted in zip(pixels(folders / "fine"), pixels(folders / "expected"), strict=True):
        np.testing.assert_array_equal(found, wanted)
    status, printed = run(capsys, folders, "fine", "--shard", "1/2")
    assert (status, "Nothing to do" in printed) == (0, True)


def test_a_damaged_pair_is_named_and_the_others_are_refined(folders, capsys):
    (folders / "images" / "3.png").write_bytes(b"damaged")
    status, printed = run(capsys, folders, "fine", "--shard", "1/1")
    assert status == 2
    assert "error: 2.png to 3.png: " in printed
    assert "1 shard failed three times, all others are finished" in printed
    assert sorted(path.stem for path in (folders / "fine").glob("*.png")) == ["0", "1", "2", "4"]
    Image.fromarray(scene(60, 80)[0]).save(folders / "images" / "3.png")
    status, printed = run(capsys, folders, "fine", "--shard", "1/1")
    assert (status, "Wrote 5 fine maps" in printed) == (0, True)


def test_a_damaged_pair_does_not_keep_the_next_one_of_its_shard_from_being_refined(folders, capsys):
    (folders / "images" / "2.png").write_bytes(b"damaged")
    status, printed = run(capsys, folders, "fine", "--shard", "1/1")
    assert (status, "2.png" in printed) == (2, True)
    assert sorted(path.stem for path in (folders / "fine").glob("*.png")) == ["0", "1", "3", "4"]


def test_maps_of_others_are_not_replaced_by_mistake(folders, capsys):
    (folders / "fine").mkdir()
    write_map(folders / "fine" / "2.png", np.zeros((60, 80), np.uint8), TABLE)
    status, printed = run(capsys, folders, "fine", "--shard", "1/1")
    assert (status, "exists already; add --overwrite" in printed) == (2, True)
    status, printed = run(capsys, folders, "fine", "--shard", "1/1", "--resume")
    assert (status, "omit --resume" in printed) == (2, True)
