"""Reading and saving maps through napari, samples and the manifest."""

import json
from pathlib import Path

import npe2
import numpy as np
import pytest
import tifffile
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
from c2f_core.errors import ClassTableError, DataError, ImageError
from c2f_core.io.annotations import write_annotations
from napari_c2f._reader import get_reader
from napari_c2f._sample_data import astronaut as astronaut_sample
from napari_c2f._sample_data import shapes
from napari_c2f._writer import (
    write_coco_polygons,
    write_cvat_masks,
    write_labelme_masks,
    write_palette,
)
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


def open_as_map(viewer, path):
    """Open a file with this plugin, under a name by which napari knows it as a class map."""
    return viewer.open(path.rename(path.with_suffix(f".c2f{path.suffix}")), plugin=PLUGIN)


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch):
    """A viewer in which files named as class maps open with this plugin."""
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {"*.c2f.png": PLUGIN})
    return make_napari_viewer()


PLAIN = (
    "photo.png",
    "a.b.PNG",
    "stack.tif",
    "x.tiff",
    "a.bmp",
    "a.npy",
    "a.json",
    "a.xml",
    "c2f.png",
)


@pytest.fixture(scope="module")
def plugins():
    """The real plugin manager, with all installed plugins."""
    manager = npe2.PluginManager()
    manager.discover()
    return manager


def readers(plugins, path):
    return {reader.plugin_name for reader in plugins.iter_compatible_readers(str(path))}


@pytest.mark.parametrize("name", [*PLAIN, "folder"])
def test_plain_files_and_folders_are_never_offered_to_this_plugin(plugins, tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")
    is_document = path.suffix in (".json", ".xml")
    offered = readers(plugins, path) & {"napari", PLUGIN}  # Other plugins may read folders.
    assert offered == (set() if is_document else {"napari"})


@pytest.mark.parametrize(
    "name", ["a.c2f.png", "b.C2F.TIF", "c.c2f.json", "aachen_0_gtFine_polygons.json"]
)
def test_files_named_as_class_maps_are_offered_to_this_plugin(plugins, name):
    assert PLUGIN in readers(plugins, name)


def test_napari_chooses_its_own_writer_of_labels(plugins, tmp_path):
    first = next(iter(plugins.iter_compatible_writers(["labels"])))
    assert first.plugin_name == "napari"
    for name in ("cells", "cells.tif", "cells.tiff", "cells.npz"):
        writer, _ = plugins.get_writer(str(tmp_path / name), ["labels"])
        assert writer.plugin_name == "napari"


def objects(number=400):
    """Return the labels of many objects, as segmentation plugins make them."""
    return np.arange(number + 1, dtype=np.int32).repeat(9).reshape(-1, 9)


def save_selected(viewer, monkeypatch, folder, chosen):
    """Confirm the dialog of "Save Selected Layers" with a file type of napari's list."""
    answer = str(folder / viewer.layers.selection.active.name), chosen
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: answer)
    viewer.window._qt_viewer._save_layers_dialog(selected=True)


def test_a_layer_of_objects_is_saved_by_napari_unless_asked_otherwise(
    viewer, tmp_path, monkeypatch
):
    layer = viewer.add_labels(objects(), name="cells")
    filters, _ = file_extensions_string_for_layers([layer])
    save_selected(viewer, monkeypatch, tmp_path, filters.split(";;")[0])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "cells.tif"), layer.data)
    tiff = next(name for name in filters.split(";;") if "TIFF of class indices" in name)
    with pytest.raises(ClassTableError, match=r"'cells' has 400 labels.*at most 254 classes"):
        save_selected(viewer, monkeypatch, tmp_path / "..", tiff)


def test_labels_that_are_no_class_map_are_saved_as_a_grey_png_by_name(viewer, tmp_path):
    layer = viewer.add_labels(objects(), name="cells")
    layer.save(str(tmp_path / "cells.png"))
    with Image.open(tmp_path / "cells.png") as opened:
        np.testing.assert_array_equal(np.array(opened), layer.data)
    assert "'cells' is not a class map" in notification_manager.records[-1].message


@pytest.mark.parametrize("label", [-1, 70_000])
@pytest.mark.parametrize("name", ["map.png", "map.npy", "map.json"])
def test_labels_out_of_range_are_named_with_their_layer(tmp_path, label, name):
    layer = Labels(np.array([[0, 1], [label, 2]], np.int32), name="nuclei")
    message = rf"layer 'nuclei' has the label {label},.*range from 0 to 65535; change these pixels"
    with pytest.raises(ClassTableError, match=message):
        layer.save(str(tmp_path / name), plugin=PLUGIN)
    assert not [*tmp_path.iterdir()]


def test_maps_are_saved_one_at_a_time(tmp_path):
    layer = Labels(random_map(FASSEG))
    with pytest.raises(ImageError, match="select a single Labels layer"):
        write_palette(str(tmp_path / "map.png"), [layer.as_layer_data_tuple()] * 2)


def test_a_dropped_colour_map_becomes_labels_with_names(viewer, tmp_path):
    Image.fromarray(encode_colours(random_map(FASSEG), FASSEG)).save(tmp_path / "face.c2f.png")
    drop(viewer, tmp_path / "face.c2f.png")
    (layer,) = viewer.layers
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(layer.data, random_map(FASSEG))
    assert class_table_of_layer(layer) == FASSEG
    assert "name: " in layer.get_status((1, 1))["coordinates"]


