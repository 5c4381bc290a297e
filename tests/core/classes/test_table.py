"""Class tables: encoding, decoding, presets and files."""

import json
from codecs import BOM_UTF8

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from c2f_core.classes.colours import decode_colours, encode_colours
from c2f_core.classes.table import (
    PRESETS,
    ClassEntry,
    ClassTable,
    table_from_colours,
)
from c2f_core.errors import ClassTableError, ConfigError, ImageError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
TABLES = st.sampled_from(sorted(PRESETS)).map(PRESETS.__getitem__)


@st.composite
def tables_with_maps(draw):
    """A preset and a map of its indices, unlabelled ones among them."""
    table = draw(TABLES)
    values = st.sampled_from([entry.index for entry in table.entries])
    return table, draw(hnp.arrays(np.uint16, SHAPES, elements=values))


@given(tables_with_maps())
def test_colours_round_trip(case):
    table, index_map = case
    decoded, report = decode_colours(encode_colours(index_map, table), table)
    np.testing.assert_array_equal(decoded, index_map)
    assert (report.off_palette, report.outside, report.message()) == (0, 0, "")


@given(tables_with_maps())
def test_class_ids_round_trip(case):
    table, index_map = case
    np.testing.assert_array_equal(table.to_labels(table.to_class_ids(index_map)), index_map)


def test_used_tables_are_equal_where_their_entries_are():
    table = ClassTable.preset("fasseg")
    copy = ClassTable.model_validate_json(table.model_dump_json())
    for used in (table, copy):
        used.to_labels(used.to_class_ids(np.zeros((2, 2), dtype=np.uint8)))
    assert copy == table
    assert hash(copy) == hash(table)
    assert copy != ClassTable.preset("camvid")


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))), TABLES)
def test_decoding_takes_the_nearest_colour_within_the_tolerance(rgb, table):
    decoded, report = decode_colours(rgb, table, tolerance=64)
    palette = np.array([entry.colour for entry in table.entries], dtype=float)
    distances = np.linalg.norm(rgb[..., None, :].astype(float) - palette, axis=-1)
    nearest = distances.min(axis=-1)
    assert report.off_palette == (nearest > 0).sum()
    assert report.outside == (nearest > 64).sum()
    assert (decoded[nearest > 64] == table.unlabelled.index).all()
    indices = np.array([entry.index for entry in table.entries])
    for place in zip(*np.nonzero(nearest <= 64), strict=True):
        chosen = distances[place][indices == decoded[place]]
        assert chosen[0] == pytest.approx(nearest[place])


def test_colours_outside_the_tolerance_are_reported_with_count_and_place():
    table = ClassTable.preset("fasseg")
    rgb = np.full((4, 5, 3), (255, 0, 0), dtype=np.uint8)
    rgb[2, 3] = (128, 0, 128)
    decoded, report = decode_colours(rgb, table)
    assert (report.outside, report.first_outside) == (1, ((2, 3),))
    assert decoded[2, 3] == 255
    assert "1 of 20 pixels" in report.message()
    assert "row 2, column 3" in report.message()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 4)])
def test_images_that_are_not_rgb_are_refused_as_class_colours(shape):
    with pytest.raises(ImageError, match=r"give \(Y, X, 3\)"):
        decode_colours(np.zeros(shape, dtype=np.uint8), ClassTable.preset("fasseg"))


def test_negative_tolerances_are_refused():
    with pytest.raises(ConfigError, match="-5"):
        decode_colours(np.zeros((4, 5, 3), dtype=np.uint8), ClassTable.preset("fasseg"), -5)


def test_blended_maps_take_the_nearest_class_and_report_only_colours_away_from_boundaries():
    table = ClassTable.preset("fasseg")
    rgb = np.full((10, 10, 3), (255, 0, 0), dtype=np.uint8)
    rgb[2, :3] = (140, 0, 100)
    decoded, report = decode_colours(rgb, table, blended=True)
    assert (decoded[2, :3] == 1).all()
    assert (report.outside, report.message()) == (3, "")
    rgb[2, 3] = (140, 0, 100)
    decoded, report = decode_colours(rgb, table, blended=True)
    assert report.outside == 4
    assert "4 of 100 pixels" in report.message()
    assert "read as the nearest class" in report.message()


