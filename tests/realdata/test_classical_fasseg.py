"""Classical refiners and the reference on four test images of FASSEG."""

from pathlib import Path

import pytest

from c2f_core.data.layouts import open_pairs
from c2f_core.data.splits import read_split
from c2f_core.experiments.evaluation import REFERENCE, evaluate, summary_rows
from c2f_core.refine.classical import CLASSICAL_REFINERS

pytestmark = pytest.mark.realdata


def test_baselines_stand_where_they_were_measured(fasseg_root: Path) -> None:
    """On all twenty: coarse 91.4 / 65.7, watershed 92.3 / 71.9, random walker 92.2 / 71.1."""
    names = read_split(fasseg_root / "splits.json", "report:test")[:4]
    pairs = open_pairs(fasseg_root).subset(names)
    refiners = [refiner(pairs.class_table) for refiner in CLASSICAL_REFINERS.values()]
    rows = summary_rows(evaluate(refiners, pairs), pairs.class_table.names)
    found = {str(row["method"]): row for row in rows}
    for method, accuracy, trimap in (
        (REFERENCE, 0.914, 0.657),
        ("watershed", 0.923, 0.719),
        ("random walker", 0.922, 0.711),
    ):
        assert found[method]["pixel accuracy"] == pytest.approx(accuracy, abs=0.015)
        assert found[method]["trimap 5"] == pytest.approx(trimap, abs=0.04)
