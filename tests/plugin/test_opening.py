"""Importing a widget does not load torch."""

import subprocess
import sys

import pytest

OPENING = """
import sys
import napari_c2f.{tool}.widget

assert "torch" not in sys.modules, "importing it takes seconds, during which the window freezes"
"""


@pytest.mark.parametrize("tool", ["draw", "refine", "review", "project", "train"])
def test_importing_a_widget_does_not_import_torch(tool):
    subprocess.run([sys.executable, "-c", OPENING.format(tool=tool)], check=True)
