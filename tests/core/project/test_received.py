"""Projects that somebody else made: links, hostile records, and files that are not what they seem.

Nothing outside the folder is written, every project opens, and what is wrong is listed.
"""

import json
import os
import sys
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import C2FError, DataError
from c2f_core.project import Project, Status
from c2f_core.project.effort import write_effort
from c2f_core.project.export import export_map, rerun
from c2f_core.project.layout import FOLDERS
from c2f_core.project.records import Parameters
from c2f_core.project.refining import refine_image
from c2f_core.project.work import write_snapshot
from c2f_core.refine.scope import Scope

PAIR = synthetic_pair(48, 0)
COARSE, FINE = SHAPES.to_labels(PAIR.coarse), SHAPES.to_labels(PAIR.fine)
links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
DEEP = 100_000


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def move_out(path, outside):
    """Replace a file or folder of a project by a link to where it is now."""
    outside.mkdir(exist_ok=True)
    target = outside / path.name
    path.rename(target)
    path.symlink_to(target)


# Links


@links
def test_a_project_with_a_link_that_leads_out_is_not_opened_and_writes_nothing(project, tmp_path):
    project.close()
    (project.root / "removed" / "face").mkdir(parents=True)
    (project.root / "fine-tuning").mkdir()
    Image.fromarray(PAIR.image).save(project.root / "images" / "$(touch PWNED).png")
    files = ("journal.jsonl", "project.json", "classes.json")
    for name in (*FOLDERS, *files, "removed", "fine-tuning"):
        path = project.root / name
        move_out(path, tmp_path / "outside")
        before = contents(tmp_path)
        with pytest.raises(DataError, match="link"):
            Project.open(project.root)
        assert contents(tmp_path) == before
        path.unlink()
        (tmp_path / "outside" / name).rename(path)


@links
def test_links_deeper_in_a_project_are_found(project, tmp_path):
    project.close()
    (tmp_path / "outside").mkdir()
    for path in ("removed/face", "fine-tuning/run-1/log.csv", "fine-tuning/run", "lessons/a/data"):
        for target in ("outside",) if path == "removed/face" else ("outside", "missing"):
            link = project.root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(tmp_path / target)
            with pytest.raises(DataError, match="leads out of its folder"):
                Project.open(project.root)
            link.unlink()


@links
def test_a_dangling_journal_does_not_create_its_target(project, tmp_path):
    project.close()
    project.journal.path.unlink()
    project.journal.path.symlink_to(tmp_path / ".profile")
    with pytest.raises(DataError, match="not safe to open"):
        Project.open(project.root)
    assert not (tmp_path / ".profile").exists()


@links
def test_a_journal_that_becomes_a_link_later_is_not_followed(project, tmp_path):
    (tmp_path / ".bashrc").write_text("mine")
    project.journal.path.unlink()
    project.journal.path.symlink_to(tmp_path / ".bashrc")
    with pytest.raises(DataError, match="cannot be written"):
        project.journal.write("$(touch PWNED)")
    assert (tmp_path / ".bashrc").read_text() == "mine"


def test_a_journal_that_is_a_hard_link_is_replaced_by_a_copy(project, tmp_path):
    project.close()
    (tmp_path / ".bashrc").write_text("mine\n")
    project.journal.path.unlink()
    os.link(tmp_path / ".bashrc", project.journal.path)
    with Project.open(project.root) as opened:
        opened.add_image(PAIR.image, "other")
    assert (tmp_path / ".bashrc").read_text() == "mine\n"


@links
def test_linked_images_and_maps_are_read_and_never_written(project, tmp_path, refined):
    refined(project)
    project.close()
    for path in ("images/face.tif", "coarse/face.png", "drafts/face.png"):
        move_out(project.root / path, tmp_path / f"outside-{Path(path).parent}")
    before = {name: data for name, data in contents(tmp_path).items() if "outside" in str(name)}
    with Project.open(project.root) as opened:
        np.testing.assert_array_equal(opened.read_image("face"), PAIR.image)
        opened.save(replace(opened.read("face"), coarse=FINE))
        opened.review("face")
        opened.remove_image("face")
    Project.open(project.root).close()
    after = {name: data for name, data in contents(tmp_path).items() if "outside" in str(name)}
    assert after == before


@links
def test_links_within_a_project_are_followed(project):
    project.close()
    (project.root / "exports").rmdir()
    (project.root / "maps").mkdir()
    (project.root / "exports").symlink_to(project.root / "maps")
    Project.open(project.root).close()


