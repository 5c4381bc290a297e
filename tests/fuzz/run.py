"""Fuzz the readers: no file may raise anything but a C2FError, hang, or exhaust the memory.

    python tests/fuzz/run.py --seconds 600 --reader coco

Without a reader, all of them share the time. Files that run new lines of the core become seeds.
A finding is written to the folder `--findings` with its traceback, and exits with status 1.
"""

import argparse
import faulthandler
import logging
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mutations import mutated
from readers import READERS, Reader

import c2f_core
from c2f_core.errors import C2FError

CORE = str(Path(c2f_core.__file__).parent)
TIME_LIMIT = 10
"""Seconds for one file."""
MEMORY_LIMIT = 2 << 30
"""Bytes for one file, on top of those of the program."""
MOST_SEEDS = 2000


class TooSlow(BaseException):
    """Reading a file takes too long; no reader catches this."""


@contextmanager
def limited() -> Iterator[None]:
    """Limit the time and memory of the code inside."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT, old[1]))
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    faulthandler.dump_traceback_later(6 * TIME_LIMIT, exit=True)  # For code that is not Python.
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, old)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlow


class Coverage:
    """Lines of the core that have been run."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()

    def grows_by(self, action: Callable[[], Any]) -> tuple[bool, Any]:
        """Return whether an action runs new lines, and its result."""
        before = len(self.lines)
        sys.settrace(self._enter)
        try:
            result = action()
        finally:
            sys.settrace(None)
        return len(self.lines) > before, result

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(CORE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


class Fuzzer:
    """Changes valid files of a reader at random, and reads them."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._reader: Reader = READERS[name]
        self._rng = random.Random(f"{name} {seed}")
        self._valid, self._work = folder / "valid", folder / "work"
        self._valid.mkdir()
        self._reader.build(self._valid)
        self.seeds = [
            (path.relative_to(self._valid), path.read_bytes())
            for path in sorted(self._valid.rglob("*"))
            if path.is_file() and self._reader.changes(path)
        ]
        self.coverage = Coverage()

    def check_valid(self) -> None:
        """Check that the valid files are read without an error."""
        for file, content in self.seeds:
            self._reader.read(self._placed(file, content))

    def next_file(self) -> tuple[Path, bytes]:
        """Return the place of a file in its folder, and its changed content."""
        file, content = self._rng.choice(self.seeds)
        others = [other for place, other in self.seeds if place.suffix == file.suffix]
        return file, mutated(content, self._rng, others)

    def finding(self, file: Path, content: bytes, guided: bool) -> str | None:
        """Read a file; return the traceback of an error that is not for the user."""
        path = self._placed(file, content)
        if not guided:
            return self._read(path)
        is_new, found = self.coverage.grows_by(lambda: self._read(path))
        if is_new and len(self.seeds) < MOST_SEEDS:
            self.seeds.append((file, content))
        return found

    def _read(self, path: Path) -> str | None:
        try:
            with limited():
                self._reader.read(path)
        except C2FError as error:
            return None if str(error) else "An error without a sentence."
        except TooSlow:
            return f"It takes more than {TIME_LIMIT} s.\n{traceback.format_exc()}"
        except Exception:  # noqa: BLE001 - every other error is what is looked for.
            return traceback.format_exc()
        return None

    def _placed(self, file: Path, content: bytes) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._valid, self._work, symlinks=True)
        path = self._work / file
        path.write_bytes(content)
        return path


def fuzz(
    name: str, seed: int, seconds: float, inputs: int | None, findings: Path, guided: bool
) -> int:
    """Fuzz one reader, and return the number of different findings."""
    places: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(name, seed, Path(folder))
        fuzzer.check_valid()
        end, count = time.monotonic() + seconds, 0
        while count != inputs and time.monotonic() < end:
            file, content = fuzzer.next_file()
            found = fuzzer.finding(file, content, guided)
            count += 1
            if found is not None and (place := _place_of(found)) not in places:
                places.add(place)
                _save(findings / f"{name}-{seed}-{count}", file, content, found)
    print(
        f"{name}: {count} files, {len(places)} findings, {len(fuzzer.seeds)} seeds, "
        f"{len(fuzzer.coverage.lines)} lines"
    )
    return len(places)


def _place_of(found: str) -> str:
    """Return where an error was raised, without the values in its message."""
    frames = [line for line in found.splitlines() if line.startswith("  File")]
    return "\n".join((*frames[-1:], found.splitlines()[-1].partition(":")[0]))


def _save(folder: Path, file: Path, content: bytes, found: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file.name).write_bytes(content)
    (folder / "error.txt").write_text(found)
    print(f"{folder / file.name}: {found.splitlines()[-1]}")


def main() -> None:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reader", choices=[*READERS], action="append")
    parser.add_argument("--seconds", type=float, default=60, help="for all readers together")
    parser.add_argument("--inputs", type=int, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--unguided", action="store_true", help="do not look for new lines")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    signal.signal(signal.SIGALRM, _stop)
    names = options.reader or [*READERS]
    found = sum(
        fuzz(
            name, options.seed, options.seconds / len(names), options.inputs, options.findings,
            not options.unguided,
        )
        for name in names
    )  # fmt: skip
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    faulthandler.enable()
    main()
