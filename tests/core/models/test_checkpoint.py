"""Checkpoints: loaded, bundled, foreign, damaged and hostile ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.errors import CheckpointError
from c2f_core.models import bundled
from c2f_core.models.bundled import bundled_models
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import UNet, build_generator
from c2f_core.refine import learned
from c2f_core.refine.learned import Refiner

TABLE = ClassTable.preset("fasseg")
SMALL = RecordedConfig(network=NetworkConfig(stem=2, widths=(8, 12, 16)), colour_weight=0.0)
METADATA = CheckpointMetadata(config=SMALL, class_table=TABLE, temperature=1.5)
PAIR = synthetic_pair(96, 0)
COARSE = TABLE.to_labels(PAIR.coarse)


@pytest.fixture
def generator() -> UNet:
    torch.manual_seed(0)
    return build_generator(SMALL.architecture, TABLE.number_of_classes)


@pytest.fixture
def checkpoint(generator: UNet, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, generator, METADATA)
    return path


def test_loaded_refiner_is_the_saved_one(generator: UNet, checkpoint: Path) -> None:
    refiner = Refiner.load(checkpoint, "cpu")
    assert refiner.name == "tiny"
    assert refiner.class_table == TABLE
    assert refiner.device == torch.device("cpu")
    saved = Refiner(generator, METADATA, name="tiny", device="cpu")
    result, expected = (each.refine(PAIR.image, COARSE) for each in (refiner, saved))
    np.testing.assert_array_equal(result.confidence, expected.confidence)


def test_bundled_models_are_found_by_name(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    for module in (bundled, learned):
        monkeypatch.setattr(module, "BUNDLED_FOLDER", checkpoint.parent)
    assert bundled_models() == ["tiny"]
    assert Refiner.bundled("tiny", device="cpu").name == "tiny"
    with pytest.raises(CheckpointError, match="choose one of tiny"):
        Refiner.bundled("../tiny")


@pytest.mark.skipif("fasseg" not in bundled_models(), reason="no bundled model in this checkout")
def test_bundled_fasseg_model_knows_the_fasseg_classes() -> None:
    refiner = Refiner.bundled("fasseg", device="cpu")
    assert refiner.class_table.names == TABLE.names
    assert refiner.refine(PAIR.image, COARSE).labels.shape == (96, 96)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gone"):
        Refiner.load(tmp_path / "gone.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    with pytest.raises(CheckpointError, match="another program"):
        Refiner.load(foreign)
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"weight": torch.zeros(3)}, pickled)
    with pytest.raises(CheckpointError, match="pickled"):
        Refiner.load(pickled)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_truncated_checkpoint_is_refused(checkpoint: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError):
        Refiner.load(checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format_version=99),
        lambda m: m.update(temperature=0),
        lambda m: m.update(surprise="__import__('os')"),
        lambda m: m["config"]["network"].update(widths=[8, 12, 17]),
        lambda m: m["config"]["network"].update(widths=[10**9] * 5),
        lambda m: m["config"]["network"].update(widths=[]),
        lambda m: m["class_table"].update(classes=m["class_table"]["classes"][:3]),
        lambda m: m.pop("config"),
    ],
)
def test_hostile_metadata_is_refused(generator: UNet, tmp_path: Path, change) -> None:
    path, metadata = tmp_path / "hostile.safetensors", METADATA.model_dump(mode="json")
    change(metadata)
    save_file(generator.state_dict(), path, metadata={"c2f": json.dumps(metadata)})
    with pytest.raises(CheckpointError):
        Refiner.load(path)


def test_metadata_that_is_not_json_is_refused(generator: UNet, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    for text in ("", "[]", "{", "[" * 100_000):
        save_file(generator.state_dict(), path, metadata={"c2f": text})
        with pytest.raises(CheckpointError):
            Refiner.load(path)
