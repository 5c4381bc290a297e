"""Project folders: saving, restoring, locking, exporting, and making a map again."""

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from c2f_core.class_editing import recoloured, renamed, with_class
from c2f_core.classes import ClassTable
from c2f_core.config import GeneratorConfig
from c2f_core.data.folder import open_pairs
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import C2FError, ClassTableError, DataError
from c2f_core.io import read_image, read_map, write_map
from c2f_core.networks.unet import build_generator
from c2f_core.project import Effort, Project, Status, Work
from c2f_core.project.effort import effort_rows, write_effort
from c2f_core.project.provenance import export_map, rerun
from c2f_core.project.records import ImageRecord, Parameters, by_doubt, is_kept_back
from c2f_core.project.refining import refine_image, refined_work
from c2f_core.project.reviewing import undecided_regions
from c2f_core.project.runs import encode_runs, paint_runs
from c2f_core.project.sidecar import Sidecar
from c2f_core.project.snapshots import read_confidence, read_snapshot, stored_confidence
from c2f_core.project.store import Store
from c2f_core.refine.record import scope_record
from c2f_core.refine.scope import Scope
from c2f_core.training.checkpoint import save_checkpoint
from c2f_core.training.metadata import CheckpointMetadata

PAIR = synthetic_pair(48, 0)
BOX = slice(3, 48), slice(0, 40)
COARSE, FINE = SHAPES.to_indices(PAIR.coarse), SHAPES.to_indices(PAIR.fine)


@pytest.fixture
def project(tmp_path):
    """A project of one image whose coarse map is drawn."""
    with Project.create(tmp_path / "project", SHAPES) as made:
        made.add_image(PAIR.image, "face")
        made.save(replace(made.read("face"), coarse=COARSE))
        yield made


@pytest.fixture
def model(tmp_path):
    """A small model with random weights."""
    architecture = GeneratorConfig(widths=(4, 8), stem=1)
    generator = build_generator(architecture, SHAPES.number_of_classes)
    metadata = CheckpointMetadata(architecture=architecture, class_table=SHAPES)
    save_checkpoint(tmp_path / "random.safetensors", generator, metadata)
    return tmp_path / "random.safetensors"


def refined(project, fine=FINE, name="face", doubt=0.25):
    """Save a fine map as if a model had made it."""
    work = project.read(name)
    record = work.record.refined("watershed", 1 - doubt, Parameters())
    project.save(replace(work, record=record, fine=fine))


def test_work_comes_back_as_it_was_saved(project):
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


def test_a_review_under_way_comes_back(project):
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
        assert work.is_that_of(under_way)
        assert not work.is_that_of(replace(under_way, fine=FINE))
        assert not work.is_that_of(replace(under_way, refined=None))
        assert not work.is_that_of(replace(under_way, painted=final == FINE))
        assert not work.is_that_of(replace(under_way, painted_refined=None))
        taken = ("refined", "confidence", "painted", "painted_refined")
        opened.save(replace(work, fine=FINE, **dict.fromkeys(taken)))
        again = opened.read("face")
        assert [getattr(again, kind) for kind in taken] == [None] * 4


def test_a_project_from_before_the_refined_map_could_be_painted_opens(project):
    refined(project)
    by_hand = FINE != COARSE
    project.save(replace(project.read("face"), painted=by_hand))
    project.close()
    (project.root / "painted_refined").rmdir()
    with Project.open(project.root) as opened:
        work = opened.read("face")
        np.testing.assert_array_equal(work.painted, by_hand)
        assert work.painted_refined is None


def test_a_project_is_a_training_set_of_what_was_reviewed(project):
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


def test_image_files_are_copied_as_they_are(project, tmp_path):
    deep = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    Image.fromarray(PAIR.image).save(tmp_path / "face.png")
    assert project.add_image(tmp_path / "deep.tif").size == (48, 40)
    assert project.add_image(tmp_path / "face.png").name == "face-2"
    np.testing.assert_array_equal(project.read_image("deep"), deep)
    copy = project.image_path("face-2")
    assert copy.read_bytes() == (tmp_path / "face.png").read_bytes()
    with pytest.raises(DataError, match="is no image"):
        project.add_image(tmp_path / "map.npy")


