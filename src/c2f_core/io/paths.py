"""Paths that are stored in files, relative to those files."""

import os
from pathlib import Path


def relative_path(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with forward slashes.

    Symbolic links are resolved, so that each ".." leads where the system follows it. If the two
    are on different Windows drives, the absolute path is returned.

    Parameters
    ----------
    path : Path
        File or folder, which need not exist.
    folder : Path
        Folder that the path is relative to.
    """
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()