# Hidden files of the user


def test_opening_deletes_no_file_of_the_user(project, tmp_path):
    project.close()
    outside = tmp_path / "outside"
    outside.mkdir()
    names = ("._IMG-20240131.jpg", ".notes-20240131.md", ".face-abcdefgh.png", ".cache-12345678.d")
    for folder in (project.root, *(project.root / name for name in FOLDERS)):
        for name in names[:3]:
            (folder / name).write_text("mine")
        (folder / names[3]).mkdir()
    before = contents(project.root)
    Project.open(project.root).close()
    after = contents(project.root)
    assert {path: after.get(path) for path in before} == before


# Exports


def test_exports_do_not_replace_files_of_the_project(project, refined):
    refined(project)
    (project.root / "removed" / "x").mkdir(parents=True)
    (project.root / "fine-tuning").mkdir()
    before = contents(project.root)
    for path in (
        "images/face.tif",
        "images/new.png",
        "coarse/face.png",
        "fine/face.png",
        "removed/x/face.png",
        "autosave/a.npy",
        "models/a.png",
        "exports/../coarse/face.png",
        "fine-tuning/a.png",
    ):
        with pytest.raises(DataError, match="project's own files"):
            export_map(project, "face", project.root / path)
    assert contents(project.root) == before


@links
def test_exports_are_refused_by_the_real_path(project, refined, tmp_path):
    refined(project)
    (tmp_path / "elsewhere").symlink_to(project.root / "coarse")
    (project.root / "exports" / "a.png").symlink_to(project.root / "coarse" / "face.png")
    (tmp_path / "other").symlink_to(project.root)
    before = contents(project.root)
    for path in (
        tmp_path / "elsewhere" / "face.png",
        project.root / "exports" / "a.png",
        tmp_path / "other" / "images" / "face.tif",
    ):
        with pytest.raises(DataError, match="project's own files"):
            export_map(project, "face", path)
    assert contents(project.root) == before


def test_exports_do_not_replace_files_of_another_project(project, refined, tmp_path):
    refined(project)
    with Project.create(tmp_path / "second", SHAPES) as other:
        other.add_image(PAIR.image, "anna")
        with pytest.raises(DataError, match="project's own files"):
            export_map(project, "face", other.image_path("anna"))
        with pytest.raises(DataError, match="project's own files"):
            write_effort(project, other.root / "removed" / "a.csv")
        np.testing.assert_array_equal(other.read_image("anna"), PAIR.image)


def test_a_map_made_again_does_not_replace_files_of_the_project(project, refined):
    refined(project)
    made = export_map(project, "face", project.root / "exports" / "face.png")
    before = contents(project.root)
    with pytest.raises(DataError, match="project's own files"):
        rerun(made.sidecar, project.root / "coarse" / "face.png")
    assert contents(project.root) == before


def test_an_export_replaces_no_file_but_the_record_of_an_earlier_one(project, refined, tmp_path):
    refined(project)
    notes = tmp_path / "face.png.json"
    for text in ("annotations", '{"shapes": []}', "[]", "[" * DEEP, "5"):
        notes.write_text(text)
        with pytest.raises(DataError, match="not the record of an exported map"):
            export_map(project, "face", tmp_path / "face.png")
        assert notes.read_text() == text
        assert not (tmp_path / "face.png").exists()
    notes.unlink()
    for _ in range(2):
        export_map(project, "face", tmp_path / "face.png")


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_export_leaves_the_earlier_map_and_its_record(
    project, refined, tmp_path, monkeypatch, failing
):
    refined(project)
    made = export_map(project, "face", tmp_path / "face.png")
    before = made.file.read_bytes(), made.sidecar.read_bytes()
    project.save(replace(project.read("face"), fine=COARSE))
    real, calls = Path.replace, []

    def fail(path, target):
        if Path(target).parent == tmp_path:
            calls.append(target)
            if len(calls) == failing:
                raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(DataError, match="is unchanged"):
        export_map(project, "face", tmp_path / "face.png")
    assert (made.file.read_bytes(), made.sidecar.read_bytes()) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_export_to_an_unreadable_name_is_refused(project, refined, tmp_path):
    refined(project)
    with pytest.raises(DataError, match="not a readable name"):
        export_map(project, "face", tmp_path / "gr\udcfcn.png")
    assert not list(tmp_path.glob("gr*"))


