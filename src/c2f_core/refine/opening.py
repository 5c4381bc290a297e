"""Opening of refiners by name or file."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from c2f_core.classes.table import ClassTable
from c2f_core.errors import CheckpointError
from c2f_core.models.bundled import bundled_models, is_model_file
from c2f_core.refine.interface import RefinerInterface

if TYPE_CHECKING:
    from c2f_core.refine.learned import Refiner


def open_refiner(
    model: str,
    find_table: Callable[[], ClassTable],
    device: str = "auto",
    *,
    average_flips: bool = False,
) -> RefinerInterface:
    """Open a refiner by its name or file.

    Parameters
    ----------
    model : str
        Name of a classical refiner or of a bundled model, or path of a .safetensors
        file.
    find_table : callable
        Returns the class table of a classical refiner; trained models have their own.
    device : {"auto", "cpu", "cuda", "mps"}
        Device on which trained models compute.
    average_flips : bool
        Whether a trained model averages its output over the image and its mirror
        image; see `Refiner`.

    Returns
    -------
    RefinerInterface

    Raises
    ------
    CheckpointError
        If there is no such refiner, or its file is missing, damaged or not a
        checkpoint.
    ConfigError
        If the device does not exist.
    """
    # Imported here because it takes seconds: widgets and projects open without it.
    from c2f_core.refine.classical import CLASSICAL_REFINERS

    if model in CLASSICAL_REFINERS:
        return CLASSICAL_REFINERS[model](find_table())
    if not is_model_file(model) and model not in bundled_models():
        names = ", ".join((*bundled_models(), *CLASSICAL_REFINERS))
        raise CheckpointError(
            f"There is no model '{model}'; choose one of {names}, or give a .safetensors file."
        )
    return open_trained(model, device, average_flips=average_flips)


def open_trained(model: str, device: str = "auto", *, average_flips: bool = False) -> "Refiner":
    """Open a trained model by its name or file.

    Parameters
    ----------
    model : str
        Name of a bundled model, or path of a .safetensors file.
    device : {"auto", "cpu", "cuda", "mps"}
        Device on which the model computes.
    average_flips : bool
        Whether to average the output over the image and its mirror image; see
        `Refiner`.

    Returns
    -------
    Refiner

    Raises
    ------
    CheckpointError
        If there is no such model, or its file is missing, damaged or not a
        checkpoint.
    ConfigError
        If the device does not exist.
    """
    from c2f_core.refine.learned import Refiner

    load = Refiner.load if is_model_file(model) else Refiner.bundled
    return load(model, device, average_flips=average_flips)
