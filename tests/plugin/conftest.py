"""Fixtures of the tests that need a window."""

from dataclasses import replace

import pytest
from qtpy.QtCore import QSettings, Qt

from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """Keep what the widgets remember out of the user's own settings."""
    for form in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture
def click(qtbot):
    """Click a button with the mouse."""
    return lambda button: qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def data(tmp_path):
    """Folder of five small pairs; the last has no fine map."""
    pairs = [replace(synthetic_pair(48, seed), name=str(seed)) for seed in range(5)]
    write_pairs(tmp_path / "data", [*pairs[:4], replace(pairs[4], fine=None)], SHAPES)
    return tmp_path / "data"


@pytest.fixture
def tiny(data, tmp_path):
    """Settings of a run of a few quick steps."""
    return {
        "data": {"root": data, "class_table": str(data / "classes.json")},
        "run_folder": tmp_path / "run",
        "network": {"widths": (4, 8)},
        "discriminator": {"widths": (4,)},
        "crop": 32,
        "batch_size": 2,
        "steps": 4,
        "validate_every": 2,
        "stage2": {"steps": 2, "coarse_only_batch_size": 2, "guard": None},
        "device": "cpu",
        "threads": 1,
        "precision": "float32",
    }
