"""Annotation files as other tools write them, by hand after their published descriptions."""

import json

import numpy as np
import pytest

from c2f_core.classes.table import ClassTable
from c2f_core.cli.refine import Options, find_jobs
from c2f_core.data.layouts import open_pairs
from c2f_core.errors import ClassTableError, DataError, UnclearImageError
from c2f_core.io.annotations import open_annotations, own_table
from c2f_core.io.formats.base import pick_image
from c2f_core.io.images import write_image
from c2f_core.io.maps import read_map
from c2f_core.io.recognise import recognise_table

CITYSCAPES = ClassTable.preset("cityscapes")


def save(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def areas(index_map, table):
    """Pixels of each class."""
    names = {entry.index: entry.name for entry in table.entries}
    indices, counts = np.unique(index_map, return_counts=True)
    return {names[index]: count for index, count in zip(indices, counts.tolist(), strict=True)}


def coco(**changes):
    """Two images; a dog with two parts, a packed and a plain crowd, a box."""
    document = {
        "info": {"year": 2017, "version": "1.0", "description": "by hand", "url": ""},
        "licenses": [{"id": 1, "name": "CC", "url": ""}],
        "images": [
            {"id": 11, "file_name": "a.jpg", "height": 3, "width": 4, "license": 1},
            {"id": 12, "file_name": "sub/b.jpg", "height": 6, "width": 8, "license": 1},
        ],
        "annotations": [
            {
                "id": 1, "image_id": 12, "category_id": 18, "iscrowd": 0, "area": 8,
                "bbox": [0, 0, 8, 6],
                "segmentation": [
                    [0, 0, 2, 0, 2, 2, 0, 2],
                    [6.0, 4.0, 8.0, 4.0, 8.0, 6.0, 6.0, 6.0],
                ],
            },
            {
                "id": 2, "image_id": 11, "category_id": 1, "iscrowd": 1, "area": 5,
                "bbox": [1, 1, 3, 2],
                "segmentation": {"size": [3, 4], "counts": [4, 2, 1, 2, 2, 1]},
            },
            {
                "id": 3, "image_id": 12, "category_id": 1, "iscrowd": 1, "area": 3,
                "bbox": [0, 3, 1, 3], "segmentation": {"size": [6, 8], "counts": "33Z1"},
            },
            {"id": 4, "image_id": 12, "category_id": 1, "bbox": [1, 1, 2, 2], "iscrowd": 0},
        ],
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person", "color": [220, 20, 60]},
            {"supercategory": "animal", "id": 18, "name": "dog", "color": "#00ff00"},
        ],
    }  # fmt: skip
    return document | changes


def test_coco_file_of_several_images(tmp_path):
    path = save(tmp_path, "instances.json", coco())
    table = recognise_table(path)
    assert [(entry.name, entry.index, entry.colour) for entry in table.classes] == [
        ("person", 1, (220, 20, 60)),
        ("dog", 18, (0, 255, 0)),
    ]
    assert table.unlabelled.index == 0
    index_map, report = read_map(path, table, image="photos/sub/b.png")
    assert index_map.tolist() == [
        [18, 18, 0, 0, 0, 0, 0, 0],
        [18, 18, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 18, 18],
        [1, 0, 0, 0, 0, 0, 18, 18],
    ]
    assert "1 × box (no area)" in report.message()
    index_map, report = read_map(path, table, image="a.jpg")
    assert index_map.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert report.message() == ""


@pytest.mark.parametrize(
    ("image", "message"), [(None, "or choose an image"), ("c.jpg", "matches c.jpg")]
)
def test_coco_asks_which_image_is_meant(tmp_path, image, message):
    path = save(tmp_path, "instances.json", coco())
    with pytest.raises(
        UnclearImageError, match=rf"2 images \('a.jpg', 'sub/b.jpg'\).*{message}"
    ) as got:
        read_map(path, recognise_table(path), image=image)
    assert str(path) in str(got.value)
    assert got.value.images == ("a.jpg", "sub/b.jpg")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("train/1.jpg", "train/1.jpg"),
        ("2.x", "2.x.png"),
        ("/photos/2.tif", "2.jpg"),
        ("2", "2.jpg"),
        ("2.x.jpg", "2.x.png"),
    ],
)
def test_an_image_is_known_by_its_name_with_or_without_folder_and_suffix(wanted, found):
    sizes = dict.fromkeys(("train/1.jpg", "val/1.jpg", "2.x.png", "2.jpg"), (4, 4))
    assert pick_image(sizes, wanted) == found
    with pytest.raises(UnclearImageError, match="none clearly matches 1"):
        pick_image(sizes, "1.jpg")


