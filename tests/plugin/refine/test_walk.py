"""The program follows the path of an image that CONTRIBUTING describes."""

import re
import sys
import threading
from pathlib import Path

import c2f_core

ROOT = Path(__file__).resolve().parents[3]
SOURCES = Path(c2f_core.__file__).resolve().parents[1]
HEADING = "### An image: from the click on Refine to the fine layer"


def stops():
    """Return file and function of the numbered stops, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split(HEADING)[1].split("\n#")[0]
    listed = re.findall(r"^\d+\. `([^`]+)`, `([^`]+)`:", text, flags=re.MULTILINE)
    assert len(listed) == len(re.findall(r"^\d+\.", text, flags=re.MULTILINE)) <= 10
    return listed


class Trace:
    """Recorder of functions with their files, in the order in which they are first called."""

    def __init__(self):
        self._codes = {}

    def __call__(self, frame, event, _argument):
        if event == "call":
            self._codes.setdefault(frame.f_code)

    @property
    def called(self):
        paths = ((Path(code.co_filename), code.co_qualname) for code in self._codes)
        return [
            (path.relative_to(SOURCES).as_posix(), name)
            for path, name in paths
            if path.is_relative_to(SOURCES)
        ]

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


def test_refining_calls_the_functions_that_contributing_lists_in_this_order(docked, refine):
    viewer, widget = docked
    viewer.open_sample("napari-c2f", "astronaut")
    with Trace() as trace:
        refine(widget, "fasseg")
    assert viewer.layers[-2].name == "astronaut fine"
    listed = stops()
    assert [function for function in trace.called if function in listed] == listed


def test_every_file_that_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"^\d+\. `([^`]+)`", text, flags=re.MULTILINE)
    assert len(files) >= 10
    assert [name for name in files if not (SOURCES / name).is_file()] == []
