"""Reading and saving maps through napari, samples and the manifest."""

from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from PIL import Image
from skimage.data import astronaut, camera

from c2f_core.classes import PRESETS, ClassTable
from c2f_core.errors import ImageError
from c2f_core.io import write_map
from napari_c2f._layers import TABLE_KEY, class_table_of_layer
from napari_c2f._reader import get_reader
from napari_c2f._sample_data import astronaut as astronaut_sample
from napari_c2f._sample_data import shapes
from napari_c2f._writer import write_palette

ROOT = Path(__file__).resolve().parents[2]
FASSEG = ClassTable.preset("fasseg")


def random_map(table, seed=0):
    rng = np.random.default_rng(seed)
    indices = [entry.index for entry in table.entries]
    return np.kron(rng.choice(indices, (6, 7)), np.ones((4, 4))).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("style", ["palette", "colour"])
def test_coloured_maps_are_recognised_by_their_colours(tmp_path, name, style):
    path = tmp_path / "map.png"
    index_map = random_map(PRESETS[name])
    write_map(path, index_map, PRESETS[name], style)
    ((data, keywords, kind),) = get_reader(str(path))(str(path))
    assert kind == "labels"
    np.testing.assert_array_equal(data, index_map)
    assert keywords["metadata"][TABLE_KEY] == PRESETS[name]


def test_index_maps_take_the_first_table_that_fits(tmp_path):
    path = tmp_path / "map.tif"
    write_map(path, random_map(FASSEG), FASSEG, "index")
    ((data, keywords, _),) = get_reader(str(path))(str(path))
    np.testing.assert_array_equal(data, random_map(FASSEG))
    assert keywords["metadata"][TABLE_KEY] == FASSEG


@pytest.mark.parametrize("photograph", [astronaut, camera])
def test_photographs_are_left_to_other_readers(tmp_path, photograph):
    path = tmp_path / "photo.png"
    Image.fromarray(photograph()).save(path)
    assert get_reader(str(path)) is None


def test_folders_lists_and_damaged_files_are_left_to_other_readers(tmp_path):
    damaged = tmp_path / "map.png"
    damaged.write_bytes(b"no image")
    assert get_reader(str(damaged)) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(damaged)]) is None


def test_colours_outside_the_table_are_reported(make_napari_viewer, tmp_path):
    colours = FASSEG.encode_colours(random_map(FASSEG))
    colours[0, 0] = (128, 0, 128)
    path = tmp_path / "map.png"
    Image.fromarray(colours).save(path)
    make_napari_viewer()
    get_reader(str(path))(str(path))
    shown = notification_manager.records[-1].message
    assert "1 pixels have a colour that is no class colour" in shown


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
def test_layers_round_trip_through_napari(make_napari_viewer, tmp_path, name):
    viewer = make_napari_viewer()
    path = tmp_path / "source.png"
    write_map(path, random_map(FASSEG), FASSEG, "colour")
    (layer,) = viewer.open(path, plugin="napari-c2f")
    saved = tmp_path / name
    layer.save(str(saved), plugin="napari-c2f")
    (again,) = viewer.open(saved, plugin="napari-c2f")
    np.testing.assert_array_equal(again.data, layer.data)
    assert class_table_of_layer(again) == FASSEG
    np.testing.assert_allclose(again.get_color(3), (0, 0, 1, 1))


def test_layers_without_a_table_keep_their_labels(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    labels = np.array([[0, 2], [5, 5]], dtype=np.uint8)
    layer = viewer.add_labels(labels)
    table = class_table_of_layer(layer)
    assert [entry.index for entry in table.classes] == [2, 5]
    assert table.unlabelled.index == 0
    layer.save(str(tmp_path / "map.png"), plugin="napari-c2f")
    with Image.open(tmp_path / "map.png") as opened:
        np.testing.assert_array_equal(np.array(opened), labels)


def test_stacks_are_not_saved(tmp_path):
    with pytest.raises(ImageError, match="one plane"):
        write_palette(str(tmp_path / "map.png"), np.ones((2, 3, 4), dtype=np.uint8), {})


@pytest.mark.parametrize("sample", [astronaut_sample, shapes])
def test_samples_hold_an_image_a_coarse_map_and_a_hidden_fine_map(sample):
    image, coarse, fine = sample()
    assert image[2] == "image"
    assert coarse[1].get("visible", True)
    assert not fine[1]["visible"]
    for layer, ending in ((coarse, "coarse"), (fine, "fine")):
        assert layer[1]["name"].endswith(ending)
        assert layer[0].shape == image[0].shape[:2]
        table = layer[1]["metadata"][TABLE_KEY]
        assert len(np.unique(table.to_positions(layer[0]))) > 3


def test_the_manifest_offers_two_widgets_and_no_menus():
    manifest = PluginManifest.from_file(ROOT / "napari.yaml")
    assert manifest.display_name == "Coarse-to-Fine Refine"
    names = [widget.display_name for widget in manifest.contributions.widgets]
    assert names == ["Refine", "Train"]
    assert not manifest.contributions.menus
    assert (ROOT / "napari.yaml").samefile(ROOT / "src" / "napari_c2f" / "napari.yaml")
