"""Checkpoints of the class-agnostic network."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from c2f_core.config.settings import ClassAgnosticConfig, NetworkConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import CheckpointError
from c2f_core.models.bundled import bundled_file, bundled_for_any_classes
from c2f_core.models.checkpoint import load_checkpoint, load_class_agnostic, save_checkpoint
from c2f_core.models.metadata import (
    CheckpointMetadata,
    ClassAgnosticMetadata,
    RecordedConfig,
    read_metadata,
    read_model_metadata,
    takes_any_classes,
)
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.networks.unet import build_generator

SHAPE = ClassAgnosticConfig(class_widths=(6, 8, 10, 12), detail_width=4, key_width=5)
METADATA = ClassAgnosticMetadata(
    config=RecordedConfig(method="any", class_agnostic=SHAPE), temperature=1.5
)


@pytest.fixture
def network() -> ClassAgnosticNetwork:
    torch.manual_seed(0)
    return ClassAgnosticNetwork(SHAPE).eval()


@pytest.fixture
def checkpoint(network: ClassAgnosticNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "any.safetensors"
    save_checkpoint(path, network, METADATA)
    return path


@pytest.mark.parametrize("half", [False, True])
def test_checkpoints_round_trip(network: ClassAgnosticNetwork, tmp_path: Path, half: bool) -> None:
    path = tmp_path / "any.safetensors"
    save_checkpoint(path, network, METADATA, half=half)
    loaded, metadata = load_class_agnostic(path)
    assert metadata == METADATA
    assert takes_any_classes(path)
    tolerance = 0.01 if half else 0.0
    for name, tensor in network.state_dict().items():
        found = loaded.state_dict()[name]
        torch.testing.assert_close(found, tensor, rtol=tolerance, atol=tolerance)


def test_the_two_kinds_of_models_are_not_mixed_up(checkpoint: Path, tmp_path: Path) -> None:
    for read in (read_metadata, load_checkpoint):
        with pytest.raises(CheckpointError, match="does not have a class table"):
            read(checkpoint)
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8)))
    other = tmp_path / "shapes.safetensors"
    generator = build_generator(config.architecture, SHAPES.number_of_classes)
    save_checkpoint(other, generator, CheckpointMetadata(config=config, class_table=SHAPES))
    assert not takes_any_classes(other)
    with pytest.raises(CheckpointError, match="its own classes only"):
        load_class_agnostic(other)


def test_damaged_and_hostile_files_are_refused(
    network: ClassAgnosticNetwork, checkpoint: Path, tmp_path: Path
) -> None:
    tensors, text = network.state_dict(), METADATA.model_dump_json()
    bad = tmp_path / "bad.safetensors"

    def refuse(match: str) -> None:
        with pytest.raises(CheckpointError, match=match):
            load_class_agnostic(bad)

    bad.write_bytes(checkpoint.read_bytes()[:-100])
    refuse("not a readable checkpoint")
    torch.save(tensors, bad)
    refuse("not a readable checkpoint")
    widths = '"class_widths":[6,8,10,12]'
    for wanted, match in (
        ('"class_widths":[6,8,10,13]', "do not fit"),
        ('"class_widths":[65536,65536,65536,65536]', "absurdly large"),
        ('"class_widths":[6,8,9]', "class_widths"),
        ('"class_widths":[0,8,10,12]', "class_widths"),
        ('"class_widths":"6"', "class_widths"),
    ):
        assert widths in text
        save_file(tensors, bad, metadata={"c2f": text.replace(widths, wanted)})
        refuse(match)
    for hostile in ("[]", '{"format_version":2,"config":[]}', '{"format_version":2}'):
        save_file(tensors, bad, metadata={"c2f": hostile})
        refuse("metadata")
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["head.bias"][0] = float("inf")
    save_file(broken, bad, metadata={"c2f": text})
    refuse("not finite")


@pytest.mark.skipif(
    "any" not in bundled_for_any_classes(), reason="no bundled model for any classes here"
)
def test_the_bundled_model_is_small_and_complete() -> None:
    assert bundled_file("any").stat().st_size < 10_000_000
    assert isinstance(read_model_metadata(bundled_file("any")), ClassAgnosticMetadata)
    load_class_agnostic(bundled_file("any"))
