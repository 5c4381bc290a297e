"""Spellings of annotation files that other tools write are read, or refused with the reason."""

import json

import numpy as np
import pytest

from c2f_core.classes.table import table_from_colours
from c2f_core.errors import DataError
from c2f_core.io.formats.base import pick_image
from c2f_core.io.maps import read_map

TABLE = table_from_colours("leaves", {1: ("leaf", (60, 160, 60)), 2: ("stem", (140, 90, 40))}, 0)
SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]
EXPECTED = np.zeros((4, 6), np.uint8)
EXPECTED[1:3, 1:4] = 1


def coco(segmentation=None, image_id=1, category=1, name="leaf"):
    image = {"id": image_id, "file_name": "a.png", "height": 4, "width": 6}
    annotation = {"id": 1, "image_id": image_id, "category_id": category}
    annotation["segmentation"] = [SQUARE] if segmentation is None else segmentation
    return {
        "images": [image],
        "categories": [{"id": category, "name": name}],
        "annotations": [annotation],
    }


def labelme(**changes):
    points = [[1, 1], [4, 1], [4, 3], [1, 3]]
    shape = {"label": "leaf", "points": points, "shape_type": "polygon"} | changes
    return {"shapes": [shape], "imagePath": "\u00fc.png", "imageHeight": 4, "imageWidth": 6}


def read(path, document, encoding="utf-8"):
    path.write_bytes(json.dumps(document, ensure_ascii=False).encode(encoding))
    return read_map(path, TABLE)[0].tolist()


@pytest.mark.parametrize(
    "document",
    [
        coco(SQUARE),
        coco([[1, 1], [4, 1], [4, 3], [1, 3]]),
        coco([[[1, 1], [4, 1], [4, 3], [1, 3]]]),
        coco([{"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]}]),
        coco(image_id="a3f0", category="leaf"),
        labelme(shape_type="Polygon"),
    ],
)
def test_unusual_spellings_are_read(tmp_path, document):
    assert read(tmp_path / "a.json", document) == EXPECTED.tolist()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_unicode_is_read_and_other_encodings_are_named(tmp_path, encoding):
    assert read(tmp_path / "a.json", labelme(), encoding) == EXPECTED.tolist()
    with pytest.raises(DataError, match="not written in UTF-8"):
        read(tmp_path / "a.json", labelme(), "latin-1")


def test_a_missing_part_is_named(tmp_path):
    document = coco()
    del document["categories"]
    with pytest.raises(DataError, match='"categories" is missing for COCO'):
        read(tmp_path / "a.json", document)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("My%20Photo.jpg", "my photo.jpg"),
        ("Images/a.png", "images/a.png"),
        ("https://example.org/x/a.png?token=1", "x/a.png"),
        ("a.v1", "a.v1.png"),
    ],
)
def test_names_match_in_other_spellings(name, wanted):
    assert pick_image([name, "other.png"], wanted) == name


def test_names_that_differ_in_case_alone_are_told_apart():
    names = ["Cam/a.png", "cam/a.png", "cam/A.png"]
    for name in names:
        assert pick_image(names, name) == name


@pytest.mark.parametrize("other", [1, "1", 1.0])
def test_identifiers_that_are_the_same_number_are_repeated(tmp_path, other):
    document = coco(image_id="1")
    document["images"].append(document["images"][0] | {"id": other, "file_name": "b.png"})
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="two images have the same name or id"):
        read_map(path, TABLE, image="a.png")


@pytest.mark.parametrize("image_id", [1, "1", "first"])
def test_an_annotation_without_class_is_noticed_whatever_its_image_is_called(tmp_path, image_id):
    document = coco(image_id=image_id)
    document["annotations"][0]["category_id"] = None
    with pytest.raises(DataError, match=r"annotations\.0\.category_id"):
        read(tmp_path / "a.json", document)
