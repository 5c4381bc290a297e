"""Read TIFF files: any compression and photometric interpretation, axes by their metadata."""

import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from os import SEEK_CUR
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from c2f_core.errors import DataError
from c2f_core.geometry.arrays import Window, clipped, extent
from c2f_core.io.pixels import ORIENTATION_TAG, UPRIGHT, Kind, Parts, Pixels

ALPHA = {tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA}
GREY = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MASK}
CONVERTED = {PHOTOMETRIC.SEPARATED, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB}
"""Interpretations that are converted to RGB."""
READ = GREY | CONVERTED | {PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE}
CLASSIC = 42
"""Version number of TIFF; that of BigTIFF is 43."""
LAYOUTS = {CLASSIC: ("H", "I", 12), 43: ("Q", "Q", 20)}
"""Formats of a count and of an offset, and bytes of an entry, in TIFF and BigTIFF."""
PART = 1 << 24
"""Approximate number of bytes that are read at once."""
MOST_EXPANDED: dict[int, int] = {
    COMPRESSION.LZW: 8 * 3000,
    COMPRESSION.ADOBE_DEFLATE: 8 * 1100,
    COMPRESSION.DEFLATE: 8 * 1100,
    COMPRESSION.PACKBITS: 8 * 64,
}
"""Bytes of pixels that a byte can stand for, by compression; up to eight pixels share a byte."""
LOGGED = 5
"""Maximum number of messages that tifffile logs about one file."""


def read_tiff(path: Path, kind: Kind) -> Pixels:
    """Read the only plane of a TIFF file, upright.

    Parameters
    ----------
    path : Path
        Path of a regular file.
    kind : {"image", "map"}
        What the file should be: samples of less than 8 bits are intensities or class indices.

    Raises
    ------
    DataError
        If the file has several planes, or a compression or photometric interpretation that
        cannot be read, or if its list of pages has a loop.
    Exception
        Any error of a decoder, if the file is damaged.
    """
    with _only_plane(path) as (page, series, axes):
        is_plain = _is_plain_ycbcr(page)
        if page.photometric in CONVERTED and not is_plain:
            return _converted(path, page)
        values = _arranged(_decoded(path, page, series), series.axes, axes)
        if is_plain:
            return Pixels(_ycbcr_to_rgb(values)).upright(_orientation(page))
        return _interpreted(path, values, page, kind).upright(_orientation(page))


@contextmanager
def _only_plane(path: Path) -> Iterator[tuple[TiffPage, tifffile.TiffPageSeries, str]]:
    """Open a TIFF file, and yield its first page, its only series, and the axes of the result."""
    _check_pages(path)
    with first_page(path) as page:
        if page.photometric not in READ:
            raise _unreadable(path, f"the photometric interpretation {_name(page.photometric)}")
        series = page.parent.series[0]
        yield page, series, _plane_axes(path, series.axes, series.shape, page)


@contextmanager
def tiff_parts(path: Path, kind: Kind) -> Iterator[Parts | None]:
    """Open the only plane of a TIFF file, to be decoded part by part.

    Yields None if it has to be decoded at once: its channels are on several pages, or its
    colours are printing colours, CIELab, or YCbCr without JPEG.

    Parameters
    ----------
    path, kind
        See `read_tiff`.

    Raises
    ------
    DataError, Exception
        As `read_tiff`.
    """
    with _only_plane(path) as (page, series, axes):
        is_jpeg = page.photometric == PHOTOMETRIC.YCBCR and page.compression == COMPRESSION.JPEG
        is_converted = page.photometric in CONVERTED and not is_jpeg
        is_scattered = page.size != series.size or (page.shaped[0] > 1 and not page.is_final)
        if is_converted or is_scattered or page.imagedepth != 1:
            yield None
            return
        _check_compression(path, page)
        _check_complete(path, page)
        found = _lines(page) if page.is_final else _segments(page)
        decoded = (
            (window, _interpreted(path, values if len(axes) == 3 else values[..., 0], page, kind))
            for window, values in found
        )
        yield Parts((page.imagelength, page.imagewidth), _orientation(page), decoded)


def _lines(page: TiffPage) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Yield bands of rows (y, X, C) of pixels that are not compressed."""
    planes, _, height, width, samples = page.shaped
    assert page.dtype is not None  # Only None if its type is unknown, which no plane has.
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    file, step = page.parent.filehandle, max(1, PART // (width * samples * dtype.itemsize))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        band = []
        for plane in range(planes):
            skipped = (plane * height + start) * width * samples * dtype.itemsize
            file.seek(page.dataoffsets[0] + skipped)
            band.append(file.read_array(dtype, (rows.stop - start) * width * samples))
        values = np.stack(band).reshape(planes, rows.stop - start, width, samples)
        yield (rows, slice(0, width)), np.concatenate(values, axis=-1)


def _segments(page: TiffPage) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Yield the strips or tiles (y, x, C) of a page whose channels are stored together."""
    height, width = page.imagelength, page.imagewidth
    for segment, (_, _, top, left, _), shape in page.segments(maxworkers=1, buffersize=PART):
        window = clipped(top, top + shape[1], height), clipped(left, left + shape[2], width)
        rows, columns = extent(window)
        if segment is None:
            empty = np.full((rows, columns, page.shaped[-1]), page.nodata, page.dtype)
            yield window, empty
        else:
            yield window, segment[0, :rows, :columns]


