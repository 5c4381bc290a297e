"""Large images and maps are decoded part by part onto the disk, as small ones are in memory."""

import io
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tifffile
from PIL import Image

from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import ClassTableError, DataError
from c2f_core.geometry import arrays
from c2f_core.io import large, png, scratch, tiff
from c2f_core.io.images import read_image
from c2f_core.io.large import open_image
from c2f_core.io.maps import MapStyle, open_map, read_map, write_map
from c2f_core.io.scratch import Scratch

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (47, 70, 3), dtype=np.uint8)
RGB[:, 20:40] = np.linspace(0, 255, 47, dtype=np.uint8)[:, None, None]
GREY, ALPHA = RGB[..., 0], RGB[..., 1:2]
DEEP = RGB.astype(np.uint16) * 257 + 5
TABLE = ClassTable.preset("fasseg")


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make everything large, and parts small; return the folder for temporary files."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 10)
    monkeypatch.setattr(arrays, "BAND", 500)
    monkeypatch.setattr(large, "SIDE", 16)
    monkeypatch.setattr(png, "BAND", 1000)
    monkeypatch.setattr(tiff, "PART", 1000)
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def check_image(path: Path, folder: Path) -> None:
    """Check that an image is decoded part by part as it is at once."""
    expected = read_image(path)
    with mock.patch("c2f_core.io.large.Scratch", wraps=Scratch) as on_disk:
        opened = open_image(path, folder)
    assert on_disk.call_count == 1
    assert not isinstance(opened, np.ndarray)
    assert (opened.shape, opened.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(opened[3:40, 5:60], expected[3:40, 5:60])
    np.testing.assert_array_equal(opened[::3, ::2], expected[::3, ::2])
    assert not list(folder.iterdir())


def saved_by_pillow(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_files_of_any_mode(in_parts: Path, tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(np.dstack([RGB, ALPHA])).convert("RGBA")
    picture = Image.fromarray(DEEP[..., 0]) if mode == "I;16" else picture.convert(mode)
    check_image(saved_by_pillow(tmp_path / "a.png", picture), in_parts)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_files_of_few_bits_with_transparent_colours(
    in_parts: Path, tmp_path: Path, bits: int
) -> None:
    picture = Image.fromarray(GREY % (1 << bits))
    picture.putpalette(RGB[:2].tobytes()[: 3 << bits])
    path = saved_by_pillow(tmp_path / "a.png", picture, bits=bits, transparency=b"\x00\xff")
    check_image(path, in_parts)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png_files(in_parts: Path, tmp_path: Path, channels: int) -> None:
    import imagecodecs

    pixels = np.concatenate([DEEP, DEEP[..., :1]], axis=-1)[..., :channels].squeeze()
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    check_image(tmp_path / "a.png", in_parts)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_pictures_are_upright(
    in_parts: Path, tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tag = (274, 3, 1, orientation, True)
        tifffile.imwrite(path, RGB, compression="zlib", rowsperstrip=9, extratags=[tag])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        saved_by_pillow(path, Image.fromarray(RGB), exif=exif)
    check_image(path, in_parts)


@pytest.mark.parametrize("suffix", [".bmp", ".jpg"])
def test_other_formats_of_pillow(in_parts: Path, tmp_path: Path, suffix: str) -> None:
    for number, picture in enumerate((Image.fromarray(RGB), Image.fromarray(GREY))):
        check_image(saved_by_pillow(tmp_path / f"{number}{suffix}", picture), in_parts)


@pytest.mark.parametrize("layout", [{}, {"tile": (16, 32)}, {"rowsperstrip": 7}])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
@pytest.mark.parametrize("pixels", [RGB, GREY, DEEP, np.dstack([RGB, ALPHA])])
def test_tiff_files_in_strips_and_tiles(
    in_parts: Path, tmp_path: Path, layout: dict, compression: str | None, pixels: np.ndarray
) -> None:
    if compression == "jpeg" and (pixels.dtype != np.uint8 or pixels.shape[2:] == (4,)):
        pytest.skip("JPEG has 8 bits and three colours")
    path = tmp_path / "a.tif"
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, compression=compression, **layout)
    check_image(path, in_parts)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "miniswhite"},
        {"photometric": "palette", "colormap": RANDOM.integers(0, 65536, (3, 256), dtype="u2")},
        {"byteorder": ">", "dtype": "u2"},
        {"dtype": "f4", "compression": "zlib", "predictor": True},
        {"dtype": "?"},
    ],
)
def test_tiff_files_of_other_kinds(in_parts: Path, tmp_path: Path, options: dict) -> None:
    options = dict(options)
    values = (GREY % 2 if options.get("dtype") == "?" else GREY).astype(options.pop("dtype", "u1"))
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    check_image(tmp_path / "a.tif", in_parts)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_files_with_a_plane_for_each_channel(
    in_parts: Path, tmp_path: Path, compression: str | None
) -> None:
    planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
    separate = {"photometric": "rgb", "planarconfig": "separate"}
    pages = {"photometric": "minisblack", "metadata": {"axes": "CYX"}}
    for number, options in enumerate((separate, pages)):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, planes, compression=compression, **options)
        check_image(path, in_parts)


