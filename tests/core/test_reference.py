"""The reference lists every module of the core, and Python in the pages imports what exists."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "c2f_core"
PAGES = ROOT / "docs" / "reference"
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [name for name in modules_by_page() if f"reference/{name}.md" not in navigation]
    assert not missing


def imports(text: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of everything that the Python blocks of a page import from the core."""
    for block in re.findall(r"```python\n(.*?)```", text.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("c2f_core"):
                yield from ((str(node.module), alias.name) for alias in node.names)


def test_python_in_the_pages_imports_what_exists():
    imported = {each for text in TEXTS for each in imports(text)}
    assert ("c2f_core", "Refiner") in imported
    assert not [each for each in imported if not hasattr(import_module(each[0]), each[1])]
