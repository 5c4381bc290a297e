"""Presets of settings, among them those of the project report."""

from typing import Any

from c2f_core.config.settings import Preset


def report_settings() -> dict[str, Any]:
    """Return the settings of the project report as fields of `TrainConfig`.

    Full-resolution U-Net, four corner crops of 256 x 256 px, Adam with rate 2e-4, no
    schedule, no clipping, and inverse class proportions without a tight cap. Model 2
    has a discriminator of whole images that sees soft maps and a least-squares loss;
    its stage 2 uses the discriminator's score alone and has no guard.

    Returns
    -------
    dict
        Settings by field, tables as nested dicts.
    """
    return {
        "preprocessing": "report",
        "loss": "report",
        "network": {"widths": (16, 32, 64, 128, 256), "stem": 1},
        "optimiser": {
            "name": "adam",
            "learning_rate": 2e-4,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup_steps": 0,
            "clip_norm": None,
            "average_decay": 0.0,
        },
        "colour_weight": 0.0,
        "class_weight_cap": 100.0,
        "discriminator": {"kind": "image"},
        "stage1": {
            "adversarial_weight": 1.0,
            "discriminator_learning_rate": 2e-4,
            "wrong_pixels_only": False,
            "coarse_as_fake": False,
            "harden": False,
        },
        "stage2": {"recipe": "report", "learning_rate": 2e-4, "guard": None},
    }


def preset_settings(name: Preset) -> dict[str, Any]:
    """Return the settings of a preset as fields of `TrainConfig`.

    Parameters
    ----------
    name : {"quick", "balanced", "thorough", "report"}
        A quarter of the default steps for a first look, the defaults, three times the
        default steps, or `report_settings`.

    Returns
    -------
    dict
        Settings by field, tables as nested dicts; settings that are missing keep
        their defaults.
    """
    presets: dict[Preset, dict[str, Any]] = {
        "quick": {"steps": 200, "validate_every": 25, "stage2": {"steps": 150}},
        "balanced": {},
        "thorough": {"steps": 2400, "validate_every": 100, "stage2": {"steps": 1800}},
        "report": report_settings(),
    }
    return presets[name]