@links
def test_a_map_is_not_made_again_from_what_is_no_file(project, refined, tmp_path):
    refined(project)
    export_map(project, "face", project.root / "exports" / "face.png")
    sidecar = project.root / "exports" / "face.png.json"
    content = json.loads(sidecar.read_text())
    os.mkfifo(tmp_path / "pipe.safetensors")
    pipe = str(tmp_path / "pipe.safetensors")
    for changes in ({"image": "/dev/zero"}, {"image": pipe}, {"model": pipe, "model_sha256": "1"}):
        sidecar.write_text(json.dumps(content | changes))
        with pytest.raises(DataError, match="give a regular file"):
            rerun(sidecar, tmp_path / "again.png")


# Models


@pytest.mark.parametrize(
    "name", ["../../x.safetensors", "{root}/x.safetensors", "..\0.safetensors"]
)
def test_a_model_outside_the_project_is_not_used(project, model, tmp_path, refined, name):
    refined(project)
    project.close()
    name = name.format(root=tmp_path)
    (tmp_path / "x.safetensors").write_bytes(model.read_bytes())
    edit(project.root, model=name, images=[{"model": name}])
    with Project.open(project.root) as opened:
        assert opened.model == ""
        assert any("choose the model again" in problem for problem in opened.problems)
        with pytest.raises(DataError, match="does not have a model yet"):
            refine_image(opened, "face")
        made = export_map(opened, "face", tmp_path / "a.png")
        assert "x.safetensors" not in made.sidecar.read_text()
        opened.choose_model(tmp_path / "x.safetensors")
        assert opened.model == str(opened.root / "models" / "x.safetensors")


@links
def test_a_linked_model_is_not_used(project, model):
    project.close()
    (project.root / "models" / "a.safetensors").symlink_to(model)
    with pytest.raises(DataError, match="leads out of its folder"):
        Project.open(project.root)


