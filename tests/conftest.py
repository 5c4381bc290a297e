"""Settings and fixtures for all tests."""

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs

with suppress(ImportError):  # The tests of the core need no Qt.
    from qtpy import API_NAME

    os.environ.setdefault("PYTEST_QT_API", API_NAME.lower())
os.environ.setdefault("NAPARI_STRICT_QT", "raise")  # leaked top-level widgets fail the test
settings.register_profile("untimed", deadline=None)  # A busy machine is not a failure.
settings.load_profile("untimed")

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


@pytest.fixture(scope="session")
def write_shapes() -> Callable[..., Path]:
    """Write synthetic pairs, named by their seeds, with their class table into a new folder."""

    def write(
        root: Path, count: int, side: int, *, first: int = 0, coarse_only: Collection[int] = ()
    ) -> Path:
        pairs = (
            replace(pair, name=str(seed), fine=None if seed in coarse_only else pair.fine)
            for seed in range(first, first + count)
            for pair in (synthetic_pair(side, seed),)
        )
        write_pairs(root, pairs, SHAPES)
        return root

    return write


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., dict[str, Any]]:
    """Return the settings of a run of a few quick steps on a folder of synthetic pairs."""

    def settings(root: Path, run_folder: Path, **changes: Any) -> dict[str, Any]:
        return {
            "data": {"root": root, "class_table": str(root / "classes.json")},
            "run_folder": run_folder,
            "network": {"widths": (4, 8)},
            "discriminator": {"widths": (4,)},
            "crop": 32,
            "batch_size": 2,
            "steps": 4,
            "validate_every": 2,
            "stage2": {"steps": 2, "coarse_only_batch_size": 2},
            "device": "cpu",
            "threads": 1,
            **changes,
        }

    return settings


@pytest.fixture(scope="session")
def tiny_config(tiny_settings: Callable[..., dict[str, Any]]) -> Callable[..., TrainConfig]:
    """Return `tiny_settings` as a config."""
    return lambda *folders, **changes: TrainConfig.model_validate(
        tiny_settings(*folders, **changes)
    )
