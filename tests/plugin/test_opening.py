"""Widgets open soon."""

import subprocess
import sys

import pytest

OPENING = """
import sys
import napari_c2f.widgets.{widget}

assert "torch" not in sys.modules, "it takes seconds to load, in which the window stands still"
"""


@pytest.mark.parametrize("widget", ["palette", "refine", "review", "project", "train"])
def test_opening_a_widget_does_not_wait_for_torch(widget):
    subprocess.run([sys.executable, "-c", OPENING.format(widget=widget)], check=True)
