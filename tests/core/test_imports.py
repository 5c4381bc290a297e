"""The core works where neither Qt nor napari can be imported."""

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys

class Block:
    blocked = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.blocked:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import c2f_core
names = [module.name for module in pkgutil.walk_packages(c2f_core.__path__, "c2f_core.")]
assert len(names) > 20, names
for name in names:
    importlib.import_module(name)
assert c2f_core.Refiner.__module__ == "c2f_core.refine.learned"
"""


def test_every_core_module_imports_without_qt_and_napari():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)


LOADING = """
import sys
from c2f_core import Refiner

Refiner.bundled("fasseg")
assert "torch._dynamo" not in sys.modules, "torch's compiler takes seconds to load"
"""


def test_loading_a_model_loads_no_compiler():
    subprocess.run([sys.executable, "-c", LOADING], check=True)
