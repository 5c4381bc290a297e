"""Scopes as JSON."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from c2f_core.refine.scope import Scope

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
    again = Scope.from_record(json.loads(json.dumps(scope.to_record())))
    for name in ("box", "classes", "locked", "band", "minimal_confidence"):
        assert getattr(again, name) == getattr(scope, name)
    for name in ("mask", "protected"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scope, name))
