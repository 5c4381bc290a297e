"""Checkpoints: safetensors files with JSON in their header. Reading one executes nothing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from c2f_core.errors import CheckpointError
from c2f_core.io.atomic import atomic_path
from c2f_core.models.metadata import (
    METADATA_KEY,
    CheckpointMetadata,
    ClassAgnosticMetadata,
    ModelMetadata,
    read_metadata,
    read_model_metadata,
)
from c2f_core.models.package import is_exported
from c2f_core.networks.class_agnostic import ClassAgnosticNetwork
from c2f_core.networks.unet import UNet, build_generator

Network = TypeVar("Network", bound=nn.Module)
TensorShape = tuple[int, ...]
LARGEST_PARAMETER_COUNT = 500_000_000
"""Largest number of parameters; a larger network is refused before memory is allocated."""
STORED_TYPES = {torch.float32, torch.float16, torch.int64}


def save_checkpoint(
    path: str | Path, network: nn.Module, metadata: ModelMetadata, half: bool = False
) -> None:
    """Write weights and metadata atomically.

    Parameters
    ----------
    path : str or Path
        File to write, with the suffix .safetensors.
    network : UNet or ClassAgnosticNetwork
        Network whose weights are saved.
    metadata : CheckpointMetadata or ClassAgnosticMetadata
        Metadata for the header, of the kind of the network.
    half : bool
        Whether to store floating-point weights as float16, at half the size, for shipping.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor)
        .detach()
        .cpu()
        .contiguous()
        .clone()
        for name, tensor in network.state_dict().items()
    }
    # The writer of safetensors does not report a full disk.
    written = save(tensors, metadata={METADATA_KEY: metadata.model_dump_json()})
    with atomic_path(path) as temporary:
        temporary.write_bytes(written)


def check_size(path: Path, build: Callable[[], nn.Module]) -> dict[str, TensorShape]:
    """Return the shapes of the weights of a network by name, found without memory for them.

    Parameters
    ----------
    path : Path
        File of the network, for error messages.
    build : callable
        Function that makes the network.

    Raises
    ------
    CheckpointError
        If the network is absurdly large.
    """
    shapes = _shapes_of(build)
    if sum(math.prod(shape) for shape in shapes.values()) > LARGEST_PARAMETER_COUNT:
        raise CheckpointError(
            f"{path} asks for an absurdly large network and was not loaded; train it again."
        )
    return shapes


def _shapes_of(build: Callable[[], nn.Module]) -> dict[str, TensorShape]:
    """Shapes of the weights by name, found without allocating memory for them."""
    try:
        with torch.device("meta"):
            state = build().state_dict()
    except RuntimeError:
        # Sizes that overflow torch's arithmetic exceed any limit.
        return {"overflow": (LARGEST_PARAMETER_COUNT + 1,)}
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def load_checkpoint(path: str | Path) -> tuple[UNet, CheckpointMetadata]:
    """Read a checkpoint.

    Parameters
    ----------
    path : str or Path
        File with the suffix .safetensors.

    Returns
    -------
    generator : UNet
        Network in float32 on the CPU, in evaluation mode.
    metadata : CheckpointMetadata
        Metadata from the header.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or not a checkpoint of this project, or its
        weights do not fit its architecture or are not finite.
    """
    metadata = read_metadata(path)
    classes = metadata.class_table.number_of_classes
    generator = _with_weights(
        Path(path), lambda: build_generator(metadata.config.architecture, classes)
    )
    return generator, metadata


def load_class_agnostic(path: str | Path) -> tuple[ClassAgnosticNetwork, ClassAgnosticMetadata]:
    """Read a checkpoint of a class-agnostic network.

    Parameters
    ----------
    path : str or Path
        File with the suffix .safetensors.

    Returns
    -------
    network : ClassAgnosticNetwork
        Network in float32 on the CPU, in evaluation mode.
    metadata : ClassAgnosticMetadata
        Metadata from the header.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`, or if the model has a class table.
    """
    metadata = read_model_metadata(path)
    if not isinstance(metadata, ClassAgnosticMetadata):
        raise CheckpointError(
            f"{path} refines maps of its own classes only; choose a model for any classes, such "
            "as one that c2f-train wrote with --method any."
        )
    shape = metadata.config.class_agnostic
    return _with_weights(Path(path), lambda: ClassAgnosticNetwork(shape)), metadata


def _with_weights(path: Path, build: Callable[[], Network]) -> Network:
    """Build a network with the weights in a file, which are checked before; for inference."""
    if is_exported(path):
        raise CheckpointError(
            f"{path} can refine, but not be trained or exported further; choose the .safetensors "
            "file that it was exported from."
        )
    wanted = check_size(path, build)
    with safe_open(path, framework="pt") as opened:
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
        if shapes != wanted:
            raise CheckpointError(
                f"The weights in {path} do not fit its architecture; copy or train it again."
            )
        tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in shapes}
    if not {tensor.dtype for tensor in tensors.values()} <= STORED_TYPES:
        raise CheckpointError(
            f"{path} contains numbers of another type than c2f-train writes; train the model again."
        )
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise CheckpointError(f"{path} contains weights that are not finite; train it again.")
    network = build()
    network.load_state_dict(tensors)
    return network.eval()
