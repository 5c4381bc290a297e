"""Checkpoints: one safetensors file, with JSON in its header. Reading one executes nothing."""

import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from c2f_core.classes import ClassTable
from c2f_core.config import GeneratorConfig, Settings
from c2f_core.errors import CheckpointError
from c2f_core.io import atomic_path
from c2f_core.networks.unet import UNet, build_generator

FORMAT_VERSION = 1
METADATA_KEY = "c2f"
Shape = tuple[int, ...]
LARGEST_PARAMETER_COUNT = 500_000_000
"""A header that asks for more is refused before any memory is taken."""


def library_versions() -> dict[str, str]:
    """Versions of the libraries that shape a result."""
    return {name: version(name) for name in ("napari-c2f", "torch", "numpy", "scikit-image")}


class Normalisation(Settings):
    """How 8-bit images become network input: (image - mean) / scale."""

    mean: float = 127.5
    scale: float = Field(default=127.5, gt=0)


class CheckpointMetadata(Settings):
    """Everything about a model that is not a weight."""

    format_version: int = FORMAT_VERSION
    architecture: GeneratorConfig
    class_table: ClassTable
    normalisation: Normalisation = Normalisation()
    config: dict[str, Any] = Field(default_factory=dict)
    data_fingerprint: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    temperature: float = Field(default=1.0, gt=0)
    colour_weight: float = Field(default=0.0, ge=0)
    """See `c2f_core.colour_models`."""
    library_versions: dict[str, str] = Field(default_factory=dict)


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
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={METADATA_KEY: metadata.model_dump_json()})


def read_metadata(path: str | Path) -> CheckpointMetadata:
    """Read the metadata of a checkpoint, not its weights.

    Raises
    ------
    CheckpointError
        The file lacks, is damaged, or is no checkpoint of this project.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is no readable checkpoint ({error}); choose a .safetensors file that "
            "c2f-train wrote, or copy it again."
        ) from error
    if METADATA_KEY not in header:
        raise CheckpointError(
            f"{path} is a safetensors file of another program; choose one that c2f-train wrote."
        )
    return _parse_metadata(header[METADATA_KEY], path)


def _parse_metadata(text: str, path: Path) -> CheckpointMetadata:
    try:
        content = json.loads(text)
        format_version = content.get("format_version")
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} has damaged metadata; copy or train it again.") from error
    if format_version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has checkpoint format {format_version}, this version reads {FORMAT_VERSION}; "
            "update napari-c2f or train the model again."
        )
    try:
        return CheckpointMetadata.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path} has invalid metadata ({place}: {first['msg']}); copy or train it again."
        ) from error


def _shapes_of(architecture: GeneratorConfig, number_of_classes: int) -> dict[str, Shape]:
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
    wanted = _shapes_of(metadata.architecture, number_of_classes)
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
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds weights that are not finite; train the model again.")
    generator = build_generator(metadata.architecture, number_of_classes)
    generator.load_state_dict(tensors)
    return generator.eval(), metadata
