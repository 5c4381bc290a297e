"""Thumbnails of the images of a project."""

import os
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from c2f_core.errors import DataError
from c2f_core.geometry.lazy import Computed
from c2f_core.project import Project
from c2f_core.project.layout import thumbnail_file
from c2f_core.project.thumbnails import LONGEST_SIDE, read_thumbnail, reduced

ROWS, COLUMNS = np.mgrid[:300, :200]
PHOTOGRAPH = np.stack([ROWS * 255 // 299, COLUMNS * 255 // 199, 0 * ROWS], axis=2).astype(np.uint8)


def test_a_thumbnail_is_small_and_averages_the_pixels(project):
    project.add_image(PHOTOGRAPH, "large")
    picture = read_thumbnail(project, "large")
    assert picture.shape == (LONGEST_SIDE, round(LONGEST_SIDE * 200 / 300), 3)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture.mean((0, 1)), PHOTOGRAPH.mean((0, 1)), atol=1)
    assert read_thumbnail(project, "face").shape == (48, 48, 3)


def test_long_images_keep_a_row_and_deep_ones_their_contrast():
    line = 20 * np.arange(3000, dtype=np.uint16)[None]
    picture = reduced(line, 64)
    assert picture.shape == (1, 64, 3)
    assert picture[0, 0, 0] < 5
    assert picture[0, -1, 0] > 225


def test_an_image_on_disk_is_read_in_bands():
    loaded = []

    def load(key):
        loaded.append(key)
        return PHOTOGRAPH[key]

    lazy = Computed(PHOTOGRAPH.shape, PHOTOGRAPH.dtype, load)
    np.testing.assert_array_equal(reduced(lazy, 10), reduced(PHOTOGRAPH, 10))
    assert all(PHOTOGRAPH[key].size <= PHOTOGRAPH.size // 9 for key in loaded)


def test_thumbnails_are_upright(project, tmp_path):
    turned = Image.fromarray(PHOTOGRAPH)
    exif = turned.getexif()
    exif[0x0112] = 6  # It is shown turned clockwise by 90 degrees.
    turned.save(tmp_path / "turned.png", exif=exif)
    project.add_image(tmp_path / "turned.png")
    picture = read_thumbnail(project, "turned")
    assert picture.shape[0] < picture.shape[1]
    assert picture[0, 0, 0] > 240  # The lower left corner is now at the upper left.


def test_a_thumbnail_is_kept_until_its_image_changes(project):
    read_thumbnail(project, "face")
    file = thumbnail_file(project.root, "face")
    blue = Image.new("RGB", (4, 4), "blue")
    times = file.stat()
    blue.save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read_thumbnail(project, "face").shape == (4, 4, 3)
    tifffile.imwrite(project.image_path("face"), PHOTOGRAPH[:48, :48])
    np.testing.assert_array_equal(read_thumbnail(project, "face"), PHOTOGRAPH[:48, :48])


def test_damaged_and_missing_thumbnails_are_made_again(project):
    first = read_thumbnail(project, "face")
    file = thumbnail_file(project.root, "face")
    times = file.stat()
    file.write_bytes(b"torn")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    np.testing.assert_array_equal(read_thumbnail(project, "face"), first)
    shutil.rmtree(file.parent)  # It cannot be kept then, but it can be shown.
    np.testing.assert_array_equal(read_thumbnail(project, "face"), first)


def test_images_that_cannot_be_read_say_so(project):
    with pytest.raises(DataError, match="does not contain an image 'other'"):
        read_thumbnail(project, "other")
    project.image_path("face").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_thumbnail(project, "face")
    project.image_path("face").unlink()
    with pytest.raises(DataError, match="cannot be used"):
        read_thumbnail(project, "face")


def test_a_removed_image_takes_its_thumbnail_along(project):
    read_thumbnail(project, "face")
    project.remove_image("face")
    assert not thumbnail_file(project.root, "face").exists()


def test_projects_without_the_folder_of_thumbnails_get_it(project):
    project.close()
    shutil.rmtree(project.root / "thumbnails")
    with Project.open(project.root) as opened:
        assert not opened.problems
        read_thumbnail(opened, "face")
        assert thumbnail_file(opened.root, "face").exists()
