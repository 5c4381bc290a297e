"""The core works where neither Qt nor napari can be imported, and imports only what it needs."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import importlib, json, pkgutil, sys

class Block:
    blocked = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.blocked:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import c2f_core
has_torch_early = "torch" in sys.modules
c2f_core.Refiner.bundled("fasseg")
has_compiler = "torch._dynamo" in sys.modules
names = [module.name for module in pkgutil.walk_packages(c2f_core.__path__, "c2f_core.")]
for name in names:
    importlib.import_module(name)
print(json.dumps({
    "has_torch_early": has_torch_early,
    "has_compiler": has_compiler,
    "names": names,
    "packages": sorted({name.partition(".")[0] for name in sys.modules}),
    "refiner": c2f_core.Refiner.__module__,
}))
"""


@pytest.fixture(scope="module")
def imported() -> dict:
    """Facts about a fresh interpreter that loads a model and then every module of the core."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_core_module_imports_without_qt_and_napari(imported):
    assert len(imported["names"]) > 20, imported["names"]
    assert imported["refiner"] == "c2f_core.refine.learned"


def test_core_imports_neither_qt_nor_napari(imported):
    gui = {"napari", "napari_c2f", "qtpy", "superqt", "PyQt6", "magicgui"}
    assert not gui & set(imported["packages"])


def test_the_core_itself_loads_no_torch(imported):
    assert not imported["has_torch_early"], "torch takes seconds to load"


def test_loading_a_model_loads_no_compiler(imported):
    assert not imported["has_compiler"], "torch's compiler takes seconds to load"
