"""Datasets in the layouts that are read, their splits, and synthetic ones."""

import json
import shutil
from codecs import BOM_UTF8

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import DataConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair, coarse_displacement, fingerprint
from c2f_core.data.simulation import MixedSimulation
from c2f_core.data.splits import assign_roles, draw_validation, read_groups, read_split
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import DataError
from c2f_core.io.maps import write_map

FASSEG = ClassTable.preset("fasseg")


def save_image(path, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, dtype=np.uint8)).save(path)


def save_map(path, value=0, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, np.full(size, value, dtype=np.uint8), FASSEG)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        save_image(tmp_path / "images" / f"{name}.png")
        save_map(tmp_path / "coarse" / f"{name}.png", 1)
    save_map(tmp_path / "fine" / "a.png", 2)
    return tmp_path


def test_folders_are_matched_by_name(folder):
    pairs = open_pairs(folder, FASSEG)
    assert pairs.names == ["a", "b"]
    first, second = pairs
    assert (first.coarse == 1).all()
    assert (first.fine == 2).all()
    assert second.fine is None
    assert pairs.subset(["b"]).names == ["b"]


@pytest.mark.parametrize("kind", ["images", "coarse", "fine"])
def test_missing_partners_are_named(folder, kind):
    (save_image if kind == "images" else save_map)(folder / kind / "unmatched.png")
    with pytest.raises(DataError, match="'unmatched'"):
        open_pairs(folder, FASSEG)


def test_a_missing_coarse_map_is_simulated_if_wanted(folder):
    save_image(folder / "images" / "fine only.png")
    save_map(folder / "fine" / "fine only.png", 3)
    simulation = MixedSimulation(("polygons",))
    pairs = open_pairs(folder, FASSEG, simulation)
    assert [pair.is_simulated for pair in pairs] == [False, False, True]
    pair = pairs[2]
    assert (pair.coarse == 3).all()
    assert pairs.warnings() == []
    save_image(folder / "images" / "image only.png")
    with pytest.raises(DataError, match="'image only'"):
        open_pairs(folder, FASSEG, simulation)


def test_simulated_coarse_maps_are_the_same_whenever_they_are_read(write_shapes, tmp_path):
    root = write_shapes(tmp_path / "shapes", 3, 64)
    shutil.rmtree(root / "coarse")
    with pytest.raises(DataError, match="no folder 'coarse'"):
        open_pairs(root, SHAPES)
    pairs = open_pairs(root, SHAPES, MixedSimulation(iou=(0.7, 0.8)))
    again = open_pairs(root, SHAPES, MixedSimulation(iou=(0.7, 0.8))).subset(["2", "0"])
    np.testing.assert_array_equal(pairs[2].coarse, again[0].coarse)
    assert (pairs[2].coarse != pairs[2].fine).any()


def test_size_mismatch_is_named(folder):
    save_map(folder / "coarse" / "a.png", size=(20, 31))
    with pytest.raises(DataError, match=r"a: .*\(20, 30\) and its coarse map \(20, 31\)"):
        open_pairs(folder, FASSEG)[0]


def test_unknown_classes_are_named_with_the_file(folder):
    Image.fromarray(np.full((20, 30), 77, dtype=np.uint8)).save(folder / "coarse" / "a.png")
    with pytest.raises(DataError, match=r"a\.png: .*77 \(600 px\)"):
        open_pairs(folder, FASSEG)[0]


def test_unknown_colours_are_reported_with_the_file(folder):
    Image.fromarray(np.full((20, 30, 3), 130, dtype=np.uint8)).save(folder / "coarse" / "a.png")
    pairs = open_pairs(folder, FASSEG)
    assert (pairs.subset(["a"])[0].coarse == 255).all()
    assert [report.outside for report in pairs.reports.values()] == [600]
    (warning,) = pairs.warnings()
    assert warning.startswith("coarse/a.png: 600 of 600 pixels")
    assert "drawn with another class table; choose that table" in warning
    assert pairs.subset(["b"]).warnings() == []


