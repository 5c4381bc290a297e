"""What models' files are called: those of all runs are called alike, so runs tell them apart."""

from collections.abc import Sequence
from pathlib import Path

from c2f_core.bundled import is_model_file
from c2f_core.training.run_folder import STAGES


def name_with_run(file: str | Path) -> str:
    """Return the name of a model's file after that of the run that made it."""
    path = Path(file).absolute()
    run = path.parent.parent if path.parent.name in STAGES else path.parent
    return f"{run.name}: {path.stem}"


def distinct_names(models: Sequence[str]) -> list[str]:
    """Name models as shortly as tells them apart: by file, by run and file, or by whole path.

    Parameters
    ----------
    models : sequence of str
        Bundled models by name, or .safetensors files. One that is given twice has one name.
    """
    return [_shortest_name(model, set(models)) for model in models]


def _shortest_name(model: str, models: set[str]) -> str:
    if not is_model_file(model):
        return model
    for naming in (_stem, name_with_run):
        if [naming(other) for other in models].count(naming(model)) == 1:
            return naming(model)
    return model


def _stem(model: str) -> str:
    return Path(model).stem
