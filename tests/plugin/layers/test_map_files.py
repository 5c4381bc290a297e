"""Maps and annotations are opened for an image, without a window."""

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from PIL import Image as Picture

from c2f_core.data.synthetic import SHAPES
from c2f_core.io.annotations import write_annotations
from c2f_core.io.images import read_image
from c2f_core.io.maps import write_map
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.layers.map_files import sideways_warning
from napari_c2f.layers.session import Session
from napari_c2f.layers.upright import FILE_KEY
from napari_c2f.refine.controller import RefineController

SIZE = (20, 30)


@pytest.fixture
def controller(qtbot):
    controller = RefineController(ViewerModel(), Session())
    yield controller
    controller.close()


@pytest.fixture
def annotations(tmp_path):
    """A COCO file of two images; in each a class fills the upper half."""
    documents = []
    for number, name in enumerate(("train/a.b.jpg", "train/c.jpg")):
        index_map = np.full(SIZE, SHAPES.unlabelled.index, np.uint8)
        index_map[:10] = SHAPES.classes[number].index
        write_annotations(tmp_path / "one.json", index_map, SHAPES, "coco", image=name)
        documents.append(json.loads((tmp_path / "one.json").read_text()))
    first, second = documents
    second["images"][0]["id"] = 2
    for each in second["annotations"]:
        each.update(id=each["id"] + 100, image_id=2)
    for key in ("images", "annotations"):
        first[key] += second[key]
    path = tmp_path / "all.json"
    path.write_text(json.dumps(first))
    return str(path)


def forbid(_names):
    raise AssertionError("It is clear which image is meant.")


def open_map(controller, path, image, choose_image=forbid):
    """Open a map, and return its layer and the message."""
    before = len(controller._viewer.layers)
    controller.open_map(path, TableSelection(), image, choose_image)
    added = controller._viewer.layers[before:]
    return (added[0] if added else None), controller.model.message


@pytest.mark.parametrize("known_by", ["file", "name", "stem"])
def test_the_map_of_the_selected_one_of_several_images_is_opened(controller, annotations, known_by):
    name = {"file": "mine", "name": "a.b.jpg", "stem": "a.b"}[known_by]
    with layer_source(path="/photos/train/a.b.png" if known_by == "file" else None):
        image = controller._viewer.add_image(np.zeros(SIZE, np.uint8), name=name)
    layer, message = open_map(controller, annotations, image)
    assert (layer.data[:10] == SHAPES.classes[0].index).all()
    assert "Opened with the classes" in message


def test_the_user_is_asked_which_image_if_it_is_unclear(controller, annotations):
    asked = []

    def choose(names):
        asked.append(names)
        return "train/c.jpg"

    image = controller._viewer.add_image(np.zeros(SIZE, np.uint8), name="other")
    for shown in (image, None):
        layer, _ = open_map(controller, annotations, shown, choose)
        assert (layer.data[:10] == SHAPES.classes[1].index).all()
    assert asked == [("train/a.b.jpg", "train/c.jpg")] * 2
    layer, message = open_map(controller, annotations, image, lambda _: None)
    assert layer is None
    assert "cannot be read" not in message


@pytest.mark.parametrize("planes", [(), (3,)])
@pytest.mark.parametrize("size", [SIZE, (20, 31)])
def test_a_map_lies_on_an_image_of_its_size(controller, tmp_path, planes, size):
    path = str(tmp_path / "map.png")
    write_map(path, np.full(size, SHAPES.classes[1].index, np.uint8), SHAPES)
    pixels = np.zeros((*planes, *SIZE), np.uint8)
    image = controller._viewer.add_image(pixels)
    image.scale, image.translate = [0.5] * image.ndim, [10] * image.ndim
    layer, _ = open_map(controller, path, image)
    lies_on_it = size == SIZE and not planes
    np.testing.assert_array_equal(layer.scale, [0.5, 0.5] if lies_on_it else [1, 1])
    np.testing.assert_array_equal(layer.translate, [10, 10] if lies_on_it else [0, 0])


@pytest.fixture
def sideways(controller, tmp_path):
    """A photograph of 30 x 20 pixels, stored sideways, and a map of the picture as it is stored."""
    exif = Picture.Exif()
    exif[274] = 6
    path = tmp_path / "photo.png"
    Picture.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path, exif=exif)
    image = controller._viewer.add_image(read_image(path), rgb=True, metadata={FILE_KEY: path})
    write_map(tmp_path / "map.png", np.full(SIZE, SHAPES.classes[1].index, np.uint8), SHAPES)
    return image, str(tmp_path / "map.png")


def test_a_map_of_the_sideways_picture_is_explained_when_it_is_opened(controller, sideways):
    image, path = sideways
    layer, message = open_map(controller, path, image)
    assert layer.data.shape == SIZE
    assert "Opened with the classes" in message
    assert "turn the map clockwise by 90 degrees" in message
    assert "only" in message  # It has one class, which is still said.


def test_a_map_of_the_sideways_picture_does_not_replace_that_of_a_project(controller, sideways):
    image, path = sideways
    viewer = controller._viewer
    own = viewer.add_labels(np.zeros(image.data.shape[:2], np.uint8), name="own")
    controller._session.lineage.set_image(own, image)
    layer, message = open_map(controller, path, image)
    assert layer is None
    assert message.startswith("The map of photo.png has 20 rows")
    assert "turn the map clockwise by 90 degrees" in message
    assert not own.data.any()


def test_a_map_of_the_sideways_picture_is_explained_when_it_is_saved(controller, sideways):
    layers = controller._viewer.layers
    assert "clockwise" in sideways_warning(layers, SIZE)
    assert sideways_warning(layers, SIZE[::-1]) == ""
    assert sideways_warning(layers, (7, 7)) == ""
    controller._viewer.add_image(np.zeros(SIZE, np.uint8))  # The map is one of this image.
    assert sideways_warning(layers, SIZE) == ""