@links
def test_a_model_that_is_no_file_is_not_copied(project, tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(DataError, match="give a regular file"):
        project.choose_model(tmp_path / "pipe.safetensors")
    assert (project.model, project.models) == ("", [])


# Records


def edit(root, images=(), **changes):
    """Change entries of `project.json` and of its records."""
    file = root / "project.json"
    content = json.loads(file.read_text()) | changes
    for record, change in zip(content["images"], images, strict=False):
        record.update(change)
    file.write_text(json.dumps(content))


def scope(**changes):
    return {"parameters": {"device": "cpu", "scope": Scope().to_record() | changes}}


HOSTILE = [
    {"size": [-48, 48]},
    {"size": [0, 0]},
    {"size": ["a", "b"]},
    {"size": [1 << 70, 1 << 70]},
    {"size": 5},
    {"name": "../face"},
    {"name": "n" * 300},
    {"name": ["face"]},
    {"name": "a\0b"},
    {"image": "../face.tif"},
    {"image": "/etc/passwd"},
    {"image": ""},
    {"status": ["reviewed"]},
    {"doubt": -1},
    {"doubt": "x"},
    {"before": 5},
    {"before": {"seconds": 1e400}},
    {"before": {"painted": 10**400}},
    {"after": {"seconds": -1}},
    {"rejected": [[1, 2]]},
    {"rejected": [[-1, 5, 1]]},
    {"rejected": [[10**30, 5, 1]]},
    {"rejected": 7},
    {"held_out": "perhaps"},
    {"unknown": 1},
    {"parameters": []},
    scope(box=[["a", "b"], ["c", "d"]]),
    scope(box=[[1]]),
    scope(box=5),
    scope(mask=5),
    scope(mask={"shape": [10**9, 10**9], "bits": ""}),
    scope(mask={"shape": [-1, 4], "bits": "eJwDAAAAAAE="}),
    scope(mask={"shape": [4, 4], "bits": "?"}),
    scope(band="wide"),
    scope(band=-4),
    scope(minimal_confidence=float("nan")),
    scope(minimal_confidence=[]),
    scope(locked=5),
    {"parameters": {"device": "cpu", "scope": {}}},
]


def test_hostile_records_are_listed_and_kept_and_the_others_open(project):
    project.add_image(PAIR.image, "other")
    project.close()
    file = project.root / "project.json"
    valid, before = file.read_bytes(), contents(project.root.parent)
    for change in HOSTILE:
        file.write_bytes(valid)
        edit(project.root, images=[change])
        with Project.open(project.root) as opened:
            assert "other" in [record.name for record in opened.records], change
            assert "../face.tif" not in [record.image for record in opened.records]
            assert any("is damaged" in problem for problem in opened.problems), change
    written = json.loads(file.read_bytes())["images"][0]
    with Project.open(project.root) as opened:
        opened.save(replace(opened.read("other"), coarse=FINE))
    assert written in json.loads(file.read_bytes())["images"]
    after = contents(project.root.parent)
    unchanged = {path for path in before if "face" in path.name or "project" not in path.parts}
    assert {path: after[path] for path in unchanged} == {path: before[path] for path in unchanged}


def test_entries_that_are_not_records_are_listed(project):
    project.close()
    content = json.loads((project.root / "project.json").read_text())
    content["images"] += [5, None, "face", [], ["face"], {}, {"name": "face"}]
    (project.root / "project.json").write_text(json.dumps(content))
    with Project.open(project.root) as opened:
        assert [record.name for record in opened.records] == ["face"]
        assert len(opened.problems) == 7


def test_an_image_that_occurs_twice_is_listed_once(project):
    project.close()
    content = json.loads((project.root / "project.json").read_text())
    content["images"].append(content["images"][0] | {"status": "reviewed"})
    (project.root / "project.json").write_text(json.dumps(content))
    with Project.open(project.root) as opened:
        assert [record.status for record in opened.records] == [Status.PENDING]
        assert "occurs twice" in opened.problems[0]


DAMAGED = ["", "5", "[]", "{", "[" * DEEP, '{"images":' * DEEP, "\udcff", '{"images": 5}']


def test_damaged_classes_are_taken_from_the_maps(project):
    project.close()
    for number, text in enumerate(DAMAGED, 1):
        (project.root / "classes.json").write_bytes(os.fsencode(text))
        with Project.open(project.root) as opened:
            assert any("classes of the maps" in problem for problem in opened.problems)
            np.testing.assert_array_equal(opened.read("face").coarse, COARSE)
            assert (opened.root / "removed" / "classes" / f"damaged-{number}.json").exists()


def test_a_journal_of_any_content_is_read(project):
    project.journal.path.write_bytes(b"5\n[]\nnull\n" + b"[" * DEEP + b'\n\xff\n{"event": "x"}\n')
    project.journal.write("y")
    assert [record["event"] for record in project.journal.records()] == ["x", "y"]


# Files that are not what they seem


def test_a_file_in_place_of_a_folder_is_listed(project):
    project.close()
    for name in FOLDERS:
        folder = project.root / name
        folder.rename(project.root / "moved")
        folder.write_text("mine")
        with Project.open(project.root) as opened:
            assert any(f"{folder} is a file" in problem for problem in opened.problems)
            for action in (
                lambda opened=opened: opened.read("face"),
                lambda opened=opened: opened.save(opened.read("face")),
                lambda opened=opened: opened.models,
            ):
                with suppress(C2FError):
                    action()
        assert folder.read_text() == "mine"
        folder.unlink()
        (project.root / "moved").rename(folder)


@links
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda file: file.symlink_to("/dev/zero")])
def test_images_that_are_no_regular_files_are_not_read(project, make):
    project.close()
    make(project.root / "images" / "new.png")
    with Project.open(project.root) as opened:
        assert tuple(opened.skipped) == ("new.png",)


def test_two_files_of_one_image_do_not_lock_a_project(project):
    project.close()
    for name in ("face.png", "b.png", "b.jpg"):
        Image.fromarray(PAIR.image).save(project.root / "images" / name)
    with Project.open(project.root) as opened:
        assert [record.name for record in opened.records] == ["face", "b"]
        assert tuple(opened.skipped) == ("b.png", "face.png")


@pytest.mark.parametrize("length", [245, 251])
def test_long_names_are_refused_when_added_and_open_when_found(project, length):
    with pytest.raises(DataError, match="too long"):
        project.add_image(PAIR.image, "n" * length)
    project.close()
    name = "n" * length
    Image.fromarray(PAIR.image).save(project.root / "images" / f"{name}.png")
    with Project.open(project.root) as opened:
        if length > 250:
            assert tuple(opened.skipped) == (f"{name}.png",)
            return
        opened.save(replace(opened.read(name), coarse=COARSE, fine=FINE))
        opened.autosave(replace(opened.read(name), coarse=FINE))
    with Project.open(project.root) as opened:
        assert opened.restored == (name,)
        opened.review(name)
        opened.remove_image(name)


# Autosaves


