"""Images and maps in files."""

import errno

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.editing import renamed
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ClassTableError, DataError, ImageError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.images import read_image
from c2f_core.io.intensity import as_rgb8, intensity_limits
from c2f_core.io.maps import read_map, write_map

TABLE = ClassTable.preset("fasseg")
MAPS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0, 1, 2, 3, 4, 5, 255]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    index_map=MAPS,
    name=st.sampled_from(["map.png", "map.tif"]),
    style=st.sampled_from(["palette", "colour", "index"]),
)
def test_maps_round_trip(tmp_path, index_map, name, style):
    path = tmp_path / name
    write_map(path, index_map, TABLE, style)
    read, report = read_map(path, TABLE)
    np.testing.assert_array_equal(read, index_map)
    assert report.outside == 0
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_palette_png_shows_the_class_colours(tmp_path):
    path = tmp_path / "map.png"
    index_map = np.array([[0, 1], [5, 255]], dtype=np.uint8)
    write_map(path, index_map, TABLE)
    with Image.open(path) as opened:
        assert opened.mode == "P"
        np.testing.assert_array_equal(np.array(opened), index_map)
        np.testing.assert_array_equal(
            np.array(opened.convert("RGB")), encode_colours(index_map, TABLE)
        )


def test_bmp_colour_maps_are_read(tmp_path):
    index_map = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint8)
    Image.fromarray(encode_colours(index_map, TABLE)).save(tmp_path / "map.bmp")
    np.testing.assert_array_equal(read_map(tmp_path / "map.bmp", TABLE)[0], index_map)


def test_unknown_index_in_a_file_is_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 9, dtype=np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(ClassTableError, match=r"9 \(4 px\)"):
        read_map(tmp_path / "map.png", TABLE)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_truncated_files_give_one_sentence(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    write_map(path, np.zeros((64, 64), dtype=np.uint8), TABLE, "colour")
    path.write_bytes(path.read_bytes()[:60])
    for read in (read_image, lambda file: read_map(file, TABLE)):
        with pytest.raises(DataError, match="check that the file is complete"):
            read(path)


@pytest.mark.parametrize("style", ["palette", "colour", "index"])
def test_classes_of_a_file_are_known_by_name_in_whatever_order(tmp_path, style):
    path, index_map = tmp_path / "map.png", np.array([[0, 1, 2, 255]], np.uint8)
    swapped = [TABLE.classes[place] for place in (0, 2, 1)]
    other = TABLE.model_copy(
        update={
            "classes": tuple(
                entry.model_copy(update={"index": index}) for index, entry in enumerate(swapped)
            )
        }
    )
    write_map(path, index_map, other, style)
    assert read_map(path, TABLE)[0].tolist() == [[0, 2, 1, 255]]


def test_a_renamed_class_keeps_its_index(tmp_path):
    path = tmp_path / "map.png"
    write_map(path, np.array([[0, 1, 2]], np.uint8), TABLE, "index")
    assert read_map(path, renamed(TABLE, 1, "fur"))[0].tolist() == [[0, 1, 2]]


def test_tables_with_some_names_in_common_are_distinguished_by_their_indices(tmp_path):
    path, camvid = tmp_path / "map.tif", ClassTable.preset("camvid")
    cityscapes = ClassTable.preset("cityscapes")
    write_map(path, np.array([[0, 3, 11]], np.uint8), camvid)
    assert read_map(path, cityscapes)[0].tolist() == [[10, 0, 255]]
    write_map(path, np.array([[0, 5]], np.uint8), camvid)
    with pytest.raises(ClassTableError, match="'tree', which 'cityscapes' does not have"):
        read_map(path, cityscapes)


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
@pytest.mark.parametrize("style", ["palette", "colour", "index"])
def test_a_map_of_other_classes_is_refused(tmp_path, name, style):
    path = tmp_path / name
    write_map(path, np.array([[1, 2, 3, 4]], np.uint8), SHAPES, style)
    message = r"'shapes' \(ground, .* none of the classes of 'fasseg' .*choose 'shapes'"
    with pytest.raises(ClassTableError, match=message):
        read_map(path, TABLE)


def test_palette_images_are_read_by_their_colours(tmp_path):
    index_map = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
    order = np.array([3, 0, 5, 1, 4, 2], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    for entry in TABLE.classes:
        palette[order[entry.index]] = entry.colour
    picture = Image.fromarray(order[index_map])
    picture.putpalette(palette.tobytes())
    for name in ("map.png", "map.tif"):
        picture.save(tmp_path / name)
        np.testing.assert_array_equal(read_map(tmp_path / name, TABLE)[0], index_map)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_of_grey_only_says_what_is_unlabelled(tmp_path, suffix):
    path, grey = tmp_path / f"grey{suffix}", np.array([[0, 1, 2], [5, 4, 255]], np.uint8)
    alpha = np.array([[0, 255, 90], [255, 255, 0]], np.uint8)
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(path)
    np.testing.assert_array_equal(read_image(path), grey)
    expected = np.where(alpha == 0, TABLE.unlabelled.index, grey)
    np.testing.assert_array_equal(read_map(path, TABLE)[0], expected)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_printing_colours_are_read_as_rgb(tmp_path, suffix):
    path = tmp_path / f"print{suffix}"
    index_map = np.full((16, 16), 2, np.uint8)
    Image.fromarray(encode_colours(index_map, TABLE)).convert("CMYK").save(path)
    with Image.open(path) as opened:
        assert opened.mode == "CMYK"
    difference = read_image(path).astype(int) - encode_colours(index_map, TABLE)
    assert np.abs(difference).max() < 10
    np.testing.assert_array_equal(read_map(path, TABLE)[0], index_map)


@pytest.mark.parametrize("content", ["archive", "zip", "shape", "header"])
def test_damaged_arrays_give_one_sentence(tmp_path, content):
    path = tmp_path / "map.npy"
    if content == "archive":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros((2, 2), np.uint8))
    elif content == "zip":
        path.write_bytes(b"PK\x03\x04no archive")
    else:
        np.save(path, np.zeros((2, 2), np.uint8))
        before, after = (b"(2, 2)", b"(2" + b"0" * 15 + b",2)")
        if content == "header":
            before, after = b"'shape'", b"'sha\n'e"
        path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(DataError, match=r"save (an|a single) array of class indices"):
        read_map(path, TABLE)


def test_more_pixels_than_pillow_reads_give_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    write_map(path, np.zeros((64, 64), dtype=np.uint8), TABLE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_image, lambda file: read_map(file, TABLE)):
        with pytest.raises(DataError, match=r"more than 2,000 pixels.*save it as a TIFF"):
            read(path)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(DataError):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"written as \.png, \.tif or \.npy"):
        write_map(tmp_path / "map.gif", np.zeros((2, 2), dtype=np.uint8), TABLE)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_stacks_are_not_written_as_a_map(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    with pytest.raises(ImageError, match="two-dimensional"):
        write_map(path, np.zeros((2, 4, 4), dtype=np.uint8), TABLE)
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")

    def write_on_a_full_disk():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="No space left on device"):
        write_on_a_full_disk()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_gives_one_sentence(tmp_path):
    with pytest.raises(DataError, match="create its folder again, or choose another"):
        write_map(tmp_path / "none" / "map.png", np.zeros((2, 2), dtype=np.uint8), TABLE)


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 128, dtype=np.uint8),
        np.full((4, 5, 3), 128, dtype=np.uint8),
        np.full((4, 5, 4), 128, dtype=np.uint8),
        np.full((4, 5), 128 * 257, dtype=np.uint16),
        np.full((4, 5, 3), 128 * 16, dtype=np.uint16),
        np.full((4, 5, 1), 128 / 255, dtype=np.float32),
    ],
)
def test_images_of_many_kinds_become_rgb8(image):
    rgb = as_rgb8(image)
    assert (rgb.shape, rgb.dtype) == ((4, 5, 3), np.uint8)
    assert (rgb == 128).all()


