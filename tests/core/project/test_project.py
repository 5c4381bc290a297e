"""Project folders: saving, reading, locking, and the records of the images."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from c2f_core.classes.editing import recoloured, renamed, with_class
from c2f_core.classes.table import ClassTable
from c2f_core.data.layouts import open_pairs
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import ClassTableError, DataError
from c2f_core.project import Effort, Project, Status
from c2f_core.project.effort import effort_rows, write_effort
from c2f_core.project.records import ImageRecord, by_doubt, is_next_held_out
from c2f_core.project.work import read_confidence, stored_confidence

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


def test_work_comes_back_as_it_was_saved(project, refined):
    refined(project)
    project.close()
    with Project.open(project.root) as opened:
        work = opened.read("face")
        np.testing.assert_array_equal(work.coarse, COARSE)
        np.testing.assert_array_equal(work.fine, FINE)
        np.testing.assert_array_equal(opened.read_image("face"), PAIR.image)
        assert work.record.status is Status.REFINED
        assert work.record.doubt == 0.25
        assert work.class_table == SHAPES
        assert opened.restored == ()


def test_a_review_under_way_comes_back(project, refined):
    refined(project)
    confidence = np.linspace(0, 1, COARSE.size, dtype=np.float32).reshape(COARSE.shape)
    confidence[0, :9] = np.nan
    stored = stored_confidence(confidence)
    np.testing.assert_allclose(read_confidence(stored), confidence, atol=1 / 500)
    final = np.where(np.arange(48) < 24, FINE, COARSE)
    under_way = replace(
        project.read("face"),
        fine=final,
        refined=FINE,
        confidence=stored,
        painted=final != FINE,
        painted_refined=FINE == 2,
    )
    project.autosave(under_way)
    project.close()
    with Project.open(project.root) as opened:
        work = opened.read("face")
        assert work.equals(under_way)
        assert not work.equals(replace(under_way, fine=FINE))
        assert not work.equals(replace(under_way, refined=None))
        assert not work.equals(replace(under_way, painted=final == FINE))
        assert not work.equals(replace(under_way, painted_refined=None))
        taken = ("refined", "confidence", "painted", "painted_refined")
        opened.save(replace(work, fine=FINE, **dict.fromkeys(taken)))
        again = opened.read("face")
        assert [getattr(again, kind) for kind in taken] == [None] * 4


def test_a_project_is_a_training_set_of_what_was_reviewed(project, refined):
    project.add_image(PAIR.image, "other")
    refined(project)
    pairs = open_pairs(project.root, SHAPES)
    assert pairs.names == ["face", "other"]
    assert pairs.names_with_fine == []
    project.review("face")
    face, other = open_pairs(project.root, SHAPES)
    np.testing.assert_array_equal(face.fine, PAIR.fine)
    np.testing.assert_array_equal(face.coarse, PAIR.coarse)
    assert other.fine is None
    assert (other.coarse == 255).all()
    project.review("face", reviewed=False)
    assert open_pairs(project.root, SHAPES).names_with_fine == []
    np.testing.assert_array_equal(project.read("face").fine, FINE)


def test_image_files_are_copied_unchanged(project, tmp_path):
    deep = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    Image.fromarray(PAIR.image).save(tmp_path / "face.png")
    assert project.add_image(tmp_path / "deep.tif").size == (48, 40)
    assert project.add_image(tmp_path / "face.png").name == "face-2"
    np.testing.assert_array_equal(project.read_image("deep"), deep)
    copy = project.image_path("face-2")
    assert copy.read_bytes() == (tmp_path / "face.png").read_bytes()
    with pytest.raises(DataError, match="is not an image"):
        project.add_image(tmp_path / "map.npy")


def test_names_that_are_one_file_elsewhere_get_a_number(project):
    assert project.add_image(PAIR.image, "Face").name == "Face-2"
    project.add_image(PAIR.image, "\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert project.add_image(PAIR.image, "e\N{COMBINING ACUTE ACCENT}").name.endswith("-2")


def test_a_project_is_open_in_one_place_at_a_time(project):
    with pytest.raises(DataError, match="open in another window"):
        Project.open(project.root)
    project.close()
    Project.open(project.root).close()


def test_a_folder_that_is_not_a_project_is_refused(tmp_path, project):
    with pytest.raises(DataError, match="does not contain a readable project"):
        Project.open(tmp_path)
    assert not (tmp_path / ".lock").exists()
    project.close()
    file = project.root / "project.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format_version": 3, "new": 0}))
    with pytest.raises(DataError, match=r"format 3.*update napari-c2f"):
        Project.open(project.root)


@pytest.mark.parametrize("name", ["../face", ".face", "sub/face"])
def test_images_are_not_added_under_such_names(project, name):
    before = sorted(project.root.rglob("*"))
    with pytest.raises(DataError, match="cannot name an image"):
        project.add_image(PAIR.image, name)
    assert sorted(project.root.rglob("*")) == before


def test_maps_outlive_changes_of_their_classes(project):
    project.add_image(PAIR.image, "other")
    table = with_class(recoloured(renamed(SHAPES, 2, "coin"), 3, (1, 2, 3)))
    project.save(replace(project.read("other"), class_table=table))
    work = project.read("face")
    assert work.class_table.names == ["ground", "coin", "ellipse", "triangle", "class 5"]
    np.testing.assert_array_equal(work.coarse, COARSE)
    assert open_pairs(project.root, ClassTable.from_file(project.root / "classes.json"))[0].name


def test_work_that_does_not_fit_is_refused_and_nothing_changes(project):
    work = project.read("face")
    with pytest.raises(DataError, match="save maps of the same size"):
        project.save(replace(work, coarse=COARSE[:-1]))
    with pytest.raises(DataError, match="maps of one image"):
        replace(work, fine=FINE[:-1])
    with pytest.raises(ClassTableError, match="other classes"):
        project.save(replace(work, class_table=ClassTable.preset("fasseg")))
    with pytest.raises(ClassTableError, match="not in the class table"):
        project.save(replace(work, coarse=np.full_like(COARSE, 9)))
    with pytest.raises(DataError, match="does not contain an image 'unknown'"):
        project.read("unknown")
    with pytest.raises(DataError, match="refine it first"):
        project.review("face")
    np.testing.assert_array_equal(project.read("face").coarse, COARSE)
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ()


def test_a_torn_line_of_the_journal_is_passed_over(project):
    with project.journal.path.open("ab") as file:
        file.write(b'{"time": "2026-')
    project.journal.write("after", number=1)
    events = [record["event"] for record in project.journal.records()]
    assert events == ["created", "added", "saved", "after"]


def test_images_are_ordered_by_doubt():
    def record(name, status, doubt=None):
        return ImageRecord(name=name, image="x.png", size=(1, 1), status=status, doubt=doubt)

    images = [
        record("reviewed", Status.REVIEWED, 0.9),
        record("new", Status.PENDING),
        record("sure", Status.REFINED, 0.1),
        record("doubtful", Status.REFINED, 0.4),
    ]
    ordered = [each.name for each in by_doubt(images)]
    assert ordered == ["doubtful", "sure", "new", "reviewed"]


def test_every_fourth_reviewed_image_is_held_out_for_good(project, refined):
    for number in range(6):
        project.add_image(PAIR.image, str(number))
        refined(project, name=str(number))
        project.review(str(number))
    kept = [record.name for record in project.records if record.held_out]
    assert kept == ["1", "5"]
    project.review("1", reviewed=False)
    assert project.review("1").held_out
    assert not is_next_held_out(project.records)


def test_effort_counts_before_or_after_refining(project, tmp_path, refined):
    def work_on(effort):
        work = project.read("face")
        project.save(replace(work, record=work.record.with_effort(effort)))

    work_on(Effort(seconds=90, painted=40))
    work_on(Effort(seconds=30, painted=2))
    refined(project)
    work_on(Effort(seconds=60, painted=7))
    project.add_image(PAIR.image, "other")
    face, _, total = effort_rows(project)
    assert face == {
        "image": "face",
        "status": "refined",
        "doubt": "0.250",
        "minutes before": "2.0",
        "minutes after": "1.0",
        "painted before": "42",
        "painted after": "7",
    }
    assert total["painted before"] == "42"
    write_effort(project, tmp_path / "effort.csv")
    write_effort(project, tmp_path / "effort.md")
    with (tmp_path / "effort.csv").open(newline="") as file:
        assert next(csv.DictReader(file)) == face
    assert "| face | refined |" in (tmp_path / "effort.md").read_text()
    with pytest.raises(DataError, match="written as"):
        write_effort(project, tmp_path / "effort.txt")


def test_a_pending_image_with_a_coarse_map_is_drawn(project, refined):
    project.add_image(PAIR.image, "blank")
    assert [record.stage for record in project.records] == ["drawn", "pending"]
    work = project.read("face")
    erased = np.full_like(work.coarse, SHAPES.unlabelled.index)
    project.save(replace(work, coarse=erased))
    assert project.record("face").stage == "pending"
    project.save(work)
    refined(project)
    assert project.record("face").stage == "refined"
    assert [row["status"] for row in effort_rows(project)] == ["refined", "pending", "0 reviewed"]


def test_a_coarse_map_that_is_found_in_the_folder_is_drawn(project):
    root = project.root
    shutil.copy(root / "images" / "face.tif", root / "images" / "other.tif")
    shutil.copy(root / "coarse" / "face.png", root / "coarse" / "other.png")
    project.close()
    with Project.open(root) as again:
        assert again.record("other").stage == "drawn"
