"""Edited labels go back into their group, with its pyramid, and nothing else changes."""

import shutil

import numpy as np
import pytest
from tests.core.scale.conftest import pixels

from c2f_core.errors import ClassTableError, DataError
from c2f_core.scale.edits import write_back
from c2f_core.scale.run import refine_volume


@pytest.fixture(scope="module")
def refined(plan_volume, tmp_path_factory):
    store = tmp_path_factory.mktemp("refined") / "out.zarr"
    refine_volume(plan_volume(store))
    return store


@pytest.fixture
def store(refined, tmp_path):
    return shutil.copytree(refined, tmp_path / "copy.zarr")


def test_only_the_shards_that_were_edited_are_written_with_their_levels(store):
    before = pixels(store)
    edited = before[0].copy()
    edited[1, 70:90, 10:30] = 3 - edited[1, 70:90, 10:30]
    assert write_back(store, edited) == 1
    after = pixels(store)
    for level in range(3):
        step = 2**level
        np.testing.assert_array_equal(after[level], edited[:, ::step, ::step])
        np.testing.assert_array_equal(after[3 + level], before[3 + level])
    assert write_back(store / "labels" / "fine", edited) == 0


def test_labels_that_cannot_be_written_change_nothing(store):
    before = pixels(store)
    wrong = before[0].copy()
    wrong[0, 0, 0], wrong[1, 199, 229] = 2, 77
    with pytest.raises(ClassTableError, match="77"):
        write_back(store, wrong)
    with pytest.raises(DataError, match="write the map of this image"):
        write_back(store, wrong[0])
    for found, wanted in zip(pixels(store), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_group_of_another_program_is_refused(volume):
    with pytest.raises(DataError, match="is of another program"):
        write_back(volume / "labels" / "coarse", np.zeros((2, 200, 230), np.uint8))
