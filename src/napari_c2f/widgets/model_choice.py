"""What the user reads of models, in every list of them."""

from c2f_core.errors import C2FError
from c2f_core.models.bundled import bundled_models
from c2f_core.models.metadata import read_metadata
from c2f_core.training.catalogue import name_with_run

MODEL_FILES = "Models (*.safetensors)"


def known_models() -> dict[str, str]:
    """Return what the user reads in the list of models, by name."""
    from c2f_core.refine.classical import CLASSICAL_REFINERS

    return {
        **{name: f"{name} (bundled)" for name in bundled_models()},
        **{name: f"{name} (classical)" for name in CLASSICAL_REFINERS},
    }


def model_text(path: str) -> str:
    """Return what the user reads of a model's file: its run, name and validation accuracy."""
    try:
        accuracy = read_metadata(path).scores.get("pixel accuracy")
    except C2FError:
        accuracy = None
    score = "" if accuracy is None else f", {100 * accuracy:.1f} %"
    return f"{name_with_run(path)}{score}"
