"""Lists of models, and what the user reads of each model."""

from collections.abc import Callable, Mapping

from qtpy.compat import isalive

from c2f_core.errors import C2FError
from c2f_core.models.bundled import bundled_models
from c2f_core.models.metadata import read_model_metadata
from c2f_core.training.catalogue import name_with_run
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.widgets.choices import TITLES, FileChoice

MODEL_FILES = "Models (*.safetensors)"


class ModelChoice(FileChoice):
    """A list of models, including those that any widget trained or used recently.

    Parameters
    ----------
    texts : mapping of str to str
        Text of each entry that is not a file, by value.
    accepts : callable, optional
        Function that returns whether the model in a file may be listed; without it all may.
    """

    def __init__(
        self, texts: Mapping[str, str], accepts: Callable[[str], bool] = lambda _path: True
    ) -> None:
        super().__init__(texts, MODEL_FILES, model_text)
        self._accepts = accepts
        for path in reversed(RECENT_MODELS.paths()):
            self._add_recent(path)
        RECENT_MODELS.remembered.connect(self._add_recent)

    def _add_recent(self, path: str) -> None:
        if isalive(self) and self._accepts(path):
            self.add(path)


def known_models() -> dict[str, str]:
    """Return the text of each bundled or classical model, by its name."""
    from c2f_core.refine.classical import CLASSICAL_REFINERS
    from c2f_core.refine.instant.refiner import InstantRefiner

    return {
        InstantRefiner.name: "From this image (no training)",
        **{name: f"{TITLES.get(name, name)} (bundled)" for name in bundled_models()},
        **{name: f"{name} (classical)" for name in CLASSICAL_REFINERS},
    }


def model_text(path: str) -> str:
    """Return the text of a model file: its run, its name and its validation accuracy."""
    try:
        accuracy = read_model_metadata(path).scores.get("pixel accuracy")
    except C2FError:
        accuracy = None
    score = "" if accuracy is None else f", {100 * accuracy:.1f} %"
    return f"{name_with_run(path)}{score}"
