"""Errors shown to the user.

Every message is one clear sentence that says what is wrong and what to do.
"""

from collections.abc import Iterable


class C2FError(Exception):
    """Base of all errors that a user can mend."""


class ClassTableError(C2FError):
    """A class table is invalid, or a map holds values outside it."""


class DataError(C2FError):
    """A dataset or one of its files cannot be used."""


class WritingError(DataError):
    """A file cannot be written: the disk is full or not writable."""


class UnclearImageError(DataError):
    """It is not clear which of the images of a file is meant.

    Parameters
    ----------
    message : str
    images : iterable of str
        The names to choose from.
    """

    def __init__(self, message: str, images: Iterable[str]) -> None:
        super().__init__(message)
        self.images = tuple(images)


class ImageError(C2FError):
    """An image has a shape or dtype that cannot be refined."""


class ConfigError(C2FError):
    """A configuration contradicts itself or the data."""


class CheckpointError(C2FError):
    """A checkpoint is foreign, damaged or does not fit."""


class Cancelled(C2FError):
    """The user asked to stop before the work was done."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell an exhausted memory from other errors; often only torch's text does."""
    texts = (
        *("out of memory", "can't allocate memory", "not enough memory"),
        # What the libraries below torch say when they get none of the GPU's.
        *("STATUS_ALLOC_FAILED", "Unable to find a valid cuDNN algorithm"),
        "Insufficient memory",  # OpenCV's.
    )
    kinds = ("MemoryError", "OutOfMemoryError")  # The latter is torch's, not imported here.
    return type(error).__name__ in kinds or any(text in str(error) for text in texts)