LABELME = {
    "version": "5.4.1",
    "flags": {},
    "shapes": [
        {
            "label": "sky",
            "points": [[0.0, 0.0], [8.0, 6.0]],
            "group_id": None,
            "description": "",
            "shape_type": "rectangle",
            "flags": {},
            "mask": None,
        },
        {
            "label": "tree",
            "points": [[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]],
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        },
        {"label": "sun", "points": [[6.5, 1.5], [6.5, 2.6]], "shape_type": "circle", "flags": {}},
        {"label": "__ignore__", "points": [[0, 5], [8, 6]], "shape_type": "rectangle"},
        {"label": "bird", "points": [[4.0, 4.0]], "shape_type": "point", "flags": {}},
        {"label": "wire", "points": [[0, 0], [4, 4]], "shape_type": "linestrip", "flags": {}},
    ],
    "imagePath": "..\\photos\\scene.jpg",
    "imageData": None,
    "imageHeight": 6,
    "imageWidth": 8,
}


def test_labelme_shapes_in_their_order(tmp_path):
    path = save(tmp_path, "scene.json", LABELME)
    table = recognise_table(path)
    assert table.names == ["sky", "tree", "sun", "bird", "wire"]
    assert [entry.index for entry in table.classes] == [1, 2, 3, 4, 5]
    index_map, report = read_map(path, table)
    assert areas(index_map, table) == {"unlabelled": 8, "sky": 40 - 9 - 5, "tree": 9, "sun": 5}
    assert index_map[1].tolist() == [1, 1, 2, 2, 2, 3, 3, 3]
    assert "1 × linestrip (no area), 1 × point (no area)" in report.message()


def test_labelme_mask_between_its_first_and_last_pixel(tmp_path):
    # A PNG of 3 x 2 pixels: 0 1 1 / 1 0 1.
    mask = (
        "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAEElEQVR4nGNkYGRgYGRgBAAAGgAFtySk"
        "4wAAAABJRU5ErkJggg=="
    )
    shape = {"label": "tree", "points": [[3.0, 2.0], [5.0, 3.0]], "shape_type": "mask"}
    path = save(tmp_path, "scene.json", LABELME | {"shapes": [shape | {"mask": mask}]})
    index_map, _ = read_map(path, recognise_table(path))
    assert index_map[2:4].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 0, 1, 0, 0]]
    assert index_map.sum() == 4


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>segmentation</name>
      <size>1</size>
      <mode>annotation</mode>
      <labels>
        <label><name>car</name><color>#33ddff</color><type>any</type><attributes></attributes></label>
        <label><name>plate</name><color>#fa3253</color><attributes></attributes></label>
      </labels>
    </task>
    <dumped>2018-09-25 11:38:28.799808+03:00</dumped>
  </meta>
  <image id="0" name="filename000.jpg" width="12" height="10">
    <box label="plate" xtl="4.00" ytl="4.00" xbr="8.00" ybr="6.00" occluded="0" z_order="4">
      <attribute name="quality">good</attribute>
    </box>
    <polygon label="car" points="1.00,1.00;11.00,1.00;11.00,9.00;1.00,9.00" occluded="0"
      z_order="1">
    </polygon>
    <mask label="plate" source="manual" occluded="0" rle="1, 2, 1, 2" left="0" top="0" width="3"
      height="2" z_order="0">
    </mask>
    <ellipse label="car" cx="9.50" cy="2.50" rx="0.40" ry="0.40" z_order="5"></ellipse>
    <polyline label="car" points="0.00,0.00;5.00,5.00" occluded="0" z_order="3"></polyline>
    <points label="car" points="0.00,0.00;5.00,5.00" occluded="0" z_order="3"></points>
    <tag label="good_frame" source="manual"></tag>
  </image>