def test_existing_pairs_become_images_of_a_new_project(tmp_path, project):
    refined(project)
    project.review("face")
    (project.root / "project.json").unlink()
    project.close()
    with Project.create(project.root, SHAPES) as again:
        assert [record.status for record in again.records] == [Status.REVIEWED]
        np.testing.assert_array_equal(again.read("face").fine, FINE)
    with pytest.raises(DataError, match="holds a project already"):
        Project.create(project.root, SHAPES)


def test_a_project_is_open_in_one_place_at_a_time(project):
    with pytest.raises(DataError, match="open in another window"):
        Project.open(project.root)
    project.close()
    Project.open(project.root).close()


def test_what_is_no_project_is_refused(tmp_path, project):
    with pytest.raises(DataError, match="holds no project"):
        Project.open(tmp_path)
    assert not (tmp_path / ".lock").exists()
    project.close()
    file = project.root / "project.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format_version": 2}))
    with pytest.raises(DataError, match="format 2"):
        Project.open(project.root)
    file.write_text(file.read_text()[:40])
    with pytest.raises(DataError, match="holds no project that can be read"):
        Project.open(project.root)


def test_names_that_leave_the_folder_are_refused(project):
    project.close()
    file = project.root / "project.json"
    file.write_text(file.read_text().replace('"face.tif"', '"../face.tif"'))
    with pytest.raises(DataError, match="of a file, not of a path"):
        Project.open(project.root)


@pytest.mark.parametrize("name", ["../face", ".face", "sub/face"])
def test_images_are_not_added_under_such_names(project, name):
    before = sorted(project.root.rglob("*"))
    with pytest.raises(DataError, match="cannot name an image"):
        project.add_image(PAIR.image, name)
    assert sorted(project.root.rglob("*")) == before


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


def test_damage_anywhere_in_an_autosave_is_told_in_one_sentence(project):
    project.autosave(project.read("face"))
    project._lock.release()
    (snapshot,) = (project.root / "autosave").iterdir()
    whole = snapshot.read_bytes()
    for place in range(0, len(whole), 16):
        snapshot.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(DataError):  # Not every byte matters.
            read_snapshot(snapshot)
    snapshot.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="move it elsewhere"):
        Project.open(project.root)


def test_saving_takes_an_older_autosave_away(project):
    work = project.read("face")
    project.autosave(replace(work, coarse=FINE))
    project.save(work)
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ()
        np.testing.assert_array_equal(opened.read("face").coarse, COARSE)


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
    with pytest.raises(DataError, match="save maps that were drawn on it"):
        project.save(replace(work, coarse=COARSE[:-1]))
    with pytest.raises(DataError, match="maps of one image"):
        replace(work, fine=FINE[:-1])
    with pytest.raises(ClassTableError, match="other classes"):
        project.save(replace(work, class_table=ClassTable.preset("fasseg")))
    with pytest.raises(ClassTableError, match="not in the class table"):
        project.save(replace(work, coarse=np.full_like(COARSE, 9)))
    with pytest.raises(DataError, match="no image 'nobody'"):
        project.read("nobody")
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


def test_a_removed_image_takes_its_maps_along(project):
    record = project.add_image(PAIR.image, "two")
    project.save(replace(project.read("two"), coarse=COARSE))
    folder = project.remove_image("two")
    assert folder == project.root / "removed" / "two"
    np.testing.assert_array_equal(read_image(folder / record.image), PAIR.image)
    np.testing.assert_array_equal(read_map(folder / "coarse.png", project.class_table)[0], COARSE)
    assert not list(project.root.glob("*/two.*"))
    with pytest.raises(DataError, match="no image 'two'"):
        project.remove_image("two")
    project.add_image(PAIR.image, "two")
    assert (project.read("two").coarse == project.class_table.unlabelled.index).all()
    assert project.remove_image("two").name == "two-2"


@pytest.mark.parametrize("moved", [0, 1])
def test_a_removal_that_a_crash_interrupted_is_finished(project, monkeypatch, moved):
    project.add_image(PAIR.image, "two")
    names = [record.name for record in project.records if record.name != "two"]
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
            project.remove_image("two")
    project.close()
    with Project.open(project.root) as again:
        assert [record.name for record in again.records] == names
        assert sorted(path.name for path in (again.root / "removed" / "two").iterdir()) == [
            "coarse.png",
            "two.tif",
        ]


