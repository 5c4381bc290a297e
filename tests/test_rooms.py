"""The drawing of the rooms in CONTRIBUTING matches both packages."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("napari_c2f", "c2f_core")


@pytest.fixture(scope="module")
def arrows():
    """Imports between the rooms of each package."""
    arrows_of = runpy.run_path(str(ROOT / "scripts" / "draw_rooms.py"))["arrows_of"]
    return {package: arrows_of(package) for package in PACKAGES}


def test_the_drawing_shows_the_imports_of_today(arrows):
    drawing = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
    drawn = re.search(r"<dc:description>(.*?)</dc:description>", drawing, flags=re.DOTALL)
    assert json.loads(drawn[1]) == arrows, "run scripts/draw_rooms.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_has_a_sentence(arrows, package):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split(f"| `{package}` |")[1].split("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(arrows[package])
