"""Pixels of pairs beyond the memory limit lie in a temporary file."""

import errno
import os

import numpy as np
import pytest

from c2f_core.data import pixel_store
from c2f_core.data.pairs import Pair
from c2f_core.data.pixel_store import PixelStore
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.errors import DataError

BYTES = 5 * 32 * 32
"""Bytes of a pair: an image of three channels and two maps."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(pixel_store, "PART", 2 * BYTES + 100)


def pairs(count):
    return [synthetic_pair(32, seed) for seed in range(count)]


def same(first: Pair, second: Pair) -> bool:
    planes = [(first.image, second.image), (first.coarse, second.coarse)]
    if first.fine is not None or second.fine is not None:
        planes.append((first.fine, second.fine))
    return all(np.array_equal(*each) and each[1].dtype == np.uint8 for each in planes)


def test_pairs_beyond_the_limit_are_equal_and_leave_no_file(tmp_path):
    store, read = PixelStore(2 * BYTES, tmp_path), pairs(7)
    held = [store.hold(pair) for pair in read]
    assert all(first is second for first, second in zip(read[:2], held[:2], strict=True))
    assert all(first is not second for first, second in zip(read[2:], held[2:], strict=True))
    assert all(same(first, second) for first, second in zip(read, held, strict=True))
    assert "(5)" in store.messages()[0]
    assert os.name == "nt" or not list(tmp_path.iterdir())


def test_pixels_outlive_their_store(tmp_path):
    read = pairs(3)
    held = [PixelStore(0, tmp_path).hold(pair) for pair in read]
    assert all(same(first, second) for first, second in zip(read, held, strict=True))


def test_a_pair_may_be_larger_than_a_part_and_have_no_fine_map(tmp_path):
    pair = synthetic_pair(200)
    large = Pair("large", pair.image, pair.coarse, None)
    held = PixelStore(0, tmp_path).hold(large)
    assert same(large, held)
    assert held.fine is None


def test_a_limit_that_is_not_reached_needs_no_disk(tmp_path):
    store = PixelStore(10 * BYTES, tmp_path / "missing")
    assert all(store.hold(pair) is pair for pair in pairs(3))
    assert not store.messages()


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_store, "PART", 1 << 62)
    with pytest.raises(DataError, match="No space left on device"):
        PixelStore(0, tmp_path).hold(pairs(1)[0])


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no space")
def test_a_disk_that_fills_meanwhile_ends_in_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left on device.*disk with more space"):
        PixelStore(0, tmp_path).hold(pairs(1)[0])


def test_a_folder_that_refuses_files_ends_in_a_sentence(tmp_path):
    with pytest.raises(DataError, match="choose a run folder on a disk with more space"):
        PixelStore(0, tmp_path / "missing").hold(pairs(1)[0])
