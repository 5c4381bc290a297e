"""Projects whose own files are damaged, missing or no files open, and are made again."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.project import Project

PAIR = synthetic_pair(48, 0)
FINE = SHAPES.to_labels(PAIR.fine)
DEEP = 100_000


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


DAMAGED = ["", "5", "[]", "{", "[" * DEEP, '{"images":' * DEEP, "\udcff", '{"images": 5}']


@pytest.fixture
def reviewed(project, refined):
    """Close a project of four images with a model: two reviewed, one refined, one pending."""
    for name in ("b", "c", "d"):
        project.add_image(PAIR.image, name)
    for name in ("face", "b", "c"):
        refined(project, name=name)
    for name in ("face", "b"):
        project.review(name)
    project.add_image(PAIR.image, "gone")
    project.remove_image("gone")
    project.choose_model("watershed")
    project.close()
    return project


@pytest.mark.parametrize("text", [*DAMAGED, '{"extra": 1}', '{"model": [5]}', None])
def test_a_damaged_or_missing_project_file_is_made_again_from_the_journal(reviewed, text):
    file, records = reviewed.root / "project.json", reviewed.records
    work = {record.name: reviewed.read(record.name) for record in records}
    file.unlink()
    if text is not None:
        file.write_bytes(os.fsencode(text))
    with Project.open(reviewed.root) as opened:
        assert opened.records == records
        assert opened.model == ("" if text == '{"model": [5]}' else "watershed")
        assert "made again" in opened.problems[0]
        assert all(opened.read(name).equals(each) for name, each in work.items())
    if text is not None:
        assert (reviewed.root / "removed/project/damaged-1.json").read_bytes() == os.fsencode(text)
    with Project.open(reviewed.root) as opened:
        assert (opened.records, opened.problems) == (records, ())


def test_records_in_a_project_file_with_a_damaged_entry_are_kept(reviewed):
    file = reviewed.root / "project.json"
    content = json.loads(file.read_text()) | {"model": {"a": 5}}
    content["images"][1]["size"] = "?"
    file.write_text(json.dumps(content))
    with Project.open(reviewed.root) as opened:
        assert [record.name for record in opened.records] == ["face", "c", "d"]
        assert any("'b'" in problem for problem in opened.problems)


def test_without_a_journal_a_project_file_is_made_again_from_the_folders(reviewed):
    (reviewed.root / "project.json").write_text("{")
    (reviewed.root / "journal.jsonl").write_bytes(b'\xff\n[1]\n{"event": [1], "image": {}}\n')
    with Project.open(reviewed.root) as opened:
        found = {record.name: record.status for record in opened.records}
        assert found == {record.name: record.status for record in reviewed.records}
        assert [record.held_out for record in opened.records].count(True) == 1
        np.testing.assert_array_equal(opened.read("c").fine, FINE)


@pytest.mark.parametrize("text", [*DAMAGED, '{"version": 1}', None])
def test_the_folder_of_another_program_is_not_made_a_project(tmp_path, text):
    (tmp_path / "images").mkdir()
    if text is not None:
        (tmp_path / "project.json").write_bytes(os.fsencode(text))
    before = contents(tmp_path)
    with pytest.raises(DataError, match="does not contain a readable project"):
        Project.open(tmp_path)
    assert contents(tmp_path) == before
    assert not any((tmp_path / "images").iterdir())


def test_a_project_of_a_newer_program_is_not_changed(reviewed):
    file = reviewed.root / "project.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 99, "later": 1}))
    before = contents(reviewed.root)
    with pytest.raises(DataError, match="update napari-c2f"):
        Project.open(reviewed.root)
    assert contents(reviewed.root) == before


def test_damaged_classes_are_taken_from_any_map_or_model(project, model):
    project.choose_model(model)
    project.close()
    (project.root / "project.json").write_text("{")
    (project.root / "journal.jsonl").write_text("")
    for damaged in (["classes.json"], ["classes.json", "coarse/face.png"]):
        for file in damaged:
            (project.root / file).write_text("{")
        with Project.open(project.root) as opened:
            assert opened.class_table == SHAPES
            assert any("are used instead" in problem for problem in opened.problems)
    assert [path.read_text() for path in (project.root / "removed/classes").iterdir()] == ["{", "{"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
@pytest.mark.parametrize("path", ["project.json", "classes.json", "journal.jsonl", ".lock"])
def test_what_is_not_a_regular_file_is_moved_aside_or_refused(project, path):
    records, file = project.records, project.root / path
    project.close()
    for make in (os.mkfifo, os.mkdir):
        file.unlink(missing_ok=True)
        make(file)
        with Project.open(project.root) as opened:
            assert opened.records == records
            assert len(opened.problems) == 1
            assert not next(project.root.glob(f"removed/{file.stem.lstrip('.')}/*")).is_file()
            assert file.is_file()
        shutil.rmtree(project.root / "removed")
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is a link"):
        Project.open(project.root)
