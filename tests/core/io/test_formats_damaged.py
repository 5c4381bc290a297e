"""Damaged, foreign and hostile annotation files get one clear sentence."""

import base64
import io
import json
from codecs import BOM_UTF8
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import C2FError, ClassTableError, DataError
from c2f_core.io.annotations import FORMATS, is_annotation_file, write_annotations
from c2f_core.io.formats import cvat
from c2f_core.io.formats.coco import _unpack
from c2f_core.io.maps import read_map

TABLE = ClassTable.preset("fasseg")
MAP = np.kron([[0, 1, 255], [2, 3, 4]], np.ones((4, 4))).astype(np.uint8)
BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotations [
  <!ENTITY a "aaaaaaaaaa">
  <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
  <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
  <!ENTITY secret SYSTEM "file:///etc/hostname">
]>
<annotations><image name="&secret;" width="4" height="4"><tag label="&c;"/></image></annotations>
"""


def written(folder, layout, form="masks"):
    path = folder / f"map{FORMATS[layout].SUFFIX}"
    write_annotations(path, MAP, TABLE, layout, "photo.jpg", form)
    return path


def changed(folder, layout, change, form="masks"):
    """Write an annotation file and change its JSON."""
    path = written(folder, layout, form)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("layout", FORMATS)
def test_a_file_cut_off_anywhere_gives_one_sentence(tmp_path, layout):
    path = written(tmp_path, layout)
    content = path.read_bytes()
    for length in range(0, len(content.rstrip()) - 1, len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"map\.(json|xml) (is truncated|cannot be read)"):
            read_map(path, TABLE)


@pytest.mark.parametrize("layout", FORMATS)
def test_a_changed_byte_gives_a_map_or_one_sentence(tmp_path, layout):
    path = written(tmp_path, layout)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 150).tolist():
        broken = content.copy()
        broken[place] = int(rng.integers(32, 127))
        path.write_bytes(broken)
        try:
            read_map(path, TABLE)
        except C2FError as error:
            assert str(path) in str(error)  # noqa: PT017 - a map is as good.


def test_masks_of_labelme_in_colour_and_of_any_size(tmp_path, monkeypatch):
    def recolour(mode):
        def change(document):
            for shape in document["shapes"]:
                stored = io.BytesIO(base64.b64decode(shape["mask"]))
                grey, again = Image.open(stored), io.BytesIO()
                grey.convert("L").convert(mode).save(again, "PNG")
                shape["mask"] = base64.b64encode(again.getvalue()).decode()

        return change

    for mode in ("RGB", "LA"):
        path = changed(tmp_path, "labelme", recolour(mode))
        np.testing.assert_array_equal(read_map(path, TABLE)[0], MAP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with pytest.raises(DataError, match="a mask cannot be read"):
        read_map(path, TABLE)


def test_a_hole_in_a_class_that_is_called_unlabeled(tmp_path):
    entries = {1: ("unlabeled", (9, 9, 9)), 2: ("other", (99, 9, 9))}
    table = table_from_colours("own", entries, 0)
    index_map = np.ones((9, 9), np.uint8)
    index_map[3:6, 3:6] = 0
    path = tmp_path / "map.json"
    write_annotations(path, index_map, table, "cityscapes", "photo.jpg", "polygons")
    np.testing.assert_array_equal(read_map(path, table)[0], index_map)


def test_entities_are_refused_before_they_are_expanded(tmp_path, monkeypatch):
    elements = []

    def start(builder, tag, attributes):
        elements.append(tag)
        return ET.TreeBuilder.start(builder, tag, attributes)

    monkeypatch.setattr(cvat._NoDoctype, "start", start, raising=False)
    cvat.parse(BOMB[BOMB.index("<annotations>") :].replace("&secret;", "").replace("&c;", ""))
    assert elements == ["annotations", "image", "tag"]
    elements.clear()
    path = tmp_path / "bomb.xml"
    path.write_text(BOMB)
    with pytest.raises(DataError, match="declares a document type"):
        read_map(path, TABLE)
    assert elements == []


def test_foreign_files_are_not_taken_for_annotations(tmp_path):
    for name, content in {
        "a.json": '{"type": "FeatureCollection", "features": []}',
        "b.json": "[1, 2, 3]",
        "c.json": "",
        "d.xml": "<svg><image/></svg>",
        "e.txt": '{"shapes": [], "imagePath": ""}',
    }.items():
        (tmp_path / name).write_text(content)
        assert not is_annotation_file(tmp_path / name)
    assert not is_annotation_file(tmp_path / "none.json")
    with pytest.raises(
        DataError, match="not an annotation file of COCO, LabelMe, Cityscapes or CVAT"
    ):
        read_map(tmp_path / "a.json", TABLE)
    with pytest.raises(DataError, match="check the path"):
        read_map(tmp_path / "none.json", TABLE)


def test_unknown_classes_are_named(tmp_path):
    path = written(tmp_path, "labelme")
    with pytest.raises(ClassTableError, match="the class 'background', which 'cityscapes' does"):
        read_map(path, ClassTable.preset("cityscapes"))


def shrink(document):
    document["imageHeight"], document["imageWidth"] = 4, 4


def test_shapes_outside_the_image_are_reported_as_a_wrong_size(tmp_path):
    path = changed(tmp_path, "labelme", shrink, "polygons")
    with pytest.raises(DataError, match=r"'hair' lies outside the image of 4 rows and 4 col"):
        read_map(path, TABLE)


def annotation(document):
    return document["annotations"][0]


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        ("coco", lambda d: annotation(d)["segmentation"].update(size=[4, 4]), "has the size"),
        ("coco", lambda d: annotation(d)["segmentation"].update(counts=[9**9]), "add up to"),
        ("coco", lambda d: annotation(d)["segmentation"].update(counts=[-2, 98]), "is negative"),
        ("coco", lambda d: annotation(d)["segmentation"].update(counts="z"), "are damaged"),
        ("coco", lambda d: annotation(d)["segmentation"].update(counts="1"), "add up to 1"),
        ("coco", lambda d: annotation(d).update(segmentation=[[1, 2, 3]]), "odd number"),
        ("coco", lambda d: annotation(d).update(segmentation=[[1, 2, 1e300, 4]]), "any image"),
        ("coco", lambda d: annotation(d).update(category_id=77), "category 77"),
        ("coco", lambda d: d["images"][0].update(height=10**9), "correct the size"),
        ("coco", lambda d: d["images"].append(d["images"][0]), "have the same name"),
        ("coco", lambda d: d["images"].append(d["images"][0] | {"file_name": "b"}), "or id"),
        ("coco", lambda d: d.update(c2f_class_table={"name": "x"}), "c2f_class_table.classes"),
        ("labelme", lambda d: d.update(imageHeight=0), "correct the size"),
        ("labelme", lambda d: d.pop("imageHeight"), "does not give the size of"),
        ("labelme", lambda d: d["shapes"][0].update(mask="!!"), "a mask cannot be read"),
        ("labelme", lambda d: d["shapes"][0]["points"].pop(), "has 1 points instead of 2"),
        ("labelme", lambda d: d["shapes"][0]["points"][1].__setitem__(0, 9), "not have the size"),
        ("labelme", lambda d: d["shapes"][0]["points"][1].__setitem__(0, 1e999), "any image"),
        ("cityscapes", lambda d: d["objects"][0].update(polygon=[[1]]), "polygon.0"),
        ("cityscapes", lambda d: d.update(imgWidth=-1), "correct the size"),
    ],
)  # fmt: skip
def test_damaged_json_says_where(tmp_path, layout, change, message):
    with pytest.raises(DataError, match=message):
        read_map(changed(tmp_path, layout, change), TABLE, image="photo.jpg")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<image ", '<track id="0"/><image ', "CVAT for video"),
        ("utf-8", "utf-S", "it is damaged"),
        ('width="12"', 'width="nan"', "image width is 'nan'"),
        ('rle="', 'rle="x, ', "is ' ?x' instead of a number|is 'x' instead of a number"),
        ('rle="', 'rle="5, ', "add up to 21 instead of 16"),
        ('top="0"', 'top="50"', "lies outside the image"),
        ('left="0"', "", "mask left is ''"),
    ],
)
def test_damaged_xml_says_where(tmp_path, old, new, message):
    path = written(tmp_path, "cvat")
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_map(path, TABLE)


def test_a_file_without_images_is_refused(tmp_path):
    path = changed(tmp_path, "coco", lambda document: document["images"].clear())
    with pytest.raises(DataError, match="it has no images"):
        read_map(path, TABLE)


@pytest.mark.parametrize("layout", ["coco", "labelme", "cityscapes", "cvat"])
def test_a_byte_order_mark_is_accepted(tmp_path, layout):
    path = written(tmp_path, layout)
    path.write_bytes(BOM_UTF8 + path.read_bytes())
    np.testing.assert_array_equal(read_map(path, TABLE)[0], MAP)


@pytest.mark.parametrize("name", ["vertical\vtab", "\x00", "\uffff"])
def test_names_that_xml_cannot_hold_are_refused_before_a_file_is_written(tmp_path, name):
    table = table_from_colours("own", {1: (name, (9, 9, 9))})
    index_map = np.ones((2, 3), np.uint8)
    with pytest.raises(DataError, match="control character"):
        write_annotations(tmp_path / "map.xml", index_map, table, "cvat")
    assert not (tmp_path / "map.xml").exists()
    write_annotations(tmp_path / "map.json", index_map, table, "coco")
    np.testing.assert_array_equal(read_map(tmp_path / "map.json", table)[0], index_map)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
# pycocotools keeps room for six letters per number and writes past it: five is the most here.
@given(counts=st.lists(st.integers(0, 2**23 - 1), min_size=1, max_size=30))
def test_packed_numbers_are_those_of_pycocotools(counts):
    packed = coco_mask.frPyObjects({"size": [sum(counts), 1], "counts": counts}, sum(counts), 1)
    assert _unpack(packed["counts"].decode()) == counts
