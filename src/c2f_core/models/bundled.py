"""Models that come with the package."""

from pathlib import Path

BUNDLED_FOLDER = Path(__file__).resolve().parent


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.stem for path in BUNDLED_FOLDER.glob("*.safetensors"))


def is_model_file(model: str) -> bool:
    """Return whether `model` is a file, not the name of a bundled or classical refiner."""
    return model.endswith(".safetensors")
