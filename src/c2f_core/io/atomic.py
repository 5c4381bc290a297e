"""Write files completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from c2f_core.errors import WritingError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which replaces `path` on success.

    The file at `path` is complete at any time: the old one until the end, then the
    new one. After an error the temporary file is deleted.

    Parameters
    ----------
    path : str or Path
        File to write.

    Yields
    ------
    Path
        Temporary file with the suffix of `path`.

    Raises
    ------
    WritingError
        If the folder does not exist or is not writable, or the disk is full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
    except OSError as error:
        raise _cannot_write(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:  # Windows flushes only writable files.
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> WritingError:
    return WritingError(
        f"{path} cannot be written ({error.strerror or error}); free some space or choose another "
        "folder. An older file of this name is unchanged."
    )


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
