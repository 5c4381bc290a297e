"""Reading OME-Zarr: versions, axes, levels, channels, and what cannot be used."""

import numpy as np
import pytest
from tests.core.scale.conftest import write_labels, write_multiscale

from c2f_core import extras
from c2f_core.errors import DataError, MissingPackageError
from c2f_core.scale.multiscale import is_zarr, open_multiscale, store_of
from c2f_core.scale.planes import image_planes, label_planes

VERSIONS = ("0.4", "0.5")
ORDERS = ("yx", "zyx", "cyx", "czyx", "tyx", "tczyx", "tzyx", "tcyx")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("axes", ORDERS)
def test_all_orders_of_axes_are_stacks_with_the_channels_last(tmp_path, version, axes):
    lengths = {"t": 2, "c": 3, "z": 4, "y": 10, "x": 12}
    data = np.random.default_rng(0).integers(0, 255, [lengths[name] for name in axes], np.uint8)
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, axes, version))
    planes = image_planes(image, 0, None)
    expected = np.moveaxis(data, axes.index("c"), -1) if "c" in axes else data
    assert image.version == version
    assert planes.shape == expected.shape
    np.testing.assert_array_equal(planes[...], expected)
    rows, columns = slice(2, 7), slice(3, 4)
    for index in np.ndindex(*[lengths[name] for name in axes if name in "tz"]):
        np.testing.assert_array_equal(
            planes[(*index, rows, columns)], expected[(*index, rows, columns)]
        )


def test_chosen_channels_come_in_the_chosen_order(tmp_path):
    data = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, "cyx"))
    np.testing.assert_array_equal(image_planes(image, 0, [3])[...], data[3][..., None])
    np.testing.assert_array_equal(
        image_planes(image, 0, [4, 0, 2])[1:3, :], np.moveaxis(data[[4, 0, 2]], 0, -1)[1:3]
    )


@pytest.mark.parametrize("channels", [None, [0, 1], [7], [-1]])
def test_channels_that_cannot_be_used_are_refused(tmp_path, channels):
    data = np.zeros((5, 4, 6), np.uint8)
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, "cyx"))
    with pytest.raises(DataError, match=r"has 5 channels; choose one or three.*--channels"):
        image_planes(image, 0, channels)


def test_levels_have_their_own_size_and_scale(tmp_path):
    data = np.zeros((3, 64, 48), np.uint8)
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, "zyx", levels=3))
    assert [level.shape[1:] for level in image.levels] == [(64, 48), (32, 24), (16, 12)]
    assert image.levels[2].scale == (1.0, 2.0, 2.0)
    assert image_planes(image, 1, None).shape == (3, 32, 24)
    with pytest.raises(DataError, match=r"no level 3; choose one of 0 \(64 x 48 pixels\)"):
        image_planes(image, 3, None)


def test_big_endian_values_are_read(tmp_path):
    data = np.arange(12, dtype=">u2").reshape(3, 4)
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, "yx", "0.4"))
    planes = image_planes(image, 0, None)
    assert planes.dtype.isnative
    np.testing.assert_array_equal(planes[...], data)


def test_a_label_group_needs_integers(tmp_path):
    write_multiscale(tmp_path / "image.zarr", np.zeros((4, 4), np.uint8), "yx")
    path = write_labels(tmp_path / "image.zarr", "soft", np.zeros((4, 4), np.float32), "yx")
    with pytest.raises(DataError, match="float32 values; give a label group of integer values"):
        label_planes(open_multiscale(path), 0)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "without OME-Zarr metadata"),
        ({"plate": {}}, "is a plate; give the folder of one image in a well"),
        ({"bioformats2raw.layout": 3}, "holds several images; give one of them"),
        ({"labels": ["one", "two"]}, r"holds label groups \(one, two\)"),
        ({"multiscales": [{"axes": [{"name": "y", "type": "space"}]}]}, "not a valid OME-Zarr"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_groups_that_are_no_image_say_what_to_do(tmp_path, attributes, message, version):
    import zarr

    group = zarr.open_group(tmp_path / "x.zarr", zarr_format=2 if version == "0.4" else 3)
    ome = {"ome": {"version": "0.5", **attributes}}
    group.attrs.update(attributes if version == "0.4" else ome)
    with pytest.raises(DataError, match=message):
        open_multiscale(tmp_path / "x.zarr")


def test_other_folders_and_missing_ones_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not an OME-Zarr image"):
        open_multiscale(tmp_path)
    with pytest.raises(DataError, match="is not an OME-Zarr image"):
        open_multiscale(tmp_path / "missing.zarr")
    assert not is_zarr(tmp_path)


def test_an_array_that_was_not_copied_is_named(tmp_path):
    import shutil

    path = write_multiscale(tmp_path / "image.zarr", np.zeros((64, 64), np.uint8), "yx", levels=2)
    shutil.rmtree(path / "1")
    with pytest.raises(DataError, match="no array '1' with 2 axes"):
        open_multiscale(path)


def test_the_store_of_a_group_is_its_outermost_folder(tmp_path):
    write_multiscale(tmp_path / "image.zarr", np.zeros((4, 4), np.uint8), "yx")
    path = write_labels(tmp_path / "image.zarr", "coarse", np.zeros((4, 4), np.uint8), "yx")
    assert store_of(path) == tmp_path / "image.zarr"
    assert store_of(path / "new") == tmp_path / "image.zarr"


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"needs the package zarr; install .*\[scale\]"):
        open_multiscale("anything.zarr")