def test_wide_floats_are_stretched_and_booleans_are_black_and_white():
    assert as_rgb8(np.array([[-5.0, 15.0]]))[..., 0].tolist() == [[0, 255]]
    assert as_rgb8(np.array([[True, False]]))[..., 0].tolist() == [[255, 0]]
    assert as_rgb8(np.array([[7, 7]]))[..., 0].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 2, 2), dtype=np.uint8),
        np.zeros((2, 2, 2, 3), dtype=np.uint8),
        np.zeros((0, 2), dtype=np.uint8),
        np.array([[np.nan]]),
        np.array([[1j]]),
    ],
)
def test_unusable_images_are_refused(image):
    with pytest.raises(ImageError):
        as_rgb8(image)


def test_sixteen_bits_are_divided_without_rounding_twice():
    values = np.arange(0, 65536, 7, dtype=np.uint16)[None]
    for image, divisor in ((values, 257), (values[:, :585], 16)):
        expected = np.clip(np.rint(image / divisor), 0, 255)
        np.testing.assert_array_equal(as_rgb8(image)[..., 0], expected)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.int16, np.float32])
def test_a_part_is_as_bright_as_in_the_whole_with_its_limits(dtype):
    image = np.random.default_rng(0).normal(300, 200, (20, 30, 4)).clip(0, 255).astype(dtype)
    image[..., 3] = 1  # Alpha is ignored.
    part = as_rgb8(image[3:5, 4:9], intensity_limits(image))
    np.testing.assert_array_equal(part, as_rgb8(image)[3:5, 4:9])


def test_values_beyond_the_limits_are_cut_off():
    image = np.array([[-5.0, 0.0, 15.0, 30.0, 99.0]])
    assert as_rgb8(image, (0, 30))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    with pytest.raises(ImageError, match="NaN"):
        as_rgb8(np.array([[np.nan]]), (0, 1))
    with pytest.raises(ImageError, match="complex"):
        as_rgb8(np.ones((2, 2), complex), (0, 1))


def test_sixteen_bits_of_small_values_keep_their_contrast():
    values = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(as_rgb8(values.astype(np.uint16)), as_rgb8(values))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(0, 300), (900, 1100), (20000, 20200)])
def test_values_in_a_narrow_range_keep_their_contrast(dtype, low, high):
    image = np.linspace(low, high, 64).astype(dtype).reshape(8, 8)
    rgb = as_rgb8(image)
    assert (rgb.min(), rgb.max()) == (0, 255)
    assert intensity_limits(image) == (low, high)


def test_faint_floats_keep_their_contrast():
    assert as_rgb8(np.array([[0.001, 0.002, 0.003]]))[0, :, 0].tolist() == [0, 128, 255]
    assert as_rgb8(np.array([[0.2, 0.4, 0.6]]))[0, :, 0].tolist() == [51, 102, 153]
