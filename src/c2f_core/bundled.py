"""The models that come with the package."""

from pathlib import Path

BUNDLED_FOLDER = Path(__file__).resolve().parent / "models"


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in BUNDLED_FOLDER.glob("*.safetensors"))
