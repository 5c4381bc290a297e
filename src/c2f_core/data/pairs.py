"""Pairs of image and coarse map, with or without a fine map."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.report import DecodeReport, IdReport, MapReport, uses_other_table
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.maps import read_image, read_map, read_map_pixels


@dataclass(frozen=True)
class Pair:
    """One image with its maps.

    Attributes
    ----------
    name : str
    image : (Y, X, 3) uint8 array
    coarse : (Y, X) uint8 array
        Positions in the class table, 255 where unlabelled.
    fine : (Y, X) uint8 array or None
        As `coarse`; None where there is no fine map.
    """

    name: str
    image: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    fine: NDArray[np.uint8] | None

    def __post_init__(self) -> None:
        for kind, positions in (("coarse", self.coarse), ("fine", self.fine)):
            if positions is not None and positions.shape != self.image.shape[:2]:
                raise DataError(
                    f"{self.name}: the image is {self.image.shape[:2]} and its {kind} map "
                    f"{positions.shape} pixels (rows, columns); export both at one size."
                )

    @property
    def has_labels(self) -> bool:
        """Whether there is a fine map in which a pixel is labelled: something to learn or score."""
        return self.fine is not None and bool((self.fine != UNLABELLED_ID).any())


@dataclass(frozen=True)
class PairFiles:
    """Files of one pair; `fine` is None where there is no fine map."""

    name: str
    image: Path
    coarse: Path
    fine: Path | None


class PairSource(Protocol):
    """Named pairs of one class table, in order."""

    @property
    def class_table(self) -> ClassTable:
        """Class table of all maps."""

    @property
    def names(self) -> list[str]:
        """Names of the pairs."""

    def __len__(self) -> int:
        """Return the number of pairs."""

    def __getitem__(self, index: int) -> Pair:
        """Read one pair."""

    def __iter__(self) -> Iterator[Pair]:
        """Read all pairs in order."""

    def subset(self, names: Sequence[str]) -> "PairSource":
        """Return the pairs of these names, in this order."""


class FilePairs:
    """Pairs read from files when they are asked for.

    Parameters
    ----------
    files : sequence of PairFiles
    class_table : ClassTable
    blended : bool
        See `ClassTable.decode_colours`.
    positions : (256,) int16 array, optional
        Position in the class table by value, where the maps hold ids of their own
        instead of indices of the table; -1 where there is no such id.
    """

    def __init__(
        self,
        files: Sequence[PairFiles],
        class_table: ClassTable,
        blended: bool = False,
        positions: NDArray[np.int16] | None = None,
    ) -> None:
        self._files = list(files)
        self._class_table = class_table
        self._blended = blended
        self._positions = positions
        self.blended_reports: dict[Path, DecodeReport] = {}
        """Of the maps read so far, by file, those whose blended boundaries raise no doubt."""
        self.reports: dict[Path, MapReport] = {}
        """What reading met in the maps read so far, by file, where not all was clean."""

    @property
    def class_table(self) -> ClassTable:
        """Class table of all maps."""
        return self._class_table

    @property
    def names(self) -> list[str]:
        """Names of the pairs."""
        return [files.name for files in self._files]

    @property
    def names_with_fine(self) -> list[str]:
        """Names of the pairs that have a fine map."""
        return [files.name for files in self._files if files.fine is not None]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Pair:
        """Read one pair.

        Raises
        ------
        DataError
            A file cannot be read, holds unknown classes or sizes differ.
        """
        files = self._files[index]
        fine = None if files.fine is None else self._read_positions(files.fine, files.image)
        return Pair(
            name=files.name,
            image=as_rgb8(read_image(files.image)),
            coarse=self._read_positions(files.coarse, files.image),
            fine=fine,
        )

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def subset(self, names: Sequence[str]) -> "FilePairs":
        """Return the pairs of these names, in this order.

        Raises
        ------
        DataError
            A name is not in the dataset.
        """
        by_name = {files.name: files for files in self._files}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DataError(
                f"{len(missing)} pairs of the split are not in the data, first '{missing[0]}'; "
                "check that split and data folder belong together."
            )
        return self._part([by_name[name] for name in names])

    def only(self, index: int) -> "FilePairs":
        """Return one pair, without looking at the others."""
        return self._part([self._files[index]])

    def _part(self, files: Sequence[PairFiles]) -> "FilePairs":
        chosen = FilePairs(files, self._class_table, self._blended, self._positions)
        chosen.blended_reports = self.blended_reports
        chosen.reports = self.reports  # Whoever holds the whole learns what its parts met.
        return chosen

    def doubts(self) -> list[str]:
        """Say in one sentence per map of these pairs read so far what was not clean in it."""
        return [_told(path, report) for path, report in self._own_reports().items()]

    def told_of_blending(self) -> str:
        """Say how many pixels at blended boundaries became the nearest class; empty if none."""
        if not self.blended_reports:
            return ""
        total = sum(report.outside for report in self.blended_reports.values())
        path, worst = max(
            self.blended_reports.items(), key=lambda item: item[1].outside / item[1].pixels
        )
        return (
            f"Blended boundaries: {total} pixels of {len(self.blended_reports)} maps have a colour "
            "that is no class colour and were read as the nearest class, the largest share in "
            f"{path.parent.parent.name}/{path.parent.name}/{path.name} ({worst.outside} of "
            f"{worst.pixels})."
        )

    def doubt_about_fine(self, name: str) -> str:
        """Say what was not clean in the fine map of a pair, as in `doubts`; empty if nothing."""
        paths = [files.fine for files in self._files if files.name == name]
        return "".join(_told(path, self.reports[path]) for path in paths if path in self.reports)

    def refuse_foreign(self) -> None:
        """Refuse maps that have hardly a colour of the class table, of those read so far.

        Raises
        ------
        DataError
            A map was drawn with another class table.
        """
        for path, report in self._own_reports().items():
            if uses_other_table(report):
                raise DataError(_told(path, report))

    def _own_reports(self) -> dict[Path, MapReport]:
        """Those of the reports that are of these pairs, not of the whole that they are part of."""
        paths = [path for files in self._files for path in (files.coarse, files.fine)]
        return {path: self.reports[path] for path in paths if path in self.reports}

    def _read_positions(self, path: Path, image: Path) -> NDArray[np.uint8]:
        if self._positions is not None:
            found, ids_report = _look_up(path, self._positions)
            if ids_report is not None:
                self.reports[path] = ids_report
            return found
        try:
            index_map, report = read_map(
                path, self._class_table, image=image, blended=self._blended
            )
        except C2FError as error:
            raise DataError(f"{path}: {error}") from error
        if report.message():
            self.reports[path] = report
        elif isinstance(report, DecodeReport) and report.outside:
            self.blended_reports[path] = report
        return self._class_table.to_class_ids(index_map)


def _told(path: Path, report: MapReport) -> str:
    return f"{path.parent.name}/{path.name}: {report.message()}"


def _look_up(path: Path, positions: NDArray[np.int16]) -> tuple[NDArray[np.uint8], IdReport | None]:
    """Return positions by id, and what was met where some ids do not exist."""
    ids = read_map_pixels(path)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise DataError(f"{path} holds no ids (Y, X) of 8 bits; take the file of the data set.")
    found = positions[ids]
    unknown = found < 0
    if not unknown.any():
        return found.astype(np.uint8), None
    found[unknown] = UNLABELLED_ID
    values = tuple(np.unique(ids[unknown]).tolist())
    row, column = divmod(int(unknown.argmax()), ids.shape[1])
    report = IdReport(values, int(unknown.sum()), (row, column), ids.size)
    return found.astype(np.uint8), report


def fingerprint(pairs: Sequence[Pair]) -> str:
    """Hash names and pixels of pairs, so that a checkpoint names its data.

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.name.encode())
        for array in (pair.image, pair.coarse, pair.fine):
            if array is not None:
                digest.update(repr(array.shape).encode())
                digest.update(array.tobytes())
    return digest.hexdigest()