def test_what_cannot_be_moved_stays(project, monkeypatch):
    def refuse(*_):
        raise PermissionError("not yours")

    project.add_image(PAIR.image, "two")
    before = project.records
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match="mend the permissions"):
        project.remove_image("two")
    assert project.records == before
    project.read_image("two")


def test_images_are_ordered_by_doubt():
    def record(name, status, doubt=None):
        return ImageRecord(name=name, image="x.png", size=(1, 1), status=status, doubt=doubt)

    images = [
        record("reviewed", Status.REVIEWED, 0.9),
        record("new", Status.TO_DO),
        record("sure", Status.REFINED, 0.1),
        record("doubtful", Status.REFINED, 0.4),
    ]
    ordered = [each.name for each in by_doubt(images)]
    assert ordered == ["doubtful", "sure", "new", "reviewed"]


def test_every_fourth_reviewed_image_is_kept_back_for_good(project):
    for number in range(6):
        project.add_image(PAIR.image, str(number))
        refined(project, name=str(number))
        project.review(str(number))
    kept = [record.name for record in project.records if record.kept_back]
    assert kept == ["1", "5"]
    project.review("1", reviewed=False)
    assert project.review("1").kept_back
    assert not is_kept_back(project.records)


def test_effort_counts_before_or_after_refining(project, tmp_path):
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


# Exporting


def correct_by_hand(project, name="face"):
    """Take one region of the refiner back, and paint elsewhere."""
    work = project.read(name)
    final = work.fine.copy()
    final[:10] = work.coarse[:10]
    final[20:24, 5:30] = 4
    project.save(replace(work, fine=final))
    return final


@pytest.mark.parametrize("name", ["face.png", "face.tif", "face.npy"])
@pytest.mark.parametrize("kind", ["learned", "classical", "none"])
def test_a_map_is_made_again_from_its_sidecar(project, model, tmp_path, name, kind):
    if kind == "none":
        refined(project)
        project.save(
            replace(
                project.read("face"), record=project.record("face").refined("", 1, Parameters())
            )
        )
    else:
        project.choose_model(model if kind == "learned" else "watershed")
        refine_image(
            project,
            "face",
            Parameters(scope=scope_record(Scope(minimal_confidence=0.1, band=9, box=BOX))),
        )
    final = correct_by_hand(project)
    made = export_map(project, "face", project.root / "exports" / name)
    told = Sidecar.read(made.sidecar)
    assert told.before == project.record("face").before
    assert bool(told.model_sha256) == (kind == "learned")
    assert 0 < told.hand_edited_pixels < final.size
    project.save(replace(project.read("face"), coarse=np.full_like(COARSE, 1)))
    again = rerun(made.sidecar, tmp_path / name)
    assert again.read_bytes() == made.file.read_bytes()


def test_a_sidecar_tells_accepted_regions_from_painted_pixels(project, tmp_path):
    project.choose_model("watershed")
    work = refine_image(project, "face")
    changed = int((work.fine != work.coarse).sum())
    told = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert told.accepted_regions == list(range(1, told.regions + 1))
    assert told.hand_edited == []
    project.save(replace(work, fine=work.coarse))
    told = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert told.accepted_regions == []
    assert told.hand_edited == []
    assert changed > 0
    painted = work.coarse.copy()
    painted[0, :7] = 4
    by_hand = np.zeros(painted.shape, bool)
    by_hand[0, :5] = True
    project.save(replace(work, fine=painted, painted=by_hand))
    told = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert (told.hand_edited_pixels, told.painted_pixels) == (7, 5)
    assert told.hand_edited == [(0, 7, 4)]


def test_a_sidecar_refuses_what_is_not_its_own(project, model, tmp_path):
    project.choose_model(model)
    refine_image(project, "face")
    made = export_map(project, "face", tmp_path / "face.png")
    with pytest.raises(DataError, match="same ending"):
        rerun(made.sidecar, tmp_path / "face.tif")
    with pytest.raises(DataError, match="not the image"):
        rerun(made.sidecar, tmp_path / "b.png", image=made.file)
    with pytest.raises(DataError, match="not the model"):
        rerun(made.sidecar, tmp_path / "b.png", model="fasseg")
    with pytest.raises(DataError, match="is no sidecar"):
        rerun(made.file, tmp_path / "b.png")
    text = made.sidecar.read_text()
    told = Sidecar.read(made.sidecar)
    first = told.coarse[0]
    broken = told.model_copy(update={"coarse": [(first[0], first[1], 4), *told.coarse[1:]]})
    made.sidecar.write_text(broken.model_dump_json())
    with pytest.raises(DataError, match="damaged"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace('"format_version":1', '"format_version":2'))
    with pytest.raises(DataError, match="update napari-c2f"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace('"locked":[]', '"locked":5'))
    with pytest.raises(DataError, match="is no sidecar"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace(told.file_sha256, "0" * 64))
    with pytest.raises(DataError, match="is another one here"):
        rerun(made.sidecar, tmp_path / "b.png")