@pytest.mark.parametrize("photograph", [astronaut, camera])
def test_a_dropped_photograph_becomes_an_image(viewer, tmp_path, photograph):
    Image.fromarray(photograph()).save(tmp_path / "photo.c2f.png")
    drop(viewer, tmp_path / "photo.c2f.png")
    (layer,) = viewer.layers
    assert isinstance(layer, ImageLayer)
    np.testing.assert_array_equal(layer.data, photograph())


def test_stacks_of_files_open_as_with_napari(viewer, tmp_path):
    for name in ("a.c2f.png", "b.c2f.png"):
        Image.fromarray(camera()).save(tmp_path / name)
    (layer,) = viewer.open([*tmp_path.iterdir()], stack=True, plugin=PLUGIN)
    assert layer.data.shape == (2, 512, 512)


def test_an_invalid_class_table_in_the_folder_of_a_map_is_reported(viewer, tmp_path):
    (tmp_path / "classes.toml").write_text("name = ")
    Image.fromarray(random_map(FASSEG)).save(tmp_path / "map.png")
    (layer,) = open_as_map(viewer, tmp_path / "map.png")
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
    path = tmp_path / "map.c2f.png"
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
        (again,) = open_as_map(viewer, path)
        np.testing.assert_array_equal(again.data, layer.data)
        assert again.data.dtype == layer.data.dtype
        assert class_table_of_layer(again) == table
        for label in np.unique(layer.data):
            np.testing.assert_array_equal(again.get_color(label), layer.get_color(label))
        viewer.layers.remove(again)
        viewer.layers.selection = {layer}
        path.with_suffix(f".c2f{path.suffix}").rename(path)
        with pytest.raises(DataError, match="exists already"):
            viewer.window._qt_viewer._save_layers_dialog(selected=True)


def test_a_dropped_annotation_file_becomes_labels_with_its_classes(viewer, tmp_path):
    shapes = [
        {"label": "cat", "points": [[1, 1], [5, 1], [5, 3], [1, 3]], "shape_type": "polygon"},
        {"label": "nose", "points": [[2, 2]], "shape_type": "point"},
    ]
    document = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 6, "imageWidth": 8}
    (tmp_path / "scene.c2f.json").write_text(json.dumps(document))
    drop(viewer, tmp_path / "scene.c2f.json")
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
    path = tmp_path / "all.c2f.json"
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


@pytest.mark.parametrize(
    ("write", "ending", "name_in"),
    [
        (write_labelme_masks, ".json", lambda text: json.loads(text)["imagePath"]),
        (write_coco_polygons, ".json", lambda text: json.loads(text)["images"][0]["file_name"]),
        (write_cvat_masks, ".xml", lambda text: text.partition('<image id="0" name="')[2]),
    ],
)
def test_written_annotations_name_the_file_of_the_image_below(
    viewer, tmp_path, write, ending, name_in
):
    for name, size in (("first.png", (24, 28)), ("photo.jpg", (24, 28)), ("other.png", (9, 9))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(tmp_path / name)
        viewer.open(tmp_path / name, plugin="napari")
    viewer.add_image(np.zeros((24, 28)), name="computed")
    data, keywords, _ = labels_layer_data(random_map(FASSEG), FASSEG, "map")
    layer = viewer.add_labels(data, **keywords)
    path = tmp_path / f"map{ending}"
    write(str(path), [layer.as_layer_data_tuple()])
    assert name_in(path.read_text()).startswith("photo.jpg")
    viewer.layers.move(viewer.layers.index(layer), 1)
    write(str(path), [layer.as_layer_data_tuple()])
    assert name_in(path.read_text()).startswith("first.png")
    for image in ("first", "photo"):
        viewer.layers.remove(image)
    write(str(path), [layer.as_layer_data_tuple()])
    assert name_in(path.read_text()).startswith("map.png")


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
        write_palette(str(tmp_path / "map.png"), [(np.ones((2, 3, 4), np.uint8), {}, "labels")])


@pytest.mark.parametrize("sample", [astronaut_sample, shapes])
def test_samples_hold_an_image_a_coarse_map_and_a_hidden_fine_map(sample):
    image, coarse, fine = sample()
    assert image[2] == "image"
    assert coarse[1].get("visible", True)
    assert not fine[1]["visible"]
    for layer, ending in ((coarse, "coarse"), (fine, "ground truth")):
        assert layer[1]["name"].endswith(ending)
        assert layer[0].shape == image[0].shape[:2]
        table = layer[1]["metadata"][TABLE_KEY]
        assert len(np.unique(table.to_class_ids(layer[0]))) > 3


def test_the_manifest_offers_all_widgets_and_no_command_in_menus():
    manifest = PluginManifest.from_file(ROOT / "napari.yaml")
    assert manifest.display_name == "Coarse-to-Fine Refine"
    names = [widget.display_name for widget in manifest.contributions.widgets]
    assert names == ["Draw", "Refine", "Review", "Train", "Project"]
    items = [item for menu in manifest.contributions.menus.values() for item in menu]
    assert not [item for item in items if hasattr(item, "command")], "entries would get long names"
    assert (ROOT / "napari.yaml").samefile(ROOT / "src" / "napari_c2f" / "napari.yaml")