@contextmanager
def first_page(path: Path) -> Iterator[TiffPage]:
    """Open a TIFF file, and yield its first page; the others are not read."""
    # A file object, so that OME metadata cannot name other files to be read.
    with path.open("rb") as file, _bounded_log(), tifffile.TiffFile(file) as opened:
        page = opened.pages.first
        assert isinstance(page, TiffPage)
        yield page


def tiff_orientation(path: Path) -> Any:
    """Return the orientation in the first page of a TIFF file."""
    with first_page(path) as page:
        return _orientation(page)


def tiff_compression(path: Path) -> int:
    """Return the compression of the first page of a TIFF file."""
    with first_page(path) as page:
        return page.compression


def _orientation(page: TiffPage) -> Any:
    return page.tags.valueof(ORIENTATION_TAG, default=UPRIGHT)


@contextmanager
def _bounded_log() -> Iterator[None]:
    """Let tifffile log a few messages only: a damaged file can cause millions of them."""
    left = iter(range(LOGGED))
    log = logging.getLogger("tifffile")

    def is_shown(_record: logging.LogRecord) -> bool:
        return next(left, None) is not None

    log.addFilter(is_shown)
    try:
        yield
    finally:
        log.removeFilter(is_shown)


def _check_pages(path: Path) -> None:
    """Check that the list of pages has no loop, in which tifffile would never come to an end."""
    with path.open("rb") as file:
        header = file.read(4)
        order = {b"II": "<", b"MM": ">"}.get(header[:2], "<")
        version = int.from_bytes(header[2:], "little" if order == "<" else "big")
        if version not in LAYOUTS:
            return  # tifffile explains what is wrong, or knows the variant.
        count, offset, entry = LAYOUTS[version]
        file.seek(4 if version == CLASSIC else 8)
        seen: set[int] = set()
        while position := _number(file, order + offset):
            if position in seen:
                raise DataError(
                    f"{path} is damaged: its list of pages leads from page {len(seen)} back to an "
                    "earlier one; save the image again."
                )
            seen.add(position)
            file.seek(position)
            file.seek(_number(file, order + count) * entry, SEEK_CUR)


def _number(file: BinaryIO, layout: str) -> int:
    """Read one number; 0 at the end of the file."""
    content = file.read(struct.calcsize(layout))
    number: int = (
        struct.unpack(layout, content)[0] if len(content) == struct.calcsize(layout) else 0
    )
    return number


def _unreadable(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} has {what}, which cannot be read; save it as grey or RGB, uncompressed or with "
        "LZW, Deflate, ZSTD or JPEG."
    )


def _name(value: Any) -> str:
    """Return the name of a value of a tag, or the number of an unknown one."""
    return getattr(value, "name", None) or f"number {value}"


def _plane_axes(path: Path, axes: str, shape: tuple[int, ...], page: TiffPage) -> str:
    """Return the axes of the result, "YX" or "YXS", of which the last holds the samples.

    Raises
    ------
    DataError
        If there is more than one plane, or no way to take the channels as grey or colours.
    """
    long = {axis: size for axis, size in zip(axes, shape, strict=True) if size > 1}
    others = "".join(axis for axis in long if axis not in "YX")
    if not {"Y", "X"} <= set(axes):
        raise _not_a_plane(path, axes, shape)
    if not others:
        return "YX"
    if others == "S" and (_has_colours(page, long["S"]) or not ALPHA.isdisjoint(page.extrasamples)):
        return "YXS"
    if others == "C" and long["C"] == 3:
        return "YXC"
    raise _not_a_plane(path, axes, shape)


def _not_a_plane(path: Path, axes: str, shape: tuple[int, ...]) -> DataError:
    size = " x ".join(map(str, shape))
    return DataError(
        f"{path} has the axes {axes} ({size}); save one plane of it as an image, grey (YX) or with "
        "three colours (YXS)."
    )


def _decoded(path: Path, page: TiffPage, series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Decode a series of pages.

    Raises
    ------
    DataError
        If the compression is unknown, parts of the image are missing or lie beyond the end of the
        file, or the image needs more memory than is available.
    """
    _check_compression(path, page)
    _check_memory(path, series)
    _check_complete(path, page)
    values: NDArray[Any] = series.asarray()
    return values


def _check_complete(path: Path, page: TiffPage) -> None:
    """Check that all parts of the image are in the file, and not too short for their pixels."""
    end = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    is_short = not page.is_contiguous and len(segments) < math.prod(page.chunked)
    is_missing = any(
        not (offset and length) or offset + length > end for offset, length in segments
    )
    most = MOST_EXPANDED.get(page.compression)
    is_empty = most is not None and page.nbytes > most * sum(page.databytecounts)
    if is_short or is_missing or is_empty:
        raise DataError(f"{path} is truncated; check that the file is complete, or save it again.")


def _check_memory(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Check that a series fits into memory: a small file can claim to be of any size."""
    needed, available = series.nbytes, psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"{path} needs {needed / 1e9:.1f} GB of memory, but {available / 1e9:.1f} GB are "
            "available; close other programs, or cut the image into parts."
        )


