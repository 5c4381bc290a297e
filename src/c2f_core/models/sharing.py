"""Export of trained models for other programs, as ONNX or as bioimage.io packages."""

from collections.abc import Sequence
from pathlib import Path

from c2f_core.config.settings import ModelConfig
from c2f_core.errors import ConfigError, DataError
from c2f_core.extras import BIOIMAGEIO, ONNX, check_installed
from c2f_core.io.atomic import atomic_path, delete_unfinished
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.models.onnx_graph import onnx_model
from c2f_core.models.package import LARGEST_MODEL, ONNX_SUFFIX, ZIP_SUFFIX


def share_model(
    model: str | Path,
    output: str | Path,
    *,
    title: str = "",
    authors: Sequence[str] = (),
    licence: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a trained model with its class table, so that other programs can run it.

    `Refiner.load` opens what was written; the logits are the same except for rounding. Paths and
    settings of the training run are left out.

    Parameters
    ----------
    model : str or Path
        Checkpoint (.safetensors) of a model with a class table.
    output : str or Path
        File to write: with the suffix .onnx, the network and its metadata; with .zip, a package
        for bioimage.io, which adds a description and test data.
    title : str
        Name of the model in the package, by default that of the file.
    authors : sequence of str
        Names of the authors in the package.
    licence : str, optional
        SPDX identifier of the licence in the package, such as "CC-BY-4.0".
    overwrite : bool
        Whether to replace an existing file.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    CheckpointError
        If the model cannot be read, or takes any classes.
    ConfigError
        If the suffix is another one, the network is too large, or the title or licence cannot
        be used.
    DataError
        If the file exists, or cannot be written.
    MissingPackageError
        If packages of the extra `share` are not installed.
    """
    model, output = Path(model), Path(output)
    suffix = output.suffix.lower()
    if suffix not in (ONNX_SUFFIX, ZIP_SUFFIX):
        raise ConfigError(f"{output} has to end with .onnx (ONNX) or .zip (bioimage.io package).")
    check_installed(ONNX if suffix == ONNX_SUFFIX else BIOIMAGEIO, f"Exporting {suffix} files")
    if output.exists() and not overwrite:
        raise DataError(f"{output} already exists; choose another name, or overwrite it.")
    generator, metadata = load_checkpoint(model)
    metadata = without_run(metadata)
    content = onnx_model(generator, metadata).SerializeToString()
    if len(content) > LARGEST_MODEL:
        raise ConfigError(f"The network in {model} is too large for ONNX; train a smaller one.")
    delete_unfinished(output.parent, output)
    with atomic_path(output) as temporary:
        if suffix == ONNX_SUFFIX:
            temporary.write_bytes(content)
        else:
            from c2f_core.models.bioimageio import Description, write_package

            description = Description(title or model.stem, tuple(authors), licence)
            write_package(temporary, generator, metadata, content, description)
    return output


def without_run(metadata: CheckpointMetadata) -> CheckpointMetadata:
    """Return metadata without the settings of the training run, which contain paths.

    Parameters
    ----------
    metadata : CheckpointMetadata
        Metadata of a checkpoint.
    """
    used = {name: getattr(metadata.config, name) for name in ModelConfig.model_fields}
    return metadata.model_copy(update={"config": RecordedConfig(**used)})
