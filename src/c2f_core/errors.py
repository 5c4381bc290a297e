"""Errors shown to the user.

Every message is one clear sentence that says what is wrong and what to do.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class C2FError(Exception):
    """Base of all errors that a user can fix."""


class ClassTableError(C2FError):
    """A class table is invalid, or a map has values that are not in it."""


class DataError(C2FError):
    """A dataset or one of its files cannot be used."""


class WritingError(DataError):
    """A file cannot be written: the disk is full or not writable."""


class ChangedDataError(DataError):
    """The data of a run have changed since it began."""


class UnclearImageError(DataError):
    """A file covers several images, and it is unclear which one to use.

    Parameters
    ----------
    message : str
        Sentence for the user.
    images : iterable of str
        Names of the images to choose from.
    """

    def __init__(self, message: str, images: Iterable[str]) -> None:
        super().__init__(message)
        self.images = tuple(images)


class ImageError(C2FError):
    """An image has a shape or dtype that cannot be refined."""


class ConfigError(C2FError):
    """A configuration contradicts itself or the data."""


class CheckpointError(C2FError):
    """A checkpoint is of another program, damaged or does not match the data."""


class MissingPackageError(C2FError, ImportError):
    """A package is missing that no other package brings."""


class Cancelled(C2FError):
    """The user stopped the work before it was finished."""


def is_bad_path(error: BaseException) -> bool:
    """Return whether an error means that a text cannot be a path: it contains a NUL character."""
    return isinstance(error, ValueError) and "embedded null" in str(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory is exhausted, by its type or message."""
    texts = (
        *("out of memory", "can't allocate memory", "not enough memory", "bad_alloc"),
        # Raised by the CUDA libraries below torch.
        *("STATUS_ALLOC_FAILED", "Unable to find a valid cuDNN algorithm"),
        *("Insufficient memory", "Failed to allocate"),  # OpenCV
    )
    if isinstance(error, C2FError):
        return False  # It has a sentence already, which may quote such a text.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True  # The latter is torch's.
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return any(text in str(error) for text in texts)


@contextmanager
def enough_memory(kind: type[C2FError], message: str) -> Iterator[None]:
    """Raise an error with a sentence for the user if memory is exhausted inside this block.

    It is also a decorator of functions.

    Parameters
    ----------
    kind : type
        Type of the error.
    message : str
        Sentence for the user: what cannot be done, and what to do.

    Raises
    ------
    C2FError
        If memory is exhausted, as `kind`.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise kind(message) from error