def test_a_map_that_is_another_one_is_not_written(project, tmp_path):
    project.choose_model("watershed")
    refine_image(project, "face")
    made = export_map(project, "face", tmp_path / "face.png")
    before, told = made.file.read_bytes(), Sidecar.read(made.sidecar)
    damaged = {
        "is another one here": {"hand_edited": [(0, 7, 4)]},
        "is damaged": {"accepted_regions": [9999]},
        "damaged; export": {"hand_edited": [(0, 7, 70000)]},
    }
    for match, changes in damaged.items():
        made.sidecar.write_text(told.model_copy(update=changes).model_dump_json())
        for output in (tmp_path / "again.png", made.file):
            with pytest.raises(DataError, match=match):
                rerun(made.sidecar, output)
    assert made.file.read_bytes() == before
    assert not (tmp_path / "again.png").exists()


def test_a_name_that_cannot_be_exported_to_harms_no_other_file(project, tmp_path):
    project.choose_model("watershed")
    refine_image(project, "face")
    (tmp_path / "face.json").write_text("annotations")
    with pytest.raises(DataError, match=r"written as.*rename face\."):
        export_map(project, "face", tmp_path / "face")
    assert (tmp_path / "face.json").read_text() == "annotations"


def test_what_was_painted_stays_without_a_window_too(project):
    project.choose_model("watershed")
    work = refine_image(project, "face")
    painted = np.zeros(COARSE.shape, bool)
    painted[10:20, 10:20] = True
    project.save(replace(work, fine=np.where(painted, 4, work.fine), painted=painted))
    again = refine_image(project, "face")
    assert (again.fine[painted] == 4).all()
    assert (project.read("face").painted == painted).all()
    erased = np.where(painted, SHAPES.unlabelled.index, again.fine)
    project.save(replace(again, fine=erased))
    assert refine_image(project, "face").painted is None


def test_refined_work_is_not_saved_before_it_is_asked_for(project):
    project.choose_model("watershed")
    work = refined_work(project, project.read("face"))
    assert work.record.status is Status.REFINED
    assert project.record("face").status is Status.TO_DO
    assert project.read("face").fine is None
    assert work.is_that_of(refine_image(project, "face"))


def test_what_was_painted_in_both_maps_of_a_review_stays_as_it_is_in_each(project):
    project.choose_model("watershed")
    work = refine_image(project, "face")
    in_refined, in_final = np.zeros((2, *COARSE.shape), bool)
    in_refined[10:20, 10:20], in_final[15:25, 10:20] = True, True
    project.save(
        replace(
            work,
            fine=np.where(in_final, 3, COARSE),
            painted=in_final,
            refined=np.where(in_refined, 4, work.fine),
            painted_refined=in_refined,
        )
    )
    again = refine_image(project, "face")
    assert (again.fine[in_final] == 3).all()
    assert (again.fine[in_refined & ~in_final] == 4).all()
    np.testing.assert_array_equal(again.painted, in_refined | in_final)
    assert again.refined is again.painted_refined is None


def test_what_was_erased_in_a_review_is_given_free(project):
    project.choose_model("watershed")
    work = refine_image(project, "face")
    erased = np.zeros(COARSE.shape, bool)
    erased[15:20, 10:20] = True
    unlabelled = work.class_table.unlabelled.index
    final, refined = (np.where(erased, label, work.fine) for label in (unlabelled, 4))
    under_review = replace(
        work, fine=final, painted=erased, refined=refined, painted_refined=erased
    )
    project.save(under_review)
    again = refine_image(project, "face")
    np.testing.assert_array_equal(again.fine, work.fine)
    assert again.painted is None


