"""Edited labels go back into their group, with its pyramid, and nothing else changes."""

import shutil

import numpy as np
import pytest
from tests.core.scale.conftest import pixels

from c2f_core.errors import Cancelled, ClassTableError, DataError, WritingError
from c2f_core.refine.interface import Monitor
from c2f_core.scale.edits import write_back
from c2f_core.scale.ledger import Ledger
from c2f_core.scale.run import ledger_folder, refine_volume

zarr = pytest.importorskip("zarr")


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


def test_a_part_is_written_at_its_place_and_only_there(store):
    before = pixels(store)
    part = slice(1, 2), slice(37, 101), slice(5, 66)
    edited = 3 - before[0][part]
    shares = []
    assert write_back(store, edited, part, Monitor(shares.append)) == 4
    whole = before[0].copy()
    whole[part] = edited
    for level, found in enumerate(pixels(store)[:3]):
        np.testing.assert_array_equal(found, whole[:, :: 2**level, :: 2**level])
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(DataError, match="write the map of this image"):
        write_back(store, edited, (slice(2, 3), *part[1:]))


def test_repeating_an_interrupted_call_completes_the_pyramid(store, monkeypatch):
    edited = pixels(store)[0].copy()
    edited[0, :100] = 3 - edited[0, :100]
    write, calls = zarr.Array.__setitem__, []

    def fail_at_the_fifth(self, *arguments):
        calls.append(1)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(zarr.Array, "__setitem__", fail_at_the_fifth)
    with pytest.raises(WritingError, match=r"No space left.*then write them back again"):
        write_back(store, edited)
    assert write_back(store, edited) > 0
    for level, found in enumerate(pixels(store)[:3]):
        np.testing.assert_array_equal(found, edited[:, :: 2**level, :: 2**level])


def test_nothing_is_written_if_the_store_cannot_be_or_the_user_cancels(store, monkeypatch):
    before = pixels(store)
    edited = 3 - before[0]
    with pytest.raises(Cancelled, match="Writing back was cancelled; no file was changed"):
        write_back(store, edited, monitor=Monitor(should_stop=lambda: True))
    with (
        Ledger(ledger_folder(store, "fine")),
        pytest.raises(DataError, match="is being written by another run"),
    ):
        write_back(store, edited)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(WritingError, match="is read-only; check its permissions"):
        write_back(store, edited)
    for found, wanted in zip(pixels(store), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
