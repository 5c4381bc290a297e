"""Damage that does not concern the wanted image is no obstacle, and what is skipped is reported."""

import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import ClassTableError, DataError, UnclearImageError
from c2f_core.io.annotations import is_annotation_file
from c2f_core.io.images import write_image
from c2f_core.io.maps import read_map
from c2f_core.io.recognise import recognise_table

TABLE = table_from_colours("plant", {1: ("leaf", (60, 160, 60)), 2: ("Stängel", (140, 90, 40))})
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]
CORNERS = [[2, 1], [6, 1], [6, 4], [2, 4]]


def save(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def coco(**changes):
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 6, "width": 8},
            {"id": 2, "file_name": "b.png", "height": 6, "width": 8},
        ],
        "categories": [{"id": 1, "name": "leaf"}, {"id": 2, "name": "Stängel"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]}],
    } | changes


def labelme(*shapes, **changes):
    return {
        "version": "5.5.0",
        "shapes": [{"label": "leaf", "shape_type": "polygon", "points": CORNERS}, *shapes],
        "imagePath": "a.png",
        "imageHeight": 6,
        "imageWidth": 8,
    } | changes


def cvat(*elements, images=""):
    polygon = '<polygon label="leaf" points="2,1;6,1;6,4;2,4"/>'
    return (
        f'<annotations><image name="a.png" width="8" height="6">{polygon}{"".join(elements)}'
        f"</image>{images}</annotations>"
    )


def cityscapes(*objects, **changes):
    square = {"label": "leaf", "polygon": [[2, 1], [5, 1], [5, 3], [2, 3]]}
    return {"imgHeight": 6, "imgWidth": 8, "objects": [square, *objects]} | changes


def assert_has_square(path, message="", **keywords):
    index_map, report = read_map(path, TABLE, **keywords)
    expected = np.zeros((6, 8), dtype=int)
    expected[1:4, 2:6] = 1
    np.testing.assert_array_equal(index_map, expected)
    assert message in report.message()
    assert bool(message) == bool(report.message())


def other_image(**changes):
    return {"images": [coco()["images"][0], coco()["images"][1] | changes]}


def other_annotation(**changes):
    other = {"id": 2, "image_id": 2, "category_id": 1, "segmentation": [SQUARE]} | changes
    return {"annotations": [*coco()["annotations"], other]}


@pytest.mark.parametrize(
    "changes",
    [
        other_image(height=None),
        other_image(height=0, width=0),
        other_image(width="wide"),
        other_image(width=10**12),
        other_image(id=None),
        other_image(file_name=None),
        {"images": [None, *coco()["images"]]},
        other_annotation(segmentation=[[1, 2, 3]]),
        other_annotation(segmentation="damaged"),
        other_annotation(segmentation={"size": [6, 8], "counts": "\x00"}),
        other_annotation(segmentation={"size": [1, 1], "counts": [1]}),
        other_annotation(category_id=77),
        other_annotation(category_id=None),
        {"annotations": [*coco()["annotations"], None, "text", {"image_id": "x"}, {}]},
        {"categories": [*coco()["categories"], {"id": 3}, None, {"id": 4, "name": ""}]},
        {"categories": [*coco()["categories"], {"id": 2, "name": "twice"}]},
    ],
)
def test_damage_elsewhere_in_a_coco_file_does_not_matter(tmp_path, changes):
    path = save(tmp_path / "instances.json", coco(**changes))
    assert_has_square(path, image="a.png")
    assert set(recognise_table(path).names) >= {"leaf", "Stängel"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "correct the size"),
        ({"width": "wide"}, r"images.1.width"),
        ({"id": None}, r"images.1.id"),
    ],
)
def test_damage_of_the_wanted_image_is_named(tmp_path, changes, message):
    path = save(tmp_path / "instances.json", coco(**other_image(**changes)))
    with pytest.raises(DataError, match=message):
        read_map(path, TABLE, image="b.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": None}, r"annotations.1.category_id"),
        ({"category_id": 77}, "category 77"),
        ({"segmentation": "damaged"}, r"annotations.1.segmentation"),
        ({"segmentation": [[1, 2, 3]]}, "odd number"),
    ],
)
def test_damage_of_a_wanted_annotation_is_named(tmp_path, changes, message):
    path = save(tmp_path / "instances.json", coco(**other_annotation(**changes)))
    with pytest.raises(DataError, match=message):
        read_map(path, TABLE, image="b.png")


