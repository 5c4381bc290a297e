"""What all commands have in common: help, closed pipes, and errors of files and memory."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from c2f_core.cli.console import run_command

COMMANDS = {
    "c2f-train": ("train", []),
    "c2f-refine": ("refine", []),
    "c2f-evaluate": ("evaluate", []),
    "c2f-evaluate --folds": ("evaluate", ["--folds", "3"]),
    "c2f-search": ("search", []),
    "c2f-export": ("export", []),
}
SLOW = {"torch", "scipy", "skimage", "sklearn", "cv2", "lightning_fabric", "tensorboard", "optuna"}
SCRIPT = """
import sys
from pathlib import Path
from c2f_core.cli.{module} import main
try:
    main({arguments})
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(params=COMMANDS)
def script(request):
    """Return a program that shows the help of a command, and prints the imported modules."""
    module, arguments = COMMANDS[request.param]
    text = SCRIPT.format(module=module, arguments=[*arguments, "--help"])
    return [sys.executable, "-c", text]


def test_help_imports_nothing_slow(script):
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert "usage: c2f-" in done.stdout
    assert not SLOW & set(done.stderr.split())


def test_help_into_a_closed_pipe_ends_quietly(script):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(script, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_help_and_errors_into_a_closed_pipe_end_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    for arguments in (["--help"], ["--resume", "/none"]):
        code = f"from c2f_core.cli.train import main; main({arguments})"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=writing, stderr=writing, check=False)
        assert done.returncode == 141
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_help_to_a_full_disk_is_one_sentence():
    code = "from c2f_core.cli.train import main; main(['--help'])"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "error: The output cannot be written (No space left on device); free some space."


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied", "/a"), "/a cannot be used (Permission denied)"),
        (OSError(36, "File name too long", b"/a"), "/a cannot be used (File name too long)"),
        (MemoryError(), "There is not enough memory"),
    ],
)
def test_errors_of_files_and_memory_are_one_sentence(capsys, error, sentence):
    assert run_command(raising(error)) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


@pytest.mark.parametrize("error", [OSError("a bug"), RuntimeError("a bug"), KeyError("a bug")])
def test_bugs_keep_their_traceback(error):
    with pytest.raises(type(error)):
        run_command(raising(error))


@pytest.mark.parametrize(("end", "status"), [(SystemExit(2), 2), (SystemExit(), 0)])
def test_the_status_of_the_parser_is_kept(end, status):
    assert run_command(raising(end)) == status


def test_a_closed_pipe_of_windows_is_an_invalid_argument_without_a_file(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert run_command(raising(OSError(errno.EINVAL, "Invalid argument"))) == 141
    assert run_command(raising(OSError(errno.EINVAL, "Invalid argument", "a?.png"))) == 2


def test_an_invalid_argument_is_no_closed_pipe_elsewhere():
    with pytest.raises(OSError, match="Invalid argument"):
        run_command(raising(OSError(errno.EINVAL, "Invalid argument")))
