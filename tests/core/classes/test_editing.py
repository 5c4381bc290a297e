"""Adding, renaming, recolouring and counting classes."""

import numpy as np
import pytest

from c2f_core.classes import editing as class_editing
from c2f_core.classes.editing import (
    distant_colour,
    moved,
    new_table,
    pixel_shares,
    recoloured,
    renamed,
    table_of_names,
    with_background,
    with_class,
    without_class,
)
from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, ClassTableError

FASSEG = ClassTable.preset("fasseg")


def test_a_class_is_added_with_the_smallest_free_index_and_a_new_colour():
    table = with_class(FASSEG, " beard ")
    assert [entry.name for entry in table.classes] == [*FASSEG.names, "beard"]
    assert table.classes[-1].index == 6
    assert table.unlabelled == FASSEG.unlabelled
    distances = [
        np.linalg.norm(np.subtract(table.classes[-1].colour, entry.colour))
        for entry in FASSEG.entries
    ]
    assert min(distances) > 80
    assert with_class(new_table()).names == ["class 1", "class 2"]


def test_names_that_are_proposed_are_free():
    table = renamed(new_table(), 1, "class 2")
    assert with_class(table).names == ["class 2", "class 2′"]


def test_many_added_classes_have_distinguishable_colours():
    table = new_table()
    for _ in range(15):
        table = with_class(table)
    colours = table.colours.astype(float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert distances[~np.eye(16, dtype=bool)].min() > 40


def test_the_table_is_full_after_254_classes():
    table = new_table()
    for number in range(253):
        table = with_class(table, colour=(1, number, 7))
    with pytest.raises(ClassTableError, match="between 1 and 254 classes, not 255"):
        with_class(table, colour=(1, 254, 7))


def test_renaming_and_recolouring_keep_all_else():
    table = recoloured(renamed(FASSEG, 2, "face"), 2, (9, 8, 7))
    assert table.classes[2].model_dump() == {"name": "face", "index": 2, "colour": (9, 8, 7)}
    others = [entry for entry in table.entries if entry.index != 2]
    assert others == [entry for entry in FASSEG.entries if entry.index != 2]


def test_an_edited_preset_no_longer_bears_its_name():
    assert renamed(FASSEG, 2, "face").name == "fasseg, edited"
    assert renamed(renamed(FASSEG, 2, "face"), 2, "skin").name == "fasseg, edited"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: renamed(FASSEG, 2, "hair"), "the name hair occurs twice"),
        (lambda: renamed(FASSEG, 2, "  "), "needs a name"),
        (lambda: renamed(FASSEG, 255, "nothing"), "no class 255; choose"),
        (lambda: recoloured(FASSEG, 2, (255, 255, 255)), r"the colour \(255, 255, 255\) occurs"),
        (lambda: recoloured(FASSEG, 17, (1, 2, 3)), "no class 17; choose"),
        (lambda: with_class(FASSEG, "hair"), "the name hair occurs twice"),
    ],
)
def test_impossible_edits_are_reported_in_one_sentence(change, sentence):
    with pytest.raises(ClassTableError, match=sentence):
        change()


def test_a_distant_colour_is_not_yet_taken():
    first = distant_colour([])
    assert distant_colour([first]) != first


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint64])
def test_shares_are_counted_in_parts_of_any_shape(dtype, monkeypatch):
    monkeypatch.setattr(class_editing, "CHUNK", 7)
    index_map = np.full((3, 4, 5), 255 if dtype != np.int16 else 300, dtype=dtype)
    index_map[0], index_map[1, 0] = 1, 2
    shares = pixel_shares(index_map, FASSEG)
    assert shares[1] == pytest.approx(20 / 60)
    assert shares[2] == pytest.approx(5 / 60)
    assert shares[255] == pytest.approx(0 if dtype == np.int16 else 35 / 60)
    assert shares[0] == 0


def test_indices_outside_the_table_are_pixels_of_no_class():
    shares = pixel_shares(np.array([[-1, 1 << 20, 1, 9]]), FASSEG)
    assert shares[1] == 0.25
    assert sum(shares.values()) == 0.25


def test_counting_can_be_stopped():
    with pytest.raises(Cancelled):
        pixel_shares(np.zeros((4, 4), np.uint8), FASSEG, should_stop=lambda: True)


def test_a_table_is_made_of_names():
    table = table_of_names([" leaf", "", "stem ", "leaf"], "plants")
    assert (table.name, table.names) == ("plants", ["leaf", "stem"])
    assert [entry.index for entry in table.entries] == [1, 2, 0]
    assert len({entry.colour for entry in table.entries}) == 3
    with pytest.raises(ClassTableError, match="at least one class"):
        table_of_names(["", " "])
    with pytest.raises(ClassTableError, match="occurs twice"):
        table_of_names(["unlabelled"])


def test_a_class_is_removed_and_the_others_keep_their_labels():
    table = without_class(FASSEG, 2)
    assert table.names == ["background", "hair", "eyes", "nose", "mouth"]
    assert [entry.index for entry in table.classes] == [0, 1, 3, 4, 5]
    with pytest.raises(ClassTableError, match="has no class 2"):
        without_class(table, 2)
    with pytest.raises(ClassTableError, match="between 1 and"):
        without_class(new_table(), 1)


@pytest.mark.parametrize(
    ("index", "rows", "names"),
    [
        (1, -1, ["hair", "background", "skin"]),
        (0, 1, ["hair", "background", "skin"]),
        (0, -1, ["background", "hair", "skin"]),
        (2, -9, ["skin", "background", "hair"]),
    ],
)
def test_a_class_is_moved_and_keeps_its_label(index, rows, names):
    table = moved(FASSEG, index, rows)
    assert table.names[:3] == names
    assert {entry.name: entry for entry in table.classes} == {
        entry.name: entry for entry in FASSEG.classes
    }


def test_unlabelled_becomes_a_class_and_labels_stay():
    table = table_of_names(["leaf", "stem"])
    old = table.unlabelled.index
    new = with_background(table)
    assert [entry.name for entry in new.classes] == ["background", "leaf", "stem"]
    assert new.classes[0].index == old
    assert [entry.index for entry in new.classes[1:]] == [entry.index for entry in table.classes]
    assert new.unlabelled.index not in [entry.index for entry in new.classes]
    with pytest.raises(ClassTableError):
        with_background(new)
