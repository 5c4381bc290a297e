"""The engine of a run: Lightning Fabric on the chosen device and in the chosen precision."""

from typing import TYPE_CHECKING

import torch

from c2f_core.config import TrainConfig
from c2f_core.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def computes_in_bfloat16(device: str) -> bool:
    """Tell whether a device has instructions for bfloat16; without them it is much slower."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return False
    # Versions of torch that do not know the processor's abilities compute in float32.
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def make_fabric(config: TrainConfig) -> "Fabric":
    """Make the engine: one device, and the precision.

    Raises
    ------
    ConfigError
        The device is not there.
    """
    # Lightning takes seconds to import; only who trains pays for it.
    from lightning_fabric import Fabric

    half = config.precision == "bfloat16" or (
        config.precision == "auto" and computes_in_bfloat16(config.device)
    )
    try:
        return Fabric(
            accelerator=config.device,
            devices=1,
            precision="bf16-mixed" if half else "32-true",
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The device '{config.device}' cannot be used ({error}); choose device auto or cpu."
        ) from error
    except Exception as error:
        # Lightning's MisconfigurationException derives from Exception alone.
        if type(error).__name__ != "MisconfigurationException":
            raise
        raise ConfigError(
            f"The device '{config.device}' is not there ({error}); choose device auto or cpu."
        ) from error
