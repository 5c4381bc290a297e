"""Lock a folder, so that one process or thread at a time works in it."""

from pathlib import Path

from filelock import FileLock, Timeout

from c2f_core.errors import C2FError


def lock_folder(folder: Path, error: type[C2FError], *, in_use: str, unusable: str) -> FileLock:
    """Lock a folder, which is created if it is missing; the lock ends with the process.

    Parameters
    ----------
    folder : Path
        Folder to lock; a file `.lock` is written into it.
    error : type of C2FError
        Class of the exception that is raised.
    in_use : str
        Message for the user if the folder is locked already.
    unusable : str
        Message for the user, without the full stop, if the folder cannot be created or locked;
        the reason is appended.

    Returns
    -------
    FileLock
        Acquired lock, which any thread may release.

    Raises
    ------
    C2FError
        If the folder is locked already, cannot be created or cannot be locked.
    """
    # A generator that holds the lock may end in another thread than it began in.
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as timeout:
        raise error(in_use) from timeout
    except OSError as cause:
        raise error(f"{unusable} ({cause}).") from cause
    return lock