def test_colours_of_jpeg_in_tiff(in_parts: Path, tmp_path: Path) -> None:
    smooth = Image.fromarray(RGB).resize((700, 470), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.tif", compression="jpeg", quality=90)
    found = open_image(tmp_path / "a.tif", in_parts)[0:470, 0:700]
    assert np.abs(found.astype(int) - read_image(tmp_path / "a.tif")).max() <= 2


def test_damaged_files_are_named(in_parts: Path, tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(RGB).save(content, format="PNG")
    path = tmp_path / "a.png"
    path.write_bytes(content.getvalue()[:-500])
    with pytest.raises(DataError, match="truncated"):
        open_image(path, in_parts)
    tifffile.imwrite(tmp_path / "a.tif", RGB, compression="zlib", rowsperstrip=9)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(2000)
        file.write(bytes(500))
    with pytest.raises(DataError, match="damaged"):
        open_image(tmp_path / "a.tif", in_parts)
    assert not list(in_parts.iterdir())


def check_map(path: Path, folder: Path, table: ClassTable = TABLE) -> None:
    """Check that a map is read part by part as it is at once, with the same report."""
    expected, report = read_map(path, table)
    found, other = open_map(path, table, folder)
    assert not isinstance(found, np.ndarray)
    assert (found.dtype, other) == (expected.dtype, report)
    np.testing.assert_array_equal(found[0:47, 0:70], expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("style", ["palette", "colour", "index"])
def test_maps_are_written_and_read(
    in_parts: Path, tmp_path: Path, suffix: str, style: MapStyle
) -> None:
    labels = (GREY % 4).astype(np.uint8)
    path = tmp_path / f"map{suffix}"
    write_map(path, Scratch.of(labels, in_parts), TABLE, style)
    np.testing.assert_array_equal(read_map(path, TABLE)[0], labels)
    check_map(path, in_parts)


def test_maps_of_colours_with_transparent_and_unknown_pixels(
    in_parts: Path, tmp_path: Path
) -> None:
    colours = np.array([entry.colour for entry in SHAPES.classes], np.uint8)
    pixels = colours[GREY % len(colours)]
    pixels[40:, 3] = (1, 2, 3)
    alpha = np.where(GREY < 30, 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "map.png")
    check_map(tmp_path / "map.png", in_parts, SHAPES)
    tifffile.imwrite(tmp_path / "map.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    check_map(tmp_path / "map.tif", in_parts, SHAPES)
    np.save(tmp_path / "map.npy", pixels[None])
    check_map(tmp_path / "map.npy", in_parts, SHAPES)


def test_unknown_labels_are_counted_in_the_whole_map(in_parts: Path, tmp_path: Path) -> None:
    labels = np.zeros((47, 70), np.uint8)
    labels[30:, 8] = 200
    Image.fromarray(labels).save(tmp_path / "map.png")
    with pytest.raises(ClassTableError, match=r"200 \(17 px\), first at \(30, 8\)"):
        open_map(tmp_path / "map.png", TABLE, in_parts)