def snapshot_of(project, file="face.npz", **changes):
    work = project.read("face")
    write_snapshot(project.root / "autosave" / file, replace(work, **changes))


def test_autosaves_of_other_images_sizes_and_tables_are_kept_aside(project):
    record = project.record("face")
    other = SHAPES.model_copy(
        update={
            "classes": tuple(
                entry.model_copy(
                    update={"name": f"other {entry.name}", "colour": (entry.index,) * 3}
                )
                for entry in SHAPES.classes
            )
        }
    )
    small = record.model_copy(update={"size": (10, 10), "name": "small"})
    project.add_image(PAIR.image, "small")
    project.add_image(PAIR.image, "table")
    snapshot_of(project, "unknown.npz", record=record.model_copy(update={"name": "unknown"}))
    snapshot_of(project, "small.npz", record=small, coarse=COARSE[:10, :10].copy())
    snapshot_of(
        project,
        "table.npz",
        class_table=other,
        record=record.model_copy(update={"name": "table", "image": "table.tif"}),
    )
    snapshot_of(project, "face.npz", record=small)
    before = {name: project.read(name) for name in ("face", "small", "table")}
    project.close()
    with Project.open(project.root) as opened:
        assert opened.restored == ()
        assert len(opened.problems) == 4
        assert opened.class_table == SHAPES
        for name, work in before.items():
            assert opened.read(name).equals(work)
            assert (opened.root / "removed" / name / "autosave-1.npz").exists()
        assert (opened.root / "removed" / "unknown" / "autosave-1.npz").exists()
    with Project.open(project.root) as opened:
        assert opened.problems == ()


def test_an_autosave_that_grows_when_unpacked_is_not_unpacked(project):
    about = json.dumps(
        {
            "record": project.record("face").model_dump(mode="json"),
            "class_table": SHAPES.model_dump(mode="json"),
        }
    )
    bomb = np.zeros((20_000, 20_000), np.uint8)
    np.savez_compressed(project.root / "autosave" / "face.npz", about=np.array(about), coarse=bomb)
    project.close()
    with Project.open(project.root) as opened:
        assert "larger than the image" in opened.problems[0]


@pytest.mark.parametrize("kind", ["confidence", "painted", "coarse", "fine"])
def test_autosaved_maps_of_other_types_are_kept_aside(project, kind):
    about = json.dumps(
        {
            "record": project.record("face").model_dump(mode="json"),
            "class_table": SHAPES.model_dump(mode="json"),
        }
    )
    for values in (COARSE.astype("U9"), COARSE.astype(float), COARSE[..., None]):
        maps = {"coarse": COARSE, "fine": FINE} | {kind: values}
        np.savez_compressed(project.root / "autosave" / "face.npz", about=np.array(about), **maps)
        project.close()
        with Project.open(project.root) as opened:
            assert "was not restored" in opened.problems[0]
            np.testing.assert_array_equal(opened.read("face").coarse, COARSE)


@pytest.mark.parametrize("member", ["about.npy", "coarse.npy", "fine.npy"])
def test_autosaves_with_members_that_are_no_arrays_are_kept_aside(project, member):
    file = project.root / "autosave" / "face.npz"
    project.autosave(replace(project.read("face"), coarse=FINE, fine=FINE))
    project.close()
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = b"\x93NUMPY" + members["about.npy"][6:-4] + b"\xff\xff\xff\x7f"  # No letter.
    for content in (b"no array", b"", text):
        with zipfile.ZipFile(file, "w") as archive:
            for name, old in members.items():
                archive.writestr(name, content if name == member else old)
        with Project.open(project.root) as opened:
            assert "was not restored" in opened.problems[0]
            np.testing.assert_array_equal(opened.read("face").coarse, COARSE)


def test_a_file_in_place_of_the_removed_images_is_listed(project):
    project.autosave(project.read("face"))
    (project.root / "autosave" / "face.npz").write_text("damaged")
    project.close()
    (project.root / "removed").write_text("mine")
    with Project.open(project.root) as opened:
        assert len(opened.problems) == 2
    assert (project.root / "removed").read_text() == "mine"


@pytest.mark.parametrize("kind", ["confidence", "painted"])
def test_planes_of_other_types_are_refused(project, refined, kind):
    refined(project)
    Image.fromarray(PAIR.image).save(project.root / kind / "face.png")
    with pytest.raises(DataError, match="not a grey image"):
        project.read("face")


# Missing maps


