"""Presets of settings."""

import pytest

from c2f_core.config.presets import preset_settings
from c2f_core.config.settings import TrainConfig


@pytest.mark.parametrize("name", ["quick", "balanced", "thorough", "report"])
@pytest.mark.parametrize("method", ["model1", "stage1", "model2"])
def test_every_preset_is_valid_for_every_method(name, method, tmp_path):
    settings = {"data": {"root": tmp_path}, "run_folder": tmp_path, "method": method}
    config = TrainConfig.model_validate(settings | preset_settings(name))
    assert config.stage2.recipe == ("report" if name == "report" else "default")
