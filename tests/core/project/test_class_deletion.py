"""A class is deleted from all maps of a project."""

import errno
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from c2f_core.classes.editing import moved, with_class
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import ClassTableError, DataError, WritingError
from c2f_core.io.embedded import embedded_table
from c2f_core.project import Project, Status
from c2f_core.project import class_deletion as deletion_module
from c2f_core.project.layout import DELETION_FILE
from c2f_core.project.maps import MapFiles
from c2f_core.project.records import Parameters

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)
UNLABELLED = SHAPES.unlabelled.index
DELETED, OTHER = SHAPES.classes[1].index, SHAPES.classes[2].index


@pytest.fixture
def project(project):
    """A project of a refined image under review, a reviewed one and an empty one."""
    record = project.record("face").refined("watershed", 0.75, Parameters())
    record = record.model_copy(update={"rejected": ((3, 2, DELETED), (9, 1, OTHER))})
    project.save(replace(project.read("face"), record=record, fine=FINE, refined=FINE))
    project.add_image(PAIR.image, "reviewed")
    record = project.record("reviewed").refined("watershed", 0.75, Parameters())
    project.save(replace(project.read("reviewed"), record=record, coarse=COARSE, fine=FINE))
    project.review("reviewed")
    project.add_image(PAIR.image, "empty")
    return project


def expected(index_map, replacement=UNLABELLED):
    return np.where(index_map == DELETED, replacement, index_map)


def assert_deleted(project, replacement=UNLABELLED):
    assert DELETED not in [entry.index for entry in project.class_table.entries]
    for name in ("face", "reviewed"):
        work = project.read(name)
        np.testing.assert_array_equal(work.coarse, expected(COARSE, replacement))
        np.testing.assert_array_equal(work.fine, expected(FINE, replacement))
    np.testing.assert_array_equal(project.read("face").refined, expected(FINE, replacement))
    assert project.record("face").rejected == ((3, 2, replacement), (9, 1, OTHER))
    assert project.record("reviewed").status is Status.REVIEWED
    assert not (project.root / DELETION_FILE).exists()


@pytest.mark.parametrize("replacement", [None, OTHER])
def test_pixels_of_a_deleted_class_become_unlabelled_or_another_class(project, replacement):
    shares = []
    project.delete_class(DELETED, replacement, shares.append)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    assert_deleted(project, UNLABELLED if replacement is None else replacement)
    project.close()
    with Project.open(project.root) as opened:
        assert not opened.problems
        assert_deleted(opened, UNLABELLED if replacement is None else replacement)
        assert ClassTable.from_file(opened.root / "classes.json") == opened.class_table
        for kind in ("coarse/face", "drafts/face", "fine/reviewed", "coarse/empty"):
            assert embedded_table(opened.root / f"{kind}.png") == opened.class_table
        opened.save(opened.read("face"))


def test_pixels_are_counted_before(project):
    number = max(np.count_nonzero(COARSE == DELETED), np.count_nonzero(FINE == DELETED))
    assert project.pixels_of_class(DELETED) == {"face": number, "reviewed": number}
    extended = with_class(SHAPES, "new")
    project.save(replace(project.read("empty"), class_table=extended))
    assert project.pixels_of_class(extended.classes[-1].index) == {}


def test_maps_are_kept_as_they_were(project):
    project.delete_class(DELETED)
    kept = project.root / "removed" / "reviewed"
    np.testing.assert_array_equal(Image.open(kept / "coarse-before-deletion-1.png"), COARSE)
    np.testing.assert_array_equal(Image.open(kept / "fine-before-deletion-1.png"), FINE)
    assert not (project.root / "removed" / "empty").exists()
    (event,) = [each for each in project.journal.records() if each["event"] == "class deleted"]
    assert event["name"] == SHAPES.classes[1].name
    assert event["images"] == ["face", "reviewed"]


