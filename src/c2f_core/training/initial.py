"""Weights to start from: a bundled model, a run or a checkpoint."""

from pathlib import Path

from torch import Tensor

from c2f_core.bundled import BUNDLED_FOLDER, bundled_models
from c2f_core.classes import ClassTable
from c2f_core.config import GeneratorConfig
from c2f_core.errors import CheckpointError
from c2f_core.training.checkpoint import load_checkpoint
from c2f_core.training.run_folder import RunFolder


def checkpoint_of(source: str) -> Path:
    """Find the checkpoint of a bundled model, of a run folder, or a file.

    Raises
    ------
    CheckpointError
        The folder holds no checkpoint.
    """
    if source in bundled_models():
        return BUNDLED_FOLDER / f"{source}.safetensors"
    path = Path(source)
    if not path.is_dir():
        return path
    best = RunFolder(path).best_model
    if best is None:
        raise CheckpointError(
            f"{path} holds no checkpoint to start from; choose a run that was validated, or start "
            "from random weights."
        )
    return best


def load_initial_weights(
    source: str, architecture: GeneratorConfig, class_table: ClassTable
) -> dict[str, Tensor]:
    """Read the weights to start from.

    Parameters
    ----------
    source : str
        Name of a bundled model, run folder or checkpoint file.
    architecture : GeneratorConfig
    class_table : ClassTable
        Of the run that starts: names and order of the classes must be the same.

    Returns
    -------
    dict of tensors
        The generator's weights by name.

    Raises
    ------
    CheckpointError
        There is no such checkpoint, or its network or classes are others.
    """
    generator, metadata = load_checkpoint(checkpoint_of(source))
    if metadata.class_table.names != class_table.names:
        raise CheckpointError(
            f"The model {source} knows the classes {', '.join(metadata.class_table.names)}, the "
            f"data have {', '.join(class_table.names)}; start from random weights, or choose a "
            "model of the same classes."
        )
    stored, wanted = metadata.architecture.model_dump(), architecture.model_dump()
    differing = {name: stored[name] for name in stored if stored[name] != wanted[name]}
    if differing:
        settings = ", ".join(f"{name} {value}" for name, value in differing.items())
        raise CheckpointError(
            f"The model {source} is another network ({settings}); choose these settings and its "
            "method, or start from random weights."
        )
    return generator.state_dict()
