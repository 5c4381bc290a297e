"""OpenCV from any of its packages, or from none."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT = "import sys; sys.modules['cv2'] = None; "
WITH_WINDOWS = """
import os, sys, types

class Build:
    # The build with windows leads Qt to plugins of its own when it is imported.
    def find_spec(self, name, path=None, target=None):
        if name == "cv2":
            os.environ["QT_QPA_PLATFORM_PLUGIN_PATH"] = "/cv2/qt/plugins"

sys.meta_path.insert(0, Build())
from c2f_core.opencv import cv2

assert cv2.resize
assert os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH") == {expected!r}
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_no_package_of_opencv_is_required_but_an_extra_brings_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert not any("opencv" in each for each in project["dependencies"])
    assert [each.split(">")[0] for each in extras["opencv"]] == ["opencv-python-headless"]
    assert any(each.startswith("napari-c2f[opencv") for each in extras["all"])


def test_a_command_without_opencv_says_what_to_install(tmp_path, write_shapes):
    data = write_shapes(tmp_path / "data", 1, 48)
    image, coarse = next(data.rglob("images/*")), next(data.rglob("coarse/*"))
    command = ["x", str(image), str(coarse), "-o", str(tmp_path / "fine.png")]
    code = f"sys.argv = {[*command, '--model', 'watershed']}; "
    done = run(WITHOUT + code + "from c2f_core.cli.refine import main; main()")
    assert done.returncode == 2
    assert "error: OpenCV is missing; run 'pip install opencv-python-headless'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_without_opencv_gets_the_same_sentence():
    code = "from c2f_core.errors import C2FError\ntry:\n    import c2f_core.refine.classical\n"
    code += "except C2FError as error:\n    assert isinstance(error, ImportError)\n    print(error)"
    done = run(f"{WITHOUT}\n{code}")
    assert "OpenCV is missing" in done.stdout, done.stderr


@pytest.mark.parametrize("path", [None, "/my/plugins"])
def test_qt_finds_its_own_plugins_with_the_build_with_windows(path):
    environment = {} if path is None else {"QT_QPA_PLATFORM_PLUGIN_PATH": path}
    done = run(WITH_WINDOWS.format(expected=path), **environment)
    assert done.returncode == 0, done.stderr
