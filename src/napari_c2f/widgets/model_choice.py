"""Lists of models, and what the user reads of each model."""

from collections.abc import Callable, Mapping

from qtpy.compat import isalive
from qtpy.QtWidgets import QLabel, QSizePolicy

from c2f_core.errors import C2FError
from c2f_core.models.bundled import bundled_for_any_classes, bundled_models, is_model_file
from c2f_core.models.metadata import CheckpointMetadata, read_model_metadata
from c2f_core.models.package import DESCRIPTIONS
from c2f_core.refine.classical import CLASSICAL_REFINERS
from c2f_core.refine.fitting import INSTANT
from c2f_core.training.catalogue import name_with_run
from napari_c2f.base.settings import RECENT_MODELS
from napari_c2f.widgets.choices import FileChoice, title_of

MODEL_FILES = f"Models (*.safetensors *.onnx *.zip {' '.join(DESCRIPTIONS)})"
KNOWLEDGE = {
    "fasseg": "six classes of frontal faces (FASSEG)",
    "any": "learned on many kinds of images; takes your class table",
    INSTANT: "no training; learns from your coarse map",
    "watershed": "baseline; fills up to edges from the cores of what you drew",
    "random walker": "baseline; spreads the cores of what you drew up to edges",
}
"""What each refiner knows that is not a file, by name."""


class RefinerList(FileChoice):
    """A list of refiners to which the user can add model files; tool tips say what each knows.

    Parameters
    ----------
    texts : mapping of str to str
        Text of each entry that is not a file, by value.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(texts, MODEL_FILES, model_text)
        for name in texts:
            if name in KNOWLEDGE:
                self.set_tip(name, f"{title_of(name)} - {KNOWLEDGE[name]}")

    def add(self, path: str) -> None:
        """Add a model file to the list, or update its text; the choice is unchanged."""
        super().add(path)
        self.set_tip(path, f"{path}\n{knowledge_of(path)}")


class ModelChoice(RefinerList):
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
        super().__init__(texts)
        self._accepts = accepts
        for path in reversed(RECENT_MODELS.paths()):
            self._add_recent(path)
        RECENT_MODELS.remembered.connect(self._add_recent)

    def _add_recent(self, path: str) -> None:
        if isalive(self) and self._accepts(path):
            self.add(path)


class KnowledgeLine(QLabel):
    """A line that says what the chosen model of a list knows.

    Parameters
    ----------
    choice : RefinerList
        The list.
    """

    def __init__(self, choice: RefinerList) -> None:
        super().__init__()
        self._choice = choice
        self.setWordWrap(True)
        # A path has no place to break the line; it must not widen the dock.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setToolTip("What the model knows")
        choice.changed.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the line of the chosen model."""
        knowledge = knowledge_of(self._choice.value())
        self.setText(knowledge[:1].upper() + knowledge[1:])


def known_models() -> dict[str, str]:
    """Return the text of each bundled, instant or classical refiner, by its name."""
    general = bundled_for_any_classes()
    bundled = [name for name in bundled_models() if name not in general]
    return {
        **{name: title_of(name) for name in (*bundled, *general, INSTANT)},
        **{name: f"{title_of(name)} (baseline)" for name in CLASSICAL_REFINERS},
    }


def knowledge_of(model: str) -> str:
    """Return what a refiner knows, in one line: of a model file, its classes.

    Parameters
    ----------
    model : str
        Name of a refiner, or path of a model file.
    """
    if not is_model_file(model):
        return KNOWLEDGE.get(model, "")
    try:
        metadata = read_model_metadata(model)
    except C2FError as error:
        return str(error)
    if isinstance(metadata, CheckpointMetadata):
        return f"knows {', '.join(metadata.class_table.names)}"
    return "takes your class table"


def model_text(path: str) -> str:
    """Return the text of a model file: its run, its name and its validation accuracy."""
    try:
        accuracy = read_model_metadata(path).scores.get("pixel accuracy")
    except C2FError:
        accuracy = None
    score = "" if accuracy is None else f", {100 * accuracy:.1f} %"
    return f"{name_with_run(path)}{score}"
