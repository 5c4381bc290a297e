"""What a reader of files is, and the pair that all valid files are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from c2f_core.data.synthetic import SHAPES, synthetic_pair

SIDE = 24
PAIR = synthetic_pair(SIDE, 0)
MAP = SHAPES.to_labels(PAIR.coarse)


@dataclass(frozen=True)
class Reader:
    """One reader and its valid files.

    Attributes
    ----------
    build : callable
        Function that writes valid files into a folder.
    read : callable
        Function that reads what belongs to a file in such a folder.
    changes : callable
        Function that returns whether a file is changed; the others stay valid.
    writes : bool
        Whether reading changes files, so that they are written anew for each input.
    """

    build: Callable[[Path], None]
    read: Callable[[Path], object]
    changes: Callable[[Path], bool] = lambda path: True
    writes: bool = False


def root_of(path: Path, level: int) -> Path:
    """Return the folder at a level below the folder of the changed files."""
    return path.parents[len(path.parts) - path.parts.index("work") - 2 - level]