@pytest.mark.parametrize("is_reviewed", [True, False])
def test_a_missing_fine_map_is_listed_and_the_image_counts_as_pending(
    project, refined, is_reviewed
):
    refined(project)
    project.review("face", is_reviewed)
    project.close()
    file = project.root / ("fine" if is_reviewed else "drafts") / "face.png"
    data = file.read_bytes()
    file.unlink()
    with Project.open(project.root) as opened:
        assert "fine map of 'face' is missing" in opened.problems[0]
        assert opened.record("face").status is Status.PENDING
        work = opened.read("face")
        assert (work.record.status, work.fine) == (Status.PENDING, None)
        opened.add_image(PAIR.image, "other")
    file.write_bytes(data)
    with Project.open(project.root) as opened:
        np.testing.assert_array_equal(opened.read("face").fine, FINE)
        assert (opened.record("face").status is Status.REVIEWED) == is_reviewed


@pytest.mark.parametrize("kind", ["images", "coarse"])
def test_a_missing_image_or_coarse_map_is_listed(project, refined, kind):
    refined(project)
    project.close()
    for path in (project.root / kind).iterdir():
        path.unlink()
    with Project.open(project.root) as opened:
        assert "of 'face' is missing" in opened.problems[0]
        work = opened.read("face")
        np.testing.assert_array_equal(work.fine, FINE)
        expected = COARSE if kind == "images" else np.full_like(COARSE, SHAPES.unlabelled.index)
        np.testing.assert_array_equal(work.coarse, expected)


def test_a_missing_coarse_map_of_a_record_of_another_size_is_not_made(project):
    project.close()
    (project.root / "coarse" / "face.png").unlink()
    edit(project.root, images=[{"size": [2**31 - 1, 2**31 - 1]}])
    with Project.open(project.root) as opened, pytest.raises(DataError, match="same size"):
        opened.read("face")


def test_maps_of_another_size_than_recorded_are_refused(project):
    project.close()
    edit(project.root, images=[{"size": [47, 48]}])
    with Project.open(project.root) as opened, pytest.raises(DataError, match="same size"):
        opened.read("face")


# The system refuses


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_model_that_cannot_be_stored_is_not_chosen(project, model, monkeypatch):
    project.choose_model("watershed")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        for choice in ("random walker", model):
            with pytest.raises(DataError, match="free some space"):
                project.choose_model(choice)
    assert project.model == "watershed"
    assert project.models == []


@pytest.mark.parametrize("written", range(3))
def test_an_image_that_cannot_be_added_leaves_nothing(project, monkeypatch, written):
    before = contents(project.root)
    real, calls = os.fsync, []

    def fail_later(handle):
        calls.append(handle)
        if len(calls) > written:
            full_disk()
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_later)
        with pytest.raises(DataError, match="free some space"):
            project.add_image(PAIR.image, "other")
    assert contents(project.root) == before
    assert project.add_image(PAIR.image, "other").name == "other"


def test_a_folder_that_vanished_is_told(project):
    work = project.read("face")
    project.root.rename(project.root.with_name("moved"))
    for action in (
        lambda: project.add_image(PAIR.image, "other"),
        lambda: project.save(work),
        lambda: project.autosave(work),
        lambda: project.choose_model("watershed"),
        lambda: project.remove_image("face"),
        lambda: project.read("face"),
        lambda: project.read_image("face"),
        lambda: project.review("face"),
    ):
        with pytest.raises(DataError):
            action()
    assert project.model == ""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions differ there")
def test_folders_that_may_not_be_used_are_told(project):
    if os.geteuid() == 0:
        pytest.skip("the superuser may use every folder")
    work = project.read("face")
    project.close()
    for name in (".", *FOLDERS):
        folder = project.root / name
        for mode in (0o000, 0o400, 0o500, 0o600):
            folder.chmod(mode)
            with suppress(C2FError), Project.open(project.root) as opened:
                assert any("check its permissions" in problem for problem in opened.problems)
                for action in (
                    lambda opened=opened: opened.read("face"),
                    lambda opened=opened: opened.save(work),
                    lambda opened=opened: opened.add_image(PAIR.image, "other"),
                    lambda opened=opened: opened.choose_model("watershed"),
                    lambda opened=opened: opened.models,
                ):
                    with suppress(C2FError):
                        action()
            folder.chmod(0o755)


def test_parameters_of_a_damaged_scope_are_refused():
    with pytest.raises(ValueError, match="the scope is damaged"):
        Parameters(scope=Scope().to_record() | {"box": [["a", 1], [2, 3]]})
