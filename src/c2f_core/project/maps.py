"""Map files of a project: one PNG file per image and kind of map."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.report import MapReport
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.errors import DataError
from c2f_core.io.embedded import embedded_table
from c2f_core.io.images import check_frame, read_image, write_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.maps import read_map, write_map
from c2f_core.project.layout import KINDS, REMOVED
from c2f_core.project.records import ImageRecord, Status
from c2f_core.project.work import IndexMap, Work

PAINTED = 255
"""Value of painted pixels in their file, so that any viewer shows them; others have 0."""


class MapFiles:
    """Map files of a project.

    Parameters
    ----------
    root : Path
        Folder of the project.

    Attributes
    ----------
    root : Path
        Folder of the project.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, kind: str, name: str) -> Path:
        """Return the file of a map of this kind."""
        return self.root / kind / f"{name}.png"

    def fine_path(self, record: ImageRecord) -> Path:
        """Return the file of the fine map of an image: only reviewed maps are training data."""
        return self.path("fine" if record.status is Status.REVIEWED else "drafts", record.name)

    def read(self, record: ImageRecord, class_table: ClassTable) -> Work:
        """Read all maps of an image.

        Raises
        ------
        C2FError
            If a file is damaged or contains other classes.
        """
        name, fine = record.name, _read(self.fine_path(record), class_table)
        if fine is not None:
            self.check_frame(record, fine)
        if fine is None and record.status is not Status.PENDING:  # Its file is missing.
            record = record.model_copy(update={"status": Status.PENDING})
        return Work(
            record,
            class_table,
            self._read_coarse(record, class_table),
            fine,
            _read(self.path("refined", name), class_table),
            _read_plane(self.path("confidence", name)),
            _read_mask(self.path("painted", name)),
            _read_mask(self.path("painted_refined", name)),
        )

    def _read_coarse(self, record: ImageRecord, class_table: ClassTable) -> IndexMap:
        """Read the coarse map; if it is missing, all pixels are unlabelled."""
        coarse = _read(self.path("coarse", record.name), class_table)
        if coarse is not None:
            self.check_frame(record, coarse)
            _check_size(f"coarse map of '{record.name}'", coarse.shape, record)
            return coarse
        image = as_rgb8(read_image(self.root / "images" / record.image))
        _check_size(f"image of '{record.name}'", image.shape[:2], record)
        return _unlabelled(record, class_table)

    def check_frame(self, record: ImageRecord, index_map: IndexMap) -> None:
        """Check that a map was not drawn on the sideways picture that the image file stores.

        Raises
        ------
        DataError
            If the map only fits the picture as it is stored.
        """
        check_frame(self.root / "images" / record.image, record.size, index_map.shape)

    def table_of(self, record: ImageRecord) -> ClassTable | None:
        """Return the class table embedded in the maps of an image; None if there is none."""
        paths = (self.path("coarse", record.name), self.fine_path(record))
        tables = (readable_table(path) for path in paths)
        return next((table for table in tables if table is not None), None)

    def all_files(self) -> Iterator[Path]:
        """Yield the files of all maps, including those without a record."""
        for kind in KINDS:
            yield from sorted((self.root / kind).glob("*.png"))

    def ambiguities(self, name: str, class_table: ClassTable) -> dict[str, str]:
        """Return what was ambiguous in the colours of the coarse and the fine map.

        Returns
        -------
        dict of str to str
            Message by kind of map; maps that are unambiguous or missing are omitted.

        Raises
        ------
        C2FError
            If a file is damaged or contains other classes.
        """
        messages = {}
        for kind in ("coarse", "fine"):
            path = self.path(kind, name)
            if path.exists() and (message := _read_reported(path, class_table)[1].message()):
                messages[kind] = message
        return messages

    def create_coarse(self, record: ImageRecord, class_table: ClassTable) -> bool:
        """Write an unlabelled coarse map, and return True, unless the image has a coarse map."""
        path = self.path("coarse", record.name)
        if path.exists():
            return False
        _write(path, _unlabelled(record, class_table), class_table)
        return True

    def write(self, work: Work, before: ImageRecord) -> None:
        """Write all maps of an image; without a fine map, only the coarse map is written.

        A reviewed fine map that is replaced by another is moved to the removed files.

        Parameters
        ----------
        work : Work
            Maps to write.
        before : ImageRecord
            Record of the image as last saved.

        Raises
        ------
        DataError
            If a file cannot be written.
        """
        name, table = work.record.name, work.class_table
        _write(self.path("coarse", name), work.coarse, table)
        if work.fine is None:
            return
        _write(self.fine_path(work.record), work.fine, table)
        self._clear_earlier(before, work, work.fine)
        _write(self.path("refined", name), work.refined, table)
        _write_plane(self.path("confidence", name), work.confidence)
        _write_mask(self.path("painted", name), work.painted)
        _write_mask(self.path("painted_refined", name), work.painted_refined)

    def _clear_earlier(self, before: ImageRecord, work: Work, fine: IndexMap) -> None:
        """Delete the fine map of the earlier status; keep another one that was reviewed."""
        earlier = self.fine_path(before)
        if earlier == self.fine_path(work.record) or not earlier.exists():
            return
        is_same = np.array_equal(_read_map(earlier, work.class_table), fine)
        if before.status is Status.REVIEWED and not is_same:
            earlier.rename(self.free_path(before.name, "reviewed"))
        else:
            earlier.unlink()

    def free_path(self, name: str, what: str, suffix: str = ".png") -> Path:
        """Return an unused file name among the removed files, for a file that is replaced."""
        folder = self.root / REMOVED / name
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (folder / f"{what}-{number}{suffix}" for number in count(1))
        return next(path for path in numbers if not path.exists())


