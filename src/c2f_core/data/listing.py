"""Contents of a dataset, before any file is read."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import FilePairs, PairFiles
from c2f_core.errors import DataError

if TYPE_CHECKING:  # It takes long to import, and commands and widgets start without it.
    from c2f_core.data.simulation import Simulation


@dataclass(frozen=True)
class UnmatchedFiles:
    """Files of one kind whose partner is missing.

    Attributes
    ----------
    names : tuple of str
        File names without suffix, in order.
    kind, partner : str
        Kind of the files and of their missing partners, such as "image" and "coarse map".
    folder : Path
        Folder in which the partners are expected.
    """

    names: tuple[str, ...]
    kind: str
    partner: str
    folder: Path

    def message(self) -> str:
        """Return one sentence with the number of files, the first one, and what to do."""
        return (
            f"{len(self.names)} of the {self.kind}s have no {self.partner}, first "
            f"'{self.names[0]}'; add it to {self.folder} under the same name or remove the "
            f"{self.kind}."
        )

    def messages(self) -> list[str]:
        """Return one sentence for each file."""
        return [
            f"{name}: the {self.kind} has no {self.partner}; add it to {self.folder} under the "
            f"same name or remove the {self.kind}."
            for name in self.names
        ]


@dataclass(frozen=True)
class Listing:
    """Files of a dataset by name, before any of them is read.

    Attributes
    ----------
    files : list of PairFiles
        Complete pairs.
    unmatched : list of UnmatchedFiles
        Files without a partner.
    class_table : ClassTable
        Class table of the maps.
    blended : bool
        Whether class colours are blended at boundaries; see `decode_colours`.
    simulation : Simulation or None
        Simulation of missing coarse maps; see `FilePairs`.
    """

    files: list[PairFiles]
    unmatched: list[UnmatchedFiles]
    class_table: ClassTable
    blended: bool = False
    simulation: "Simulation | None" = None

    def pairs(self) -> FilePairs:
        """Open the complete pairs."""
        return FilePairs(self.files, self.class_table, self.blended, self.simulation)

    def complete_pairs(self) -> FilePairs:
        """Open the pairs, all of which must be complete.

        Raises
        ------
        DataError
            If a file has no partner.
        """
        if self.unmatched:
            raise DataError(self.unmatched[0].message())
        return self.pairs()


def unmatched_files(
    names: Collection[str], partners: Collection[str], kind: str, partner: str, folder: Path
) -> list[UnmatchedFiles]:
    """Return the files whose partner is missing.

    Parameters
    ----------
    names, partners : collection of str
        File names without suffix, of the files and of their possible partners.
    kind, partner, folder
        Attributes of `UnmatchedFiles`.

    Returns
    -------
    list of UnmatchedFiles
        One entry, or none if every name has a partner.
    """
    missing = tuple(name for name in names if name not in partners)
    return [UnmatchedFiles(missing, kind, partner, folder)] if missing else []
