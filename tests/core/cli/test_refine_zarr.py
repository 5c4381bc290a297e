"""`c2f-refine` on OME-Zarr images."""

import numpy as np
import pytest
from tests.core.scale.conftest import scene, write_labels, write_multiscale

from c2f_core.classes.table import ClassTable
from c2f_core.cli import refine
from c2f_core.io.maps import write_map
from c2f_core.scale.label_metadata import class_table_of
from c2f_core.scale.multiscale import open_multiscale


@pytest.fixture
def image(tmp_path):
    """Image of 80 x 90 pixels with a coarse map that names no classes."""
    pixels, coarse = scene(80, 90)
    path = write_multiscale(tmp_path / "image.zarr", np.moveaxis(pixels, -1, 0), "cyx", levels=2)
    write_labels(path, "coarse", coarse, "yx", levels=2)
    return path


def run(capsys, *arguments):
    """Run the command; return its status and what it printed."""
    with pytest.raises(SystemExit) as end:
        refine.main([*map(str, arguments), "--model", "watershed"])
    printed = capsys.readouterr()
    return end.value.code, printed.out + printed.err


def test_a_store_is_refined_and_then_finished(image, capsys):
    out = image.with_name("out.zarr")
    status, printed = run(capsys, image, image, "-o", out)
    assert status == 0
    assert "labels 0, 1 count as classes" in printed
    assert f"Wrote {out / 'labels' / 'fine'} (1 shard)" in printed
    group = open_multiscale(out / "labels" / "fine")
    assert [entry.name for entry in class_table_of(group).classes] == ["class 0", "class 1"]
    assert group.array(0)[...].shape == (80, 90)
    status, printed = run(capsys, image, image, "-o", out)
    assert (status, "Nothing to do" in printed) == (0, True)


def test_a_level_and_a_folder_of_planes_are_refined_into_the_store_of_the_image(image, capsys):
    folder = image.with_name("maps")
    folder.mkdir()
    write_map(folder / "plane.png", scene(80, 90)[1][::2, ::2], ClassTable.preset("camvid"))
    name = image / "labels" / "refined"
    status, printed = run(capsys, image, folder, "-o", name, "--level", "1", "--shard", "1/1")
    assert (status, printed.count("error")) == (0, 0)
    group = open_multiscale(name)
    assert class_table_of(group) == ClassTable.preset("camvid")
    assert group.levels[0].shape == (40, 45)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "fine.png"], "give a store such as fine.zarr"),
        (["-o", "image.zarr/labels/coarse"], "is the coarse map; choose another output"),
        (["-o", "out.zarr", "--level", "2"], "has no level 2; choose one of 0 (80 x 90 pixels)"),
        (["-o", "out.zarr", "--confidence", "c.tif"], "omit --confidence"),
        (["-o", "out.zarr", "--shard", "3"], "for the third of eight parts, give --shard 3/8"),
        (["-o", "out.zarr", "--shard", "9/8"], "There is no part 9 of 8"),
        (["-o", "out.zarr", "--classes", "leaf"], "There is no class 'leaf'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    image, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(image.parent)
    status, printed = run(capsys, image, image, *arguments)
    assert (status, message in printed) == (2, True)
    assert not (image.parent / "out.zarr").exists()


def test_a_coarse_map_of_another_shape_is_refused(image, capsys):
    other = write_multiscale(image.with_name("other.zarr"), np.zeros((40, 80), np.uint8), "yx")
    status, printed = run(capsys, image, other, "-o", image.with_name("out.zarr"))
    assert status == 2
    assert "another shape (y 40, x 80) than the image (y 80, x 90)" in printed


def test_several_label_groups_need_a_choice(image, capsys):
    write_labels(image, "later", np.zeros((80, 90), np.uint8), "yx")
    status, printed = run(capsys, image, image, "-o", image.with_name("out.zarr"))
    assert (status, "several label groups (coarse, later); give one" in printed) == (2, True)


def test_options_of_ome_zarr_are_refused_for_files(tmp_path, capsys):
    status, printed = run(capsys, tmp_path, tmp_path, "-o", tmp_path / "x", "--level", "2")
    assert (status, "--level is for OME-Zarr images" in printed) == (2, True)
