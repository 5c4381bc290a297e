"""Links of the pages outside the documentation, whose own links mkdocs checks."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PICTURES = (".gif", ".jpg", ".png")  # An sdist does not have them; test_package looks for them.
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("recipe/*.md"), *ROOT.glob(".github/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_and_headings_of_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if path.endswith(PICTURES):
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
