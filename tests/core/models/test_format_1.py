"""Checkpoints of format 1, which the first version wrote."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from c2f_core.config.settings import GeneratorConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import CheckpointError
from c2f_core.models.metadata import read_metadata
from c2f_core.networks.unet import build_generator
from c2f_core.refine.learned import Refiner

PAIR = synthetic_pair(32, 0)


def format_1(**changes: Any) -> dict[str, Any]:
    """Return metadata as the first version wrote them."""
    network = {"widths": [4, 8], "stem": 1, "normalisation": "batch", "upsampling": "transposed"}
    return {
        "format_version": 1,
        "architecture": network | {"conditional": True},
        "class_table": SHAPES.model_dump(mode="json"),
        "normalisation": {"mean": 127.5, "scale": 127.5},
        "config": {
            "method": "stage2",
            "network": network,
            "colour_weight": 0.25,
            "augmentation": {"flip": False},
            "stage2": {"evidence_weight": 1.0},
        },
        "data_fingerprint": "",
        "scores": {"pixel accuracy": 0.5},
        "temperature": 1.5,
        "colour_weight": 0.5,
        "library_versions": {},
    } | changes


def save(path: Path, metadata: dict[str, Any], *, conditional: bool = True) -> Path:
    """Save a small network with these metadata."""
    architecture = GeneratorConfig(widths=(4, 8), stem=1, conditional=conditional)
    generator = build_generator(architecture, SHAPES.number_of_classes)
    save_file(generator.state_dict(), path, metadata={"c2f": json.dumps(metadata)})
    return path


def test_a_checkpoint_of_format_1_refines(tmp_path: Path) -> None:
    path = save(tmp_path / "old.safetensors", format_1())
    metadata = read_metadata(path)
    assert (metadata.format_version, metadata.temperature) == (2, 1.5)
    assert (metadata.config.method, metadata.config.colour_weight) == ("stage2", 0.5)
    assert metadata.config.architecture == GeneratorConfig(widths=(4, 8), stem=1)
    assert (metadata.config.model_extra or {})["augmentation"] == {"flip": False}
    assert metadata.scores == {"pixel accuracy": 0.5}
    coarse = SHAPES.to_labels(PAIR.coarse)
    assert Refiner.load(path, "cpu").refine(PAIR.image, coarse).labels.shape == (32, 32)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_checkpoint_of_format_1_needs_no_config(tmp_path: Path, conditional: bool) -> None:
    metadata = format_1(config={})
    metadata["architecture"]["conditional"] = conditional
    del metadata["colour_weight"]
    path = save(tmp_path / "old.safetensors", metadata, conditional=conditional)
    config = read_metadata(path).config
    assert (config.method, config.colour_weight) == ("model1" if conditional else "plain", 0)
    assert Refiner.load(path, "cpu").class_table == SHAPES


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"architecture": {"upsampling": "nearest"}}, r"architecture\.upsampling: not available"),
        ({"architecture": None}, "invalid metadata"),
        ({"config": 3}, "invalid metadata"),
        ({"config": {"method": "magic"}}, r"invalid metadata \(config\.method"),
        ({"surprise": 1}, "surprise: not available"),
    ],
)
def test_what_format_1_cannot_mean_here_is_refused(
    tmp_path: Path, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(CheckpointError, match=match):
        Refiner.load(save(tmp_path / "old.safetensors", format_1(**changes)))


@pytest.mark.parametrize(("version", "is_newer"), [(3, True), (0, False), (None, False), ("x", 0)])
def test_only_newer_formats_ask_for_an_update(
    tmp_path: Path, version: object, is_newer: bool
) -> None:
    path = save(tmp_path / "other.safetensors", format_1(format_version=version))
    with pytest.raises(
        CheckpointError, match=f"format {version}, this version reads 1 to 2"
    ) as got:
        read_metadata(path)
    assert ("update napari-c2f" in str(got.value)) == is_newer
