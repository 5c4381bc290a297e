"""The reference lists every module of the core, and every room of the plugin."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "c2f_core"
PAGES = ROOT / "docs" / "reference"
COMMANDS = "c2f_core.cli"  # Described by --help and on the page on the command line.


def modules_by_page() -> dict[str, list[str]]:
    """Return the modules of each room; those outside any room share the page of errors."""
    modules: dict[str, list[str]] = {}
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(CORE.parent).with_suffix("").parts
        name = ".".join(parts)
        if path.stem != "__init__" and not name.startswith(f"{COMMANDS}."):
            modules.setdefault(parts[1] if len(parts) > 2 else "errors", []).append(name)
    return modules


def listed(page: Path) -> list[str]:
    """Return the modules that a page of the reference lists."""
    return re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_room_has_its_page_and_no_other_page_is_left():
    assert {page.stem for page in PAGES.glob("*.md")} == set(modules_by_page())


@pytest.mark.parametrize("page", sorted(modules_by_page()))
def test_a_page_lists_every_module_of_its_room_once(page):
    assert sorted(listed(PAGES / f"{page}.md")) == sorted(modules_by_page()[page])


def test_every_room_of_the_plugin_is_listed():
    plugin = CORE.parent / "napari_c2f"
    rooms = {path.stem for path in plugin.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__", "__pycache__"}
    pages = (PAGES / "plugin").glob("*.md")
    assert sorted(name for page in pages for name in listed(page)) == sorted(
        f"napari_c2f.{room}" for room in rooms
    )
