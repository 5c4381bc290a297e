"""Lock a folder, so that one process or thread at a time works in it."""

import sys
from pathlib import Path

from filelock import FileLock, Timeout

from c2f_core.errors import C2FError, is_bad_path


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
    except (OSError, ValueError) as cause:
        if isinstance(cause, OSError) or is_bad_path(cause):
            raise error(f"{unusable} ({cause}).") from cause
        raise
    return lock


def is_locked(folder: Path) -> bool:
    """Return whether a process or thread has locked a folder now; nothing is written.

    A folder that cannot be read counts as not locked.

    Parameters
    ----------
    folder : Path
        Folder that `lock_folder` locks.
    """
    try:
        return _is_held(folder / ".lock")
    except OSError:
        return False


if sys.platform == "win32":

    def _is_held(path: Path) -> bool:
        if not path.exists():
            return False
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        return False

else:
    import fcntl

    def _is_held(path: Path) -> bool:
        with path.open("rb") as opened:  # A lock file on a read-only disk, or of another user.
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