def readable_table(path: Path) -> ClassTable | None:
    """Return the class table embedded in a map; None if there is none, or the map is damaged."""
    try:
        return embedded_table(path) if path.is_file() else None
    except DataError:  # As will be reported when it is read.
        return None


def _check_size(what: str, found: tuple[int, ...], record: ImageRecord) -> None:
    if found != record.size:
        raise DataError(
            f"The {what} has {found} pixels and the record of the image {record.size} (rows, "
            "columns); provide an image and maps of the same size."
        )


def _unlabelled(record: ImageRecord, class_table: ClassTable) -> IndexMap:
    return class_table.to_labels(np.full(record.size, UNLABELLED_ID, dtype=np.uint8))


def _read(path: Path, class_table: ClassTable) -> IndexMap | None:
    return _read_map(path, class_table) if path.exists() else None


def _read_map(path: Path, class_table: ClassTable) -> IndexMap:
    return _read_reported(path, class_table)[0]


def _read_reported(path: Path, class_table: ClassTable) -> tuple[IndexMap, MapReport]:
    # Recolouring classes keeps their labels, so the table embedded in the file reads it correctly.
    return read_map(path, embedded_table(path) or class_table)


def _write(path: Path, index_map: IndexMap | None, class_table: ClassTable) -> None:
    if index_map is None:
        path.unlink(missing_ok=True)
    else:
        write_map(path, index_map, class_table, "index")


def _read_plane(path: Path) -> NDArray[np.uint8] | None:
    if not path.exists():
        return None
    plane = read_image(path)
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise DataError(f"{path} is not a grey image of 8 bits; restore it, or delete it.")
    return plane


def _write_plane(path: Path, plane: NDArray[np.uint8] | None) -> None:
    if plane is None:
        path.unlink(missing_ok=True)
    else:
        write_image(path, plane)


def _read_mask(path: Path) -> NDArray[np.bool_] | None:
    plane = _read_plane(path)
    return None if plane is None else plane > 0


def _write_mask(path: Path, mask: NDArray[np.bool_] | None) -> None:
    _write_plane(path, None if mask is None else mask.astype(np.uint8) * PAINTED)
