"""Maps written as annotation files come back bit for bit, also through other tools."""

import base64
import io
import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.annotations import FORMATS, is_annotation_file, write_annotations
from c2f_core.io.embedded import embedded_table
from c2f_core.io.maps import read_map, write_map
from c2f_core.io.recognise import recognise_table

# pycocotools 2.0.11 does not know NumPy 2's keyword yet.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

TABLE = ClassTable.preset("fasseg")
MAPS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([0, 1, 255]),
)
SPOTTED = np.where(np.random.default_rng(1).random((40, 50)) < 0.75, 3, 255).astype(np.uint8)
LAYOUTS = [
    pytest.param(layout, form, id=f"{layout}-{form}")
    for layout in FORMATS
    for form in ("masks", "polygons")
]
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def write(folder, index_map, layout, form, table=TABLE):
    path = folder / f"map{FORMATS[layout].SUFFIX}"
    write_annotations(path, index_map, table, layout, "photo.jpg", form)
    return path


@pytest.mark.parametrize(("layout", "form"), LAYOUTS)
@QUIET
@given(index_map=MAPS)
@example(index_map=SPOTTED)
@example(index_map=np.kron([[1, 1, 1], [1, 255, 1], [1, 1, 1]], np.ones((3, 3))).astype(np.uint8))
@example(index_map=np.full((3, 3), 255, dtype=np.uint8))
def test_maps_with_holes_dots_and_unlabelled_pixels_come_back(tmp_path, layout, form, index_map):
    path = write(tmp_path, index_map, layout, form)
    again, report = read_map(path, TABLE)
    np.testing.assert_array_equal(again, index_map)
    assert report.message() == ""
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("layout", "form"), LAYOUTS)
def test_names_colours_and_large_indices_come_back(tmp_path, layout, form):
    table = ClassTable(
        name='Blätter & "<mehr>"',
        classes=(
            ClassEntry(name='Blatt "grün" & <rot>', index=300, colour=(1, 2, 3)),
            ClassEntry(name="叶", index=0, colour=(4, 5, 6)),
        ),
        unlabelled=ClassEntry(name="void", index=7, colour=(7, 8, 9)),
    )
    index_map = np.array([[300, 0, 7], [0, 0, 300]], dtype=np.uint16)
    path = write(tmp_path, index_map, layout, form, table)
    assert is_annotation_file(path)
    assert embedded_table(path) == recognise_table(path) == table
    again, _ = read_map(path, table)
    np.testing.assert_array_equal(again, index_map)
    assert again.dtype == np.uint16


@QUIET
@given(index_map=MAPS, form=st.sampled_from(["masks", "polygons"]))
@example(index_map=SPOTTED, form="polygons")
def test_pycocotools_draws_the_same_map(tmp_path, index_map, form):
    document = json.loads(write(tmp_path, index_map, "coco", form).read_text())
    drawn = np.full(index_map.shape, 255)
    for annotation in document["annotations"]:
        runs = coco_mask.frPyObjects(annotation["segmentation"], *index_map.shape)
        runs = coco_mask.merge(runs) if isinstance(runs, list) else runs
        drawn[coco_mask.decode(runs) == 1] = annotation["category_id"]
        assert coco_mask.toBbox(runs).tolist() == annotation["bbox"]
        assert coco_mask.area(runs) == annotation["area"]
    np.testing.assert_array_equal(drawn, index_map)


@QUIET
@given(index_map=MAPS)
def test_packed_run_lengths_of_pycocotools_are_read(tmp_path, index_map):
    path = write(tmp_path, index_map, "coco", "masks")
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        packed = coco_mask.frPyObjects(annotation["segmentation"], *index_map.shape)
        annotation["segmentation"]["counts"] = packed["counts"].decode()
    path.write_text(json.dumps(document))
    np.testing.assert_array_equal(read_map(path, TABLE)[0], index_map)


