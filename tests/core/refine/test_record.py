"""Records of runs, and refiners that speak another class table."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.models.bundled import BUNDLED_FOLDER
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.learned import Refiner
from c2f_core.refine.record import run_record, scope_of_record, scope_record
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within

MASKS = st.none() | arrays(np.bool_, (7, 9))
SCOPES = st.builds(
    Scope,
    box=st.none() | st.just((slice(1, 5), slice(None))),
    mask=MASKS,
    classes=st.none() | st.just(("disc", "ground")),
    locked=st.just(()) | st.just(("ring",)),
    protected=MASKS,
    band=st.none() | st.integers(1, 9),
    minimal_confidence=st.floats(0, 1),
)


@given(SCOPES)
def test_a_scope_comes_back_from_json(scope):
    again = scope_of_record(json.loads(json.dumps(scope_record(scope))))
    for name in ("box", "classes", "locked", "band", "minimal_confidence"):
        assert getattr(again, name) == getattr(scope, name)
    for name in ("mask", "protected"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scope, name))


def test_the_record_of_a_run_is_json_and_names_the_model():
    pair = synthetic_pair(48)
    refiner = CLASSICAL_REFINERS["watershed"](SHAPES)
    scope = Scope(band=4)
    report = refine_within(refiner, pair.image, SHAPES.to_labels(pair.coarse), scope).report
    record = json.loads(json.dumps(run_record(refiner, scope, report)))
    assert (record["refiner"], record["sha256"]) == ("watershed", None)
    assert scope_of_record(record["scope"]) is not None
    assert record["changed"] == report.changed == sum(count for *_, count in record["by_class"])
    assert record["mean_confidence"] == pytest.approx(report.mean_confidence)
    nothing = refine_within(refiner, pair.image, SHAPES.to_labels(pair.coarse), Scope(classes=()))
    assert json.dumps(run_record(refiner, Scope(), nothing.report), allow_nan=False)
    faces = Refiner.bundled("fasseg", "cpu")
    digest = hashlib.sha256((BUNDLED_FOLDER / "fasseg.safetensors").read_bytes()).hexdigest()
    assert run_record(faces, scope, report)["sha256"] == digest