@pytest.mark.parametrize("counts", ["", [], [0], [0, 0]])
def test_an_empty_coco_mask_is_skipped(tmp_path, counts):
    segmentation = {"size": [6, 8], "counts": counts}
    path = save(
        tmp_path / "instances.json",
        coco(**other_annotation(image_id=1, segmentation=segmentation)),
    )
    assert_has_square(path, "1 of 2 shapes are not in the map: 1 × empty mask", image="a.png")


@pytest.mark.parametrize(
    "mask",
    [
        'rle="0" left="0" top="0" width="1" height="1"',
        'rle="" left="0" top="0" width="1" height="1"',
        'rle="0, 0" left="3" top="2" width="0" height="0"',
        'left="0" top="0" width="1" height="1"',
        'rle="4" left="0" top="0" width="2" height="2"',
    ],
)
def test_an_empty_cvat_mask_is_skipped(tmp_path, mask):
    path = tmp_path / "a.xml"
    path.write_text(cvat(f'<mask label="leaf" {mask}/>'))
    assert_has_square(path, "1 of 2 shapes are not in the map: 1 × empty mask (no area)")


@pytest.mark.parametrize("mask", [None, ""])
def test_an_empty_labelme_mask_is_skipped(tmp_path, mask):
    shape = {"label": "leaf", "shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": mask}
    path = save(tmp_path / "a.json", labelme(shape))
    assert_has_square(path, "1 × empty mask (no area)")


@pytest.mark.parametrize("label", ["", 'label=""'])
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("mask", 'rle="0, 1" left="0" top="0" width="1" height="1"'),
        ("polygon", 'points="0,0;8,0;8,6"'),
        ("box", 'xtl="0" ytl="0" xbr="8" ybr="6"'),
        ("ellipse", 'cx="4" cy="3" rx="2" ry="2"'),
    ],
)
def test_cvat_shapes_without_a_label_are_reported(tmp_path, kind, attributes, label):
    path = save(tmp_path / "a.xml", cvat(f"<{kind} {label} {attributes}/>"))
    assert_has_square(path, f"1 of 2 shapes are not in the map: 1 × {kind} (no label)")


@pytest.mark.parametrize("label", [{}, {"label": ""}, {"label": None}])
def test_shapes_without_a_label_are_reported_in_json_files(tmp_path, label):
    path = save(tmp_path / "a.json", labelme({"points": CORNERS} | label))
    assert_has_square(path, "1 × polygon (no label)")
    path = save(tmp_path / "b.json", cityscapes({"polygon": [[0, 0], [7, 0], [7, 5]]} | label))
    assert_has_square(path, "1 × polygon (no label)")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ('rle="1.5, 2.5" left="0" top="0" width="2" height="2"', "a run length is 1.5"),
        ('rle="0, 4" left="0.5" top="0" width="2" height="2"', "mask left is 0.5"),
        ('rle="0, 4" left="0" top="0" width="2.9" height="2"', "mask width is 2.9"),
    ],
)
def test_fractions_of_pixels_in_cvat_masks_are_refused(tmp_path, mask, message):
    path = save(tmp_path / "a.xml", cvat(f'<mask label="leaf" {mask}/>'))
    with pytest.raises(DataError, match=f"{message} instead of a whole number"):
        read_map(path, TABLE)


def test_whole_run_lengths_with_a_decimal_point_are_read(tmp_path):
    mask = '<mask label="leaf" rle="0.0, 1.0" left="2.0" top="1" width="1" height="1"/>'
    assert_has_square(save(tmp_path / "a.xml", cvat(mask)))


