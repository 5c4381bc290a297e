"""How many processes a run has, and which of them this is."""

from typing import TYPE_CHECKING

from c2f_core.config.settings import TrainConfig
from c2f_core.device import number_of_gpus
from c2f_core.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment


def processes_per_node(config: TrainConfig) -> int:
    """Return the number of processes of a run on this machine.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run, of which `devices` and `device` matter.

    Returns
    -------
    int
        `devices`; if that is None, the number of GPUs, or 1 where the run does not use them.
    """
    if config.devices is not None:
        return config.devices
    return max(1, number_of_gpus()) if config.device in ("auto", "cuda") else 1


def launched_processes() -> int:
    """Return the number of processes that torchrun, srun or `launch` started, else 1."""
    launcher = _launcher()
    return launcher.world_size() if launcher else 1


def is_first_process() -> bool:
    """Return whether this is the process that writes the files of its run."""
    launcher = _launcher()
    return launcher is None or launcher.global_rank() == 0


def _launcher() -> "ClusterEnvironment | None":
    """Return what started this process as one of several, or None."""
    # Imported lazily: Lightning takes seconds.
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    return SLURMEnvironment() if SLURMEnvironment.detect() else None


def check_processes(config: TrainConfig) -> None:
    """Check that the processes of a run are there, or can be started.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run.

    Raises
    ------
    ConfigError
        If another number of processes was launched, several nodes were not launched at all,
        or there are not enough GPUs.
    """
    devices, launched = processes_per_node(config), launched_processes()
    if launched > 1 and launched != devices * config.nodes:
        raise ConfigError(
            f"{launched} processes were launched, but devices x nodes is {devices} x "
            f"{config.nodes}; give the number of processes on each node as --devices, and the "
            "number of nodes as --nodes."
        )
    if launched == 1 and config.nodes > 1:
        raise ConfigError(
            f"A run on {config.nodes} nodes has to be started on each of them by torchrun or srun; "
            "the page on training shows how."
        )
    gpus = number_of_gpus()
    if devices > max(1, gpus) and (config.device == "cuda" or (config.device == "auto" and gpus)):
        raise ConfigError(
            f"{devices} devices are asked for, but torch finds {gpus} GPUs on this machine; choose "
            "fewer devices, or device cpu."
        )
