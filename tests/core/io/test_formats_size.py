"""Large annotations are drawn in time and memory that grow with their points and pixels."""

import base64
import io
import json
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image, ImageDraw

from c2f_core.classes.table import table_from_colours
from c2f_core.errors import DataError
from c2f_core.geometry import shapes
from c2f_core.geometry.shapes import Area
from c2f_core.io.formats import cityscapes
from c2f_core.io.formats.cityscapes import PixelPolygon
from c2f_core.io.formats.run_lengths import RunLengthMask, run_lengths
from c2f_core.io.maps import read_map

TABLE = table_from_colours("plant", {1: ("leaf", (60, 160, 60))})
SIDE = 2000
MEGAPIXELS = SIDE**2


@contextmanager
def peak_below(number_of_bytes):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < number_of_bytes
    finally:
        tracemalloc.stop()


def coco_of_masks(number):
    runs = {"size": [SIDE, SIDE], "counts": [5, MEGAPIXELS - 10, 5]}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": SIDE, "width": SIDE}],
        "categories": [{"id": 1, "name": "leaf"}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": runs}] * number,
    }


def labelme_of_masks(number):
    stored = io.BytesIO()
    Image.new("L", (SIDE, SIDE), 1).save(stored, format="PNG")
    mask = base64.b64encode(stored.getvalue()).decode()
    corners = [[0, 0], [SIDE - 1, SIDE - 1]]
    shape = {"label": "leaf", "shape_type": "mask", "points": corners, "mask": mask}
    return {
        "shapes": [shape] * number, "imagePath": "a", "imageHeight": SIDE, "imageWidth": SIDE,
    }  # fmt: skip


def cvat_of_masks(number):
    box = f'left="0" top="0" width="{SIDE}" height="{SIDE}"'
    mask = f'<mask label="leaf" rle="5, {MEGAPIXELS - 10}, 5" {box}/>'
    image = f'<image name="a" width="{SIDE}" height="{SIDE}">{mask * number}</image>'
    return f"<annotations>{image}</annotations>"


@pytest.mark.parametrize("make", [coco_of_masks, labelme_of_masks, cvat_of_masks])
def test_masks_are_decoded_one_at_a_time(tmp_path, make):
    path = tmp_path / ("a.xml" if make is cvat_of_masks else "a.json")
    content = make(20)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with peak_below(8 * MEGAPIXELS):  # All 20 at once would be more than twice as much.
        index_map, report = read_map(path, TABLE)
    assert index_map.sum() >= MEGAPIXELS - 10
    assert report.message() == ""


def test_only_the_lines_of_a_mask_are_decoded(tmp_path):
    content = coco_of_masks(1)
    start = 700 * SIDE + 300
    content["annotations"][0]["segmentation"]["counts"] = [start, 40, MEGAPIXELS - start - 40]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    index_map, _ = read_map(path, TABLE)
    assert index_map.sum() == index_map[300:340, 700].sum() == 40


def test_polygons_of_many_points_take_memory_of_their_pixels():
    zigzag = np.stack([np.tile([-0.5, 999.5], 5000), np.linspace(-0.5, 999.5, 10**4)], axis=1)
    with peak_below(200 * 10**6):  # Computed at once, the crossings take over 500 MB.
        _, covered = Area([zigzag]).cover((1000, 1000))
    assert covered.any()


def test_polygons_drawn_in_parts_are_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    rings = [rng.uniform(-5, 45, (30, 2)) for _ in range(2)]
    _, whole = Area(rings).cover((40, 40))
    monkeypatch.setattr(shapes, "CROSSINGS_AT_ONCE", 7)
    _, parts = Area(rings).cover((40, 40))
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("kind", [Area, PixelPolygon])
def test_polygons_that_cross_too_many_rows_are_refused(monkeypatch, kind):
    zigzag = np.stack([np.tile([0.0, 99.0], 50), np.linspace(0, 99, 100)], axis=1)
    monkeypatch.setattr(shapes, "MOST_CROSSINGS", 5000)
    with pytest.raises(DataError, match=r"100 points crosses .* (9,900|10,000) times, .* 5,000"):
        kind([zigzag]).cover((100, 100))


