"""Settings and fixtures for all tests."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("NAPARI_STRICT_QT", "raise")  # leaked top-level widgets fail the test

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``realdata`` where the data sets are not next to the checkout."""
    if (SHARED / "fasseg").is_dir():
        return
    skip = pytest.mark.skip(reason="needs the data sets in ../shared, see CONTRIBUTING.md")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def fasseg_root() -> Path:
    """Return the folder of the FASSEG data set; for tests marked ``realdata``."""
    return SHARED / "fasseg"


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """Return the folder of the CamVid data set; for tests marked ``realdata``."""
    return SHARED / "camvid"
