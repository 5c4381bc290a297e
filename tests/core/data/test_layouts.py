"""Images and maps are matched by name, whatever lies next to them."""

import json

import numpy as np
import pytest

from c2f_core.classes.table import table_from_colours
from c2f_core.cli.refine import Options, find_jobs
from c2f_core.data.layouts import images_by_stem, maps_by_stem, open_pairs
from c2f_core.data.pairs import Pair
from c2f_core.data.splits import read_groups, read_split
from c2f_core.data.writing import write_pairs
from c2f_core.errors import DataError
from c2f_core.io.annotations import write_annotations
from c2f_core.io.images import write_image
from c2f_core.io.maps import write_map

TABLE = table_from_colours("plant", {1: ("leaf", (60, 160, 60)), 2: ("stem", (140, 90, 40))})
MAP = np.kron([[1, 2], [0, 1]], np.ones((3, 4))).astype(np.uint8)
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
DECOMPOSED, COMPOSED = "U\u0308bung", "Übung"


@pytest.fixture
def photos(tmp_path):
    """Folder of two photographs with their LabelMe files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", PHOTOGRAPH)
        write_annotations(folder / f"{name}.json", MAP, TABLE, "labelme", f"{name}.png")
    (folder / "classes.json").write_text(TABLE.model_dump_json())
    return folder


def test_annotations_next_to_the_photographs_are_the_maps(tmp_path, photos):
    jobs = find_jobs(Options(photos, photos, tmp_path / "out"))
    assert [(job.image.name, job.coarse.name) for job in jobs] == [
        ("a.png", "a.json"), ("b.png", "b.json"),
    ]  # fmt: skip


def test_a_photograph_is_never_its_own_map(tmp_path, photos):
    (photos / "b.json").unlink()
    link = tmp_path / "link"
    link.symlink_to(photos)
    for folder in (photos, link):
        with pytest.raises(DataError, match="'b' is missing"):
            find_jobs(Options(photos, folder, tmp_path / "out"))
    with pytest.raises(DataError, match="given as the image and as its coarse map"):
        find_jobs(Options(photos / "a.png", link / "a.png", tmp_path / "out.png"))


def test_copies_of_the_photographs_next_to_their_annotations_are_no_maps(tmp_path, photos):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        write_image(images / f"{name}.png", PHOTOGRAPH)
    jobs = find_jobs(Options(images, photos, tmp_path / "out"))
    assert [job.coarse.name for job in jobs] == ["a.json", "b.json"]
    photos.rename(tmp_path / "coarse")
    assert all((pair.coarse != 255).any() for pair in open_pairs(tmp_path, TABLE))


def test_a_map_is_preferred_to_annotations_that_do_not_name_it(tmp_path, photos):
    images = images_by_stem(photos)
    coarse = tmp_path / "coarse"
    coarse.mkdir()
    write_map(coarse / "a.png", MAP, TABLE)
    write_annotations(coarse / "a.json", MAP, TABLE, "labelme", "../photos/a.png")
    write_map(coarse / "b.png", MAP, TABLE)
    write_annotations(coarse / "b.json", MAP, TABLE, "labelme", "b.png")
    assert [path.name for path in maps_by_stem(coarse, images).values()] == ["a.png", "b.png"]


def test_damaged_annotations_are_reported_when_they_are_read(tmp_path, photos):
    (photos / "a.json").write_text('{"shapes": 1, "imagePath": "a.png"')
    jobs = find_jobs(Options(photos, photos, tmp_path / "out"))
    assert [job.coarse.name for job in jobs] == ["a.json", "b.json"]


@pytest.mark.parametrize(("image", "coarse"), [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
@pytest.mark.parametrize("suffix", ["png", "npy", "json"])
def test_the_form_of_accents_does_not_matter(tmp_path, image, coarse, suffix):
    for name in ("images", "coarse", "fine"):
        (tmp_path / name).mkdir()
    write_image(tmp_path / "images" / f"{image}.png", PHOTOGRAPH)
    if suffix == "json":
        path = tmp_path / "coarse" / f"{coarse}.json"
        write_annotations(path, MAP, TABLE, "coco", f"{coarse}.png")
    else:
        write_map(tmp_path / "coarse" / f"{coarse}.{suffix}", MAP, TABLE)
    write_map(tmp_path / "fine" / f"{coarse}.png", MAP, TABLE)
    pairs = open_pairs(tmp_path, TABLE)
    assert pairs.names == pairs.names_with_fine == [COMPOSED]
    assert pairs[0].has_labels
    (job,) = find_jobs(Options(tmp_path / "images", tmp_path / "coarse", tmp_path / "out"))
    assert job.coarse.stem == coarse
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({image: [coarse], "same_person": [[image, "b"]]}))
    for name in (COMPOSED, DECOMPOSED):
        assert pairs.subset(read_split(splits, name)).names == [COMPOSED]
    assert read_groups(splits) == [[COMPOSED, "b"]]


def test_two_forms_of_one_name_in_a_folder_are_refused(tmp_path):
    for name in (COMPOSED, DECOMPOSED):
        write_image(tmp_path / f"{name}.png", PHOTOGRAPH)
    with pytest.raises(DataError, match="keep only one of them"):
        images_by_stem(tmp_path)


def test_a_pair_is_not_written_next_to_one_with_its_name_in_another_form(tmp_path):
    def pair(name):
        return Pair(name, PHOTOGRAPH, TABLE.to_class_ids(MAP), None)

    write_pairs(tmp_path, [pair(COMPOSED)], TABLE)
    with pytest.raises(DataError, match="already exists"):
        write_pairs(tmp_path, [pair(DECOMPOSED)], TABLE)
    with pytest.raises(DataError, match="Two pairs have the same name"):
        write_pairs(tmp_path / "other", [pair(COMPOSED), pair(DECOMPOSED)], TABLE)


@pytest.mark.parametrize("groups", [5, [5], [[5]], "ab", ["ab"], {"a": ["b"]}, None, [["a"], None]])
def test_groups_that_are_no_lists_of_names_are_refused(tmp_path, groups):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"same_person": groups}))
    with pytest.raises(DataError, match=r"'same_person' in splits\.json is not a list of lists"):
        read_groups(path)
