"""Pairs of an image and its coarse map, with or without a fine map."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.report import (
    DecodeReport,
    MapReport,
    OneClassReport,
    one_class_report,
    uses_other_table,
)
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.geometry.arrays import displacement
from c2f_core.io.images import check_frame, read_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.maps import read_map

if TYPE_CHECKING:  # It takes long to import, and commands and widgets start without it.
    from c2f_core.data.simulation import Simulation

SomeReport = TypeVar("SomeReport", bound=MapReport)


@dataclass(frozen=True)
class Pair:
    """One image with its maps.

    Attributes
    ----------
    name : str
        Name of the pair in its dataset.
    image : (Y, X, 3) uint8 array
        RGB image.
    coarse : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    fine : (Y, X) uint8 array or None
        Class ids, 255 where unlabelled; None if there is no fine map.
    is_simulated : bool
        Whether the coarse map was simulated from the fine one.

    Raises
    ------
    DataError
        If the image and its maps differ in size.
    """

    name: str
    image: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    fine: NDArray[np.uint8] | None
    is_simulated: bool = False

    def __post_init__(self) -> None:
        for kind, class_ids in (("coarse", self.coarse), ("fine", self.fine)):
            if class_ids is not None and class_ids.shape != self.image.shape[:2]:
                raise DataError(
                    f"{self.name}: the image has {self.image.shape[:2]} and its {kind} map "
                    f"{class_ids.shape} pixels (rows, columns); export both at the same size."
                )

    @property
    def has_labels(self) -> bool:
        """Whether there is a fine map with a labelled pixel, to train on or to score with."""
        return self.fine is not None and bool((self.fine != UNLABELLED_ID).any())


@dataclass(frozen=True)
class PairFiles:
    """Files of one pair; a map that is missing is None, but never both of them."""

    name: str
    image: Path
    coarse: Path | None
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
    """Pairs that are read from their files on access.

    Parameters
    ----------
    files : sequence of PairFiles
        Files of each pair.
    class_table : ClassTable
        Class table of all maps.
    blended : bool
        Whether class colours are blended at boundaries; see `decode_colours`.
    simulation : Simulation, optional
        Simulation of the coarse maps that are missing; the same pair always gets the same map.

    Attributes
    ----------
    reports : dict of Path to MapReport
        Reports of the maps read so far that deserve a warning, by file.
    blended_reports : dict of Path to DecodeReport
        Reports of the maps read so far that only have blended boundaries, by file.
    one_class_reports : dict of Path to OneClassReport
        Reports of the maps read so far that have one class only, or none, by file.
    """

    def __init__(
        self,
        files: Sequence[PairFiles],
        class_table: ClassTable,
        blended: bool = False,
        simulation: "Simulation | None" = None,
    ) -> None:
        self._files = list(files)
        self._class_table = class_table
        self._blended = blended
        self._simulation = simulation
        self.reports: dict[Path, MapReport] = {}
        self.blended_reports: dict[Path, DecodeReport] = {}
        self.one_class_reports: dict[Path, OneClassReport] = {}

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
            If a file cannot be read, a map has unknown classes, or sizes differ.
        """
        files = self._files[index]
        fine = None if files.fine is None else self._read_class_ids(files.fine, files.image)
        coarse = self._coarse_map(files, fine)
        image = as_rgb8(read_image(files.image))
        for class_ids in (coarse, fine):
            if class_ids is not None:
                check_frame(files.image, image.shape[:2], class_ids.shape)
        return Pair(files.name, image, coarse, fine, is_simulated=files.coarse is None)

    def _coarse_map(self, files: PairFiles, fine: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """Read a coarse map, or simulate a missing one."""
        if files.coarse is not None:
            return self._read_class_ids(files.coarse, files.image)
        assert fine is not None, "a pair has a map"
        assert self._simulation is not None, "pairs without coarse maps are listed with one"
        rng = np.random.default_rng(zlib.crc32(files.name.encode(errors="backslashreplace")))
        return self._simulation.simulate(fine, rng).class_ids

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def subset(self, names: Sequence[str]) -> "FilePairs":
        """Return the pairs of these names, in this order.

        Raises
        ------
        DataError
            If a name is not in the dataset.
        """
        by_name = {files.name: files for files in self._files}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DataError(
                f"{len(missing)} pairs of the split are not in the data, first '{missing[0]}'; "
                "check that the split and the data folder belong together."
            )
        return self._part([by_name[name] for name in names])

    def only(self, index: int) -> "FilePairs":
        """Return one pair, without checking the others."""
        return self._part([self._files[index]])

    def _part(self, files: Sequence[PairFiles]) -> "FilePairs":
        chosen = FilePairs(files, self._class_table, self._blended, self._simulation)
        # Shared, so that the parent sees warnings raised by its subsets.
        chosen.blended_reports = self.blended_reports
        chosen.one_class_reports = self.one_class_reports
        chosen.reports = self.reports
        return chosen

    def warnings(self) -> list[str]:
        """Return one sentence for each map of these pairs that was not read exactly so far."""
        return [_warning(path, report) for path, report in self._own(self.reports).items()]

    def notes(self) -> list[str]:
        """Return the warnings, and a sentence on maps of one class if there were any so far."""
        one_class = self.one_class_message()
        return [*self.warnings(), *([one_class] if one_class else [])]

    def blending_message(self) -> str:
        """Return a sentence on pixels at blended boundaries, empty if there were none so far."""
        if not self.blended_reports:
            return ""
        total = sum(report.outside for report in self.blended_reports.values())
        path, worst = max(
            self.blended_reports.items(), key=lambda item: item[1].outside / item[1].pixels
        )
        return (
            f"Blended boundaries: {total} pixels of {len(self.blended_reports)} maps have a colour "
            "that is not a class colour and were read as the nearest class, the largest share in "
            f"{path.parent.parent.name}/{path.parent.name}/{path.name} ({worst.outside} of "
            f"{worst.pixels})."
        )

    def one_class_message(self) -> str:
        """Return a sentence on maps that have one class only, empty if there were none so far."""
        found = self._own(self.one_class_reports)
        if not found:
            return ""
        path, report = next(iter(found.items()))
        maps = "1 map has" if len(found) == 1 else f"{len(found)} maps have"
        name = "unlabelled throughout" if report.name is None else f"only '{report.name}'"
        return (
            f"{maps} one class or none, first {path.parent.name}/{path.name} ({name}); if there "
            "should be more, check that the maps were saved as class indices or in the class "
            "colours, not as masks of 0 and 255."
        )

    def fine_map_warning(self, name: str) -> str:
        """Return the warning about the fine map of a pair, empty if there is none."""
        paths = [files.fine for files in self._files if files.name == name]
        return "".join(_warning(path, self.reports[path]) for path in paths if path in self.reports)

    def check_class_tables(self) -> None:
        """Check that the maps read so far were drawn with the class table of these pairs.

        Raises
        ------
        DataError
            If a map was drawn with another class table.
        """
        for path, report in self._own(self.reports).items():
            if uses_other_table(report):
                raise DataError(_warning(path, report))

    def _own(self, reports: Mapping[Path, SomeReport]) -> dict[Path, SomeReport]:
        """Return the reports of these pairs, without those of the other subsets."""
        paths = [path for files in self._files for path in (files.coarse, files.fine)]
        return {path: reports[path] for path in paths if path is not None and path in reports}

    def _read_class_ids(self, path: Path, image: Path) -> NDArray[np.uint8]:
        class_ids = self._read_reported_ids(path, image)
        report = one_class_report(class_ids, self._class_table.names)
        if report is not None and path not in self.reports:
            self.one_class_reports[path] = report
        return class_ids

    def _read_reported_ids(self, path: Path, image: Path) -> NDArray[np.uint8]:
        try:
            labels, report = read_map(path, self._class_table, image=image, blended=self._blended)
        except C2FError as error:
            named = str(error) if str(path) in str(error) else f"{path}: {error}"
            raise DataError(named) from error
        if report.message():
            self.reports[path] = report
        elif isinstance(report, DecodeReport) and report.outside:
            self.blended_reports[path] = report
        return self._class_table.to_class_ids(labels)


def coarse_displacement(pairs: Sequence[Pair]) -> float | None:
    """Estimate how far the boundaries of coarse maps are from those of the fine maps.

    Parameters
    ----------
    pairs : sequence of Pair
        Pairs; those without a fine map do not count.

    Returns
    -------
    float, optional
        Mean over the pairs of the number of labelled pixels of the coarse map that are wrong,
        per pixel of its boundaries; None if there is nothing to measure, or nothing wrong.
    """
    found = [
        displacement(pair.coarse, pair.fine, UNLABELLED_ID)
        for pair in pairs
        if pair.fine is not None
    ]
    return float(np.mean(found)) or None if found else None


def _warning(path: Path, report: MapReport) -> str:
    return f"{path.parent.name}/{path.name}: {report.message()}"


def fingerprint(pairs: Sequence[Pair]) -> str:
    """Hash the names and pixels of pairs, to identify the data of a checkpoint.

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
