"""What to start from: weights of a bundled model, a run or a checkpoint; stage 1 for stage 2."""

from pathlib import Path
from typing import Any

from torch import Tensor

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import GeneratorConfig, Settings, TrainConfig
from c2f_core.errors import CheckpointError
from c2f_core.models.bundled import BUNDLED_FOLDER, bundled_models
from c2f_core.models.checkpoint import load_checkpoint
from c2f_core.models.metadata import read_metadata
from c2f_core.training.run_folder import STAGES, RunFolder


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
    _refuse_other_classes(source, metadata.class_table, class_table)
    differing = _differing(metadata.config.architecture, architecture)
    if differing:
        raise CheckpointError(
            f"The model {source} is another network ({differing}); choose these settings and its "
            "method, or start from random weights."
        )
    return generator.state_dict()


def load_stage1(folder: Path, config: TrainConfig, class_table: ClassTable) -> dict[str, Any]:
    """Read what stage 2 goes on from: generator and discriminator of stage 1, or of a stage 2.

    Parameters
    ----------
    folder : Path
        Run folder of stage 1, or of both stages in a row.
    config : TrainConfig
        Of stage 2.
    class_table : ClassTable
        Of the data of stage 2: names and order of the classes must be the same.

    Returns
    -------
    dict
        See `RunFolder.read_state`.

    Raises
    ------
    CheckpointError, ConfigError
        There is no such run, it was not validated yet, it trained no discriminator,
        or its networks, adversarial loss or classes are others.
    """
    stages = (RunFolder(folder / stage) for stage in reversed(STAGES))
    run = next((stage for stage in stages if stage.state.exists()), RunFolder(folder))
    state, was = run.read_state(), run.read_config()
    if was.method not in STAGES:
        raise CheckpointError(
            f"{folder} is a run of {was.method}, which trains no discriminator; choose a run of "
            "stage 1."
        )
    for settings, wanted in (
        (was.network, config.network),
        (was.discriminator, config.discriminator),
    ):
        differing = _differing(settings, wanted)
        if differing:
            raise CheckpointError(
                f"Stage 1 in {folder} has another network ({differing}); choose these settings."
            )
    if was.stage1.loss != config.stage1.loss:  # It says what the discriminator's logits mean.
        raise CheckpointError(
            f"Stage 1 in {folder} was trained with the adversarial loss {was.stage1.loss}; choose "
            "it as stage1.loss."
        )
    if not run.last.exists():
        raise CheckpointError(
            f"{folder} was stopped before its first validation; go on with it, or choose another."
        )
    _refuse_other_classes(str(folder), read_metadata(run.last).class_table, class_table)
    return state


def _differing(stored: Settings, wanted: Settings) -> str:
    """Name the settings that differ, with what is stored; empty where none does."""
    values, others = stored.model_dump(), wanted.model_dump()
    return ", ".join(f"{name} {value}" for name, value in values.items() if value != others[name])


def _refuse_other_classes(source: str, stored: ClassTable, wanted: ClassTable) -> None:
    if stored.names != wanted.names:
        raise CheckpointError(
            f"The model {source} knows the classes {', '.join(stored.names)}, the data have "
            f"{', '.join(wanted.names)}; choose a model of the same classes."
        )
