"""What is imported when: nothing for napari's menus, torch only in the background."""

import subprocess
import sys
from importlib import import_module

import pytest
from npe2 import PluginManager

LISTING = """
import sys
from npe2 import PluginManager

manager = PluginManager.instance()
manager.discover()
contributions = manager.get_manifest("napari-c2f").contributions
assert contributions.widgets and contributions.sample_data and contributions.menus
list(manager.iter_widgets())
manager.dict()
slow = {"torch", "scipy", "skimage", "cv2", "pandas", "c2f_core", "napari_c2f.base"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
OPENING = """
import sys
import napari_c2f.{tool}.widget

assert "torch" not in sys.modules, "importing it takes seconds, during which the window freezes"
"""
TOOLS = ("draw", "refine", "review", "project", "train")


def test_listing_the_menus_imports_nothing_of_the_plugin():
    subprocess.run([sys.executable, "-c", LISTING], check=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_importing_a_widget_does_not_import_torch(tool):
    subprocess.run([sys.executable, "-c", OPENING.format(tool=tool)], check=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_manifest_leads_to_the_widget(qapp, tool):
    manager = PluginManager.instance()
    manager.discover()
    name = tool.capitalize()
    (contribution,) = (each for each in manager.iter_widgets() if each.display_name == name)
    widget = getattr(import_module(f"napari_c2f.{tool}.widget"), f"{name}Widget")
    assert contribution.get_callable() is widget