def test_undecided_regions_are_those_as_in_the_coarse_map_that_nobody_rejected(project):
    coarse, refined_map = np.ones((2, 20, 20), np.uint8)
    for rows, columns in ((slice(2, 5), slice(2, 6)), (slice(9, 12), slice(2, 6))):
        refined_map[rows, columns] = 2
    refined_map[2:5, 10:16] = 3
    record = ImageRecord(
        name="x", image="x.png", size=coarse.shape, rejected=((9 * 20 + 2, 12, 2),)
    )
    work = Work(record, SHAPES, coarse, coarse, refined_map)
    assert undecided_regions(work) == 2
    assert undecided_regions(replace(work, record=record.model_copy(update={"rejected": ()}))) == 3
    assert undecided_regions(replace(work, fine=np.where(refined_map == 3, 3, coarse))) == 1
    painted = coarse.copy()
    painted[3, 3] = 4
    assert undecided_regions(replace(work, fine=painted)) == 1
    assert undecided_regions(replace(work, refined=None)) == 0


def test_an_export_tells_of_undecided_regions(project, tmp_path):
    project.choose_model("watershed")
    work = refine_image(project, "face")
    made = export_map(project, "face", tmp_path / "a.png")
    assert made.undecided == 0
    assert made.message().endswith("tells how it was made.")
    project.save(replace(work, fine=work.coarse, refined=work.fine))
    made = export_map(project, "face", tmp_path / "a.png")
    assert made.undecided > 1
    assert f"{made.undecided} regions are undecided" in made.message()
    again = rerun(made.sidecar, tmp_path / "again.png")
    assert again.read_bytes() == made.file.read_bytes()


def test_what_is_no_image_keeps_no_project_from_opening(project, tmp_path):
    project.close()
    tifffile.imwrite(project.root / "images" / "stack.tif", np.zeros((5, 20, 30), np.uint8))
    Image.fromarray(PAIR.image).save(project.root / "images" / "with-tiff.png")
    write_map(project.root / "coarse" / "with-tiff.tif", COARSE, SHAPES)
    Image.fromarray(PAIR.image).save(project.root / "images" / "exported.png")
    write_map(project.root / "fine" / "exported.png", FINE, SHAPES)
    (project.root / "fine" / "exported.png.json").write_text("{}")
    with Project.open(project.root) as opened:
        assert opened.left_out == ("stack.tif", "with-tiff.png")
        assert not (opened.root / "coarse" / "with-tiff.png").exists()
        assert [record.name for record in opened.records] == ["face", "exported"]
        assert opened.add_image(PAIR.image, "stack").name == "stack-2"
    assert tifffile.imread(project.root / "images" / "stack.tif").shape == (5, 20, 30)


def test_what_is_not_refined_is_not_exported(project, tmp_path):
    with pytest.raises(DataError, match="refine it first"):
        export_map(project, "face", tmp_path / "face.png")
    assert not list(tmp_path.glob("face*"))
    with pytest.raises(DataError, match="no model yet"):
        refine_image(project, "face")
    project.choose_model("nobody")
    with pytest.raises(C2FError, match="no model 'nobody'; choose one of fasseg, watershed"):
        refine_image(project, "face")


def test_models_are_kept_in_the_project(project, model, tmp_path):
    project.choose_model(model)
    assert project.model == str(project.root / "models" / "random.safetensors")
    project.choose_model(project.model)
    other = tmp_path / "elsewhere" / "random.safetensors"
    other.parent.mkdir()
    other.write_bytes(model.read_bytes() + b" ")
    project.choose_model(other)
    names = [path.name for path in project.models]
    assert names == ["random.safetensors", "random-2.safetensors"]
    with pytest.raises(DataError, match="cannot be read"):
        project.choose_model(tmp_path / "lacks.safetensors")


@settings(deadline=None)
@given(st.data())
def test_runs_hold_every_map_and_every_part_of_it(data):
    rows, columns = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    labels = st.lists(st.integers(0, 3), min_size=rows * columns, max_size=rows * columns)
    index_map = np.array(data.draw(labels), dtype=np.uint8).reshape(rows, columns)
    where = np.array(data.draw(labels)).reshape(rows, columns) > 1
    below = np.full_like(index_map, 7)
    paint_runs(below, encode_runs(index_map, where))
    np.testing.assert_array_equal(below, np.where(where, index_map, 7))
    paint_runs(below, encode_runs(index_map))
    np.testing.assert_array_equal(below, index_map)
