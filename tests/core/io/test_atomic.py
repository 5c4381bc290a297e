"""Atomic writing: old or new files, never parts, and no temporary file left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from c2f_core.errors import WritingError
from c2f_core.io.atomic import atomic_path, atomic_paths, delete_unfinished, unfinished_files

USER_FILES = (
    "._IMG-20240131.jpg",
    ".notes-20240131.md",
    ".face-abcdefgh.png",
    ".c2f-unfinished-notes.md",
    ".c2f-unfinished-0123456789abcdef.png",
    ".c2f-unfinished-0123456789abcdef-abcdefgh.png.bak",
    ".c2f-unfinished-0123456789ABCDEF-abcdefgh.png",
    "c2f-unfinished-0123456789abcdef-abcdefgh.png",
)
SCRIPT = """
import os, signal, sys
from pathlib import Path
from c2f_core.io.atomic import atomic_paths, delete_unfinished

CHANGING = {"open", "os.link", "os.remove", "os.rename", "os.chmod"}

def write_until(number):
    seen = []

    def kill_before(event, arguments):
        if event in CHANGING and "c2f-unfinished" in str(arguments):
            seen.append(event)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill_before)
    with atomic_paths("map.png", "map.png.json") as (fine, sidecar):
        fine.write_text("new")
        sidecar.write_text("new")
    os._exit(0)

for number in range(1, 100):
    for name in ("map.png", "map.png.json"):
        Path(name).write_text("old")
    child = os.fork()
    if not child:
        write_until(number)
    ended = os.waitpid(child, 0)[1]
    delete_unfinished(Path("."))
    found = {path.name: path.read_text() for path in Path(".").iterdir()}
    assert set(found) <= {"map.png", "map.png.json"}, found
    assert found["map.png"] in ("old", "new"), found
    assert found.get("map.png.json", found["map.png"]) == found["map.png"], found
    if not ended:
        break
assert set(found.values()) == {"new"}, found
print(number)
"""


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_files_are_replaced_together(tmp_path):
    one, two = tmp_path / "map.png", tmp_path / "map.png.json"
    for text in ("old", "new"):
        with atomic_paths(one, two) as temporaries:
            for path in temporaries:
                path.write_text(text)
        assert texts(tmp_path) == {"map.png": text, "map.png.json": text}


@pytest.mark.parametrize("existing", [0, 1, 2])
@pytest.mark.parametrize("operation", ["replace", "unlink", "fsync", "chmod"])
@pytest.mark.parametrize("failing", range(1, 4))
def test_after_any_failure_all_files_are_the_old_ones(
    tmp_path, monkeypatch, existing, operation, failing
):
    paths = [tmp_path / "map.png", tmp_path / "map.png.json"]
    for path in paths[:existing]:
        path.write_text("old")
    before, calls = texts(tmp_path), []
    owner = os if operation == "fsync" else Path
    real = getattr(owner, operation)

    def fail_once(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **keywords)

    monkeypatch.setattr(owner, operation, fail_once)
    error = None
    try:
        with atomic_paths(*paths) as temporaries:
            for path in temporaries:
                path.write_text("new")
    except WritingError as raised:
        error = raised
    found = {name: text for name, text in texts(tmp_path).items() if not name.startswith(".")}
    if error is None:  # It was not called as often, or only to delete the backups.
        assert set(found.values()) == {"new"}
    else:
        assert "free some space" in str(error)
        assert found == before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_sidecar_never_stands_next_to_another_map_however_early_the_process_is_killed(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8


def test_only_unfinished_files_of_our_own_are_deleted(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    for name in USER_FILES:
        (folder / name).write_text("mine")
    with atomic_path(folder / "a.png") as temporary:
        name = temporary.name
    (folder / "a.png").unlink()
    (folder / name).write_text("half")
    other = name.replace(name[-12:-4], "abcdefgh")
    (folder / other).mkdir()
    linked = name.replace(name[-12:-4], "bcdefghi")
    (outside / "kept").write_text("mine")
    (folder / linked).symlink_to(outside / "kept")
    (outside / name).write_text("mine")
    (tmp_path / "link").symlink_to(outside)
    assert unfinished_files(folder, folder / "b.png") == []
    assert unfinished_files(folder, folder / "a.png") == [folder / name]
    delete_unfinished(folder)
    delete_unfinished(tmp_path / "link")
    delete_unfinished(tmp_path / "missing")
    assert {path.name for path in folder.iterdir()} == {*USER_FILES, other, linked}
    assert set(texts(outside)) == {"kept", name}


WRITER = """
import sys
from c2f_core.io.atomic import atomic_path

with atomic_path("map.png") as temporary:
    print(temporary.name, flush=True)
    sys.stdin.read()
    temporary.write_text("new")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be deleted there")
@pytest.mark.parametrize("ending", ["at its end", "killed", "forgotten"])
def test_a_file_that_another_process_is_writing_is_not_unfinished(tmp_path, ending):
    command = [sys.executable, "-c", WRITER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
        temporary = tmp_path / process.stdout.readline().strip()
        assert temporary.is_file()
        assert unfinished_files(tmp_path) == []
        delete_unfinished(tmp_path, tmp_path / "map.png")
        if ending == "forgotten":  # Another process has the number of the writer today.
            os.utime(temporary, (1e9, 1e9))
            assert unfinished_files(tmp_path) == [temporary]
        if ending == "killed":
            process.kill()
            process.wait()
            assert unfinished_files(tmp_path) == [temporary]
            delete_unfinished(tmp_path)
        else:
            process.communicate("")
    assert texts(tmp_path) == ({} if ending == "killed" else {"map.png": "new"})


def test_a_temporary_file_is_written_directly(tmp_path):
    with atomic_path(tmp_path / "map.png") as temporary:
        with atomic_path(temporary) as same:
            same.write_text("new")
        assert same == temporary
        assert temporary.read_text() == "new"
    assert texts(tmp_path) == {"map.png": "new"}


@pytest.mark.parametrize("length", [245, 251])
def test_long_names_are_written(tmp_path, length):
    path = tmp_path / f"{'n' * length}.png"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_what_cannot_be_written_says_what_to_do(tmp_path):
    cases = {
        f"{'n' * 300}.png": "shorter name",
        "missing/a.png": "create its folder",
        "file/a.png": "choose another folder",
        "folder": "folder has this one",
    }
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for name, advice in cases.items():
        with pytest.raises(WritingError, match=advice), atomic_path(tmp_path / name) as temporary:
            temporary.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_files_are_replaced_together_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise NotImplementedError("link: follow_symlinks unavailable on this platform")

    monkeypatch.setattr(os, "link", refuse)
    test_files_are_replaced_together(tmp_path)


def test_a_file_that_another_program_has_open_is_to_be_closed_there(tmp_path, monkeypatch):
    def refuse(*arguments):
        error = PermissionError(errno.EACCES, "The process cannot access the file")
        error.winerror = 32
        raise error

    monkeypatch.setattr(Path, "replace", refuse)
    with (
        pytest.raises(WritingError, match="close it in other programs"),
        atomic_path(tmp_path / "map.png"),
    ):
        pass
    assert not list(tmp_path.iterdir())
