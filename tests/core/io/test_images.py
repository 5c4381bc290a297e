"""Images of every kind are read upright, as Pillow and tifffile read them, or refused by name."""

import contextlib
import io
import os
import struct
import zlib
from unittest import mock

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from tifffile import PHOTOMETRIC

from c2f_core.errors import C2FError, DataError
from c2f_core.io.embedded import embedded_table
from c2f_core.io.images import check_frame, read_image, stored_orientation
from c2f_core.io.intensity import as_rgb8

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def smooth():
    """Return a picture that lossy compression hardly changes."""
    rows, columns = np.mgrid[:32, :48]
    return np.stack([rows * 7, columns * 5, (rows + columns) * 3], axis=-1).astype(np.uint8)


def oriented(path, orientation):
    """Save RGB with an EXIF orientation, and return it as viewers show it."""
    picture = Image.fromarray(np.kron(RGB, np.ones((8, 8, 1), np.uint8)))
    if path.suffix == ".tif":
        picture.save(path, tiffinfo={274: orientation})
    else:
        exif = Image.Exif()
        exif[274] = orientation
        picture.save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    stored = Image.open(path)
    shown = ImageOps.exif_transpose(stored)
    return np.array(shown)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_read_upright(tmp_path, suffix, orientation):
    path = tmp_path / f"photo{suffix}"
    shown = oriented(path, orientation)
    assert stored_orientation(path) == orientation
    assert shown.shape[0] == (48 if orientation < 5 else 72)
    np.testing.assert_array_equal(read_image(path), shown)


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_unknown_orientations_turn_nothing(tmp_path, orientation):
    tifffile.imwrite(tmp_path / "a.tif", RGB, extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), RGB)
    assert stored_orientation(tmp_path / "a.tif") == 1


@pytest.mark.parametrize("deep", [np.uint8, np.uint16])
def test_turned_tiffs_of_tifffile_are_read_upright(tmp_path, deep):
    tag = (274, 3, 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(deep), extratags=[tag], compression="lzw")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    "compression", [None, "lzw", "zstd", "zlib", "packbits", "lzma", "png", "webp", "jpeg2000"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_compressions_of_tiff(tmp_path, compression, dtype):
    if compression == "webp" and dtype == np.uint16:
        pytest.skip("WebP has 8 bits")
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    image = RGB.astype(dtype) * (257 if dtype == np.uint16 else 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression=compression, **options)
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_compressions_of_tiff(tmp_path, compression):
    mask = GREY > 100
    Image.fromarray(mask).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), mask)


def test_jpeg_in_tiff(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    tifffile.imwrite(tmp_path / "b.tif", smooth(), photometric="rgb", compression="jpeg")
    for name in ("a.tif", "b.tif"):
        difference = read_image(tmp_path / name).astype(int) - smooth()
        assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("mode", ["P", "YCbCr", "CMYK", "LAB", "1", "L", "LA", "RGBA", "I;16", "F"])
def test_tiffs_are_read_as_pillow_reads_them(tmp_path, mode):
    picture = Image.fromarray(smooth())
    if mode == "P":
        picture = picture.quantize(16)
    elif mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, *profiles, outputMode="LAB")
    elif mode == "I;16":
        picture = Image.fromarray(smooth()[..., 0].astype(np.uint16) * 200)
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "a.tif")
    if mode == "LAB":
        picture = ImageCms.profileToProfile(picture, *profiles[::-1], outputMode="RGB")
    expected = np.array(picture.convert("RGB") if mode in ("P", "YCbCr", "CMYK") else picture)
    if mode == "LA":
        expected = expected[..., 0]
    found = read_image(tmp_path / "a.tif")
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_ycbcr_without_compression_is_read_upright(tmp_path, planar):
    picture = Image.fromarray(smooth()).convert("YCbCr")
    values = np.array(picture)
    tifffile.imwrite(
        tmp_path / "a.tif",
        values if planar == "contig" else np.moveaxis(values, 2, 0),
        photometric="ycbcr",
        planarconfig=planar,
        subsampling=(1, 1),
        extratags=[(274, 3, 1, 6, True)],
    )
    expected = np.rot90(np.array(picture.convert("RGB")), -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted(tmp_path, dtype):
    white = np.iinfo(dtype).max
    grey = GREY.astype(dtype) * (white // 255)
    tifffile.imwrite(tmp_path / "a.tif", white - grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey)


def test_boolean_arrays_of_tifffile_are_not_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY > 100)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY > 100)


