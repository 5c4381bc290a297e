"""Scripts, benchmarks and the Python in the pages import only names that exist."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
PROGRAMS = sorted([*ROOT.glob("scripts/*.py"), *ROOT.glob("benchmarks/*.py")])
PACKAGES = ("c2f_core", "napari_c2f")


def imported_names(source: str) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import from one of the packages; the name may be empty."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from _of_packages((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from _of_packages((alias.name, "") for alias in node.names)


def _of_packages(names: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return (each for each in names if each[0].partition(".")[0] in PACKAGES)


def exists(module: str, name: str) -> bool:
    """Return whether a name can be imported from a module."""
    try:
        found = import_module(module)
        return not name or hasattr(found, name) or bool(import_module(f"{module}.{name}"))
    except ImportError:
        return False


def blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_scripts_and_benchmarks_import_what_exists(program):
    imported = set(imported_names(program.read_text(encoding="utf-8")))
    assert not [each for each in imported if not exists(*each)]


def test_python_in_the_pages_imports_what_exists():
    imported = {each for page in PAGES for block in blocks(page) for each in imported_names(block)}
    assert ("c2f_core", "Refiner") in imported
    assert not [each for each in imported if not exists(*each)]
