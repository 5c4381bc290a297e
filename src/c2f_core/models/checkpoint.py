"""Checkpoints: one safetensors file, with JSON in its header. Reading one executes nothing."""

import math
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from c2f_core.config.settings import GeneratorConfig
from c2f_core.errors import CheckpointError
from c2f_core.io.atomic import atomic_path
from c2f_core.models.metadata import METADATA_KEY, CheckpointMetadata, read_metadata
from c2f_core.networks.unet import UNet, build_generator

TensorShape = tuple[int, ...]
LARGEST_PARAMETER_COUNT = 500_000_000
"""A header that asks for more is refused before any memory is taken."""
STORED_TYPES = {torch.float32, torch.float16, torch.int64}


def save_checkpoint(
    path: str | Path, generator: UNet, metadata: CheckpointMetadata, half: bool = False
) -> None:
    """Write weights and metadata atomically.

    Parameters
    ----------
    path : str or Path
        Ends in .safetensors.
    generator : UNet
    metadata : CheckpointMetadata
    half : bool
        Store floating-point weights as float16: half the size, for shipping.

    Raises
    ------
    DataError
        The file cannot be written.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor)
        .detach()
        .cpu()
        .contiguous()
        .clone()
        for name, tensor in generator.state_dict().items()
    }
    # Not by safetensors' own writer, which does not say that a disk is full.
    written = save(tensors, metadata={METADATA_KEY: metadata.model_dump_json()})
    with atomic_path(path) as temporary:
        temporary.write_bytes(written)


def _shapes_of(architecture: GeneratorConfig, number_of_classes: int) -> dict[str, TensorShape]:
    """Shapes of the weights by name, found without taking memory for them."""
    try:
        with torch.device("meta"):
            state = build_generator(architecture, number_of_classes).state_dict()
    except RuntimeError:
        # Sizes that overflow torch's arithmetic are beyond any limit.
        return {"overflow": (LARGEST_PARAMETER_COUNT + 1,)}
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def load_checkpoint(path: str | Path) -> tuple[UNet, CheckpointMetadata]:
    """Read a checkpoint.

    Returns
    -------
    generator : UNet
        float32, on the CPU, in evaluation mode.
    metadata : CheckpointMetadata

    Raises
    ------
    CheckpointError
        The file lacks, is damaged, is no checkpoint of this project, its
        weights do not fit the architecture that it names, or are not finite.
    """
    path = Path(path)
    metadata = read_metadata(path)
    number_of_classes = metadata.class_table.number_of_classes
    wanted = _shapes_of(metadata.config.architecture, number_of_classes)
    if sum(math.prod(shape) for shape in wanted.values()) > LARGEST_PARAMETER_COUNT:
        raise CheckpointError(
            f"{path} asks for an absurdly large network and was not loaded; train it again."
        )
    with safe_open(path, framework="pt") as opened:
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
        if shapes != wanted:
            raise CheckpointError(
                f"The weights in {path} do not fit the architecture that it names; copy or train "
                "it again."
            )
        tensors = {name: opened.get_tensor(name) for name in shapes}
    if not {tensor.dtype for tensor in tensors.values()} <= STORED_TYPES:
        raise CheckpointError(
            f"{path} holds numbers of another kind than c2f-train writes; train the model again."
        )
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds weights that are not finite; train the model again.")
    generator = build_generator(metadata.config.architecture, number_of_classes)
    generator.load_state_dict(tensors)
    return generator.eval(), metadata
