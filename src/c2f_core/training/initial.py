"""What training starts from: a bundled model, a run or a checkpoint; for stage 2, stage 1."""

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
    """Return the checkpoint of a bundled model, a run folder or a file.

    Parameters
    ----------
    source : str
        Name of a bundled model, run folder or checkpoint file.

    Returns
    -------
    Path
        Checkpoint; whether a file exists is not checked.

    Raises
    ------
    CheckpointError
        If a folder does not contain a checkpoint.
    """
    if source in bundled_models():
        return BUNDLED_FOLDER / f"{source}.safetensors"
    path = Path(source)
    if not path.is_dir():
        return path
    best = RunFolder(path).best_model
    if best is None:
        raise CheckpointError(
            f"{path} contains no checkpoint of a model; choose a run that was validated."
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
        Shape of the network of the new run, which must be the same.
    class_table : ClassTable
        Class table of the new run; names and order of the classes must be the same.

    Returns
    -------
    dict of str to tensor
        Weights of the generator by name.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or its network or classes differ.
    """
    generator, metadata = load_checkpoint(checkpoint_of(source))
    _check_same_classes(source, metadata.class_table, class_table)
    differing = _differing(metadata.config.architecture, architecture)
    if differing:
        raise CheckpointError(
            f"The model {source} is another network ({differing}); choose these settings and its "
            "method, or start from random weights."
        )
    return generator.state_dict()


def load_stage1(folder: Path, config: TrainConfig, class_table: ClassTable) -> dict[str, Any]:
    """Read generator and discriminator that stage 2 starts from.

    Parameters
    ----------
    folder : Path
        Run folder of stage 1 or stage 2, or of both stages in a row.
    config : TrainConfig
        Config of the new stage 2.
    class_table : ClassTable
        Class table of the new stage 2; names and order of the classes must be the same.

    Returns
    -------
    dict
        State of the run, see `RunFolder.read_state`.

    Raises
    ------
    CheckpointError, ConfigError
        If there is no such run, it was not validated yet, it trained no discriminator,
        or its networks, adversarial loss or classes differ.
    """
    run = latest_stage(folder)
    state, started = run.read_state(), run.read_config()
    _check_same_networks_and_loss(folder, started, config)
    if not run.last.exists():
        raise CheckpointError(
            f"{folder} was stopped before its first validation; resume it, or choose another run."
        )
    _check_same_classes(str(folder), read_metadata(run.last).class_table, class_table)
    return state


def latest_stage(folder: Path) -> RunFolder:
    """Return the folder of the last stage that has a state, in a run of one or both stages."""
    stages = (RunFolder(folder / stage) for stage in reversed(STAGES))
    return next((stage for stage in stages if stage.state.exists()), RunFolder(folder))


def _check_same_networks_and_loss(folder: Path, started: TrainConfig, config: TrainConfig) -> None:
    """Check that a run trained the generator and the discriminator that stage 2 needs."""
    if started.method not in STAGES:
        raise CheckpointError(
            f"{folder} is a run of {started.method}, which trains no discriminator; choose a run "
            "of stage 1."
        )
    networks = _differing(started.network, config.network)
    discriminators = _differing(started.discriminator, config.discriminator)
    if networks or discriminators:
        raise CheckpointError(
            f"Stage 1 in {folder} has another network ({networks or discriminators}); choose "
            "these settings."
        )
    if started.stage1.loss != config.stage1.loss:  # It decides what the logits mean.
        raise CheckpointError(
            f"Stage 1 in {folder} was trained with the adversarial loss {started.stage1.loss}; "
            "choose it as stage1.loss."
        )


def _differing(stored: Settings, wanted: Settings) -> str:
    """List the stored settings that differ from the wanted ones; empty if none does."""
    values, others = stored.model_dump(), wanted.model_dump()
    return ", ".join(f"{name} {value}" for name, value in values.items() if value != others[name])


def _check_same_classes(source: str, stored: ClassTable, wanted: ClassTable) -> None:
    if stored.names != wanted.names:
        raise CheckpointError(
            f"The model {source} has the classes {', '.join(stored.names)}, the data have "
            f"{', '.join(wanted.names)}; choose a model of the same classes."
        )