@pytest.mark.parametrize(
    "image",
    [
        '<image name="b.png" width="0" height="0"/>',
        '<image name="b.png"/>',
        '<image name="b.png" width="8" height="6"><mask label="leaf" rle="x"/></image>',
        '<image name="b.png" width="8" height="6"><polygon label="leaf" points="1"/></image>',
        '<image name="b.png" width="9" height="9"/><image name="b.png" width="9" height="9"/>',
    ],
)
def test_damage_of_another_cvat_image_does_not_matter(tmp_path, image):
    path = save(tmp_path / "a.xml", cvat(images=image))
    assert_has_square(path, image="a.png")
    with pytest.raises(DataError):
        read_map(path, TABLE, image="b.png")


def test_a_cvat_file_of_a_video_is_named(tmp_path):
    track = '<track id="0" label="leaf"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'
    path = save(tmp_path / "a.xml", f"<annotations><meta/>{track}</annotations>")
    assert is_annotation_file(path)
    with pytest.raises(DataError, match="'CVAT for video'; export the annotations as"):
        read_map(path, TABLE)


@pytest.mark.parametrize("content", [{"label": "x", "points": None}, {"points": "x", "label": 3}])
def test_damage_of_shapes_without_an_area_does_not_matter(tmp_path, content):
    path = save(tmp_path / "a.json", labelme(content | {"shape_type": "point"}))
    assert_has_square(path, "1 × point (no area)")
    path = save(tmp_path / "b.json", cityscapes(content | {"deleted": 1, "label": "x"}))
    assert_has_square(path)


@pytest.mark.parametrize("changes", [{"imageHeight": None}, {"imageHeight": None, "imageWidth": 5}])
@pytest.mark.parametrize("with_image", [True, False])
def test_the_size_that_a_file_does_not_give_is_that_of_its_image(tmp_path, changes, with_image):
    image = tmp_path / "a.png"
    path = save(tmp_path / "map.json", labelme(**changes))
    with pytest.raises(DataError, match=r"does not give the size of its image; put .* as a\.png"):
        read_map(path, TABLE)
    write_image(image, np.zeros((6, 8, 3), dtype=np.uint8))
    assert_has_square(path, image=image if with_image else None)
    document = labelme()
    del document["imageHeight"]
    assert_has_square(save(path, document))


def test_other_formats_take_the_size_of_the_image_too(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((6, 8, 3), dtype=np.uint8))
    image = tmp_path / "a.png"
    one = coco(images=[{"id": 1, "file_name": "a.png", "height": None}])
    assert_has_square(save(tmp_path / "coco.json", one), image=image)
    without = cvat().replace(' width="8" height="6"', "")
    assert_has_square(save(tmp_path / "cvat.xml", without), image=image)
    city = cityscapes(imgHeight=None, imgWidth=None)
    assert_has_square(save(tmp_path / "city.json", city), image=image)


def png_of(mask):
    stored = io.BytesIO()
    Image.fromarray(np.array(mask, dtype=np.uint8)).save(stored, format="PNG")
    return base64.b64encode(stored.getvalue()).decode()


@pytest.mark.parametrize(
    ("first", "last", "top", "left"),
    [
        ([2.4, 1.4], [4.4, 2.4], 1, 2),
        ([2.6, 1.6], [4.6, 2.6], 2, 3),
        ([1.7, 0.8], [3.7, 1.8], 1, 2),
        ([2.4, 1.4], [4.6, 2.7], 1, 2),
        ([2.9, 1.2], [4.1, 2.9], 1, 3),
        ([-0.4, -0.6], [1.6, 0.4], -1, 0),
    ],
)
def test_labelme_masks_with_fractional_corners_are_rounded(tmp_path, first, last, top, left):
    mask = np.array([[1, 0, 1], [1, 1, 1]])
    shape = {"label": "leaf", "shape_type": "mask", "points": [first, last], "mask": png_of(mask)}
    path = save(tmp_path / "a.json", labelme(shapes=[shape]))
    index_map, _ = read_map(path, TABLE)
    expected = np.zeros((8, 10), dtype=int)
    expected[top + 1 : top + 3, left + 1 : left + 4] = mask
    np.testing.assert_array_equal(index_map, expected[1:7, 1:9])


