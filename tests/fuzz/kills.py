"""Kill refining, training, exports and work on a project, and check what is left.

    python tests/fuzz/kills.py --kills 100
    python tests/fuzz/kills.py --work deletion --each-operation

Works are killed at random moments or, with `--each-operation`, once before each operation that
changes a file or folder, and then again before random ones. After each kill the work is continued
as a user would, until it is finished; the result must be that of an undisturbed call, byte by
byte, with nothing else in the folders.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from works import WORKS

Act = Callable[[Path], None]
CHANGES = {
    f"os.{name}" for name in ("rename", "remove", "mkdir", "rmdir", "link", "chmod", "utime")
}
"""Audit events of operations that change files, besides opening one for writing."""


class Operations:
    """Counter of operations that change a folder.

    Parameters
    ----------
    folder : Path
        Folder; others are not observed.
    kill_before : int, optional
        Number of the operation before which this process is killed.
    """

    def __init__(self, folder: Path, kill_before: int | None = None) -> None:
        self.count = 0
        self._folder, self._kill_before = str(folder), kill_before
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES and not (event == "open" and _writes(*arguments[1:])):
            return
        if not str(arguments[0]).startswith(self._folder):
            return
        self.count += 1
        if self.count == self._kill_before:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(mode: str | None, flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) or bool(set(mode or "") & set("wax+"))


def killed_after(seconds: float, act: Act, folder: Path) -> bool:
    """Kill a process that works after this time; return whether it was still at work."""
    child = os.fork()
    if not child:
        _work_and_exit(act, folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _was_killed(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return _was_killed(os.waitpid(child, 0)[1])


def killed_before(operation: int, act: Act, folder: Path) -> bool:
    """Let a process kill itself before an operation; return whether it got there."""
    child = os.fork()
    if not child:
        Operations(folder, operation)
        _work_and_exit(act, folder)
    return _was_killed(os.waitpid(child, 0)[1])


def _was_killed(status: int) -> bool:
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)


def _work_and_exit(act: Act, folder: Path) -> None:
    try:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        act(folder)
    except BaseException as error:  # noqa: BLE001 - the parent must not be continued here.
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


class Killer:
    """Kills of one kind of work.

    Parameters
    ----------
    name : str
        Name of the work.
    seed : int
        Seed of the random moments.
    folder : Path
        Empty folder to work in.
    """

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._name, self._work, self._folder = name, WORKS[name], folder
        self._place = folder / "work"
        self._rng = random.Random(f"{name} {seed}")
        self._work.prepare(folder / "start")
        self._begin()
        self._work.act(self._place)  # Once to import what is imported late.
        shutil.rmtree(self._place)
        self._begin()
        operations, began = Operations(self._place), time.monotonic()
        self._work.act(self._place)
        self._seconds, self.operations = time.monotonic() - began, operations.count
        self._expected = self._work.result(self._place)
        self._place.rename(folder / "expected")
        self.kills = self.rounds = 0

    def kill_at_random_moments(self) -> None:
        """Kill the work at random moments until it is finished, and compare the result."""
        self._begin()
        while killed_after(self._rng.uniform(0, 2 * self._seconds), self._work.act, self._place):
            self._check()
        self._finish()

    def kill_before(self, operation: int) -> None:
        """Kill the work before an operation, then before random ones until it is finished."""
        self._begin()
        while killed_before(operation, self._work.act, self._place):
            self._check()
            operation = self._rng.randint(1, 2 * self.operations)
        self._finish()

    def _begin(self) -> None:
        shutil.copytree(self._folder / "start", self._place)

    def _check(self) -> None:
        self.kills += 1
        self._work.check(self._place)

    def _finish(self) -> None:
        self._work.check(self._place)
        found = self._work.result(self._place)
        assert found == self._expected, f"{self._name}: {_differing(found, self._expected)}"
        self.rounds += 1
        shutil.rmtree(self._place)


def _differing(found: Any, result: Any) -> object:
    """Return the names of the files that differ, or else the whole results."""
    files, expected = found[1], result[1]
    if found[0] != result[0] or not isinstance(files, dict):
        return found[0], result[0], files
    return [name for name in files | expected if files.get(name) != expected.get(name)]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", choices=[*WORKS], action="append")
    parser.add_argument("--kills", type=int, default=40, help="at random, for each kind of work")
    parser.add_argument("--each-operation", action="store_true", help="kill before each operation")
    parser.add_argument("--every", type=int, default=1, help="leave out operations between")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.work or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            killer = Killer(name, options.seed, Path(folder).resolve())
            if options.each_operation:
                for operation in range(1, killer.operations + 1, options.every):
                    killer.kill_before(operation)
            while not options.each_operation and killer.kills < options.kills:
                killer.kill_at_random_moments()
            print(
                f"{name}: {killer.kills} kills survived, {killer.rounds} times finished, "
                f"{killer.operations} operations",
                flush=True,
            )


if __name__ == "__main__":
    main()
