"""Maps that might become background without a word are read right, refused or warned of."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from c2f_core.classes.report import one_class_report
from c2f_core.classes.table import ClassTable, table_from_colours
from c2f_core.errors import C2FError, DataError
from c2f_core.io.images import read_image
from c2f_core.io.maps import read_map, write_map
from c2f_core.io.recognise import plain_values, recognise_table

TABLE = table_from_colours(
    "leaves",
    {
        0: ("background", (0, 0, 0)),
        1: ("leaf", (60, 160, 60)),
        2: ("stem", (140, 90, 40)),
        255: ("unlabelled", (255, 255, 255)),
    },
    255,
)
MAP = np.array([[0, 0, 1, 1, 0], [0, 2, 2, 255, 0], [0, 0, 0, 1, 1]], np.uint8)
COLOURS = np.zeros((256, 3), np.uint8)
for _entry in TABLE.entries:
    COLOURS[_entry.index] = _entry.colour


def read(path):
    return read_map(path, TABLE)[0].tolist()


@pytest.mark.parametrize("shape", [(3, 5, 1), (1, 3, 5), (3, 5, 1, 1), (1, 1, 3, 5), (1, 3, 5, 1)])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_axes_of_length_one_are_dropped(tmp_path, shape, suffix):
    path = tmp_path / f"map{suffix}"
    array = MAP.reshape(shape)
    if suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    assert read(path) == MAP.tolist()


@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 3, 5), (12,), (3, 4, 7)])
def test_arrays_of_several_planes_are_refused(tmp_path, shape):
    np.save(tmp_path / "map.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=r"has shape .*a map is one plane"):
        read(tmp_path / "map.npy")


def grey_palette(index_map):
    picture = Image.fromarray(index_map)
    picture.putpalette(np.arange(256, dtype=np.uint8).repeat(3).tobytes())
    return picture


def other_palette(index_map):
    picture = Image.fromarray(index_map)
    colours = np.random.default_rng(3).integers(80, 255, (256, 3), dtype=np.uint8)
    picture.putpalette(colours.tobytes())
    return picture


def in_red(index_map):
    return Image.fromarray(np.stack([index_map, index_map * 0, index_map * 0], axis=-1))


def in_blue(index_map):
    return Image.fromarray(np.stack([index_map * 0, index_map * 0, index_map], axis=-1))


def black_palette(index_map):
    picture = Image.fromarray(index_map)
    picture.putpalette(bytes(768))
    return picture


def repeated(index_map):
    return Image.fromarray(np.stack([index_map] * 3, axis=-1))


@pytest.mark.parametrize(
    "picture", [grey_palette, other_palette, black_palette, in_red, in_blue, repeated]
)
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_indices_in_a_colour_image_are_read_as_indices(tmp_path, picture, suffix):
    picture(MAP).save(tmp_path / f"map{suffix}")
    assert read(tmp_path / f"map{suffix}") == MAP.tolist()


def test_deep_indices_in_a_colour_image_are_read_as_indices(tmp_path):
    table = table_from_colours("deep", {0: ("ground", (0, 0, 0)), 900: ("tree", (0, 200, 0))}, 1000)
    indices = np.array([[0, 900], [1000, 0]], np.uint16)
    tifffile.imwrite(tmp_path / "map.tif", np.stack([indices] * 3, axis=-1), photometric="rgb")
    np.save(tmp_path / "map.npy", np.stack([indices] * 3, axis=-1))
    for name in ("map.tif", "map.npy"):
        assert read_map(tmp_path / name, table)[0].tolist() == indices.tolist()


def test_black_and_white_are_colours_where_they_are_classes(tmp_path):
    table = table_from_colours(
        "mask",
        {0: ("outside", (0, 0, 0)), 1: ("inside", (255, 255, 255)), 9: ("open", (255, 0, 0))},
        9,
    )
    mask = np.array([[0, 255, 255]], np.uint8)
    repeated(mask).save(tmp_path / "map.png")
    assert read_map(tmp_path / "map.png", table)[0].tolist() == [[0, 1, 1]]
    blurred = np.array([[0, 30, 225, 255]], np.uint8)
    repeated(blurred).save(tmp_path / "map.png")
    assert read_map(tmp_path / "map.png", table)[0].tolist() == [[0, 0, 1, 1]]


def test_indices_with_an_unknown_one_are_refused_instead_of_taken_for_black(tmp_path):
    for number, picture in enumerate((repeated, grey_palette)):
        path = tmp_path / f"{number}.png"
        picture(np.array([[0, 1, 2, 7]], np.uint8)).save(path)
        with pytest.raises(DataError, match=r"values 0, 1, 2, 7, which fit neither as indices nor"):
            read(path)


def test_values_that_mean_both_indices_and_colours_are_refused(tmp_path):
    table = table_from_colours(
        "greys",
        {0: ("a", (0, 0, 0)), 1: ("b", (9, 9, 9)), 2: ("c", (1, 1, 1)), 3: ("open", (255, 0, 0))},
        3,
    )
    repeated(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(DataError, match="fit as indices and in part as colours"):
        read_map(tmp_path / "map.png", table)


@pytest.mark.parametrize("suffix", [".npy", ".png", ".tif"])
def test_one_mask_per_class_is_refused(tmp_path, suffix):
    masks = np.eye(3, dtype=np.uint8)[np.array([[0, 1, 2], [0, 0, 1]])]
    path = tmp_path / f"map{suffix}"
    if suffix == ".npy":
        np.save(path, masks)
    else:
        Image.fromarray(masks).save(path)
    with pytest.raises(DataError, match="probably one mask per class"):
        read(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.bool_])
def test_probabilities_and_masks_of_other_types_are_refused(tmp_path, dtype):
    masks = np.eye(3)[np.array([[0, 1, 2], [0, 0, 1]])]
    np.save(tmp_path / "map.npy", masks.astype(dtype))
    with pytest.raises(DataError, match=r"probably one (probability|mask) per class"):
        read(tmp_path / "map.npy")
    with pytest.raises(DataError, match=r"probably one (probability|mask) per class"):
        plain_values(tmp_path / "map.npy")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_numbers_of_floating_point_are_indices(tmp_path, dtype):
    np.save(tmp_path / "map.npy", MAP.astype(dtype))
    tifffile.imwrite(tmp_path / "map.tif", MAP.astype(dtype))
    for name in ("map.npy", "map.tif"):
        assert read(tmp_path / name) == MAP.tolist()
        assert plain_values(tmp_path / name) == [0, 1, 2, 255]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e30])
def test_other_numbers_of_floating_point_are_refused(tmp_path, value):
    np.save(tmp_path / "map.npy", np.array([[0, 1, value]]))
    with pytest.raises(C2FError, match="float64 values"):
        read(tmp_path / "map.npy")
    with pytest.raises(C2FError, match="float64 values"):
        plain_values(tmp_path / "map.npy")


def test_negative_labels_are_named(tmp_path):
    np.save(tmp_path / "map.npy", np.array([[0, -1]]))
    with pytest.raises(DataError, match="negative values"):
        plain_values(tmp_path / "map.npy")


def raw_png(index_map, bits, palette=b""):
    """Return a PNG file as Pillow does not write it: grey of few bits, or with a short palette."""
    per_byte = 8 // bits
    padded = np.pad(index_map, ((0, 0), (0, -index_map.shape[1] % per_byte)))
    shifts = 8 - bits * np.arange(1, per_byte + 1)
    rows = (padded.reshape(len(padded), -1, per_byte) << shifts).sum(axis=2).astype(np.uint8)
    kind = 3 if palette else 0
    header = struct.pack(">IIBBBBB", *index_map.shape[::-1], bits, kind, 0, 0, 0)
    data = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    colours = [(b"PLTE", palette)] if palette else []
    chunks = [(b"IHDR", header), *colours, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in chunks
    )


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_indices_of_maps_and_intensities_of_images(tmp_path, bits):
    indices = np.array([[0, 1, 2, 1, 3]], np.uint8)
    (tmp_path / "map.png").write_bytes(raw_png(indices, bits))
    table = table_from_colours(
        "few", {0: ("a", (0, 0, 0)), 1: ("b", (9, 9, 9)), 2: ("c", (1, 1, 1))}, 3
    )
    assert read_map(tmp_path / "map.png", table)[0].tolist() == indices.tolist()
    white = 85 if bits == 2 else 17
    assert read_image(tmp_path / "map.png").tolist() == (indices * white).tolist()


def test_indices_whose_palette_has_one_colour_for_several_are_refused(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([0, 0, 0, 0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "map.png")
    with pytest.raises(DataError, match=r"values 0, 1, 2, which are labels .* but share"):
        read(tmp_path / "map.png")


def test_an_index_beyond_the_palette_is_not_black(tmp_path):
    palette = bytes([0, 0, 0, 60, 160, 60])
    path = tmp_path / "map.png"
    path.write_bytes(raw_png(np.array([[0, 1, 2]], np.uint8), 8, palette))
    assert read(path) == [[0, 1, 2]]
    path.write_bytes(raw_png(np.array([[0, 1, 7]], np.uint8), 8, palette))
    with pytest.raises(DataError, match="not all in the palette or in the class table"):
        read(path)


def test_indices_in_a_jpeg_are_refused(tmp_path):
    indices = np.kron(MAP, np.ones((8, 8), np.uint8))
    Image.fromarray(indices).save(tmp_path / "map.jpg", quality=95)
    tifffile.imwrite(tmp_path / "map.tif", indices, compression="jpeg")
    for name in ("map.jpg", "map.tif"):
        with pytest.raises(DataError, match="compressed as JPEG, which changes class indices"):
            read(tmp_path / name)
        assert recognise_table(tmp_path / name) is None
        with pytest.raises(DataError, match="compressed as JPEG"):
            plain_values(tmp_path / name)


def test_colours_in_a_jpeg_are_read(tmp_path):
    large = np.kron(MAP, np.ones((16, 16), np.uint8))
    Image.fromarray(COLOURS[large]).save(tmp_path / "map.jpg", quality=95, subsampling=0)
    assert read(tmp_path / "map.jpg") == large.tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0, 3)])
def test_arrays_without_pixels_are_refused(tmp_path, shape):
    np.save(tmp_path / "map.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="no pixels"):
        read(tmp_path / "map.npy")


@pytest.mark.parametrize("picture", [grey_palette, other_palette, in_red, in_blue, repeated])
def test_the_class_table_beside_indices_in_a_colour_image_is_found(tmp_path, picture):
    picture(MAP).save(tmp_path / "map.png")
    (tmp_path / "classes.json").write_text(TABLE.model_dump_json())
    assert recognise_table(tmp_path / "map.png") == TABLE


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_class_table_beside_deep_colours_is_found(tmp_path, dtype):
    white = 65535 if dtype is np.uint16 else 1
    tifffile.imwrite(
        tmp_path / "map.tif", (COLOURS[MAP] / 255 * white).astype(dtype), photometric="rgb"
    )
    (tmp_path / "classes.json").write_text(TABLE.model_dump_json())
    assert recognise_table(tmp_path / "map.tif") == TABLE
    assert read(tmp_path / "map.tif") == MAP.tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32])
def test_arrays_of_colours_are_not_stretched(tmp_path, dtype):
    colours = COLOURS[np.array([[1, 1, 2, 2]])].astype(dtype)
    np.save(tmp_path / "map.npy", colours)
    assert read(tmp_path / "map.npy") == [[1, 1, 2, 2]]
    scaled = colours / 255 if dtype == np.float32 else colours * 257
    if dtype != np.int64:
        np.save(tmp_path / "map.npy", scaled.astype(dtype))
        assert read(tmp_path / "map.npy") == [[1, 1, 2, 2]]
    np.save(tmp_path / "map.npy", -colours.astype(np.int64) - 1)
    with pytest.raises(C2FError, match="not between 0 and 255"):
        read(tmp_path / "map.npy")


def painted():
    """Return a map in colours of which the unlabelled part is transparent black."""
    alpha = np.where(MAP == 255, 0, 255).astype(np.uint8)
    colours = COLOURS[MAP]
    colours[MAP == 255] = 0
    return np.dstack([colours, alpha])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_transparent_pixels_are_unlabelled(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    if suffix == ".npy":
        np.save(path, painted())
    else:
        Image.fromarray(painted()).save(path)
    labels, report = read_map(path, TABLE)
    assert labels.tolist() == MAP.tolist()
    assert report.message() == ""


def test_a_transparent_index_or_colour_is_unlabelled(tmp_path):
    expected = np.where(MAP == 2, 255, MAP).tolist()
    palette = Image.fromarray(MAP)
    palette.putpalette(COLOURS.tobytes())
    pictures = {
        "palette": (palette, 2),
        "grey": (Image.fromarray(MAP), 2),
        "colour": (Image.fromarray(COLOURS[MAP]), TABLE.classes[2].colour),
        "indices": (grey_palette(MAP), 2),
    }
    for name, (picture, transparent) in pictures.items():
        picture.save(tmp_path / f"{name}.png", transparency=transparent)
        assert read(tmp_path / f"{name}.png") == expected


def test_faint_paint_is_painted(tmp_path):
    faint = painted()
    faint[0, 0, 3] = 1
    Image.fromarray(faint).save(tmp_path / "map.png")
    assert read(tmp_path / "map.png") == MAP.tolist()


@pytest.mark.parametrize("style", ["palette", "colour", "index"])
@pytest.mark.parametrize("name", ["fasseg", "cityscapes", "camvid"])
def test_written_maps_of_one_class_come_back(tmp_path, style, name):
    table = ClassTable.preset(name)
    for entry in table.entries:
        labels = np.full((3, 4), entry.index, np.uint8)
        write_map(tmp_path / "map.png", labels, table, style)
        np.testing.assert_array_equal(read_map(tmp_path / "map.png", table)[0], labels)


def test_a_map_of_one_class_is_reported():
    report = one_class_report(np.array([[0, 255], [0, 0]], np.uint8), ["sky", "sea"])
    assert report is not None
    assert report.message().startswith(
        "the map has only the class 'sky' (3 of 4 pixels; all others"
    )
    nothing = one_class_report(np.full((2, 2), 255, np.uint8), ["sky", "sea"])
    assert nothing is not None
    assert "unlabelled throughout" in nothing.message()
    assert one_class_report(np.zeros((2, 2), np.uint8), ["sky"]) is None
    assert one_class_report(np.array([[0, 1]], np.uint8), ["sky", "sea"]) is None
