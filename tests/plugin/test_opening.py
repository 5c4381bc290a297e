"""Widgets open soon."""

import subprocess
import sys

OPENING = """
import sys
import napari_c2f.widgets.project
import napari_c2f.widgets.train

late = {"lightning_fabric", "torch._dynamo", "torch.utils.tensorboard"}
assert late.isdisjoint(sys.modules), "these take seconds to load, in which the window stands still"
"""


def test_opening_a_widget_waits_for_no_training_library():
    subprocess.run([sys.executable, "-c", OPENING], check=True)
