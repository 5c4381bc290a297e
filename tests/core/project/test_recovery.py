"""Opening a project after a crash or after changes by a person or another program."""

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.editing import with_class
from c2f_core.classes.table import table_from_colours
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.annotations import write_annotations
from c2f_core.io.images import read_image
from c2f_core.io.maps import read_map, write_map
from c2f_core.project import Project, Status
from c2f_core.project.store import Store
from c2f_core.project.work import read_snapshot

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


def test_a_project_from_before_the_refined_map_could_be_painted_opens(project, refined):
    refined(project)
    by_hand = FINE != COARSE
    project.save(replace(project.read("face"), painted=by_hand))
    project.close()
    (project.root / "painted_refined").rmdir()
    with Project.open(project.root) as opened:
        work = opened.read("face")
        np.testing.assert_array_equal(work.painted, by_hand)
        assert work.painted_refined is None


def test_existing_pairs_become_images_of_a_new_project(tmp_path, project, refined):
    refined(project)
    project.review("face")
    (project.root / "project.json").unlink()
    project.close()
    with Project.create(project.root, SHAPES) as again:
        assert [record.status for record in again.records] == [Status.REVIEWED]
        np.testing.assert_array_equal(again.read("face").fine, FINE)
    with pytest.raises(DataError, match="already contains a project"):
        Project.create(project.root, SHAPES)


def test_autosaved_work_is_restored_after_a_crash(project):
    drawn = COARSE.copy()
    drawn[:5] = 3
    project.autosave(replace(project.read("face"), coarse=drawn))
    np.testing.assert_array_equal(project.read("face").coarse, COARSE)
    project._lock.release()  # as the end of the process does
    with Project.open(project.root) as opened:
        assert opened.restored == ("face",)
        np.testing.assert_array_equal(opened.read("face").coarse, drawn)
        assert not list((project.root / "autosave").iterdir())
        assert [each["event"] for each in opened.journal.records()][-1] == "restored"
    with Project.open(project.root) as opened:
        assert opened.restored == ()


def test_damage_anywhere_in_an_autosave_is_reported_in_one_sentence(project):
    project.autosave(project.read("face"))
    project._lock.release()
    (snapshot,) = (project.root / "autosave").iterdir()
    whole = snapshot.read_bytes()
    for place in range(0, len(whole), 16):
        snapshot.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(DataError):  # Not every byte matters.
            read_snapshot(snapshot)
    snapshot.write_bytes(whole[: len(whole) // 2])
    damaged = snapshot.read_bytes()
    with Project.open(project.root) as opened:
        (problem,) = opened.problems
        assert "'face' was not restored" in problem
        assert "is damaged" in problem
        assert opened.restored == ()
        np.testing.assert_array_equal(opened.read("face").coarse, COARSE)
    assert (project.root / "removed" / "face" / "autosave-1.npz").read_bytes() == damaged


def test_saving_takes_an_older_autosave_away(project):
    work = project.read("face")
    project.autosave(replace(work, coarse=FINE))
    project.save(work)
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ()
        np.testing.assert_array_equal(opened.read("face").coarse, COARSE)


def test_a_removed_image_takes_its_maps_along(project):
    record = project.add_image(PAIR.image, "two")
    project.save(replace(project.read("two"), coarse=COARSE))
    folder = project.remove_image("two")
    assert folder == project.root / "removed" / "two"
    np.testing.assert_array_equal(read_image(folder / record.image), PAIR.image)
    np.testing.assert_array_equal(read_map(folder / "coarse.png", project.class_table)[0], COARSE)
    assert not list(project.root.glob("*/two.*"))
    with pytest.raises(DataError, match="does not contain an image 'two'"):
        project.remove_image("two")
    project.add_image(PAIR.image, "two")
    assert (project.read("two").coarse == project.class_table.unlabelled.index).all()
    assert project.remove_image("two").name == "two-2"


@pytest.mark.parametrize("moved", [0, 1])
def test_a_removal_that_a_crash_interrupted_is_finished(project, monkeypatch, moved):
    project.add_image(PAIR.image, "two [1]")
    names = [record.name for record in project.records if record.name != "two [1]"]
    real, calls = Path.rename, []

    def crash(path, target):
        calls.append(path)
        if len(calls) > 1 + moved:
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash)
        if moved:  # All files were moved, the record stood still.
            patch.setattr(Store, "_write", lambda *_: crash(Path(), Path()))
        with pytest.raises(KeyboardInterrupt):
            project.remove_image("two [1]")
    project.close()
    with Project.open(project.root) as again:
        assert [record.name for record in again.records] == names
        folder = again.root / "removed" / "two [1]"
        assert sorted(path.name for path in folder.iterdir()) == ["coarse.png", "two [1].tif"]


def test_an_image_that_a_person_deleted_is_not_taken_for_one_removed_earlier(project):
    project.add_image(PAIR.image, "two")
    project.save(replace(project.read("two"), coarse=COARSE))
    earlier = project.remove_image("two") / "coarse.png"
    before = earlier.read_bytes()
    project.add_image(PAIR.image, "two")
    project.image_path("two").unlink()
    project.close()
    with Project.open(project.root) as opened:
        assert [record.name for record in opened.records] == ["face", "two"]
        assert (opened.read("two").coarse == SHAPES.unlabelled.index).all()
    assert earlier.read_bytes() == before


def test_what_cannot_be_moved_stays(project, monkeypatch):
    def refuse(*_):
        raise PermissionError("not yours")

    project.add_image(PAIR.image, "two")
    before = project.records
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match="check the permissions"):
        project.remove_image("two")
    assert project.records == before
    project.read_image("two")