def test_polygons_of_too_many_comparisons_are_refused(monkeypatch):
    zigzag = np.stack([np.tile([0.0, 1.0], 50), np.linspace(0, 99, 100)], axis=1)
    assert PixelPolygon([zigzag]).cover((100, 100))[1].any()
    monkeypatch.setattr(cityscapes, "MOST_COMPARISONS", 9999)
    with pytest.raises(DataError, match=r"needs 20,000 comparisons of its corners, .* 9,999"):
        PixelPolygon([zigzag]).cover((100, 100))


def drawn_at_once(points, size):
    picture = Image.new("L", size[::-1])
    ImageDraw.Draw(picture).polygon(np.trunc(points)[:, ::-1].ravel().tolist(), fill=1)
    return np.array(picture) == 1


@pytest.mark.parametrize("seed", range(40))
def test_cityscapes_polygons_drawn_row_by_row_are_those_of_pillow(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(cityscapes, "VISITS_AT_ONCE", int(rng.integers(1, 60)))
    size = tuple(rng.integers(1, 40, 2).tolist())
    points = np.cumsum(rng.integers(-6, 7, (int(rng.integers(2, 40)), 2)), axis=0) + 15.0
    window, covered = PixelPolygon([points]).cover(size)
    drawn = np.zeros(size, dtype=bool)
    drawn[window] = covered
    np.testing.assert_array_equal(drawn, drawn_at_once(points, size))


def test_cityscapes_polygons_of_many_points_are_drawn():
    angles = np.linspace(0, 2 * np.pi, 10**5, endpoint=False)
    radius = 300 + 50 * np.sin(40 * angles)
    points = np.stack([350 + radius * np.sin(angles), 350 + radius * np.cos(angles)], axis=1)
    _, covered = PixelPolygon([points]).cover((700, 700))
    assert covered.sum() == pytest.approx(np.pi * (300**2 + 50**2 / 2), rel=0.03)


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"id": 1, "file_name": "a", "height": 32768, "width": 32768}],
         "annotations": [], "categories": []},
        {"shapes": [], "imagePath": "a", "imageHeight": 32768, "imageWidth": 32768},
        {"objects": [], "imgHeight": 32768, "imgWidth": 32768},
    ],
)  # fmt: skip
def test_images_of_too_many_pixels_are_refused_with_the_limit(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="more than the 536,870,912 pixels that can be drawn"):
        read_map(path, TABLE)


def test_a_large_image_without_shapes_takes_two_bytes_per_pixel(tmp_path):
    path = tmp_path / "a.json"
    document = {"shapes": [], "imagePath": "a", "imageHeight": 6000, "imageWidth": 6000}
    path.write_text(json.dumps(document))
    with peak_below(3 * 6000**2):
        read_map(path, TABLE)


@pytest.mark.parametrize("by_columns", [False, True])
def test_masks_in_run_lengths_are_only_decoded_in_their_box(by_columns):
    side = 6000
    mask = np.zeros((side, side), dtype=np.bool_)
    mask[200:5800, 3000:3007] = True
    runs = np.array(run_lengths((mask.T if by_columns else mask).ravel()))
    with peak_below(side**2 // 4):
        window, covered = RunLengthMask(runs, mask.shape, 0, 0, by_columns).cover(mask.shape)
    assert window == (slice(200, 5800), slice(3000, 3007))
    assert covered.all()


def test_run_lengths_of_any_mask_are_drawn_exactly():
    random = np.random.default_rng(0)
    for number in range(300):
        mask = random.random(random.integers(1, 9, 2)) < random.random()
        if mask.any():
            by_columns = bool(number % 2)
            runs = np.array(run_lengths((mask.T if by_columns else mask).ravel()))
            window, covered = RunLengthMask(runs, mask.shape, 2, 1, by_columns).cover((12, 12))
            drawn = np.zeros((12, 12), dtype=np.bool_)
            drawn[window] = covered
            expected = np.zeros_like(drawn)
            expected[2 : 2 + mask.shape[0], 1 : 1 + mask.shape[1]] = mask
            np.testing.assert_array_equal(drawn, expected)
