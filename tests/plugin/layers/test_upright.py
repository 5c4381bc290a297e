"""Photographs lie upright in the viewer, as their EXIF orientation says."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from PIL import Image as Picture

from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import DataError
from c2f_core.io.images import read_image
from napari_c2f.layers.convert import add_map
from napari_c2f.layers.pairs import images_of_layers, pairs_of_layers
from napari_c2f.layers.session import Session
from napari_c2f.refine.request import check_layers

STORED = np.random.default_rng(0).integers(0, 256, (36, 45, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path):
    """Return a function that saves a photograph with an orientation."""

    def save(orientation, suffix=".png"):
        path = tmp_path / f"photo{suffix}"
        exif = Picture.Exif()
        exif[274] = orientation
        Picture.fromarray(STORED).save(path, exif=exif)
        return path

    return save


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


def opened(viewer, path):
    """Open a file as napari's own reader does: its pixels as they are stored."""
    with layer_source(path=str(path), reader_plugin="napari"):
        return viewer.add_image(np.load(path) if path.suffix == ".npy" else STORED.copy())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("is_first", [True, False])
def test_photographs_are_turned_before_and_after_the_first_tool(
    viewer, photo, orientation, is_first
):
    path = photo(orientation)
    if is_first:
        layer = opened(viewer, path)
        Session.of(viewer)
    else:
        Session.of(viewer)
        layer = opened(viewer, path)
    np.testing.assert_array_equal(layer.data, read_image(path))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_other_formats_are_turned(viewer, photo, suffix):
    Session.of(viewer)
    assert opened(viewer, photo(6, suffix)).data.shape == (45, 36, 3)


def test_layers_that_are_no_file_of_a_photograph_stay(viewer, photo, tmp_path):
    Session.of(viewer)
    layer = viewer.add_image(STORED.copy())
    np.testing.assert_array_equal(layer.data, STORED)
    np.save(tmp_path / "array.npy", STORED)
    np.testing.assert_array_equal(opened(viewer, tmp_path / "array.npy").data, STORED)


def test_a_photograph_with_a_map_drawn_on_it_stays(viewer, photo):
    layer = opened(viewer, photo(6))
    viewer.add_labels(np.zeros((36, 45), np.uint8))
    Session.of(viewer)
    np.testing.assert_array_equal(layer.data, STORED)


def test_a_photograph_that_lies_upright_already_stays(viewer, photo, monkeypatch):
    path = photo(3)
    layer = opened(viewer, path)
    layer.data = read_image(path)
    Session.of(viewer)
    np.testing.assert_array_equal(layer.data, read_image(path))


@pytest.mark.parametrize("use", ["refine", "train", "project"])
def test_a_map_of_the_sideways_picture_is_explained_wherever_it_is_used(viewer, photo, use):
    Session.of(viewer)
    image = opened(viewer, photo(6))
    sideways = add_map(viewer, np.ones(STORED.shape[:2], np.uint8), SHAPES, "map", {})
    uses = {
        "refine": lambda: check_layers(image, sideways),
        "train": lambda: pairs_of_layers(image, sideways, None),
        "project": lambda: images_of_layers([image, sideways], SHAPES),
    }
    with pytest.raises(DataError, match="turn the map clockwise by 90 degrees"):
        uses[use]()
