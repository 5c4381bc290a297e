"""Models that come with the package."""

from pathlib import Path

from c2f_core.models.metadata import takes_any_classes
from c2f_core.models.package import DESCRIPTIONS, ONNX_SUFFIX, ZIP_SUFFIX, is_exported

BUNDLED_FOLDER = Path(__file__).resolve().parent
CHECKPOINT_SUFFIX = ".safetensors"
MODEL_FILES = f"{CHECKPOINT_SUFFIX}, {ONNX_SUFFIX} or {ZIP_SUFFIX}"
"""Suffixes of model files, for messages."""


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.stem for path in BUNDLED_FOLDER.glob("*.safetensors"))


def bundled_file(name: str) -> Path:
    """Return the file of a bundled model."""
    return BUNDLED_FOLDER / f"{name}.safetensors"


def bundled_for_any_classes() -> list[str]:
    """Return the names of the bundled models that take the class table of the coarse map."""
    return [name for name in bundled_models() if is_for_any_classes(name)]


def is_for_any_classes(model: str) -> bool:
    """Return whether a model is a trained one that takes the class table of the coarse map.

    Parameters
    ----------
    model : str
        Name of a refiner, or path of a model file.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a model of this project.
    """
    if is_model_file(model):
        return takes_any_classes(model)
    return model in bundled_models() and takes_any_classes(bundled_file(model))


def is_model_file(model: str) -> bool:
    """Return whether `model` is a file, not the name of a bundled or classical refiner."""
    return model.endswith(CHECKPOINT_SUFFIX) or is_exported(Path(model))


def model_files_in(folder: Path) -> list[Path]:
    """Return the model files in a folder; an empty list if the folder does not exist.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if is_model_file(path.name) and path.is_file())


def stem_of(path: str | Path) -> str:
    """Return the name of a model file without suffix; of the description of a package, its folder.

    Parameters
    ----------
    path : str or Path
        Path of the file.
    """
    path = Path(path)
    return path.absolute().parent.name if path.name in DESCRIPTIONS else path.stem
