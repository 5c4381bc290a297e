"""The map files of a project: one PNG for each image and kind of map."""

from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.report import MapReport
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.io.maps import embedded_table, read_image, read_map, write_image, write_map
from c2f_core.project.records import ImageRecord, Status
from c2f_core.project.work import IndexMap, Work

REMOVED = "removed"
"""Folder of a project for what was taken out of it, with a folder for each image."""
KINDS = ("coarse", "fine", "drafts", "refined", "confidence", "painted", "painted_refined")
PAINTED = 255
"""Value of painted pixels in their file, others have 0: one sees them in any viewer."""


class MapFiles:
    """The folders of maps.

    Parameters
    ----------
    root : Path
        Of the project.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, kind: str, name: str) -> Path:
        """Return the file of a map."""
        return self._root / kind / f"{name}.png"

    def fine_path(self, record: ImageRecord) -> Path:
        """Return the file of the fine map of an image: only what was reviewed may teach."""
        return self.path("fine" if record.status is Status.REVIEWED else "drafts", record.name)

    def read(self, record: ImageRecord, class_table: ClassTable) -> Work:
        """Read all maps of an image.

        Raises
        ------
        C2FError
            A file is damaged, or holds other classes.
        """
        name = record.name
        coarse = _read(self.path("coarse", name), class_table)
        return Work(
            record,
            class_table,
            _unlabelled(record, class_table) if coarse is None else coarse,
            _read(self.fine_path(record), class_table),
            _read(self.path("refined", name), class_table),
            _read_plane(self.path("confidence", name)),
            _read_mask(self.path("painted", name)),
            _read_mask(self.path("painted_refined", name)),
        )

    def unclear(self, name: str, class_table: ClassTable) -> dict[str, str]:
        """Return what could not be read for certain of coarse and fine map, by kind.

        Raises
        ------
        C2FError
            A file is damaged, or holds other classes.
        """
        messages = {}
        for kind in ("coarse", "fine"):
            path = self.path(kind, name)
            if path.exists() and (message := _read_told(path, class_table)[1].message()):
                messages[kind] = message
        return messages

    def begin(self, record: ImageRecord, class_table: ClassTable) -> None:
        """Write an unlabelled coarse map, unless there is one."""
        path = self.path("coarse", record.name)
        if not path.exists():
            _write(path, _unlabelled(record, class_table), class_table)

    def write(self, work: Work, before: ImageRecord) -> None:
        """Write all maps of an image; without a fine map the one that is there stays.

        Parameters
        ----------
        work : Work
            Where its map takes the place of another that was reviewed, that one is kept
            among what was removed.
        before : ImageRecord
            What was known of the image until now.

        Raises
        ------
        DataError
            A file cannot be written.
        """
        name, table = work.record.name, work.class_table
        _write(self.path("coarse", name), work.coarse, table)
        if work.fine is None:
            return
        _write(self.fine_path(work.record), work.fine, table)
        earlier = self.fine_path(before)
        if earlier != self.fine_path(work.record) and earlier.exists():
            is_same = np.array_equal(_read_map(earlier, table), work.fine)
            if before.status is Status.REVIEWED and not is_same:
                earlier.rename(self.free_path(name, "reviewed"))
            else:
                earlier.unlink()
        _write(self.path("refined", name), work.refined, table)
        _write_plane(self.path("confidence", name), work.confidence)
        _write_mask(self.path("painted", name), work.painted)
        _write_mask(self.path("painted_refined", name), work.painted_refined)

    def free_path(self, name: str, what: str) -> Path:
        """Return a free file among what was removed, for a map that another one replaces."""
        folder = self._root / REMOVED / name
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (folder / f"{what}-{number}.png" for number in count(1))
        return next(path for path in numbers if not path.exists())


def _unlabelled(record: ImageRecord, class_table: ClassTable) -> IndexMap:
    return class_table.to_labels(np.full(record.size, UNLABELLED_ID, dtype=np.uint8))


def _read(path: Path, class_table: ClassTable) -> IndexMap | None:
    return _read_map(path, class_table) if path.exists() else None


def _read_map(path: Path, class_table: ClassTable) -> IndexMap:
    return _read_told(path, class_table)[0]


def _read_told(path: Path, class_table: ClassTable) -> tuple[IndexMap, MapReport]:
    # A map keeps its indices when its classes are recoloured, so that its own table reads it.
    return read_map(path, embedded_table(path) or class_table)


def _write(path: Path, index_map: IndexMap | None, class_table: ClassTable) -> None:
    if index_map is None:
        path.unlink(missing_ok=True)
    else:
        write_map(path, index_map, class_table, "index")


def _read_plane(path: Path) -> NDArray[np.uint8] | None:
    return read_image(path) if path.exists() else None


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
