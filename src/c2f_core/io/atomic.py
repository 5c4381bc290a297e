"""Write files completely or not at all, and delete what a killed process left behind."""

import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from c2f_core.errors import WritingError

PREFIX = ".c2f-unfinished-"
UNFINISHED = re.compile(
    re.escape(PREFIX)
    + r"(?P<name>[0-9a-f]{16})-((?P<process>[1-9a-f][0-9a-f]{0,6})-)?[0-9a-z_]{8}(\.\w{1,15})?"
)
"""Names of temporary files: the hash of the name of the file to write, the number of the process
that writes it, and random letters."""
LONGEST_WORK = 24 * 60 * 60
"""Seconds after which no process still writes a file; its number may be that of a later one."""
ADVICE = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "create its folder again, or choose another",
    errno.ENOTDIR: "choose another folder",
    errno.EISDIR: "choose another name, as a folder has this one",
    errno.EACCES: "check the permissions of its folder, or choose another folder",
    errno.EPERM: "check the permissions of its folder, or choose another folder",
    errno.EINVAL: "choose a name without special characters",
    errno.EROFS: "choose a folder that is not read-only",
}
"""What to do if a file cannot be written, by the number of the error."""
IN_USE = (32, 33)
"""Numbers of Windows' errors for files that another program has open or has locked."""


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
    if UNFINISHED.fullmatch(path.name):  # It is a temporary file already, which is moved later.
        yield path
        return
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary path for each file; on success, together they replace the files.

    After an error, all files are the old ones. If the process is killed while the files are
    replaced, the first is the old or the new one, and the others are new or missing: a file that
    describes the first one, such as its sidecar, never stands next to another version of it.

    Parameters
    ----------
    *paths : str or Path
        Files to write, all different.

    Yields
    ------
    tuple of Path
        Temporary files, each with the suffix of its path and in the folder of its path.

    Raises
    ------
    WritingError
        If a folder does not exist or is not writable, or the disk is full.
    """
    targets = [Path(path) for path in paths]
    with ExitStack() as stack:
        temporaries = tuple(stack.enter_context(_temporary(path)) for path in targets)
        yield temporaries
        for temporary, path in zip(temporaries, targets, strict=True):
            with _describing_errors(path):
                _finish(temporary)
        _replace(temporaries, targets)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a new file that is deleted at the end, unless it has been moved."""
    with _describing_errors(path):
        temporary = _new_file(path)
    try:
        with _describing_errors(path):
            yield temporary
    finally:
        with suppress(OSError):  # It is deleted later, see `delete_unfinished`.
            temporary.unlink(missing_ok=True)


@contextmanager
def _describing_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> WritingError:
    advice = ADVICE.get(error.errno or 0, "free some space or choose another folder")
    if getattr(error, "winerror", None) in IN_USE:
        advice = "close it in other programs, or choose another name"
    return WritingError(
        f"{path} cannot be written ({error.strerror or error}); {advice}. An older file of this "
        "name is unchanged."
    )


def _new_file(path: Path) -> Path:
    """Create an empty temporary file; its name is short, however long that of the file is."""
    suffix = path.suffix if re.fullmatch(r"\.\w{1,15}", path.suffix) else ""
    prefix = f"{PREFIX}{_hash_of_name(path)}-{os.getpid():x}-"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
    os.close(handle)
    return Path(name)


def _hash_of_name(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]


def _finish(temporary: Path) -> None:
    """Flush a temporary file to disk, and give it the usual permissions."""
    with temporary.open("rb+") as written:  # Windows flushes only writable files.
        os.fsync(written.fileno())
    temporary.chmod(0o666 & ~_umask())


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _replace(temporaries: Sequence[Path], paths: Sequence[Path]) -> None:
    """Move the temporary files to their paths; after an error, put the old files back."""
    with ExitStack() as backups, ExitStack() as undo:
        if len(paths) > 1:
            for path in paths:
                _prepare_undo(path, undo, backups)
            for path in reversed(paths[1:]):  # They describe the first one.
                with _describing_errors(path):
                    path.unlink(missing_ok=True)
        for temporary, path in zip(temporaries, paths, strict=True):
            with _describing_errors(path):
                temporary.replace(path)
        undo.pop_all()


def _prepare_undo(path: Path, undo: ExitStack, backups: ExitStack) -> None:
    """Keep a second copy of a file until `backups` ends; `undo` moves it to its path."""
    if not os.path.lexists(path):
        undo.callback(path.unlink, missing_ok=True)
        return
    backup = backups.enter_context(_temporary(path))
    with _describing_errors(path):
        backup.unlink()
        try:
            os.link(path, backup, follow_symlinks=False)
        except (OSError, NotImplementedError):  # There are no hard links to files or to links.
            shutil.copy2(path, backup, follow_symlinks=False)
    undo.callback(backup.replace, path)


def unfinished_files(folder: Path, *paths: Path) -> list[Path]:
    """Return the temporary files in a folder that `atomic_path` did not finish.

    Only regular files count, not links or folders, and only names that no other program gives.
    Files that another process is still writing do not count.

    Parameters
    ----------
    folder : Path
        Folder to search; its subfolders are not searched. Nothing is found through a link.
    *paths : Path
        Files that were to be written; by default any.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    if folder.is_symlink() or not folder.is_dir():
        return []
    wanted = {_hash_of_name(path) for path in paths}
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = UNFINISHED.fullmatch(entry.name)
            if match is None or (paths and match["name"] not in wanted):
                continue
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and not _is_written(match["process"], status.st_mtime):
                found.append(Path(entry.path))
    return found


def _is_written(process: str | None, changed: float) -> bool:
    """Return whether another process, of this hexadecimal number, still writes a file."""
    number = int(process or "0", 16)
    # Windows does not tell, but deletes no open file either.
    if number in (0, os.getpid()) or sys.platform == "win32":
        return False
    if abs(time.time() - changed) > LONGEST_WORK:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is the process of another user.
        return True
    return True


def delete_unfinished(folder: Path, *paths: Path) -> None:
    """Delete the temporary files that a killed process left in a folder.

    See `unfinished_files` for the parameters.

    Raises
    ------
    WritingError
        If the folder cannot be read, or a file cannot be deleted.
    """
    try:
        for path in unfinished_files(folder, *paths):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise WritingError(
            f"The folder {folder} cannot be cleaned of unfinished files "
            f"({error.strerror or error}); check its permissions."
        ) from error
