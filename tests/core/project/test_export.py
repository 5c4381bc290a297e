"""Exported maps, their sidecars, and making a map again."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from c2f_core.classes.editing import renamed, with_class
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import C2FError, DataError
from c2f_core.io.atomic import atomic_path
from c2f_core.project.export import export_map, rerun
from c2f_core.project.records import Parameters
from c2f_core.project.refining import refine_image
from c2f_core.project.sidecar import (
    Sidecar,
    encode_run_lengths,
    paint_run_lengths,
    restore_sidecars,
)
from c2f_core.refine.scope import Scope

PAIR = synthetic_pair(48, 0)
BOX = slice(3, 48), slice(0, 40)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)
ALL_CHANGES = Parameters(
    scope=Scope(care="model", smallest_region=0, smallest_hole=0, smallest_spur=0).to_record()
)


def correct_by_hand(project, name="face"):
    """Reject one region of the refiner, and paint elsewhere."""
    work = project.read(name)
    final = work.fine.copy()
    final[:10] = work.coarse[:10]
    final[20:24, 5:30] = 4
    project.save(replace(work, fine=final))
    return final


@pytest.mark.parametrize("name", ["face.png", "face.tif", "face.npy"])
@pytest.mark.parametrize("kind", ["learned", "classical", "none"])
def test_a_map_is_reproduced_from_its_sidecar(project, model, tmp_path, name, kind, refined):
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
            Parameters(scope=Scope(minimal_confidence=0.1, band=9, box=BOX).to_record()),
        )
    final = correct_by_hand(project)
    made = export_map(project, "face", project.root / "exports" / name)
    sidecar = Sidecar.read(made.sidecar)
    assert sidecar.before == project.record("face").before
    assert bool(sidecar.model_sha256) == (kind == "learned")
    assert 0 < sidecar.hand_edited_pixels < final.size
    project.save(replace(project.read("face"), coarse=np.full_like(COARSE, 1)))
    again = rerun(made.sidecar, tmp_path / name)
    assert again.read_bytes() == made.file.read_bytes()


def test_a_sidecar_distinguishes_accepted_regions_from_painted_pixels(project, tmp_path):
    project.choose_model("watershed")
    work = refine_image(project, "face", ALL_CHANGES)
    changed = int((work.fine != work.coarse).sum())
    sidecar = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert sidecar.accepted_regions == list(range(1, sidecar.regions + 1))
    assert sidecar.hand_edited == []
    project.save(replace(work, fine=work.coarse))
    sidecar = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert sidecar.accepted_regions == []
    assert sidecar.hand_edited == []
    assert changed > 0
    painted = work.coarse.copy()
    painted[0, :7] = 4
    by_hand = np.zeros(painted.shape, bool)
    by_hand[0, :5] = True
    project.save(replace(work, fine=painted, painted=by_hand))
    sidecar = Sidecar.read(export_map(project, "face", tmp_path / "a.png").sidecar)
    assert (sidecar.hand_edited_pixels, sidecar.painted_pixels) == (7, 5)
    assert sidecar.hand_edited == [(0, 7, 4)]


def test_rerunning_a_sidecar_refuses_files_that_do_not_match(project, model, tmp_path):
    project.choose_model(model)
    refine_image(project, "face")
    made = export_map(project, "face", tmp_path / "face.png")
    with pytest.raises(DataError, match="of this suffix"):
        rerun(made.sidecar, tmp_path / "face.tif")
    with pytest.raises(DataError, match="not the image"):
        rerun(made.sidecar, tmp_path / "b.png", image=made.file)
    with pytest.raises(DataError, match="not the model"):
        rerun(made.sidecar, tmp_path / "b.png", model="fasseg")
    with pytest.raises(DataError, match="is not the sidecar"):
        rerun(made.file, tmp_path / "b.png")
    text = made.sidecar.read_text()
    sidecar = Sidecar.read(made.sidecar)
    first = sidecar.coarse[0]
    broken = sidecar.model_copy(update={"coarse": [(first[0], first[1], 4), *sidecar.coarse[1:]]})
    made.sidecar.write_text(broken.model_dump_json())
    with pytest.raises(DataError, match="damaged"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace('"format_version":2', '"format_version":3,"new":0'))
    with pytest.raises(DataError, match="update napari-c2f"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace('"locked":[]', '"locked":5'))
    with pytest.raises(DataError, match="is not the sidecar"):
        rerun(made.sidecar, tmp_path / "b.png")
    made.sidecar.write_text(text.replace(sidecar.file_sha256, "0" * 64))
    with pytest.raises(DataError, match="differs from the exported one"):
        rerun(made.sidecar, tmp_path / "b.png")


def test_a_map_that_is_another_one_is_not_written(project, tmp_path):
    project.choose_model("watershed")
    refine_image(project, "face")
    made = export_map(project, "face", tmp_path / "face.png")
    before, sidecar = made.file.read_bytes(), Sidecar.read(made.sidecar)
    damaged = [
        ("differs from the exported one", {"hand_edited": [(0, 7, 4)]}),
        ("is damaged", {"accepted_regions": [9999]}),
        ("is damaged", {"hand_edited": [(0, 7, 70000)]}),
        ("is damaged", {"size": (-48, -48)}),
        ("is damaged", {"size": (1 << 40, 48)}),
    ]
    for match, changes in damaged:
        made.sidecar.write_text(sidecar.model_copy(update=changes).model_dump_json())
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


def test_an_export_reports_undecided_regions(project, tmp_path):
    project.choose_model("watershed")
    work = refine_image(project, "face", ALL_CHANGES)
    made = export_map(project, "face", tmp_path / "a.png")
    assert made.undecided == 0
    assert made.message().endswith("records how it was made.")
    project.save(replace(work, fine=work.coarse, refined=work.fine))
    made = export_map(project, "face", tmp_path / "a.png")
    assert made.undecided > 1
    assert f"{made.undecided} regions are undecided" in made.message()
    again = rerun(made.sidecar, tmp_path / "again.png")
    assert again.read_bytes() == made.file.read_bytes()


@pytest.mark.parametrize("change", ["renamed", "added", "renamed in the scope"])
def test_a_map_whose_refiner_does_not_know_its_classes_any_more_is_exported(
    project, model, tmp_path, change
):
    is_learned = change != "renamed in the scope"
    project.choose_model(model if is_learned else "watershed")
    scope = Scope() if is_learned else Scope(locked=(SHAPES.names[1],))
    refine_image(project, "face", Parameters(scope=scope.to_record()))
    work = project.read("face")
    if change == "added":
        coarse = work.coarse.copy()
        coarse[:3] = 5
        work = replace(work, class_table=with_class(SHAPES, "glasses"), coarse=coarse)
    else:
        work = replace(work, class_table=renamed(SHAPES, 2, "Haut"))
    by_hand = np.zeros(work.fine.shape, bool)
    by_hand[20:24, 5:30] = True
    fine = np.where(by_hand, 4, work.fine)
    project.save(replace(work, fine=fine, painted=by_hand))
    made = export_map(project, "face", tmp_path / "a.png")
    assert "All changes count as made by hand" in made.message()
    sidecar = Sidecar.read(made.sidecar)
    assert (sidecar.model, sidecar.model_sha256, sidecar.regions) == ("", "", 0)
    assert sidecar.parameters == Parameters()
    assert sidecar.hand_edited_pixels == np.count_nonzero(fine != work.coarse)
    assert sidecar.painted_pixels == np.count_nonzero((fine != work.coarse) & by_hand)
    again = rerun(made.sidecar, tmp_path / "again.png")
    assert again.read_bytes() == made.file.read_bytes()


def test_what_is_not_refined_is_not_exported(project, tmp_path):
    with pytest.raises(DataError, match="refine it first"):
        export_map(project, "face", tmp_path / "face.png")
    assert not list(tmp_path.glob("face*"))
    with pytest.raises(DataError, match="does not have a model yet"):
        refine_image(project, "face")
    project.choose_model("unknown")
    unknown = r"'unknown' is not a model; choose one of .*fasseg, .*watershed"
    with pytest.raises(C2FError, match=unknown):
        refine_image(project, "face")


@given(st.data())
def test_run_lengths_reproduce_every_map_and_every_part_of_it(data):
    rows, columns = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    labels = st.lists(st.integers(0, 3), min_size=rows * columns, max_size=rows * columns)
    index_map = np.array(data.draw(labels), dtype=np.uint8).reshape(rows, columns)
    where = np.array(data.draw(labels)).reshape(rows, columns) > 1
    below = np.full_like(index_map, 7)
    paint_run_lengths(below, encode_run_lengths(index_map, where))
    np.testing.assert_array_equal(below, np.where(where, index_map, 7))
    paint_run_lengths(below, encode_run_lengths(index_map))
    np.testing.assert_array_equal(below, index_map)


def test_the_next_export_puts_back_a_sidecar_that_a_killed_one_left_unfinished(
    project, refined, tmp_path
):
    refined(project)
    first = export_map(project, "face", tmp_path / "a.png")
    content = first.sidecar.read_bytes()
    with suppress(KeyboardInterrupt), atomic_path(first.sidecar) as temporary:
        kept = tmp_path / temporary.name
        raise KeyboardInterrupt
    first.sidecar.rename(kept)
    stranger = kept.with_name(f"{kept.stem[:-5]}other{kept.suffix}")
    stranger.write_text("{")
    again = export_map(project, "face", tmp_path / "b.png")
    assert again.restored == (first.file,)
    assert again.message().endswith(
        f"An export to {first.file} was interrupted; the record of how the map was made, "
        "a.png.json, is there again."
    )
    assert first.sidecar.read_bytes() == content
    assert stranger.exists()
    assert export_map(project, "face", tmp_path / "b.png").restored == ()


def test_a_sidecar_of_another_version_of_the_map_is_not_put_back(project, refined, tmp_path):
    refined(project)
    made = export_map(project, "face", tmp_path / "a.png")
    with suppress(KeyboardInterrupt), atomic_path(made.sidecar) as temporary:
        kept = tmp_path / temporary.name
        raise KeyboardInterrupt
    made.sidecar.rename(kept)
    made.file.write_bytes(b"another map")
    assert restore_sidecars(tmp_path) == []
    assert not made.sidecar.exists()


def test_maps_of_the_sideways_picture_are_explained(project, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PAIR.image[:30]).save(tmp_path / "turned.png", exif=exif)
    project.add_image(tmp_path / "turned.png")
    work = project.read("turned")
    assert work.coarse.shape == (48, 30)
    with pytest.raises(DataError, match="turn the map clockwise by 90 degrees"):
        project.save(replace(work, coarse=np.ones((30, 48), np.uint8)))
    drawn = np.ones((48, 30), np.uint8)
    project.save(replace(work, coarse=drawn, fine=drawn))
    made = export_map(project, "turned", tmp_path / "map.png")
    sidecar = Sidecar.read(made.sidecar)
    earlier = sidecar.model_copy(update={"size": (30, 48)})
    made.sidecar.write_text(earlier.model_dump_json())
    with pytest.raises(DataError, match="turn the map clockwise by 90 degrees"):
        rerun(made.sidecar, tmp_path / "b.png")
