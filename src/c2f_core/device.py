"""The device on which torch computes, its memory and its abilities."""

# Torch takes seconds to import, so only the functions that need it import it.
from __future__ import annotations

import ctypes
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from c2f_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

GIB = 1 << 30
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the settings of `mallopt`, see its manual page."""
LARGEST_MMAP_THRESHOLD = 32 << 20


def choose_device(name: str) -> torch.device:
    """Return a device by its name.

    Parameters
    ----------
    name : str
        "auto" for the best device available, or "cpu", "cuda", "cuda:1" and so on,
        or "mps".

    Raises
    ------
    ConfigError
        If the device does not exist or cannot be used.
    """
    import torch

    # torch accepts more names, of devices that do not exist or cannot refine.
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
        # Builds of torch without CUDA raise an AssertionError.
        raise ConfigError(
            f"The device '{name}' cannot be used here; choose auto or cpu."
        ) from error
    return device


def number_of_gpus() -> int:
    """Return the number of CUDA devices of this machine that torch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device in bytes."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory that is freed inside this block for what follows, and return it at the end.

    Otherwise, the C library of Linux returns the memory of a training step to the system and
    gets it again, page by page, in the next step, which takes 3 % of the time. With other systems
    and C libraries, nothing is changed.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    assert library is not None
    library.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
        library.malloc_trim(0)


def describe_memory(device: str) -> str:
    """Describe the memory use of a device for the user.

    Parameters
    ----------
    device : str
        Name of the device in torch: "cpu", "cuda:0" or "mps".

    Returns
    -------
    str
        Phrase with the memory that all programs use on a CUDA device, otherwise the
        memory that this program uses and the free memory.
    """
    if device.startswith("cuda"):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        return f"{(total - free) / GIB:.1f} of {total / GIB:.1f} GiB in use"
    used = psutil.Process().memory_info().rss
    free = psutil.virtual_memory().available
    return f"this program uses {used / GIB:.1f} GiB, {free / GIB:.1f} GiB are free"


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the memory layout of networks and their inputs on a device.

    Convolutions are quicker with channels last on CPUs and GPUs. On Apple GPUs it makes the
    gradients of batch normalisation wrong (pytorch issue 175189).
    """
    import torch

    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def computes_in_bfloat16(device: str) -> bool:
    """Return whether a device has instructions for bfloat16, without which it is much slower."""
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return False
    # If torch is too old to know the abilities of the processor, use float32.
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