@pytest.mark.parametrize("label", [99, UNLABELLED])
def test_only_classes_can_be_deleted(project, label):
    with pytest.raises(ClassTableError, match="choose one of its classes"):
        project.delete_class(label)


@pytest.mark.parametrize("replacement", [99, DELETED])
def test_the_replacement_must_be_another_class(project, replacement):
    with pytest.raises(ClassTableError, match="choose another class of the project"):
        project.delete_class(DELETED, replacement)


def test_nothing_changes_if_a_map_is_damaged_or_work_is_not_saved(project):
    project.autosave(replace(project.read("empty"), coarse=COARSE))
    with pytest.raises(DataError, match="The work on empty is not saved yet"):
        project.delete_class(DELETED)
    project.save(project.read("empty"))
    (project.root / "coarse" / "empty.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"empty\.png"):
        project.delete_class(DELETED)
    np.testing.assert_array_equal(project.read("face").coarse, COARSE)
    assert project.class_table == SHAPES


def test_after_an_error_the_class_is_still_there(project, monkeypatch):
    def fail(*_):
        raise DataError("The disk is full.")

    monkeypatch.setattr(deletion_module, "write_table", fail)
    with pytest.raises(DataError, match="The disk is full"):
        project.delete_class(DELETED)
    monkeypatch.undo()
    assert project.class_table == SHAPES
    project.save(replace(project.read("empty"), coarse=COARSE))
    project.close()
    with Project.open(project.root) as opened:
        assert not opened.problems
        np.testing.assert_array_equal(opened.read("empty").coarse, COARSE)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_nothing_changes_if_not_all_maps_can_be_kept(project, monkeypatch, failing):
    real, calls = shutil.copyfile, []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(DataError, match=r"removed.* cannot be written \(No space left") as error:
        project.delete_class(DELETED)
    monkeypatch.undo()
    assert "not deleted completely" not in str(error.value)
    for name in ("face", "reviewed"):
        np.testing.assert_array_equal(project.read(name).coarse, COARSE)
        np.testing.assert_array_equal(project.read(name).fine, FINE)
    assert not [path for path in (project.root / "removed").rglob("*") if path.is_file()]
    project.delete_class(DELETED)
    assert_deleted(project)


def test_maps_that_have_lost_pixels_are_mentioned(project, monkeypatch):
    real = MapFiles.write

    def fail(maps, work, record):
        if record.name == "reviewed":
            raise WritingError("The disk is full.")
        real(maps, work, record)

    monkeypatch.setattr(MapFiles, "write", fail)
    with pytest.raises(DataError, match=r"it stays, but some .* full\. The earlier maps"):
        project.delete_class(DELETED)
    assert project.class_table == SHAPES
    kept = project.root / "removed" / "face" / "coarse-before-deletion-1.png"
    np.testing.assert_array_equal(Image.open(kept), COARSE)


@pytest.mark.parametrize(
    "content",
    ["torn", "{}", '{"format_version": 1, "label": 1, "replacement": 99}', "[]"],
)
def test_a_damaged_record_of_a_deletion_changes_nothing(project, content):
    (project.root / DELETION_FILE).write_text(content)
    project.close()
    with Project.open(project.root) as opened:
        (problem,) = opened.problems
        assert "cannot be completed" in problem
        np.testing.assert_array_equal(opened.read("face").coarse, COARSE)
        assert not (opened.root / DELETION_FILE).exists()


def test_a_moved_class_keeps_its_pixels_in_all_images(project):
    table = moved(SHAPES, DELETED, -1)
    project.save(replace(project.read("face"), class_table=table))
    project.close()
    with Project.open(project.root) as opened:
        assert not opened.problems
        assert opened.class_table.names == table.names != SHAPES.names
        np.testing.assert_array_equal(opened.read("reviewed").coarse, COARSE)
        assert opened.class_table.to_class_ids(opened.read("reviewed").fine).max() < 255