def test_two_files_of_one_name_and_missing_folders_are_refused(folder, tmp_path):
    save_image(folder / "images" / "a.bmp")
    with pytest.raises(DataError, match="keep only one"):
        open_pairs(folder, FASSEG)
    with pytest.raises(DataError, match="does not exist"):
        open_pairs(tmp_path / "none")
    with pytest.raises(DataError, match="needs a class table"):
        open_pairs(folder)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_fasseg_layout_with_blended_boundaries(tmp_path, suffix):
    colours = encode_colours(np.array([[0, 0, 1, 1]], dtype=np.uint8), FASSEG)
    colours[0, 1] = (200, 0, 0)
    for part, count in (("Train", 2), ("Test", 1)):
        for number in range(1, count + 1):
            save_image(tmp_path / "V1" / f"{part}_RGB" / f"{number}.{suffix}", (1, 4))
            for version in ("V1", "V2"):
                path = tmp_path / version / f"{part}_Labels" / f"{number}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(colours).save(path)
    pairs = open_pairs(tmp_path)
    assert pairs.names == ["Train/1", "Train/2", "Test/1"]
    assert pairs[0].coarse.tolist() == [[0, 0, 1, 1]]
    (tmp_path / "V2" / "Train_Labels" / f"2.{suffix}").unlink()
    with pytest.raises(DataError, match="fine map"):
        open_pairs(tmp_path)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_fasseg_maps_without_an_image_are_named(tmp_path, version):
    for part in ("Train", "Test"):
        save_image(tmp_path / "V1" / f"{part}_RGB" / "1.png")
        for each in ("V1", "V2"):
            save_map(tmp_path / each / f"{part}_Labels" / "1.png")
    save_map(tmp_path / version / "Train_Labels" / "2.png")
    kind = {"V1": "coarse", "V2": "fine"}[version]
    with pytest.raises(DataError, match=f"{kind} maps have no image, first '2'"):
        open_pairs(tmp_path)


def test_fasseg_maps_without_class_colours_are_reported(tmp_path):
    for part in ("Train", "Test"):
        save_image(tmp_path / "V1" / f"{part}_RGB" / "1.png")
        for version in ("V1", "V2"):
            save_map(tmp_path / version / f"{part}_Labels" / "1.png", 1)
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "V2" / "Train_Labels" / "1.png")
    pairs = open_pairs(tmp_path)
    assert [(pair.coarse == 1).all() for pair in pairs] == [True, True]
    (warning,) = pairs.warnings()
    assert warning.startswith("Train_Labels/1.png: ")


def save_ids(root, folder, frame, ids):
    part, city, _ = frame.split("/")
    path = root / folder / part / city / f"{frame.split('/')[-1]}_{folder}_labelIds.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([ids], dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def cityscapes(tmp_path):
    frames = ["train/aachen/aachen_000000_000019", "train_extra/bonn/bonn_000000_000001"]
    for frame in frames:
        save_image(tmp_path / "leftImg8bit" / f"{frame}_leftImg8bit.png", (1, 4))
        save_ids(tmp_path, "gtCoarse", frame, [0, 7, 26, 33])
    save_ids(tmp_path, "gtFine", frames[0], [7, 7, 26, 9])
    save_image(tmp_path / "leftImg8bit/test/berlin/berlin_000000_000000_leftImg8bit.png", (1, 4))
    (tmp_path / "gtCoarse/train/aachen/aachen_000000_000019_gtCoarse_polygons.json").write_text("")
    return tmp_path


def test_cityscapes_layout_with_label_ids(cityscapes):
    pairs = open_pairs(cityscapes)
    assert pairs.class_table == ClassTable.preset("cityscapes")
    assert pairs.names == [
        "train/aachen/aachen_000000_000019",
        "train_extra/bonn/bonn_000000_000001",
    ]
    first, second = pairs.subset(pairs.names)
    assert first.coarse.tolist() == [[255, 0, 13, 18]]
    assert first.fine.tolist() == [[0, 0, 13, 255]]
    assert second.fine is None


def test_ids_unknown_to_cityscapes_are_reported(cityscapes):
    frame = "train/aachen/aachen_000000_000019"
    save_ids(cityscapes, "gtFine", frame, [7, 200, 255, 34])
    pairs = open_pairs(cityscapes)
    assert pairs[0].fine.tolist() == [[0, 255, 255, 255]]
    (warning,) = pairs.warnings()
    assert warning.startswith("aachen/aachen_000000_000019_gtFine_labelIds.png: 2 of 4 pixels")
    assert "(34, 200; first at row 0, column 1)" in warning


def test_cityscapes_files_without_partners_are_named(cityscapes):
    path = save_ids(cityscapes, "gtCoarse", "train/aachen/aachen_000001_000019", [7])
    with pytest.raises(DataError, match="'train/aachen/aachen_000001_000019'"):
        open_pairs(cityscapes)
    path.unlink()
    Image.fromarray(np.zeros((1, 4, 3), dtype=np.uint8)).save(
        cityscapes / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    )
    with pytest.raises(DataError, match="not an 8-bit map of label ids"):
        open_pairs(cityscapes)[0]
    (cityscapes / "gtCoarse").rename(cityscapes / "other")
    with pytest.raises(DataError, match="unpack both"):
        open_pairs(cityscapes)


