"""Ledger of a run next to its output: what it is, who writes, and which shards are finished.

A shard is entered after it was written completely. Entries are appended to one file per
writer and flushed to the disk, so that a killed run loses no more than the shards at hand.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from filelock import FileLock

from c2f_core.errors import DataError, WritingError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.lock import is_locked, lock_folder

PLAN = "plan.json"
WRITERS = "writers"
FINISHED = "finished.txt"
CREATED = "created"


@dataclass(frozen=True)
class Task:
    """One shard of a stage.

    Attributes
    ----------
    stage, number : int
        Stage, and number of the shard in it.
    """

    stage: int
    number: int


@dataclass(frozen=True)
class Share:
    """Part of a run that one process does.

    Attributes
    ----------
    index, count : int
        Part 1 to `count`, and number of parts.
    """

    index: int = 1
    count: int = 1

    @property
    def is_all(self) -> bool:
        """Whether there is one part only."""
        return self.count == 1

    def of(self, tasks: int) -> range:
        """Return the range of tasks of this part; neighbours, because they read the same chunks."""
        return range((self.index - 1) * tasks // self.count, self.index * tasks // self.count)

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"


class Ledger:
    """Ledger in a folder; `open` locks it for one writer.

    Parameters
    ----------
    folder : Path
        Folder of the ledger, which may not exist yet.
    share : Share
        Part of the run that this process does.
    """

    def __init__(self, folder: Path, share: Share | None = None) -> None:
        self.folder, self.share = folder, share or Share()
        self._writer = folder / WRITERS / str(self.share)
        self._lock: FileLock | None = None
        self._file: IO[bytes] | None = None

    @property
    def plan(self) -> Path:
        """File that describes the run."""
        return self.folder / PLAN

    def __enter__(self) -> Self:
        """Lock the ledger for this process.

        Raises
        ------
        DataError
            If another run, or another process with the same part, is writing the output.
        """
        in_use = f"{self.folder.stem} is being written by another run; wait until it has ended."
        unusable = f"The ledger {self.folder} cannot be used; check its permissions"
        self._lock = lock_folder(self._writer, DataError, in_use=in_use, unusable=unusable)
        others = [
            each for each in self._writers() if not each.name.endswith(f"-of-{self.share.count}")
        ]
        if any(is_locked(each) for each in others):
            self._lock.release()
            raise DataError(in_use)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()

    def begin(self, plan: str) -> None:
        """Write the plan of a new run, and forget all entries of an earlier one.

        Raises
        ------
        WritingError
            If it cannot be written.
        """
        (self.folder / CREATED).unlink(missing_ok=True)
        for each in self._writers():
            (each / FINISHED).unlink(missing_ok=True)
        with atomic_path(self.plan) as temporary:
            temporary.write_text(plan, encoding="utf-8")

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Wait until no other part prepares the output, and let them wait during this block."""
        with FileLock(self.folder / "preparing.lock"):
            yield

    def is_created(self) -> bool:
        """Return whether the output of the plan was created."""
        return (self.folder / CREATED).is_file()

    def mark_created(self) -> None:
        """Note that the output of the plan was created."""
        with atomic_path(self.folder / CREATED) as temporary:
            temporary.touch()

    def finished(self) -> set[Task]:
        """Return all finished shards of all writers."""
        return {task for each in self._writers() for task in _entries(each / FINISHED)}

    def add(self, task: Task) -> None:
        """Enter a finished shard, and flush the entry to the disk.

        Raises
        ------
        WritingError
            If the disk is full or not writable.
        """
        try:
            if self._file is None:
                self._file = _opened(self._writer / FINISHED)
            self._file.write(f"{task.stage} {task.number}\n".encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise WritingError(
                f"The ledger {self.folder} cannot be written ({error.strerror}); free some space, "
                "then run the same command again."
            ) from error

    def _writers(self) -> list[Path]:
        folder = self.folder / WRITERS
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _entries(path: Path) -> Iterator[Task]:
    """Yield the entries of a file; the last one counts only if it is complete."""
    if path.is_file():
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                stage, number = line.split()
                yield Task(int(stage), int(number))


def _opened(path: Path) -> IO[bytes]:
    """Open a file to append to, without the last entry of a killed process if it is incomplete."""
    file = path.open("ab+")
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
    return file
