"""The models that come with the package, and how names are told from files."""

from pathlib import Path

BUNDLED_FOLDER = Path(__file__).resolve().parent


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in BUNDLED_FOLDER.glob("*.safetensors"))


def is_model_file(model: str) -> bool:
    """Tell a file from the name of a bundled or classical refiner."""
    return model.endswith(".safetensors")