def planes():
    return RGB.transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "array", "expected", "options"),
    [
        ("planar.tif", planes(), RGB, {"photometric": "rgb", "planarconfig": "separate"}),
        ("a.ome.tif", planes(), RGB, {"photometric": "minisblack", "metadata": {"axes": "CYX"}}),
        ("imagej.tif", planes(), RGB, {"imagej": True, "metadata": {"axes": "CYX"}}),
        ("page.tif", GREY[None], GREY, {"photometric": "minisblack"}),
        ("column.tif", GREY[..., None], GREY, {"photometric": "minisblack"}),
        ("z.ome.tif", GREY[None, None], GREY, {"metadata": {"axes": "TZYX"}}),
        ("tiled.tif", RGB, RGB, {"photometric": "rgb", "tile": (16, 16)}),
        ("big.tif", RGB, RGB, {"photometric": "rgb", "bigtiff": True}),
        ("motorola.tif", RGB, RGB, {"photometric": "rgb", "byteorder": ">"}),
    ],
)
def test_axes_are_read_by_their_metadata(tmp_path, name, array, expected, options):
    tifffile.imwrite(tmp_path / name, array, **options)
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)


@pytest.mark.parametrize(
    ("array", "options", "axes"),
    [
        (
            planes(),
            {"photometric": "minisblack", "metadata": {"axes": "ZYX"}},
            r"ZYX \(3 x 6 x 9\)",
        ),
        (planes()[:2], {"photometric": "minisblack", "metadata": {"axes": "CYX"}}, "CYX"),
        (RGB[..., :2], {"photometric": "minisblack", "planarconfig": "contig"}, "YXS"),
        (
            RGB[..., [0, 1, 2, 0]],
            {"photometric": "minisblack", "planarconfig": "contig"},
            r"YXS \(6 x 9 x 4\)",
        ),
    ],
)
def test_more_than_a_plane_names_the_axes(tmp_path, array, options, axes):
    tifffile.imwrite(tmp_path / "a.ome.tif", array, **options)
    with pytest.raises(DataError, match=rf"has the axes {axes}.*save one plane"):
        read_image(tmp_path / "a.ome.tif")


