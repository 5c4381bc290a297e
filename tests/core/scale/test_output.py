"""Writing fine maps as OME-Zarr: valid by the specification, and read by other programs."""

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr, v04
from pydantic_zarr import v2
from tests.core.scale.conftest import write_labels, write_multiscale

from c2f_core.errors import DataError, WritingError
from c2f_core.scale.label_metadata import class_table_of
from c2f_core.scale.multiscale import open_multiscale
from c2f_core.scale.output import (
    OutputArrays,
    OutputGroup,
    OutputPlan,
    create_output,
    output_axes,
)
from c2f_core.scale.shards import Pyramid, level_count

VERSIONS = ("0.4", "0.5")
SIDE, CHUNK = 64, 32
for model in (v04.labels.Labels, v04.image.Image, v04.image_label.ImageLabel):
    model.model_rebuild(_types_namespace=vars(v2))  # Release 1.6 leaves that to its importer.


def plan_for(image, group, class_table, level=0):
    axes, scale, translation = output_axes(image, level)
    kept = [n for n, axis in enumerate(image.axes) if axis.name != "c"]
    shape = tuple(image.levels[level].shape[n] for n in kept)
    levels = level_count(shape, len(image.levels) - level, CHUNK)
    pyramid = Pyramid(shape, levels, SIDE, CHUNK)
    return OutputPlan(
        group, image.version, pyramid, axes, scale, translation, class_table, image.path
    )


def write_all(plan, labels, confidence):
    create_output(plan)
    arrays = OutputArrays(plan.group, plan.pyramid)
    for number in range(len(plan.pyramid.grid(0))):
        part = plan.pyramid.grid(0)[number]
        arrays.write(part, labels[part], confidence[part])
    for stage in range(1, plan.pyramid.stages):
        for number in range(len(plan.pyramid.grid(stage))):
            arrays.build(stage, number)


@pytest.fixture(params=VERSIONS, scope="module")
def written(request, tmp_path_factory, two_classes):
    """Image of (t, c, z, y, x) with two levels, and a fine map in a store of its own."""
    tmp_path = tmp_path_factory.mktemp("written")
    data = np.zeros((2, 3, 2, 70, 90), np.uint8)
    path = write_multiscale(tmp_path / "image.zarr", data, "tczyx", request.param, levels=2)
    image = open_multiscale(path)
    plan = plan_for(image, OutputGroup.of(tmp_path / "out.zarr"), two_classes)
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (2, 2, 70, 90))
    confidence = rng.random(labels.shape, np.float32)
    write_all(plan, labels, confidence)
    return plan, labels, confidence


def test_a_validator_of_the_specification_accepts_all_groups(written):
    plan, *_ = written
    for path in (plan.group.store, plan.group.store / "labels", plan.group.path):
        assert open_ome_zarr(path).ome_zarr_version == plan.version
    confidence = open_ome_zarr(plan.group.path / "confidence")
    assert confidence.ome_zarr_version == plan.version


def test_every_level_has_every_other_pixel_of_the_one_before(written):
    plan, labels, confidence = written
    for folder, expected in (("", labels), ("confidence", confidence)):
        group = zarr.open_group(plan.group.path / folder, mode="r")
        for level in range(plan.pyramid.levels):
            step = 2**level
            np.testing.assert_array_equal(
                group[str(level)][...], expected[..., ::step, ::step], f"{folder} {level}"
            )
            assert group[str(level)].chunks[-2:] == (CHUNK, CHUNK)


def test_the_map_is_placed_like_its_image(written):
    plan, *_ = written
    group = open_multiscale(plan.group.path)
    assert group.axis_names == ("t", "z", "y", "x")
    assert [axis.unit for axis in group.axes] == [None, *["micrometer"] * 3]
    assert [level.scale for level in group.levels] == [(1, 1, 0.5, 0.5), (1, 1, 1, 1)]


