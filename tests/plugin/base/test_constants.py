"""Constants of Python that PySide6 must not delete."""

import sys
from importlib.util import find_spec

import pytest

from napari_c2f.base.constants import MANY


@pytest.mark.skipif(find_spec("PySide6") is None, reason="PySide6 is not installed")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python keeps its constants itself")
@pytest.mark.parametrize("constant", [None, True, False])
def test_pyside_cannot_delete_a_constant(constant):
    assert sys.getrefcount(constant) > MANY / 2