def changed_tag(path, code, value, layout="<H", offset=8):
    """Change a value of the first page of a little-endian TIFF."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] == code:
            struct.pack_into(layout, content, entry + offset, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("tag", "value", "named"),
    [
        (259, 12345, "compression number 12345"),
        (259, 32766, "compression NEXT"),
        (262, PHOTOMETRIC.CFA, "interpretation CFA"),
        (262, 777, "interpretation number 777"),
        (262, PHOTOMETRIC.ICCLAB, "interpretation ICCLAB"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, tag, value, named):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None)
    changed_tag(tmp_path / "a.tif", tag, value)
    with pytest.raises(DataError, match=rf"{named}, which cannot be read; save it"):
        read_image(tmp_path / "a.tif")


def test_a_list_of_pages_that_loops_ends(tmp_path, caplog):
    for big in (False, True):
        path = tmp_path / f"{big}.tif"
        tifffile.imwrite(path, planes(), photometric="minisblack", bigtiff=big)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as opened:
            first, second = opened.pages[0].offset, opened.pages[1].offset
        layout, size, entry = ("<Q", 8, 20) if big else ("<H", 2, 12)
        (count,) = struct.unpack_from(layout, content, second)
        struct.pack_into("<Q" if big else "<I", content, second + size + entry * count, first)
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged: its list of pages leads"):
            read_image(path)
        assert embedded_table(path) is None
    assert len(caplog.records) <= 10


def test_logs_about_a_damaged_file_are_bounded(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", planes(), photometric="minisblack", metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        caplog.clear()
        damaged = bytearray(content)
        for place in rng.integers(8, len(content), 40):
            damaged[place] = rng.integers(256)
        (tmp_path / "a.tif").write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_image(tmp_path / "a.tif")
        assert len(caplog.records) <= 10


def test_pixels_beyond_the_end_of_a_tiff_are_named(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), rowsperstrip=8, metadata=None)
    content = path.read_bytes()
    path.write_bytes(content[:-500])
    with pytest.raises(DataError, match="check that the file is complete"):
        read_image(path)


def flipped_chunks(content):
    """Yield copies of a PNG of which one bit has changed in the data of each chunk."""
    position = 8
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        for place in range(position + 8, position + 8 + length, 7):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            yield content[position + 4 : position + 8].decode(), bytes(damaged)
        position += 12 + length


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16", "1"])
def test_a_changed_bit_in_a_png_is_said(tmp_path, mode):
    picture = Image.fromarray(RGB)
    if mode == "I;16":
        picture = Image.fromarray(GREY.astype(np.uint16) * 100)
    else:
        picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    picture.save(file, "PNG", exif=exif)
    path = tmp_path / "a.png"
    for kind, damaged in flipped_chunks(file.getvalue()):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"checksum of its part '{kind}' at byte"):
            read_image(path)


def test_a_png_without_its_end_is_said(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for length in (9, 20, 60, len(content) - 12, len(content) - 1):
        (tmp_path / "a.png").write_bytes(content[:length])
        with pytest.raises(DataError, match="truncated; check that the file is complete"):
            read_image(tmp_path / "a.png")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_pngs_of_16_bits_keep_them(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    expected = image[..., 0] if channels == 2 else image
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_photographs_of_phones_with_several_pictures_are_read(tmp_path):
    first, second = Image.fromarray(smooth()), Image.fromarray(smooth()[:16, :16])
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(tmp_path / "a.jpg").shape == (32, 48, 3)


SUFFIXES = [".png", ".jpg", ".bmp", ".tif"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link", "missing", "long", "null"])
def test_only_regular_files_are_read(tmp_path, suffix, kind):
    path = tmp_path / f"a{suffix}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in ("device", "link"):
        path.symlink_to("/dev/zero" if kind == "device" else path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("long", "null"):
        path = tmp_path / (("a" * 300 if kind == "long" else "a\0b") + suffix)
    for read in (read_image, stored_orientation, embedded_table):
        with pytest.raises(DataError, match="cannot be read"):
            read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_are_not_utf8_are_read(tmp_path, suffix):
    name = os.fsdecode(b"caf\xe9") + suffix
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}")
    (tmp_path / f"a{suffix}").rename(tmp_path / name)
    assert read_image(tmp_path / name).shape == (32, 48, 3)
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_raise_no_other_errors(tmp_path, suffix):
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 400), 4):
            damaged[place] = rng.integers(256)
        (tmp_path / f"a{suffix}").write_bytes(damaged)
        with contextlib.suppress(C2FError):
            as_rgb8(read_image(tmp_path / f"a{suffix}"))


def test_damaged_exif_turns_nothing(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    data = b"eXIf" + b"II*\0\xff\xff\xff\xff broken"
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize(
    ("orientation", "advice"),
    [(5, "mirror"), (6, "clockwise"), (7, "mirror"), (8, "anticlockwise")],
)
def test_a_map_of_the_stored_picture_is_refused(tmp_path, orientation, advice):
    path = tmp_path / "photo.jpg"
    oriented(path, orientation)
    check_frame(path, (72, 48), (72, 48))
    check_frame(path, (72, 48), (20, 30))
    message = rf"48 rows and 72 columns, like the picture as it is stored.*{advice}"
    with pytest.raises(DataError, match=message):
        check_frame(path, (72, 48), (48, 72))


def test_maps_of_another_shape_are_not_explained_by_an_upright_image(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    check_frame(tmp_path / "photo.png", (6, 9), (9, 6))


def test_a_small_file_that_claims_a_huge_image_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", metadata=None, compression="zlib")
    for tag in (256, 257):
        changed_tag(path, tag, 65535, "<I")
    changed_tag(path, 278, 65535, "<I")
    available = mock.patch("psutil.virtual_memory", return_value=mock.Mock(available=10))
    with available, pytest.raises(DataError, match=r"needs 12\.9 GB of memory, but 0\.0 GB are"):
        read_image(path)


def test_a_damaged_palette_is_said(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).quantize(8).save(path)
    changed_tag(path, 320, 77, "<I", offset=4)
    with pytest.raises(DataError, match="damaged: its palette cannot be read"):
        read_image(path)


def test_palettes_of_8_bits_in_tiffs_are_not_black(tmp_path):
    palette = np.zeros((3, 256), np.uint16)
    palette[:, 1], palette[:, 2] = (60, 160, 60), (140, 90, 40)
    indices = np.array([[0, 1, 2]], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=palette)
    assert read_image(tmp_path / "a.tif").tolist() == [[[0, 0, 0], [60, 160, 60], [140, 90, 40]]]


@pytest.mark.parametrize(
    ("format_", "suffix"), [("TIFF", ".png"), ("PNG", ".tif"), ("JPEG", ".tif")]
)
def test_the_content_counts_and_not_the_suffix(tmp_path, format_, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.full((6, 9, 3), 90, np.uint8)).save(path, format=format_)
    assert (read_image(path) == 90).all()


def test_palette_indices_of_one_bit_are_painted(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).quantize(2).save(path)
    changed_tag(path, 258, 1)  # The first eighth of the indices become single bits.
    painted = read_image(path)
    assert (painted.shape, painted.dtype) == (RGB.shape, np.uint8)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
def test_a_tiff_that_lacks_strips_is_damaged_and_not_filled_with_zeros(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, smooth(), photometric="rgb", compression=compression, rowsperstrip=8)
    with tifffile.TiffFile(path) as opened:
        counts = opened.pages[0].tags["StripByteCounts"]
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, counts.offset + 4, counts.count - 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_png_files_without_data_for_all_rows_are_refused(tmp_path, mode):
    path = tmp_path / "short.png"
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(40, 30)).convert(mode).save(path)
    content = bytearray(path.read_bytes())
    content[20:24] = struct.pack(">I", 80)  # The height.
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


def test_a_png_file_that_claims_an_absurd_size_takes_no_memory(tmp_path):
    path = tmp_path / "bomb.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_image(path)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits"])
def test_an_even_tiff_is_read_and_one_that_claims_more_than_it_holds_is_not(tmp_path, compression):
    path = tmp_path / "even.tif"
    tifffile.imwrite(path, np.zeros((3000, 3000), np.uint8), compression=compression)
    assert read_image(path).shape == (3000, 3000)
    for tag, value in (("ImageLength", 3_000_000), ("StripByteCounts", 0)):
        changed = tmp_path / f"{tag}.tif"
        tifffile.imwrite(
            changed, np.zeros((40, 50), np.uint8), compression=compression, rowsperstrip=40
        )
        with tifffile.TiffFile(changed, mode="r+") as opened:
            opened.pages[0].tags[tag].overwrite(value)
            if tag == "ImageLength":
                opened.pages[0].tags["RowsPerStrip"].overwrite(value)
        with pytest.raises(DataError, match="is truncated"):
            read_image(changed)
