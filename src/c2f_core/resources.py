"""What a computation takes of the machine."""

import psutil

GIB = 1 << 30


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
        import torch  # Whoever asks about a GPU has imported it already.

        free, total = torch.cuda.mem_get_info(device)
        return f"{(total - free) / GIB:.1f} of {total / GIB:.1f} GiB in use"
    used = psutil.Process().memory_info().rss
    free = psutil.virtual_memory().available
    return f"this program uses {used / GIB:.1f} GiB, {free / GIB:.1f} GiB are free"
