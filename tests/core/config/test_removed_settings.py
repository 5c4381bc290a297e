"""Configs of the first version, which had more settings."""

import json

import pytest

from c2f_core.cli.train import parse
from c2f_core.config.files import read_config
from c2f_core.config.settings import (
    ClassAgnosticConfig,
    NetworkConfig,
    Stage1Config,
    Stage2Config,
    TrainConfig,
)
from c2f_core.errors import ConfigError

OLD = {
    "data": {"root": "data"},
    "run_folder": "run",
    "network": {"widths": [4, 8], "stem": 1, "normalisation": "batch", "upsampling": "transposed"},
    "class_agnostic": {"image_widths": [4, 8, 8, 8], "class_widths": [4, 8, 8, 8], "stem": 4},
    "stage1": {"harden": False, "feature_matching_weight": 0.0, "ramp_steps": 0},
    "stage2": {"steps": 9, "evidence_weight": 0.0, "hidden_share": 0.25, "ramp_steps": 0},
}


def test_removed_settings_are_ignored_if_their_value_is_still_in_force(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(OLD))
    expected = TrainConfig(
        data={"root": "data"},
        run_folder="run",
        network=NetworkConfig(widths=(4, 8), stem=1),
        class_agnostic=ClassAgnosticConfig(class_widths=(4, 8, 8, 8)),
        stage1=Stage1Config(harden=False),
        stage2=Stage2Config(steps=9),
    )
    assert read_config(file) == expected
    assert parse(["--config", str(file)]).config == expected


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("network", "normalisation", "group"),
        ("network", "upsampling", "nearest"),
        ("discriminator", "kind", "patch"),
        ("stage1", "loss", "non_saturating"),
        ("stage1", "feature_matching_weight", 0.5),
        ("stage1", "ramp_steps", 10),
        ("stage2", "evidence_weight", 1.0),
        ("stage2", "ramp_steps", 10),
    ],
)
def test_other_values_of_removed_settings_are_refused_by_name(tmp_path, table, name, value):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(OLD | {table: {name: value}}))
    with pytest.raises(ConfigError, match=f"setting {table}.{name} ") as caught:
        parse(["--config", str(file)])
    assert "Extra inputs" not in str(caught.value)
