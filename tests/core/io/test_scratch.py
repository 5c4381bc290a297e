"""Arrays on disk: what is written is read, and nothing stays behind."""

from pathlib import Path

import numpy as np
import pytest

from c2f_core.errors import WritingError
from c2f_core.io.scratch import Scratch


def test_parts_are_written_and_read(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.uint16).reshape(10, 6)
    scratch = Scratch.of(values, tmp_path)
    assert (scratch.shape, scratch.dtype) == ((10, 6), np.uint16)
    scratch[2:4, 1:3] = 7
    values[2:4, 1:3] = 7
    np.testing.assert_array_equal(scratch[...], values)
    np.testing.assert_array_equal(scratch[1:9, 2:5], values[1:9, 2:5])


def test_nothing_stays_behind(tmp_path: Path) -> None:
    scratch = Scratch((5, 5), np.float32, tmp_path)
    scratch[...] = 1
    del scratch
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_named(tmp_path: Path) -> None:
    with pytest.raises(WritingError, match="free some space"):
        Scratch((1 << 30, 1 << 25), np.float32, tmp_path)
    with pytest.raises(WritingError, match="gone"):
        Scratch((5, 5), np.float32, tmp_path / "gone")
