"""Advice for each phase of a run in which memory may be exhausted."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from c2f_core.config.settings import TrainConfig
from c2f_core.errors import C2FError, is_out_of_memory
from c2f_core.training.run_folder import RunFolder

FOR_DATA = "to hold all pairs; use fewer or smaller images, or close other programs"
FOR_STEPS = "for a step; choose a smaller batch_size or crop, or close other programs"
FOR_VALIDATION = (
    "for validation, which takes whole images; close other programs, choose device cpu if it is "
    "the GPU's memory, or cut the images of the validation pairs into smaller ones"
)
FOR_THE_REST = "for this run; close other programs, or choose device cpu if it is the GPU's memory"


@contextmanager
def memory_advice(config: TrainConfig, advice: str) -> Iterator[None]:
    """Turn exhausted memory into one sentence with advice.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run.
    advice : str
        What the memory is needed for, and what to do.

    Raises
    ------
    C2FError
        If memory is exhausted inside this block.
    """
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not is_out_of_memory(error):
            raise
        begun = RunFolder(config.run_folder).has_checkpoint
        intact = f" The last checkpoint in {config.run_folder} is intact." if begun else ""
        raise C2FError(f"There is not enough memory {advice}.{intact}") from error
