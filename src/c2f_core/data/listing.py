"""What a dataset holds, before any file is read."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import FilePairs, PairFiles
from c2f_core.errors import DataError


@dataclass(frozen=True)
class UnmatchedFiles:
    """Files of one kind whose partner lacks.

    Attributes
    ----------
    names : tuple of str
        Without ending, in order.
    kind, partner : str
        As in "image" and "coarse map".
    folder : Path
        Where the partners belong.
    """

    names: tuple[str, ...]
    kind: str
    partner: str
    folder: Path

    def message(self) -> str:
        """Say in a sentence how many there are, which is the first, and what to do."""
        return (
            f"{len(self.names)} of the {self.kind}s have no {self.partner}, first "
            f"'{self.names[0]}'; add it to {self.folder} under the same name or take the "
            f"{self.kind} away."
        )

    def messages(self) -> list[str]:
        """Say it for each file."""
        return [
            f"{name}: the {self.kind} has no {self.partner}; add it to {self.folder} under the "
            f"same name or take the {self.kind} away."
            for name in self.names
        ]


@dataclass(frozen=True)
class Listing:
    """Files of a dataset by name, before any of them is read.

    Attributes
    ----------
    files : list of PairFiles
        Whole pairs.
    lonely : list of UnmatchedFiles
        What has no partner.
    class_table : ClassTable
    blended : bool
        See `ClassTable.decode_colours`.
    positions : (256,) int16 array or None
        See `FilePairs`.
    """

    files: list[PairFiles]
    lonely: list[UnmatchedFiles]
    class_table: ClassTable
    blended: bool = False
    positions: NDArray[np.int16] | None = None

    def pairs(self) -> FilePairs:
        """Open the whole pairs."""
        return FilePairs(self.files, self.class_table, self.blended, self.positions)

    def complete_pairs(self) -> FilePairs:
        """Open the pairs.

        Raises
        ------
        DataError
            A file has no partner.
        """
        if self.lonely:
            raise DataError(self.lonely[0].message())
        return self.pairs()


def unmatched_files(
    names: Collection[str], partners: Collection[str], kind: str, partner: str, folder: Path
) -> list[UnmatchedFiles]:
    """Find the names that have no partner; `folder` is where the partners belong."""
    missing = tuple(name for name in names if name not in partners)
    return [UnmatchedFiles(missing, kind, partner, folder)] if missing else []
