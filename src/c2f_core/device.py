"""The device that torch computes on, its memory and what it can do."""

# Torch takes seconds to import: only the functions that need it do so.
from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psutil

from c2f_core.errors import ConfigError

if TYPE_CHECKING:
    import torch

GIB = 1 << 30


def choose_device(name: str) -> torch.device:
    """Turn "auto" into the best device there is, another name into that device.

    Raises
    ------
    ConfigError
        There is no such device.
    """
    import torch

    # torch knows more, which are not there or cannot refine.
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise ConfigError(f"There is no device '{name}'; choose auto, cpu, cuda, cuda:1 or mps.")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        # Builds of torch without CUDA answer with an AssertionError.
        raise ConfigError(
            f"The device '{name}' cannot be used here; choose auto or cpu."
        ) from error
    return device


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def describe_memory(device: str) -> str:
    """Say how much memory is in use.

    Parameters
    ----------
    device : str
        As torch names it: "cpu", "cuda:0", "mps".

    Returns
    -------
    str
        Of a CUDA device what all programs use together, otherwise what this
        program uses and what is free.
    """
    if device.startswith("cuda"):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        return f"{(total - free) / GIB:.1f} of {total / GIB:.1f} GiB in use"
    used = psutil.Process().memory_info().rss
    free = psutil.virtual_memory().available
    return f"this program uses {used / GIB:.1f} GiB, {free / GIB:.1f} GiB are free"


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout in which networks and their inputs are kept on a device.

    Channels last makes convolutions quicker on CPUs and GPUs. On Apple's GPUs the gradients
    of batch normalisation are wrong with it (pytorch issue 175189).
    """
    import torch

    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def computes_in_bfloat16(device: str) -> bool:
    """Tell whether a device has instructions for bfloat16; without them it is much slower."""
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return False
    # Versions of torch that do not know the processor's abilities compute in float32.
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
