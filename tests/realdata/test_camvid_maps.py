"""CamVid's index maps have the classes of the preset."""

from pathlib import Path

import numpy as np
import pytest

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.io.maps import read_map

pytestmark = pytest.mark.realdata


def test_index_maps_are_read_with_the_preset(camvid_root: Path) -> None:
    table = ClassTable.preset("camvid")
    shares = np.zeros(256)
    for path in sorted((camvid_root / "valannot").glob("*.png"))[:10]:
        indices, _ = read_map(path, table)
        positions = table.to_class_ids(indices)
        assert positions.shape == (360, 480)
        shares += np.bincount(positions.ravel(), minlength=256)
    named = {table.names[position] for position in np.flatnonzero(shares[: len(table.names)])}
    assert {"sky", "building", "road", "car"} <= named
    assert shares[UNLABELLED_ID] < 0.2 * shares.sum()