def _check_compression(path: Path, page: TiffPage) -> None:
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        known = page.compression in {each.value for each in COMPRESSION}
        name = COMPRESSION(page.compression) if known else page.compression
        raise _unreadable(path, f"the compression {_name(name)}") from error


def _arranged(values: NDArray[Any], axes: str, wanted: str) -> NDArray[Any]:
    """Return the pixels with the wanted axes, without those of length one."""
    kept = [axis in wanted for axis in axes]
    values = values[tuple(slice(None) if keep else 0 for keep in kept)]
    left = "".join(axis for axis in axes if axis in wanted)
    return values.transpose([left.index(axis) for axis in wanted])


def _interpreted(path: Path, values: NDArray[Any], page: TiffPage, kind: Kind) -> Pixels:
    """Return grey values, palette indices or colours, with alpha if the page has it."""
    if values.ndim == 3:
        has_alpha = not ALPHA.isdisjoint(page.extrasamples[:1])
        values = values[..., : (3 if _has_colours(page, values.shape[2]) else 1) + has_alpha]
    if page.photometric == PHOTOMETRIC.MINISWHITE and not _is_plain_mask(page):
        values = _inverted(values, page.bitspersample)
    if page.photometric != PHOTOMETRIC.PALETTE or page.colormap is None:
        return Pixels(_in_bytes(values, page.bitspersample, kind))
    return _with_palette(path, values, page.colormap)


def _has_colours(page: TiffPage, samples: int) -> bool:
    """Return whether the first three samples are colours; three of grey are taken as such."""
    if page.photometric not in (*GREY, PHOTOMETRIC.PALETTE):
        return True
    return samples == 3 and ALPHA.isdisjoint(page.extrasamples)


def _in_bytes(values: NDArray[Any], bits: int, kind: Kind) -> NDArray[Any]:
    """Return samples of one bit as booleans, and intensities of a few bits in 0 to 255."""
    if bits == 1:
        return values.astype(np.bool_)
    if bits >= 8 or kind == "map":
        return values
    return np.rint(values * (255 / ((1 << bits) - 1))).astype(np.uint8)


def _with_palette(path: Path, values: NDArray[Any], colours: NDArray[Any]) -> Pixels:
    """Return palette indices with the colours of a page, (3, N) uint16."""
    if colours.ndim != 2 or values.dtype.kind not in "bu":
        raise DataError(f"{path} is damaged: its palette cannot be read; save the image again.")
    indices = values.astype(np.uint8) if values.dtype.kind == "b" else values
    # As in libtiff, for programs that write colours of 8 bits where 16 are meant.
    in_bytes = colours >> 8 if colours.max(initial=0) > 255 else colours
    return Pixels(indices, np.moveaxis(in_bytes, 0, -1).astype(np.uint8))


def _is_plain_mask(page: TiffPage) -> bool:
    """Return whether tifffile wrote a boolean array, which it wrongly marks as inverted."""
    return page.is_shaped and page.bitspersample == 1


def _inverted(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return grey values of which 0 was white; alpha is kept."""
    inverted = values.copy()
    grey = inverted[..., 0] if values.ndim == 3 else inverted
    kind = values.dtype.kind
    if kind == "u":
        grey[...] = (1 << bits) - 1 - grey
    else:
        grey[...] = -grey if kind == "f" else ~grey
    return inverted


def _converted(path: Path, page: TiffPage) -> Pixels:
    """Return printing colours, YCbCr and CIELab as RGB."""
    try:
        with Image.open(path) as opened:
            colours = _lab_to_rgb(opened) if opened.mode == "LAB" else opened.convert("RGB")
            orientation = opened.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except Image.DecompressionBombError:
        raise
    except Exception as error:  # Pillow has no decoder for this combination, or it fails.
        bits, codec = page.bitspersample, _name(page.compression)
        what = f"{_name(page.photometric)} colours of {bits} bits with the compression {codec}"
        raise _unreadable(path, what) from error
    return Pixels(np.array(colours)).upright(orientation)


def _is_plain_ycbcr(page: TiffPage) -> bool:
    """Return whether a page has uncompressed YCbCr of 8 bits, which Pillow 12 cannot read."""
    return (
        page.photometric == PHOTOMETRIC.YCBCR
        and page.compression == COMPRESSION.NONE
        and (page.samplesperpixel, page.bitspersample) == (3, 8)
        and page.subsampling == (1, 1)
    )


def _ycbcr_to_rgb(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.frombytes("YCbCr", values.shape[1::-1], values.tobytes())
    return np.array(picture.convert("RGB"))


def _lab_to_rgb(picture: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, lab, rgb, outputMode="RGB")
    assert converted is not None  # Only None if the picture is changed in place.
    return converted
