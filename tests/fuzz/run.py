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
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import PIL
import tifffile
from mutations import mutated
from readers import READERS, Reader

import c2f_core
from c2f_core.errors import C2FError

FOLLOWED = tuple(str(Path(module.__file__).parent) for module in (c2f_core, tifffile, PIL))
"""Folders of the code whose new lines make a file a seed."""
TIME_LIMIT = 5
"""Seconds of computing for one file; what blocks is stopped with the program, later."""
MEMORY_LIMIT = 1 << 30
"""Bytes for one file, on top of those of the program."""
ADDRESS_LIMIT = 3 << 30
"""Bytes that one file may ask for; the system keeps none that is not used."""
MOST_SEEDS = 2000
MEMORY_FOLDER = Path("/dev/shm")


class TooSlow(BaseException):
    """Reading a file takes too long; no reader catches this."""


class Limits:
    """Limits of the time and memory that a file takes."""

    def __init__(self) -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_LIMIT, most))
        signal.signal(signal.SIGPROF, self._stop)
        self._armed = 0.0
        self._memory = self._peak()

    def begin(self) -> None:
        """Start the clock of a file; code that is not Python is stopped with the program."""
        signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT)
        if time.monotonic() - self._armed > TIME_LIMIT:
            faulthandler.dump_traceback_later(120 * TIME_LIMIT, exit=True)
            self._armed = time.monotonic()

    def end(self) -> str | None:
        """Stop the clock, and return what is wrong with the memory that the file took."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        taken = self._peak() - self._memory
        if taken < MEMORY_LIMIT:
            return None
        Path("/proc/self/clear_refs").write_text("5")  # Forgets the peak.
        self._memory = self._peak()
        return f"It takes {taken / 1e9:.1f} GB of memory.\nMemory"

    @staticmethod
    def _stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    @staticmethod
    def _peak() -> int:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Coverage:
    """Lines of the core and of the readers of images that have been run."""

    def __init__(self) -> None:
        self.lines = 0
        self._missing: dict[CodeType, set[int]] = {}

    def grows_by(self, action: Callable[[], Any]) -> tuple[bool, Any]:
        """Return whether an action runs new lines, and its result."""
        before = self.lines
        sys.settrace(self._enter)
        try:
            result = action()
        finally:
            sys.settrace(None)
        return self.lines > before, result

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        missing = self._missing.get(code)
        if missing is None:
            is_followed = code.co_filename.startswith(FOLLOWED)
            lines = {line for _, _, line in code.co_lines() if line} if is_followed else set()
            missing = self._missing[code] = lines - {code.co_firstlineno}
        return self._line if missing else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        missing = self._missing[frame.f_code]
        if frame.f_lineno in missing:
            missing.remove(frame.f_lineno)
            self.lines += 1
        return self._line if missing else None


class Fuzzer:
    """Changes valid files of a reader at random, and reads them."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._reader: Reader = READERS[name]
        self._rng = random.Random(f"{name} {seed}")
        self._valid, self._work = folder / "valid", folder / "work"
        self._work.mkdir()
        self._reader.build(self._work)
        self._work.rename(self._valid)
        self._files = {
            path.relative_to(self._valid): path.read_bytes()
            for path in sorted(self._valid.rglob("*"))
            if path.is_file() and self._reader.changes(path)
        }
        self.seeds = list(self._files.items())
        self.coverage = Coverage()
        self.accepted = 0
        self._placed: Path | None = None

    def check_valid(self) -> None:
        """Check that the valid files are read without an error."""
        for file, content in self.seeds:
            self._reader.read(self._place(file, content))
        self._limits = Limits()

    def next_file(self) -> tuple[Path, bytes]:
        """Return the place of a file in its folder, and its changed content."""
        is_new = len(self.seeds) > len(self._files) and self._rng.random() < 0.3
        file, content = self._rng.choice(self.seeds[-20:] if is_new else self.seeds)
        others = [other for place, other in self.seeds[-200:] if place.suffix == file.suffix]
        return file, mutated(content, self._rng, others or [content])

    def finding(self, file: Path, content: bytes, guided: bool) -> str | None:
        """Read a file; return the traceback of an error that is not for the user."""
        path = self._place(file, content)
        if not guided:
            return self._read(path)
        is_new, found = self.coverage.grows_by(lambda: self._read(path))
        if is_new and len(self.seeds) < MOST_SEEDS:
            self.seeds.append((file, content))
        return found

    def _read(self, path: Path) -> str | None:
        error = self._error(path)
        sys.settrace(None)
        return self._limits.end() or error

    def _error(self, path: Path) -> str | None:
        try:
            self._limits.begin()
            self._reader.read(path)
        except C2FError as error:
            return None if str(error) else "An error without a sentence."
        except TooSlow:
            return f"It takes more than {TIME_LIMIT} s.\n{traceback.format_exc()}"
        except Exception:  # noqa: BLE001 - every other error is what is looked for.
            return traceback.format_exc()
        self.accepted += 1
        return None

    def _place(self, file: Path, content: bytes) -> Path:
        """Write a changed file among valid ones."""
        if self._reader.writes or self._placed is None:
            shutil.rmtree(self._work, ignore_errors=True)
            shutil.copytree(self._valid, self._work, symlinks=True, copy_function=shutil.copyfile)
        elif self._placed != file:
            (self._work / self._placed).write_bytes(self._files[self._placed])
        self._placed, path = file, self._work / file
        path.write_bytes(content)
        return path


def fuzz(
    name: str, seed: int, seconds: float, inputs: int | None, findings: Path, guided: bool
) -> int:
    """Fuzz one reader, and return the number of different findings."""
    places: set[str] = set()
    in_memory = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
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
        f"{name}: {count} files, of which {fuzzer.accepted} were read, {len(places)} findings, "
        f"{len(fuzzer.seeds)} seeds, {fuzzer.coverage.lines} lines",
        flush=True,
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
    print(f"{folder / file.name}: {found.splitlines()[-1]}", flush=True)


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
