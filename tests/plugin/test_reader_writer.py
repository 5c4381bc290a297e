"""Reading and saving maps through napari, samples and the manifest."""

import json
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.plugins._npe2 import file_extensions_string_for_layers
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog
from skimage.data import astronaut, camera

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import DataError, ImageError
from c2f_core.io.annotations import write_annotations
from napari_c2f._reader import get_reader
from napari_c2f._sample_data import astronaut as astronaut_sample
from napari_c2f._sample_data import shapes
from napari_c2f._writer import write_palette
from napari_c2f.layers.convert import TABLE_KEY, class_table_of_layer, labels_layer_data

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "napari-c2f"
FASSEG = ClassTable.preset("fasseg")


def random_map(table, seed=0):
    rng = np.random.default_rng(seed)
    indices = [entry.index for entry in table.entries]
    return np.kron(rng.choice(indices, (6, 7)), np.ones((4, 4))).astype(np.uint8)


def drop(viewer, path):
    """Drop a file on the canvas; the reader that a user chose once is remembered."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    viewer.window._qt_viewer.dropEvent(
        QDropEvent(
            QPointF(50, 50),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch):
    """A viewer in which PNG files open with this plugin."""
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {"*.png": PLUGIN})
    return make_napari_viewer()


def test_a_dropped_colour_map_becomes_labels_with_names(viewer, tmp_path):
    Image.fromarray(encode_colours(random_map(FASSEG), FASSEG)).save(tmp_path / "face.png")
    drop(viewer, tmp_path / "face.png")
    (layer,) = viewer.layers
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(layer.data, random_map(FASSEG))
    assert class_table_of_layer(layer) == FASSEG
    assert "name: " in layer.get_status((1, 1))["coordinates"]


@pytest.mark.parametrize("photograph", [astronaut, camera])
def test_a_dropped_photograph_becomes_an_image(viewer, tmp_path, photograph):
    Image.fromarray(photograph()).save(tmp_path / "photo.png")
    drop(viewer, tmp_path / "photo.png")
    (layer,) = viewer.layers
    assert isinstance(layer, ImageLayer)
    np.testing.assert_array_equal(layer.data, photograph())


def test_stacks_of_files_open_as_with_napari(viewer, tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(camera()).save(tmp_path / name)
    (layer,) = viewer.open([tmp_path / "a.png", tmp_path / "b.png"], stack=True, plugin=PLUGIN)
    assert layer.data.shape == (2, 512, 512)


def test_an_invalid_class_table_in_the_folder_of_a_map_is_reported(viewer, tmp_path):
    (tmp_path / "classes.toml").write_text("name = ")
    Image.fromarray(random_map(FASSEG)).save(tmp_path / "map.png")
    (layer,) = viewer.open(tmp_path / "map.png", plugin=PLUGIN)
    assert isinstance(layer, ImageLayer)
    assert "classes.toml" in notification_manager.records[-1].message


def test_damaged_files_are_left_to_napari(tmp_path, monkeypatch):
    damaged = tmp_path / "map.png"
    damaged.write_bytes(b"no image")
    monkeypatch.setattr("npe2.read", lambda paths, **keywords: (paths, keywords["plugin_name"]))
    assert get_reader(str(damaged))(str(damaged)) == ([str(damaged)], "napari")


def test_colours_outside_the_table_are_reported_with_count_and_place(viewer, tmp_path):
    colours = encode_colours(random_map(FASSEG), FASSEG)
    colours[2, 3] = (128, 0, 128)
    path = tmp_path / "map.png"
    Image.fromarray(colours).save(path)
    drop(viewer, path)
    shown = notification_manager.records[-1].message
    assert "1 of 672 pixels have a colour that is not a class colour" in shown
    assert "row 2, column 3" in shown
    assert viewer.layers[0].data[2, 3] == 255


@pytest.mark.parametrize("table", [FASSEG, SHAPES], ids=["preset", "own table"])
def test_each_writer_of_the_save_dialog_round_trips(viewer, tmp_path, monkeypatch, table):
    data, keywords, _ = labels_layer_data(random_map(table), table, "fine map")
    layer = viewer.add_labels(data, **keywords)
    filters, _ = file_extensions_string_for_layers([layer])
    ours = [name for name in filters.split(";;") if name.startswith("Coarse-to-Fine Refine")]
    assert len(ours) == 11
    for number, chosen in enumerate(ours):
        folder = tmp_path / str(number)
        folder.mkdir()
        # napari proposes the layer's name, without an ending.
        answer = str(folder / layer.name), chosen
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, answer=answer, **_k: answer)
        viewer.layers.selection = {layer}
        viewer.window._qt_viewer._save_layers_dialog(selected=True)
        (path,) = folder.glob("fine map.*")
        if path.suffix == ".npy":  # Arrays carry no class table.
            (folder / "classes.json").write_text(table.model_dump_json())
        (again,) = viewer.open(path, plugin=PLUGIN)
        np.testing.assert_array_equal(again.data, layer.data)
        assert again.data.dtype == layer.data.dtype
        assert class_table_of_layer(again) == table
        for label in np.unique(layer.data):
            np.testing.assert_array_equal(again.get_color(label), layer.get_color(label))
        viewer.layers.remove(again)
        viewer.layers.selection = {layer}
        with pytest.raises(DataError, match="exists already"):
            viewer.window._qt_viewer._save_layers_dialog(selected=True)


def test_a_dropped_annotation_file_becomes_labels_with_its_classes(viewer, tmp_path):
    shapes = [
        {"label": "cat", "points": [[1, 1], [5, 1], [5, 3], [1, 3]], "shape_type": "polygon"},
        {"label": "nose", "points": [[2, 2]], "shape_type": "point"},
    ]
    document = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 6, "imageWidth": 8}
    (tmp_path / "scene.json").write_text(json.dumps(document))
    drop(viewer, tmp_path / "scene.json")
    (layer,) = viewer.layers
    assert (layer.name, layer.data.shape, layer.data.sum()) == ("scene", (6, 8), 8)
    assert class_table_of_layer(layer).names == ["cat", "nose"]
    assert "1 × point (no area)" in notification_manager.records[-1].message


def test_foreign_json_xml_and_arrays_are_left_to_others(tmp_path):
    for name, content in {"a.json": '{"type": "Feature"}', "b.xml": "<svg/>", "c.json": ""}.items():
        (tmp_path / name).write_text(content)
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader([str(tmp_path / "a.json"), str(tmp_path / "c.json")]) is None
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((5, 5)))
    np.save(tmp_path / "instances.npy", np.arange(1000).reshape(20, 50))
    (tmp_path / "damaged.npy").write_bytes(b"no array")
    for name in ("image.npy", "instances.npy", "damaged.npy"):
        assert get_reader(str(tmp_path / name)) is None


@pytest.fixture
def several(tmp_path):
    """A COCO file of two images."""
    path = tmp_path / "all.json"
    write_annotations(path, random_map(FASSEG), FASSEG, "coco", image="face.jpg")
    document = json.loads(path.read_text())
    document["images"].append(document["images"][0] | {"id": 2, "file_name": "other.png"})
    path.write_text(json.dumps(document))
    return path


def test_an_annotation_file_of_several_images_opens_for_the_selected_one(viewer, several):
    placed = {"scale": (0.5, 2), "translate": (10, 0)}
    viewer.add_image(np.zeros((24, 28), np.uint8), name="face", **placed)
    other = viewer.add_image(np.zeros((24, 28), np.uint8), name="other")
    viewer.layers.selection = {viewer.layers["face"]}
    drop(viewer, several)
    layer = viewer.layers["all"]
    np.testing.assert_array_equal(layer.data, random_map(FASSEG))
    np.testing.assert_array_equal(layer.scale, (0.5, 2))
    np.testing.assert_array_equal(layer.translate, (10, 0))
    viewer.layers.selection = {other}
    drop(viewer, several)
    assert (viewer.layers["all [1]"].data == FASSEG.unlabelled.index).all()


def test_annotations_of_several_images_say_what_to_do(several):
    with pytest.raises(
        DataError, match=r"annotations of 2 images.*select the right image first.*'Open map…'"
    ):
        get_reader(str(several))(str(several))


def test_layers_without_a_table_keep_their_labels(viewer, tmp_path):
    labels = np.array([[0, 2], [5, 5]], dtype=np.uint8)
    layer = viewer.add_labels(labels)
    table = class_table_of_layer(layer)
    assert [entry.index for entry in table.classes] == [2, 5]
    assert table.unlabelled.index == 0
    layer.save(str(tmp_path / "map.png"), plugin="napari-c2f")
    with Image.open(tmp_path / "map.png") as opened:
        np.testing.assert_array_equal(np.array(opened), labels)


def test_the_finest_level_of_a_pyramid_is_saved(tmp_path):
    finest = np.kron(random_map(FASSEG), np.ones((8, 8))).astype(np.uint8)
    for metadata in ({TABLE_KEY: FASSEG}, {}):
        layer = Labels([finest, finest[::2, ::2]], multiscale=True, metadata=metadata)
        (path,) = layer.save(str(tmp_path / "map.png"), plugin=PLUGIN)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(np.array(opened), finest)


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
        assert len(np.unique(table.to_class_ids(layer[0]))) > 3


def test_the_manifest_offers_all_widgets_and_no_menus():
    manifest = PluginManifest.from_file(ROOT / "napari.yaml")
    assert manifest.display_name == "Coarse-to-Fine Refine"
    names = [widget.display_name for widget in manifest.contributions.widgets]
    assert names == ["Draw", "Refine", "Review", "Train", "Project"]
    assert not manifest.contributions.menus
    assert (ROOT / "napari.yaml").samefile(ROOT / "src" / "napari_c2f" / "napari.yaml")