@QUIET
@given(index_map=MAPS)
@example(index_map=SPOTTED)
def test_drawing_cityscapes_polygons_in_order_gives_the_same_map(tmp_path, index_map):
    document = json.loads(write(tmp_path, index_map, "cityscapes", "polygons").read_text())
    picture = Image.new("L", (document["imgWidth"], document["imgHeight"]), 255)
    indices = {entry.name: entry.index for entry in TABLE.classes} | {"unlabeled": 255}
    for item in document["objects"]:
        points = [tuple(point) for point in item["polygon"]]
        ImageDraw.Draw(picture).polygon(points, fill=indices[item["label"]])
    np.testing.assert_array_equal(np.array(picture), index_map)


def test_labelme_masks_have_the_form_of_labelme(tmp_path):
    index_map = np.full((6, 8), 255, dtype=np.uint8)
    index_map[2:4, 3:6] = [[5, 255, 5], [255, 5, 255]]
    document = json.loads(write(tmp_path, index_map, "labelme", "masks").read_text())
    (shape,) = document["shapes"]
    assert (shape["shape_type"], shape["label"]) == ("mask", "mouth")
    assert shape["points"] == [[3, 2], [5, 3]]
    with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as mask:
        assert np.array(mask).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert [document[key] for key in ("imagePath", "imageHeight", "imageWidth")] == [
        "photo.jpg", 6, 8,
    ]  # fmt: skip


def test_cvat_masks_have_the_form_of_cvat(tmp_path):
    index_map = np.full((6, 8), 255, dtype=np.uint8)
    index_map[2:4, 3:6] = [[5, 255, 5], [255, 5, 255]]
    root = ET.parse(write(tmp_path, index_map, "cvat", "masks")).getroot()
    assert root.findtext("version") == "1.1"
    assert [label.findtext("color") for label in root.iterfind("meta/task/labels/label")][:2] == [
        "#ff0000", "#7f0000",
    ]  # fmt: skip
    mask = root.find("image/mask")
    assert mask.get("rle") == "0, 1, 1, 1, 1, 1, 1"
    assert [mask.get(key) for key in ("left", "top", "width", "height")] == ["3", "2", "3", "2"]


def test_a_polygon_follows_the_pixel_edges(tmp_path):
    index_map = np.full((6, 8), 255, dtype=np.uint8)
    index_map[2:4, 3:6] = 5
    document = json.loads(write(tmp_path, index_map, "labelme", "polygons").read_text())
    (shape,) = document["shapes"]
    assert sorted(shape["points"]) == [[3, 2], [3, 4], [6, 2], [6, 4]]


def test_arrays_come_back_and_pickles_are_refused(tmp_path):
    index_map = np.array([[0, 5, 255], [1, 2, 3]], dtype=np.uint8)
    path = tmp_path / "map.npy"
    write_map(path, index_map, TABLE)
    np.testing.assert_array_equal(read_map(path, TABLE)[0], index_map)
    assert embedded_table(path) is None
    np.save(tmp_path / "wrong.npy", np.full((2, 2), 0.5))
    with pytest.raises(ClassTableError, match="convert it to integer"):
        read_map(tmp_path / "wrong.npy", TABLE)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="save an array of class indices"):
        read_map(path, TABLE)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="save an array of class indices"):
        read_map(path, TABLE)


def test_arrays_are_recognised_by_the_table_in_their_folder(tmp_path):
    np.save(tmp_path / "map.npy", np.array([[0, 1], [2, 2]]))
    (tmp_path / "classes.json").write_text(SHAPES.model_dump_json())
    assert recognise_table(tmp_path / "map.npy") == SHAPES


def test_annotations_are_written_with_the_suffix_of_their_format(tmp_path):
    with pytest.raises(DataError, match=r"written as \.xml; rename map\.json"):
        write_annotations(tmp_path / "map.json", SPOTTED, TABLE, "cvat")
    with pytest.raises(ClassTableError, match="not in the class table"):
        write_annotations(tmp_path / "map.xml", SPOTTED + 20, TABLE, "cvat")
    assert list(tmp_path.iterdir()) == []
