"""Settings of simulated coarse maps."""

import pytest
from pydantic import ValidationError

from c2f_core.config.settings import SimulationConfig, TrainConfig


def test_nothing_is_simulated_by_default():
    assert TrainConfig(data={"root": "data"}, run_folder="run").simulation.share == 0


@pytest.mark.parametrize("wrong", [{"iou": (0.9, 0.8)}, {"iou": (0.5, 1.2)}, {"kinds": ()}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        SimulationConfig(share=0.5, **wrong)


def test_the_preprocessing_of_the_report_has_no_simulated_maps():
    settings = {"data": {"root": "data"}, "run_folder": "run", "preprocessing": "report"}
    with pytest.raises(ValidationError, match=r"simulation\.share to 0"):
        TrainConfig(**settings, simulation={"share": 0.1})
