"""Checkpoints that are damaged, of other programs, or stored in half precision."""

import pytest
import torch
from safetensors.torch import save_file

from c2f_core.config.settings import NetworkConfig
from c2f_core.data.synthetic import SHAPES
from c2f_core.errors import CheckpointError
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator


@pytest.fixture
def checkpoint(tmp_path):
    config = RecordedConfig(network=NetworkConfig(widths=(4, 8)))
    path = tmp_path / "model.safetensors"
    torch.manual_seed(1)
    generator = build_generator(config.architecture, SHAPES.number_of_classes).eval()
    save_checkpoint(path, generator, CheckpointMetadata(config=config, class_table=SHAPES))
    return path, generator


@pytest.mark.parametrize("half", [False, True])
def test_checkpoints_round_trip(checkpoint, tmp_path, half):
    path, generator = checkpoint
    _, metadata = load_checkpoint(path)
    save_checkpoint(tmp_path / "second.safetensors", generator, metadata, half=half)
    loaded, again = load_checkpoint(tmp_path / "second.safetensors")
    assert again == metadata
    inputs = torch.randn(1, 7, 16, 16)
    tolerance = 0.02 if half else 0.0
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded(inputs), generator(inputs), rtol=tolerance, atol=tolerance
        )


def test_damaged_and_foreign_checkpoints_are_refused(checkpoint, tmp_path):
    path, generator = checkpoint
    tensors = generator.state_dict()
    bad = tmp_path / "bad.safetensors"
    _, metadata = load_checkpoint(path)
    text = metadata.model_dump_json()

    def refuse(match):
        with pytest.raises(CheckpointError, match=match):
            load_checkpoint(bad)

    refuse("not a readable checkpoint")
    bad.write_bytes(path.read_bytes()[:-100])
    refuse("not a readable checkpoint")
    bad.write_bytes(b"\x80\x04cos\nsystem\n")
    refuse("not a readable checkpoint")
    save_file(tensors, bad)
    refuse("another program")
    save_file(tensors, bad, metadata={"c2f": "{"})
    refuse("damaged metadata")
    save_file(
        tensors, bad, metadata={"c2f": text.replace('"format_version":2', '"format_version":9')}
    )
    refuse("format 9")
    save_file(tensors, bad, metadata={"c2f": text.replace('"stem":4', '"stem":3')})
    refuse("config.network.stem")
    save_file(tensors, bad, metadata={"c2f": text.replace('"widths":[4,8]', '"widths":[4,9]')})
    refuse("do not fit")
    save_file(
        tensors, bad, metadata={"c2f": text.replace('"widths":[4,8]', '"widths":[65536,65536]')}
    )
    refuse("absurdly large")
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["head.bias"][0] = float("nan")
    save_file(broken, bad, metadata={"c2f": text})
    refuse("not finite")
    strange = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}
    save_file(strange, bad, metadata={"c2f": text})
    refuse("another type")
    for widths in (f"[{10**30}]", str([1] * 1000), "[0]"):
        hostile = text.replace('"widths":[4,8]', f'"widths":{widths}')
        save_file(tensors, bad, metadata={"c2f": hostile})
        refuse("config.network.widths")