def test_the_class_table_is_read_again(written):
    plan, *_ = written
    assert class_table_of(open_multiscale(plan.group.path)) == plan.class_table


def test_the_reader_of_napari_opens_map_and_confidence_with_names_and_colours(written):
    reader = pytest.importorskip("napari_ome_zarr")
    plan, labels, confidence = written
    layers = reader.napari_get_reader(str(plan.group.store))()
    (image, image_options, kind), (levels, options, label_kind) = layers
    assert (kind, label_kind) == ("image", "labels")
    np.testing.assert_array_equal(np.asarray(image[0]), confidence)
    np.testing.assert_array_equal(np.asarray(levels[0]), labels)
    assert options["properties"]["name"] == ["sky", "earth", "unlabelled"]
    assert options["properties"]["index"] == [0, 1, 255]
    np.testing.assert_allclose(options["colormap"][1], np.array([150, 90, 30, 255]) / 255)
    assert options["colormap"][255][3] == 0
    assert image_options["scale"] == options["scale"] == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_map_joins_the_label_groups_of_its_image(tmp_path, two_classes, version):
    data = np.zeros((60, 70), np.uint8)
    path = write_multiscale(tmp_path / "image.zarr", data, "yx", version, levels=3)
    write_labels(path, "coarse", data, "yx", version, 3)
    image = open_multiscale(path)
    plan = plan_for(image, OutputGroup.of(path / "labels" / "refined"), two_classes, level=1)
    write_all(plan, np.ones((30, 35), np.uint8), np.ones((30, 35), np.float32))
    assert open_ome_zarr(path / "labels").ome_attributes.labels == ["coarse", "refined"]
    group = open_multiscale(plan.group.path)
    assert [level.shape for level in group.levels] == [(30, 35), (15, 18)]
    assert group.levels[0].scale == (1.0, 1.0)
    assert group.attributes["image-label"]["source"] == {"image": "../.."}
    assert open_multiscale(path).levels == image.levels


def test_consolidated_metadata_are_brought_up_to_date(tmp_path, two_classes):
    path = write_multiscale(tmp_path / "image.zarr", np.zeros((20, 20), np.uint8), "yx", "0.4")
    zarr.consolidate_metadata(path)
    create_output(plan_for(open_multiscale(path), OutputGroup.of(path), two_classes))
    assert "fine" in zarr.open_group(path, mode="r")["labels"]


def test_other_outputs_and_read_only_stores_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"fine.png cannot be written, as the image is an OME-Zarr"):
        OutputGroup.of(tmp_path / "fine.png")
    group = OutputGroup.of(tmp_path / "out.zarr")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(WritingError, match="is read-only; check its permissions"):
        group.check_writable()


def test_a_table_of_another_program_is_read_from_names_and_colours(tmp_path):
    write_multiscale(tmp_path / "image.zarr", np.zeros((4, 4), np.uint8), "yx")
    described = {
        "colors": [{"label-value": 1, "rgba": [9, 8, 7, 255]}, {"label-value": 4, "rgba": None}],
        "properties": [{"label-value": 1, "class": "leaf"}, {"label-value": 4, "class": "stem"}],
    }
    data = np.zeros((4, 4), np.uint8)
    path = write_labels(tmp_path / "image.zarr", "x", data, "yx", label=described)
    table = class_table_of(open_multiscale(path))
    assert [(entry.name, entry.index) for entry in table.classes] == [("leaf", 1), ("stem", 4)]
    assert table.classes[0].colour == (9, 8, 7)
    assert table.unlabelled.index == 0


def test_objects_without_names_are_no_classes(tmp_path):
    write_multiscale(tmp_path / "image.zarr", np.zeros((4, 4), np.uint8), "yx")
    described = {"properties": [{"label-value": 1, "area": 3}]}
    data = np.zeros((4, 4), np.uint8)
    path = write_labels(tmp_path / "image.zarr", "x", data, "yx", label=described)
    assert class_table_of(open_multiscale(path)) is None