def test_labelme_masks_of_another_size_than_their_corners_are_refused(tmp_path):
    for last in ([5, 2], [5.6, 2.6]):
        shape = {
            "label": "leaf", "shape_type": "mask", "points": [[2, 1], last],
            "mask": png_of(np.ones((2, 2))),
        }  # fmt: skip
        path = save(tmp_path / "a.json", labelme(shapes=[shape]))
        with pytest.raises(DataError, match="does not have the size given by its points"):
            read_map(path, TABLE)


@pytest.mark.parametrize("kind", ["rectangle", "rotation", "oriented_rectangle", "quadrilateral"])
def test_boxes_of_four_corners_are_drawn(tmp_path, kind):
    shape = {"label": "leaf", "shape_type": kind, "points": CORNERS}
    assert_has_square(save(tmp_path / "a.json", labelme(shapes=[shape])))
    diamond = [[4, 0], [7, 3], [4, 6], [1, 3]]
    path = save(tmp_path / "b.json", labelme(shapes=[shape | {"points": diamond}]))
    assert read_map(path, TABLE)[0].sum(axis=1).tolist() == [1, 3, 5, 5, 3, 1]


def test_boxes_of_three_corners_are_refused(tmp_path):
    shape = {"label": "leaf", "shape_type": "rectangle", "points": CORNERS[:3]}
    path = save(tmp_path / "a.json", labelme(shapes=[shape]))
    with pytest.raises(DataError, match="a rectangle has 3 points instead of 2 or 4"):
        read_map(path, TABLE)


@pytest.mark.parametrize("number", [300, 1040])
def test_only_categories_in_use_get_a_class_if_there_are_too_many(tmp_path, number):
    categories = [{"id": k, "name": f"thing {k}"} for k in range(1, number + 1)]
    path = save(tmp_path / "instances.json", coco(categories=categories))
    table = recognise_table(path)
    assert (table.names, table.classes[0].index) == (["thing 1"], 1)
    assert (read_map(path, table, image="a.png")[0] == 1).sum() == 12


def test_of_too_many_categories_in_use_those_of_the_image_count(tmp_path):
    categories = [{"id": k, "name": f"thing {k}"} for k in range(1, 301)]
    annotations = [
        {"image_id": 2, "category_id": k, "segmentation": [SQUARE]} for k in range(1, 256)
    ]
    annotations.append({"image_id": 1, "category_id": 300, "segmentation": [SQUARE]})
    path = save(tmp_path / "many.json", coco(categories=categories, annotations=annotations))
    assert recognise_table(path, "a.png").names == ["thing 300"]
    for image in (None, "b.png"):
        with pytest.raises(ClassTableError, match=r"25[56] classes, more than the 254 that a map"):
            recognise_table(path, image)


def test_254_categories_without_colours_are_read(tmp_path):
    categories = [{"id": k, "name": f"thing {k}"} for k in range(1, 255)]
    path = save(tmp_path / "many.json", coco(categories=categories))
    assert recognise_table(path).number_of_classes == 254


def test_labels_match_classes_whatever_the_form_of_their_accents(tmp_path):
    decomposed = "Sta\u0308ngel"
    shape = {"label": decomposed, "points": CORNERS}
    path = save(tmp_path / "a.json", labelme(shapes=[shape]))
    assert (read_map(path, TABLE)[0] == 2).sum() == 12
    assert recognise_table(path).names == ["Stängel"]
    table = table_from_colours("plant", {1: (decomposed, (1, 2, 3)), 2: ("leaf", (3, 2, 1))})
    assert table.names[0] == "Stängel"
    (tmp_path / "classes.json").write_text(
        TABLE.model_dump_json().replace("Stängel", decomposed), encoding="utf-8"
    )
    assert recognise_table(path) == ClassTable.from_file(tmp_path / "classes.json") == TABLE


FOLDERS = ["cam1/000001.png", "cam1/000002.png", "cam2/000001.png", "cam2/000002.png"]


