"""Refining the images of a project, and the regions that are then left to decide."""

from dataclasses import replace

import numpy as np
import pytest

from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.project import Project, Status, Work
from c2f_core.project.records import ImageRecord
from c2f_core.project.refining import find_model, refine_image, refined_work
from c2f_core.project.work import undecided_regions
from c2f_core.refine import fitting

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)


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
    assert project.record("face").status is Status.PENDING
    assert project.read("face").fine is None
    assert work.equals(refine_image(project, "face"))


def test_what_was_painted_in_both_maps_of_a_review_stays_unchanged_in_each(project):
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


def test_what_was_erased_in_a_review_is_no_longer_protected(project):
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


def test_undecided_regions_equal_the_coarse_map_and_were_not_rejected(project):
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
        project.choose_model(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("for_any_classes", [[], ["any"]])
def test_a_model_is_found_for_the_classes_of_a_project(
    project, model, tmp_path, monkeypatch, for_any_classes
):
    monkeypatch.setattr(fitting, "bundled_for_any_classes", lambda: for_any_classes)
    otherwise = for_any_classes[0] if for_any_classes else "instant"
    assert find_model(project) == otherwise
    (project.root / "models" / "damaged.safetensors").write_bytes(b"no model")
    assert find_model(project) == otherwise
    kept = project.keep_model(model)
    assert find_model(project) == str(project.root / "models" / kept)
    project.choose_model("random walker")
    assert find_model(project) == "random walker"
    with Project.create(tmp_path / "faces", ClassTable.preset("fasseg")) as faces:
        assert find_model(faces) == "fasseg"
