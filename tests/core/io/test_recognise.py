"""Recognising which files are maps, and their class tables."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, camera

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import PRESETS, ClassTable
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ClassTableError, DataError
from c2f_core.io.embedded import embedded_table
from c2f_core.io.maps import read_map, write_map
from c2f_core.io.recognise import plain_values, recognise_table

FASSEG = ClassTable.preset("fasseg")


def random_map(table, seed=0):
    indices = [entry.index for entry in table.entries]
    picked = np.random.default_rng(seed).choice(indices, (6, 7))
    picked.flat[: len(indices)] = indices
    return np.kron(picked, np.ones((4, 4))).astype(np.uint8)


def save_plain(path, pixels):
    """Save as other programs do, without a class table in the file."""
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
@pytest.mark.parametrize("style", ["palette", "colour", "index"])
def test_written_maps_carry_their_class_table(tmp_path, name, style):
    path = tmp_path / name
    write_map(path, random_map(SHAPES), SHAPES, style)
    assert embedded_table(path) == recognise_table(path) == SHAPES


@pytest.mark.parametrize("table", PRESETS.values(), ids=PRESETS)
def test_presets_are_recognised_by_their_colours(tmp_path, table):
    save_plain(tmp_path / "map.png", encode_colours(random_map(table), table))
    assert recognise_table(tmp_path / "map.png") == table


@pytest.mark.parametrize("table", PRESETS.values(), ids=PRESETS)
def test_presets_are_recognised_by_their_indices(tmp_path, table):
    save_plain(tmp_path / "map.png", random_map(table))
    assert recognise_table(tmp_path / "map.png") == table


@pytest.mark.parametrize("level", [0, 255])
def test_photographs_on_white_and_black_are_not_taken_for_maps(tmp_path, level):
    pixels = np.full((100, 100, 3), level, np.uint8)
    pixels[30:70, 30:70] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    save_plain(tmp_path / "photo.png", pixels)
    assert recognise_table(tmp_path / "photo.png") is None


def test_maps_with_blurred_boundaries_are_recognised(tmp_path):
    colours = encode_colours(np.kron(random_map(FASSEG), np.ones((8, 8), dtype=np.uint8)), FASSEG)
    small = Image.fromarray(colours)
    blurred = small.resize((small.width + 1, small.height + 1), Image.Resampling.BILINEAR)
    blurred.save(tmp_path / "map.png")
    assert recognise_table(tmp_path / "map.png") == FASSEG


@pytest.mark.parametrize(
    "pixels",
    [astronaut(), camera(), (camera() > 100).astype(np.uint8) * 255, camera() > 100],
    ids=["RGB", "grey", "mask", "bits"],
)
def test_photographs_and_masks_are_not_taken_for_maps(tmp_path, pixels):
    save_plain(tmp_path / "photo.png", pixels)
    assert recognise_table(tmp_path / "photo.png") is None


@pytest.mark.parametrize("folder", [".", ".."])
def test_a_class_table_in_the_folder_of_the_maps_is_taken(tmp_path, folder):
    path = tmp_path / "data" / "coarse" / "map.png"
    path.parent.mkdir(parents=True)
    (path.parent / folder / "classes.json").write_text(SHAPES.model_dump_json())
    save_plain(path, encode_colours(random_map(SHAPES), SHAPES))
    assert recognise_table(path) == SHAPES
    np.testing.assert_array_equal(read_map(path, SHAPES)[0], random_map(SHAPES))
    save_plain(path, astronaut())
    assert recognise_table(path) is None


def test_an_invalid_class_table_in_the_folder_of_the_maps_is_reported(tmp_path):
    (tmp_path / "classes.toml").write_text("name = ")
    save_plain(tmp_path / "map.png", random_map(FASSEG))
    with pytest.raises(ClassTableError, match=r"classes\.toml"):
        recognise_table(tmp_path / "map.png")


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
def test_damaged_files_give_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="check that the file is complete"):
        recognise_table(tmp_path / name)


def test_a_damaged_class_table_in_a_file_is_reported(tmp_path):
    path = tmp_path / "map.png"
    write_map(path, random_map(SHAPES), SHAPES)
    path.write_bytes(path.read_bytes().replace(b'"classes":', b'"klasses":'))
    with pytest.raises(DataError):
        recognise_table(path)


def test_transparent_pixels_of_strokes_are_no_class(tmp_path):
    strokes = np.zeros((20, 30, 4), np.uint8)
    strokes[2:6, 3:9] = 60, 160, 60, 255
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    assert plain_values(tmp_path / "strokes.png") == [(60, 160, 60)]
    strokes[10:15, 3:9] = 140, 90, 40, 255
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    assert plain_values(tmp_path / "strokes.png") == [(60, 160, 60), (140, 90, 40)]
    Image.fromarray(strokes[2:4, 3:9, :3]).save(tmp_path / "plain.png")
    assert plain_values(tmp_path / "plain.png") is None
