"""The bundled model on the test images that it has never seen."""

import pytest

from c2f_core import Refiner
from c2f_core.data.layouts import open_pairs
from c2f_core.data.splits import read_split
from c2f_core.experiments.evaluation import evaluate
from c2f_core.metrics.scores import mean_scores

pytestmark = pytest.mark.realdata


def test_bundled_faces_model_improves_every_unseen_face(fasseg_root):
    names = read_split(fasseg_root / "splits.json", "report:test")
    pairs = open_pairs(fasseg_root).subset(names)
    reference, learned = evaluate([Refiner.bundled("fasseg", "cpu")], pairs)
    assert len(learned.images) == 20
    before = mean_scores(reference.scores, pairs.class_table.names)
    after = mean_scores(learned.scores, pairs.class_table.names)
    assert before["pixel accuracy"] < 0.92
    assert after["pixel accuracy"] >= 0.964
    assert after["mIoU"] >= 0.88
    assert after["images made worse"] == 0
