"""Metadata of a checkpoint, readable without torch."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import GeneratorConfig, ModelConfig, Settings
from c2f_core.documents import irregular_kind
from c2f_core.errors import CheckpointError
from c2f_core.models.onnx_properties import read_property
from c2f_core.models.package import is_exported, of_other_program, open_onnx

FORMAT_VERSION = 2
METADATA_KEY = "c2f"


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a result depends on."""
    from c2f_core.opencv import cv2  # Not needed for reading; its package has several names.

    packages = ("napari-c2f", "torch", "numpy", "scikit-image")
    return {name: version(name) for name in packages} | {"opencv": cv2.__version__}


class Normalisation(Settings):
    """Normalisation of 8-bit images for the network: (image - mean) / scale."""

    mean: float = 127.5
    scale: float = Field(default=127.5, gt=0)


class RecordedConfig(ModelConfig):
    """Config of the run that trained a model.

    Settings that using the model does not depend on are kept unchecked, so that
    models outlive settings that later versions rename or drop.
    """

    model_config = ConfigDict(extra="allow")


class ModelMetadata(Settings):
    """Everything about a model that is not a weight."""

    format_version: int = FORMAT_VERSION
    config: RecordedConfig
    normalisation: Normalisation = Normalisation()
    data_fingerprint: str = ""
    coarse_displacement: float | None = Field(default=None, gt=0)
    """Mean distance in pixels between the boundaries of the coarse and the fine maps that the
    model was trained on; None if it was not measured."""
    scores: dict[str, float] = Field(default_factory=dict)
    temperature: float = Field(default=1.0, gt=0)
    library_versions: dict[str, str] = Field(default_factory=dict)


class CheckpointMetadata(ModelMetadata):
    """Metadata of a generator, which knows the classes of its class table."""

    class_table: ClassTable


class ClassAgnosticMetadata(ModelMetadata):
    """Metadata of a class-agnostic network, which takes the class table of the coarse map."""


class _Format1(Settings):
    """Metadata of format 1, where the config did not decide how the model is used."""

    model_config = ConfigDict(extra="allow")

    architecture: GeneratorConfig
    config: dict[str, Any] = Field(default_factory=dict)
    colour_weight: float = 0.0

    def current(self) -> dict[str, Any]:
        """Return the metadata in the current format, not validated yet."""
        network = self.architecture.model_dump(exclude={"conditional"})
        used = {"network": network, "colour_weight": self.colour_weight}
        if not self.architecture.conditional:
            used["method"] = "plain"
        return (self.model_extra or {}) | {
            "format_version": FORMAT_VERSION,
            "config": self.config | used,
        }


def read_metadata(path: str | Path) -> CheckpointMetadata:
    """Read the metadata of a checkpoint with a class table, without its weights.

    Parameters
    ----------
    path : str or Path
        File with the suffix .safetensors.

    Returns
    -------
    CheckpointMetadata
        Validated metadata.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a checkpoint of this project, or its
        model has no class table.
    """
    metadata = read_model_metadata(path)
    if not isinstance(metadata, CheckpointMetadata):
        raise CheckpointError(
            f"{path} refines maps of any classes and does not have a class table; choose a model "
            "that was trained for your classes."
        )
    return metadata


def takes_any_classes(path: str | Path) -> bool:
    """Return whether the model in a file takes the class table of the coarse map.

    Parameters
    ----------
    path : str or Path
        File with the suffix .safetensors.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a checkpoint of this project.
    """
    return isinstance(read_model_metadata(path), ClassAgnosticMetadata)


def read_model_metadata(path: str | Path) -> CheckpointMetadata | ClassAgnosticMetadata:
    """Read the metadata of a model of any kind without its weights.

    Parameters
    ----------
    path : str or Path
        Checkpoint (.safetensors), ONNX model (.onnx), or bioimage.io package (.zip, or
        `rdf.yaml` in its folder).

    Returns
    -------
    CheckpointMetadata or ClassAgnosticMetadata
        Validated metadata.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a checkpoint of this project.
    """
    path = Path(path)
    if not is_exported(path):
        return _parse_metadata(_checkpoint_text(path), path)
    metadata = _parse_metadata(_exported_text(path), path)
    if isinstance(metadata, ClassAgnosticMetadata):  # Such networks are never exported.
        raise of_other_program(path)
    return metadata


def _exported_text(path: Path) -> str:
    """Return the metadata of an ONNX model or package as text."""
    with open_onnx(path) as file:
        text = read_property(file.stream, file.size, METADATA_KEY)
    if text is None:
        raise of_other_program(path)
    return text


def _checkpoint_text(path: Path) -> str:
    """Return the metadata of a checkpoint as text."""
    try:
        kind = irregular_kind(path)
        if kind:
            raise CheckpointError(
                f"{path} is {kind}; choose a .safetensors file that c2f-train wrote."
            )
        path.open("rb").close()  # safetensors itself calls any file missing that it cannot open.
        with safe_open(path, framework="np") as opened:
            header: dict[str, str] = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path} is not a readable checkpoint ({reason}); choose a .safetensors file that "
            "c2f-train wrote, or copy it again."
        ) from error
    if METADATA_KEY not in header:
        raise CheckpointError(
            f"{path} is a safetensors file of another program; choose one that c2f-train wrote."
        )
    return header[METADATA_KEY]


def _parse_metadata(text: str, path: Path) -> CheckpointMetadata | ClassAgnosticMetadata:
    try:
        content = json.loads(text)
        format_version = content.get("format_version")
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} has damaged metadata; copy or train it again.") from error
    _check_format(format_version, path)
    try:
        if format_version == 1:
            content = _Format1.model_validate(content).current()
        if _method_of(content) == "any":
            return ClassAgnosticMetadata.model_validate(content)
        return CheckpointMetadata.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        is_unknown = first["type"] == "extra_forbidden"
        reason = "not available in this version" if is_unknown else first["msg"]
        raise CheckpointError(
            f"{path} has invalid metadata ({place}: {reason}); copy or train it again."
        ) from error


def _method_of(content: dict[str, Any]) -> Any:
    config = content.get("config")
    return config.get("method") if isinstance(config, dict) else None


def _check_format(found: Any, path: Path) -> None:
    if found in range(1, FORMAT_VERSION + 1):
        return
    is_newer = isinstance(found, int) and found > FORMAT_VERSION
    advice = "update napari-c2f or train the model again" if is_newer else "train the model again"
    raise CheckpointError(
        f"{path} has checkpoint format {found}, this version reads 1 to {FORMAT_VERSION}; {advice}."
    )