def test_a_map_that_is_in_use_follows_its_image_later(project, monkeypatch):
    def refuse_maps(path, target):
        if path.suffix == ".png":
            raise PermissionError("in use")
        return real(path, target)

    project.add_image(PAIR.image, "two")
    real = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse_maps)
        with pytest.raises(DataError, match="close it in other programs"):
            project.remove_image("two")
    project.close()
    with Project.open(project.root) as opened:
        assert [record.name for record in opened.records] == ["face"]
        assert (opened.root / "removed" / "two" / "coarse.png").exists()


def test_a_project_opens_despite_files_that_are_not_images(project, tmp_path):
    project.close()
    tifffile.imwrite(project.root / "images" / "stack.tif", np.zeros((5, 20, 30), np.uint8))
    Image.fromarray(PAIR.image).save(project.root / "images" / "with-tiff.png")
    write_map(project.root / "coarse" / "with-tiff.tif", COARSE, SHAPES)
    Image.fromarray(PAIR.image).save(project.root / "images" / "exported.png")
    write_map(project.root / "fine" / "exported.png", FINE, SHAPES)
    (project.root / "fine" / "exported.png.json").write_text("{}")
    with Project.open(project.root) as opened:
        assert tuple(opened.skipped) == ("stack.tif", "with-tiff.png")
        assert not (opened.root / "coarse" / "with-tiff.png").exists()
        assert [record.name for record in opened.records] == ["face", "exported"]
        assert opened.add_image(PAIR.image, "stack").name == "stack-2"
    assert tifffile.imread(project.root / "images" / "stack.tif").shape == (5, 20, 30)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_project_opens_despite_an_image_whose_name_is_not_readable_text(project):
    project.close()
    file = os.fsdecode(os.fsencode(project.root / "images") + b"/gr\xfcn.png")
    Image.fromarray(PAIR.image).save(file)
    for _ in range(2):
        with Project.open(project.root) as opened:
            assert tuple(opened.skipped) == (Path(file).name,)
            assert [record.name for record in opened.records] == ["face"]
            with pytest.raises(DataError, match="readable letters"):
                opened.add_image(file)


def test_images_whose_maps_do_not_fit_are_skipped_and_the_maps_stay(project):
    project.close()
    maps = {}
    for name in ("annotated", "small", "unknown"):
        Image.fromarray(PAIR.image).save(project.root / "images" / f"{name}.png")
        maps[name] = project.root / "coarse" / f"{name}.png"
    maps["annotated"] = maps["annotated"].with_suffix(".json")
    write_annotations(maps["annotated"], COARSE, SHAPES, "labelme")
    write_map(maps["small"], COARSE[:-1], SHAPES)
    Image.fromarray(np.full_like(COARSE, 77)).save(maps["unknown"])
    before = {path: path.read_bytes() for path in maps.values()}
    with Project.open(project.root) as opened:
        assert [record.name for record in opened.records] == ["face"]
        assert tuple(opened.skipped) == ("small.png", "unknown.png", "annotated.png")
        reasons = [each["reason"] for each in opened.journal.records() if "reason" in each]
        for expected, reason in zip(
            ("maps of the same size", "77", "not a PNG"), reasons, strict=True
        ):
            assert expected in reason
    assert {path: path.read_bytes() for path in maps.values()} == before
    assert len(list((project.root / "coarse").iterdir())) == 4