def test_presets_follow_their_sources():
    fasseg = ClassTable.preset("fasseg")
    assert fasseg.names == ["background", "hair", "skin", "eyes", "nose", "mouth"]
    # The 19 train ids of cityscapesscripts/helpers/labels.py, name and colour.
    cityscapes = ClassTable.preset("cityscapes")
    assert [entry.index for entry in cityscapes.classes] == list(range(19))
    assert cityscapes.unlabelled.index == 255
    found = [f"{entry.name} {bytes(entry.colour).hex()}" for entry in cityscapes.classes]
    assert found == [
        "road 804080",
        "sidewalk f423e8",
        "building 464646",
        "wall 66669c",
        "fence be9999",
        "pole 999999",
        "traffic light faaa1e",
        "traffic sign dcdc00",
        "vegetation 6b8e23",
        "terrain 98fb98",
        "sky 4682b4",
        "person dc143c",
        "rider ff0000",
        "car 00008e",
        "truck 000046",
        "bus 003c64",
        "train 005064",
        "motorcycle 0000e6",
        "bicycle 770b20",
    ]
    camvid = ClassTable.preset("camvid")
    assert (camvid.number_of_classes, camvid.unlabelled.index) == (11, 11)


@pytest.mark.parametrize("value", [6, 254, -1, 70000])
def test_unknown_indices_are_named_with_count_and_place(value):
    index_map = np.zeros((3, 3), dtype=np.int64)
    index_map[1, 2] = value
    with pytest.raises(ClassTableError, match=rf"{value} \(1 px\), first at \(1, 2\)"):
        ClassTable.preset("fasseg").to_class_ids(index_map)


def test_maps_of_floats_are_refused():
    with pytest.raises(ClassTableError, match="convert it to integer"):
        ClassTable.preset("fasseg").to_class_ids(np.zeros((2, 2)))


@pytest.mark.parametrize("field", ["name", "index", "colour"])
def test_entries_must_differ(field):
    first = {"name": "a", "index": 1, "colour": (1, 1, 1)}
    second = {"name": "b", "index": 2, "colour": (2, 2, 2), field: first[field]}
    with pytest.raises(ValidationError, match=f"{field} .* occurs twice"):
        ClassTable(
            name="table",
            classes=(ClassEntry(**first), ClassEntry(**second)),
            unlabelled=ClassEntry(name="none", index=0, colour=(0, 0, 0)),
        )


def test_tables_are_read_from_json_and_toml(tmp_path):
    table = ClassTable.preset("camvid")
    as_json = tmp_path / "table.json"
    as_json.write_text(table.model_dump_json())
    assert ClassTable.from_file(as_json) == table
    lines = [f'name = "{table.name}"']
    for kind, entries in (("[classes]", table.classes), ("unlabelled", (table.unlabelled,))):
        for entry in entries:
            lines.append(f"[{kind}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in entry.model_dump().items()]
    as_toml = tmp_path / "table.toml"
    as_toml.write_text("\n".join(lines))
    assert ClassTable.from_file(as_toml) == table
    in_capitals = tmp_path / "other.TOML"
    in_capitals.write_text(as_toml.read_text())
    for path in (as_json, as_toml, in_capitals):  # As Windows' Notepad saves it.
        path.write_bytes(BOM_UTF8 + path.read_bytes())
        assert ClassTable.from_file(path) == table


def test_a_name_that_is_neither_preset_nor_file_lists_the_presets():
    with pytest.raises(ClassTableError, match=r"'cityscape'; choose one of fasseg, cityscapes"):
        ClassTable.named("cityscape")


@pytest.mark.parametrize("content", ["", "{", '{"name": "x"}', '{"name": "x", "more": 1}', "[]"])
def test_bad_table_files_give_one_sentence(tmp_path, content):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(ClassTableError) as caught:
        ClassTable.from_file(path)
    assert "\n" not in str(caught.value)


def test_table_from_colours_invents_an_unlabelled_entry():
    table = table_from_colours("mine", {1: ("cell", (0, 0, 0)), 4: ("wall", (1, 1, 1))})
    assert [entry.index for entry in table.classes] == [1, 4]
    assert table.unlabelled.index == 0
    assert table.unlabelled.colour not in ((0, 0, 0), (1, 1, 1))


def test_table_from_colours_without_classes_is_refused():
    with pytest.raises(ClassTableError):
        table_from_colours("mine", {0: ("none", (0, 0, 0))})


def test_table_from_colours_of_too_many_classes_names_the_limit():
    entries = {index: (f"class {index}", (index % 256,) * 3) for index in range(1, 301)}
    with pytest.raises(ClassTableError) as caught:
        table_from_colours("cells", entries)
    assert str(caught.value) == (
        "The class table 'cells' is not valid: a class table must have between 1 and 254 "
        "classes, not 300; add or merge classes."
    )
