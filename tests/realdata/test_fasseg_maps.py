"""FASSEG's own label files are read without warnings."""

from pathlib import Path

import pytest

from c2f_core.data.layouts import open_pairs

pytestmark = pytest.mark.realdata


def test_blended_boundaries_are_not_reported(fasseg_root: Path) -> None:
    pairs = open_pairs(fasseg_root)
    assert sum(pair.has_labels for pair in pairs) == 70
    assert pairs.warnings() == []