@pytest.mark.parametrize("named", [{"train": "report:train"}, {"validation": "report:test"}])
def test_split_lists_without_a_split_file_are_refused(tmp_path, named):
    config = DataConfig(root=tmp_path, **named)
    with pytest.raises(DataError, match=r"data\.splits"):
        assign_roles(config, 0, ["a", "b"], bool)


def test_splits_are_read_by_path_and_joined(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"report": {"a": ["x"], "b": ["y"]}, "folds": [["z"]]}))
    assert read_split(path, "report:a+folds:0") == ["x", "z"]
    path.write_bytes(BOM_UTF8 + path.read_bytes())  # As Windows' Notepad saves it.
    assert read_groups(path) == []
    for wrong in ("report:c", "folds:1", "report"):
        with pytest.raises(DataError):
            read_split(path, wrong)


@given(
    names=st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=20, unique=True),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_validation_is_drawn_reproducibly_and_never_splits_a_group(names, share, seed, data):
    groups = [names[: data.draw(st.integers(0, len(names) - 1))]]
    groups = [group for group in groups if group]
    train, validation = draw_validation(names, share, seed, groups)
    assert train
    assert validation
    assert sorted(train + validation) == sorted(names)
    assert all(set(group) <= set(train) or set(group) <= set(validation) for group in groups)
    assert draw_validation(names, share, seed, groups) == (train, validation)


def test_synthetic_pairs_are_reproducible_and_coarse():
    pairs = [synthetic_pair(96, seed) for seed in (5, 6)]
    assert [pair.name for pair in pairs] == ["shapes-5", "shapes-6"]
    assert fingerprint([pairs[0]]) == fingerprint([synthetic_pair(96, 5)])
    assert fingerprint([pairs[0]]) != fingerprint([pairs[1]])
    agreement = (pairs[0].coarse == pairs[0].fine).mean()
    assert 0.7 < agreement < 0.995


def test_few_fine_maps_are_those_of_many_persons(tmp_path):
    splits = tmp_path / "splits.json"
    lists = {"train": list("abcde"), "test": ["t"], "same_person": [["a", "b"], ["c", "e"]]}
    splits.write_text(json.dumps(lists))

    def roles(fine_maps, without=""):
        settings = {"root": tmp_path, "splits": splits, "validation": "test"}
        config = DataConfig(**settings, fine_maps=fine_maps)
        return assign_roles(config, 0, list("abcdet"), lambda name: name != without)

    assert [roles(number).train for number in (2, 3)] == [list("ac"), list("acd")]
    assert roles(2).coarse_only == list("bde")
    assert roles(None).train == list("abcde")
    assert roles(3, without="c").train == list("ade")


def test_maps_of_one_class_are_counted_in_one_sentence(folder):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:] = 255
    Image.fromarray(mask).save(folder / "coarse" / "a.png")
    pairs = open_pairs(folder, FASSEG)
    assert pairs.subset(["a"])[0].coarse.shape == (20, 30)
    assert pairs.warnings() == []
    (note,) = pairs.subset(["a"]).notes()
    assert note.startswith("2 maps have one class or none, first coarse/a.png (only '")
    assert "not as masks of 0 and 255" in note
    assert pairs.subset(["b"]).notes() == []


def test_a_map_of_the_stored_picture_is_named_with_its_orientation(folder):
    exif = Image.Exif()
    exif[274] = 8
    with Image.open(folder / "images" / "a.png") as opened:
        opened.save(folder / "images" / "a.png", exif=exif)
    pairs = open_pairs(folder, FASSEG)
    with pytest.raises(DataError, match=r"map of a.png has 20 rows.*turn the map anticlockwise"):
        pairs[0]


def test_the_displacement_of_coarse_maps_counts_pairs_with_fine_maps():
    coarse, fine = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    coarse[:20], fine[:24] = 1, 1
    image = np.zeros((40, 50, 3), np.uint8)
    off, same = Pair("a", image, coarse, fine), Pair("b", image, fine, fine)
    alone = Pair("c", image, coarse, None)
    assert coarse_displacement([off, same, alone]) == 2
    assert coarse_displacement([same]) is None
    assert coarse_displacement([alone]) is None