</annotations>
"""


def test_cvat_shapes_by_their_height(tmp_path):
    path = save(tmp_path, "annotations.xml", CVAT)
    table = recognise_table(path)
    assert [(entry.name, entry.colour) for entry in table.classes] == [
        ("car", (0x33, 0xDD, 0xFF)),
        ("plate", (0xFA, 0x32, 0x53)),
    ]
    index_map, report = read_map(path, table)
    # The polygon hides a part of the mask, and the box lies on the polygon.
    assert index_map[:2, :3].tolist() == [[0, 2, 2], [0, 1, 1]]
    assert areas(index_map, table) == {"unlabelled": 38, "car": 72, "plate": 10}
    assert "1 × points (no area), 1 × polyline (no area), 1 × tag" in report.message()


def test_cvat_boxes_turn_clockwise(tmp_path):
    turned = CVAT.replace('ybr="6.00"', 'ybr="6.00" rotation="90.00"')
    path = save(tmp_path, "annotations.xml", turned)
    index_map, _ = read_map(path, recognise_table(path))
    rows, columns = np.nonzero(index_map[2:] == 2)
    assert (rows.min() + 2, rows.max() + 2, columns.min(), columns.max()) == (3, 6, 5, 6)


def test_cvat_images_of_one_name_are_refused(tmp_path):
    image = '<image name="filename000.jpg" width="12" height="10"/>'
    again = CVAT.replace("</annotations>", f"{image}</annotations>")
    path = save(tmp_path, "annotations.xml", again)
    with pytest.raises(DataError, match="two images have the same name"):
        read_map(path, recognise_table(path))


def cityscapes(*objects):
    return {
        "imgHeight": 8,
        "imgWidth": 10,
        "objects": [{"label": label, "polygon": polygon} for label, polygon in objects],
    }


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_cityscapes_groups_of_void_labels_are_unlabelled(tmp_path):
    document = cityscapes(("road", box(0, 0, 9, 7)), ("trailergroup", box(0, 0, 1, 1)))
    path = save(tmp_path, "a_gtFine_polygons.json", document)
    assert recognise_table(path) == CITYSCAPES
    assert areas(read_map(path, CITYSCAPES)[0], CITYSCAPES) == {"road": 76, "unlabelled": 4}


def test_cityscapes_polygons_with_void_labels_and_groups(tmp_path):
    document = cityscapes(
        ("sky", box(-3, -3, 12, 3)),
        ("road", box(0, 4, 9, 7)),
        ("cargroup", box(2, 3, 4, 5)),
        ("license plate", box(3, 4, 3, 4)),
        ("parking", box(6, 6, 9, 7)),
        ("out of roi", box(0, 7, 9, 7)),
    )
    document["objects"].append({"label": "person", "polygon": box(0, 0, 9, 7), "deleted": 1})
    path = save(tmp_path, "aachen_000000_000019_gtFine_polygons.json", document)
    assert recognise_table(path) == CITYSCAPES
    index_map, report = read_map(path, CITYSCAPES)
    # Boundaries belong to a polygon.
    assert areas(index_map, CITYSCAPES) == {
        "sky": 40 - 3, "road": 30 - 6 - 4, "car": 9, "unlabelled": 14,
    }  # fmt: skip
    assert report.message() == ""


def test_annotations_take_the_table_in_their_folder_or_a_preset_with_their_classes(tmp_path):
    names = ["hair", "skin", "nose"]
    shapes = [LABELME["shapes"][1] | {"label": name} for name in names]
    path = save(tmp_path, "face.json", LABELME | {"shapes": shapes})
    assert recognise_table(path) == ClassTable.preset("fasseg")
    own = own_table(path, open_annotations(path))
    assert (own.name, own.names) == ("face", names)
    (tmp_path / "classes.json").write_text(own.model_dump_json())
    assert recognise_table(path) == own


def test_a_file_that_names_no_class_needs_a_class_table(tmp_path):
    path = save(tmp_path, "scene.json", LABELME | {"shapes": []})
    with pytest.raises(ClassTableError, match="has no classes"):
        recognise_table(path)
    assert (read_map(path, CITYSCAPES)[0] == 255).all()


def test_categories_with_index_zero_or_without_usable_ones_get_free_indices(tmp_path):
    zero = coco(categories=[{"id": 0, "name": "a"}, {"id": 3, "name": "b"}], annotations=[])
    table = recognise_table(save(tmp_path, "zero.json", zero))
    assert [entry.index for entry in table.entries] == [0, 3, 4]
    huge = coco(categories=[{"id": -1, "name": "a"}, {"id": 9**9, "name": "b"}], annotations=[])
    table = recognise_table(save(tmp_path, "huge.json", huge))
    assert [entry.index for entry in table.entries] == [1, 2, 0]
    assert len({entry.colour for entry in table.entries}) == 3


def test_folders_of_pairs_take_annotations_instead_of_maps(tmp_path):
    for name in ("images", "coarse"):
        (tmp_path / name).mkdir()
    table = ClassTable.preset("fasseg")
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png", np.zeros((6, 8, 3), dtype=np.uint8))
    shape = LABELME["shapes"][1] | {"label": "skin"}
    save(tmp_path, "coarse/a.json", LABELME | {"shapes": [shape]})
    np.save(tmp_path / "coarse" / "b.npy", np.full((6, 8), 3, dtype=np.uint8))
    save(tmp_path, "coarse/b.json", {"seconds": 12})
    save(tmp_path, "coarse/classes.json", table.model_dump_json())
    pairs = open_pairs(tmp_path, table)
    assert [(pair.coarse == 2).sum() for pair in pairs] == [9, 0]
    assert (pairs[1].coarse == 3).all()
    jobs = find_jobs(Options(tmp_path / "images", tmp_path / "coarse", tmp_path / "fine"))
    assert [job.coarse.name for job in jobs] == ["a.json", "b.npy"]