@pytest.mark.parametrize("kind", ["coarse", "fine"])
def test_a_map_of_the_sideways_picture_is_explained(project, kind):
    project.close()
    pixels = np.zeros((20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera stored the picture sideways; it is shown with 30 rows.
    Image.fromarray(pixels).save(project.root / "images" / "turned.png", exif=exif)
    write_map(project.root / kind / "turned.png", np.ones((20, 30), np.uint8), SHAPES)
    with Project.open(project.root) as opened:
        (reason,) = opened.skipped.values()
        assert "like the picture as it is stored" in reason
        assert "turn the map clockwise by 90 degrees" in reason
    write_map(project.root / kind / "turned.png", np.ones((30, 20), np.uint8), SHAPES)
    with Project.open(project.root) as opened:
        assert not opened.skipped
        assert opened.read_image("turned").shape == (30, 20, 3)


def table_of(unlabelled=0, **indices):
    """Return a table of these classes, all in new colours."""
    return table_from_colours(
        "other", {index: (name, (index, 7, 7)) for name, index in indices.items()}, unlabelled
    )


def test_maps_of_other_classes_are_skipped_and_stay(tmp_path):
    tables = {
        "others": table_of(nose=1, background=2),
        "swapped": table_of(disk=1, ground=2),
        "unlabelled": table_of(ground=1, disk=2, unlabelled=4),
        "same": table_of(ground=1, disk=2),
    }
    drawn = np.where(COARSE == 1, 1, 2).astype(np.uint8)
    for kind in ("images", "coarse", "fine"):
        (tmp_path / kind).mkdir()
    maps = {}
    for name, table in tables.items():
        Image.fromarray(PAIR.image).save(tmp_path / "images" / f"{name}.png")
        maps[name] = tmp_path / ("fine" if name == "swapped" else "coarse") / f"{name}.png"
        write_map(maps[name], drawn, table)
    before = {name: path.read_bytes() for name, path in maps.items()}
    with Project.create(tmp_path, SHAPES) as made:
        assert tuple(made.skipped) == ("others.png", "swapped.png", "unlabelled.png")
        assert [record.name for record in made.records] == ["same"]
        np.testing.assert_array_equal(made.read("same").coarse, drawn)
        reason = next(each["reason"] for each in made.journal.records() if "reason" in each)
        assert "other classes (nose, background) than those of the project (ground, disk," in reason
    assert {name: path.read_bytes() for name, path in maps.items()} == before


def test_maps_with_colours_of_no_class_are_reported_and_backed_up(project):
    project.close()
    Image.fromarray(PAIR.image).save(project.root / "images" / "painted.png")
    colours = encode_colours(COARSE, SHAPES)
    colours[3, 4] = (255, 0, 255)
    file = project.root / "coarse" / "painted.png"
    Image.fromarray(colours).save(file)
    before = file.read_bytes()
    with Project.open(project.root) as opened:
        assert opened.ambiguous == ("painted",)
        (event,) = (each for each in opened.journal.records() if each["event"] == "ambiguous")
        assert "first at row 3, column 4" in event["reason"]
        opened.save(opened.read("painted"))
        assert file.read_bytes() != before
        assert (opened.root / event["kept"]).read_bytes() == before
    with Project.open(project.root) as opened:
        assert opened.ambiguous == ()


def test_work_whose_maps_cannot_be_replaced_is_saved_at_the_next_opening(
    project, refined, monkeypatch
):
    def refuse_drafts(path, **keywords):
        if path.parent.name == "drafts":
            raise PermissionError("in use")
        real(path, **keywords)

    refined(project)
    real = Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse_drafts)
        with pytest.raises(DataError, match="close them in other programs"):
            project.review("face")
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ("face",)
        assert opened.record("face").status is Status.REVIEWED
        np.testing.assert_array_equal(opened.read("face").fine, FINE)


def test_restored_work_takes_no_class_away_that_was_added_since(project):
    project.add_image(PAIR.image, "other")
    project.autosave(replace(project.read("face"), coarse=FINE))
    table = with_class(SHAPES, "coin")
    coins = np.full_like(COARSE, table.classes[-1].index)
    project.save(replace(project.read("other"), class_table=table, coarse=coins))
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ("face",)
        assert opened.class_table == table
        np.testing.assert_array_equal(opened.read("face").coarse, FINE)
        opened.save(opened.read("other"))