def camera(tmp_path, names):
    """Write a COCO file in which the images have 1, 2, ... pixels of a class."""
    images = [
        {"id": number, "file_name": name, "height": 6, "width": 8}
        for number, name in enumerate(names, start=1)
    ]
    annotations = [
        {"image_id": k, "category_id": 1, "segmentation": [[0, 0, k, 0, k, 1, 0, 1]]}
        for k in range(1, len(names) + 1)
    ]
    return save(tmp_path / "instances.json", coco(images=images, annotations=annotations))


@pytest.mark.parametrize(
    ("names", "wanted", "number"),
    [
        (FOLDERS, "/data/cam2/000001.png", 3),
        (FOLDERS, "cam1/000002.png", 2),
        (FOLDERS, r"C:\data\cam2\000002.png", 4),
        ([name.replace("/", "\\") for name in FOLDERS], "/data/cam2/000001.png", 3),
        (["000001.png", "cam1/000001.png"], "/data/cam1/000001.png", 2),
        (["000001.png", "cam1/000001.png"], "/data/cam2/000001.png", 1),
        (["a/x/1.png", "b/x/1.png", "x/1.png"], "/b/x/1.png", 2),
        (["a/x/1.png", "b/x/1.png", "x/1.png"], "x/1.png", 3),
        (["./cam1/1.png", "../cam2/1.png"], "/data/cam2/1.png", 2),
        (FOLDERS, "/data/cam2/000001.jpg", 3),
        (["U\u0308bung.png", "b.png"], "/data/Übung.png", 1),
        (["Übung/a.png", "b/a.png"], "/data/U\u0308bung/a.png", 1),
        (["cam1/000001.png"], "other.png", 1),
        (["000001.png"], "/data/cam2/000001.png", 1),
    ],
)
def test_the_image_with_the_longest_matching_path_is_taken(tmp_path, names, wanted, number):
    index_map, _ = read_map(camera(tmp_path, names), TABLE, image=wanted)
    assert index_map.sum() == number


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["cam1/000001.png"], "/data/cam2/000001.png"),
        (["cam1/000001.png", "cam1/000002.png"], "/data/cam2/000001.png"),
        (FOLDERS, "/data/cam3/000001.png"),
        (FOLDERS, "000001.png"),
        (["a/cam1/000001.png"], "b/cam1/000001.png"),
        (["cam1/000001.png"], "cam2/000001.jpg"),
    ],
)
def test_contradicting_or_ambiguous_folders_are_refused_with_the_candidates(
    tmp_path, names, wanted
):
    with pytest.raises(UnclearImageError, match=r"nearest: '.*000001.png'.*folder") as caught:
        read_map(camera(tmp_path, names), TABLE, image=wanted)
    assert caught.value.images == tuple(names)


def test_the_folder_of_an_image_that_exists_counts_although_it_is_not_given(tmp_path, monkeypatch):
    path = camera(tmp_path, FOLDERS)
    (tmp_path / "cam2").mkdir()
    write_image(tmp_path / "cam2" / "000001.png", np.zeros((6, 8, 3), dtype=np.uint8))
    monkeypatch.chdir(tmp_path / "cam2")
    assert read_map(path, TABLE, image="000001.png")[0].sum() == 3


def test_nesting_a_million_deep_is_damage(tmp_path):
    for content in (coco(), labelme(), cityscapes()):
        text = json.dumps(content | {"deep": 0}).replace('"deep": 0', '"deep": ' + "[" * 10**6)
        with pytest.raises(DataError, match="it is damaged"):
            read_map(save(tmp_path / "deep.json", text), TABLE)
    deep = save(tmp_path / "deep.xml", "<annotations><image>" + "<a>" * 10**5)
    with pytest.raises(DataError, match="it is damaged"):
        read_map(deep, TABLE)


def test_a_folder_or_pipe_is_no_annotation_file(tmp_path):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        assert not is_annotation_file(tmp_path / name)
        with pytest.raises(DataError, match="not a regular file"):
            read_map(tmp_path / name, TABLE)
