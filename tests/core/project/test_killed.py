"""A killed process loses only what it was about to save of a project."""

import json
import subprocess
import sys

import pytest

ROUNDS = 25

SCRIPT = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path

import numpy as np

from c2f_core.data.synthetic import SHAPES
from c2f_core.project import Effort, Project, Status
from c2f_core.project.export import export_map
from c2f_core.project.records import Parameters
from c2f_core.project.sidecar import SUFFIX, Sidecar, hash_of
from c2f_core.refine import learned  # imported once, and not in each process

root, how, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
SIZE = (64, 64)
OUTPUT = root / "exports" / "face.png"


def state(work, number):
    \"\"\"Return work with its number in the maps, the record and the classes.\"\"\"
    status = Status.REVIEWED if number % 3 == 0 else Status.REFINED
    record = work.record.model_copy(
        update={"status": status, "after": Effort(painted=number), "held_out": False}
    )
    table = SHAPES.model_copy(update={"name": f"shapes {number}"})
    coarse = np.full(SIZE, 1 + number % 4, np.uint8)
    coarse[0].put(np.arange(32), 1 + (number >> np.arange(32) & 1))
    return replace(
        work, record=record, class_table=table, coarse=coarse, fine=coarse,
        refined=coarse if number % 2 else None, confidence=coarse
    )


def number_of(work):
    \"\"\"Read the number, and check that every part of the work has the same.\"\"\"
    number = work.record.after.painted
    expected = state(work, number)
    assert work.record == expected.record, (work.record, number)
    assert work.class_table == expected.class_table, (work.class_table.name, number)
    assert work.equals(expected), number
    return number


def save_for_ever(done):
    with Project.open(root) as project:
        work = project.read("face")
        number = number_of(work)
        while True:
            number += 1
            if how == "export":
                project.save(state(work, number))
                export_map(project, "face", OUTPUT)
            else:
                (project.save if number % 2 else project.autosave)(state(work, number))
            os.write(done, number.to_bytes(4, "little"))


def killed_at(seconds):
    \"\"\"Let a process work, kill it after this time, and return the number it saved last.\"\"\"
    ends = os.pipe()
    child = os.fork()
    if not child:
        os.close(ends[0])
        save_for_ever(ends[1])
    os.close(ends[1])
    number = os.read(ends[0], 4)  # It is at work.
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(ends[0], 4):
        number = more
    os.close(ends[0])
    return int.from_bytes(number, "little")


def check_export():
    if OUTPUT.exists():
        assert Sidecar.read(f"{OUTPUT}{SUFFIX}").file_sha256 == hash_of(OUTPUT)


with Project.create(root, SHAPES) as project:
    project.add_image(np.zeros((*SIZE, 3), np.uint8), "face")
    project.save(state(project.read("face"), 0))
dice = random.Random(0)
restored = 0
for _ in range(rounds):
    acknowledged = killed_at(dice.uniform(0, 0.03))
    with Project.open(root) as project:
        number = number_of(project.read("face"))
        assert number in (acknowledged, acknowledged + 1), (number, acknowledged)
        restored += bool(project.restored)
        left = [path for path in root.rglob(".*") if path.name != ".lock"]
        assert not left, left
        check_export()
print(number, restored)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("how", ["autosave", "export"])
def test_a_killed_process_leaves_the_old_or_the_new_state(tmp_path, how):
    root = tmp_path / "project"
    command = [sys.executable, "-c", SCRIPT, str(root), how, str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    saved, restored = map(int, done.stdout.split())
    assert saved > ROUNDS
    assert restored > 0
    for line in (root / "journal.jsonl").read_text().splitlines():
        assert json.loads(line)["event"]


BEFORE_EACH_OPERATION = """
import os, shutil, signal, sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from c2f_core.data.synthetic import SHAPES
from c2f_core.project import Project, Status
from c2f_core.project.export import export_map
from c2f_core.project.records import Parameters
from c2f_core.project.sidecar import Sidecar, hash_of
from c2f_core.refine import learned  # imported once, and not in each process

base, how = Path(sys.argv[1]), sys.argv[2]
root, IMAGE = base / "project", np.zeros((16, 16, 3), np.uint8)
OLD, NEW = np.full((16, 16), 1, np.uint8), np.full((16, 16), 2, np.uint8)
OUTPUT = root / "exports" / "face.png"
CHANGING = {"open", "os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod"}
ACTIONS = {
    "save": lambda project: project.save(
        project.with_review(replace(project.read("face"), coarse=NEW, fine=NEW), True)
    ),
    "add": lambda project: project.add_image(IMAGE, "new"),
    "remove": lambda project: project.remove_image("face"),
    "choose": lambda project: project.choose_model(base / "a.safetensors"),
    "export": lambda project: export_map(project, "face", OUTPUT),
    "delete": lambda project: project.delete_class(1, 2),
    "open": lambda project: None,
}
INTERRUPTED = {
    "export": f"An export to {OUTPUT} was interrupted",
    "delete": f"The class '{SHAPES.classes[0].name}' is deleted, which had been interrupted.",
}


def prepare():
    with Project.create(root, SHAPES) as project:
        project.add_image(IMAGE, "face")
        record = project.record("face").refined("", 1, Parameters())
        project.save(replace(project.read("face"), record=record, coarse=OLD, fine=OLD))
        export_map(project, "face", OUTPUT)
        project.save(replace(project.read("face"), fine=NEW if how == "export" else OLD))
        if how == "open":
            project.autosave(replace(project.read("face"), coarse=NEW, fine=NEW))
            shutil.copyfile(project.image_path("face"), root / "images" / "new.tif")
    (base / "a.safetensors").write_text("model")


def act_until(number):
    seen = []

    def kill_before(event, arguments):
        if event in CHANGING and str(base) in str(arguments):
            seen.append(event)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    if how == "open":
        sys.addaudithook(kill_before)
        Project.open(root)
    else:
        project = Project.open(root)
        sys.addaudithook(kill_before)
        ACTIONS[how](project)
    os._exit(0)


def check():
    with Project.open(root) as project:
        expected = INTERRUPTED.get(how, "nothing")
        assert all(each.startswith(expected) for each in project.problems), project.problems
        assert not project.skipped, project.skipped
        names = [record.name for record in project.records]
        if "face" in names:
            assert (project.read_image("face") == IMAGE).all()
            work = project.read("face")
            state = int(work.coarse[0, 0]), int(work.fine[0, 0])
            assert state in ((1, 1), (2, 2), (1, 2)), state
            assert (work.coarse == state[0]).all() and (work.fine == state[1]).all()
            assert work.record.status in (Status.REFINED, Status.REVIEWED)
            if how == "delete":
                is_deleted = 1 not in [entry.index for entry in project.class_table.entries]
                assert state == ((2, 2) if is_deleted else (1, 1))
        else:
            assert how == "remove"
            kept = {path.name for path in (root / "removed" / "face").iterdir()}
            assert kept == {"face.tif", "coarse.png", "drafts.png"}, kept
        assert set(names) <= {"face", "new"}
        assert project.model in ("", str(root / "models" / "a.safetensors"))
    assert Sidecar.read(Path(f"{OUTPUT}.json")).file_sha256 == hash_of(OUTPUT)
    left = [path for path in root.rglob(".*") if path.name != ".lock"]
    assert not left, left


prepare()
shutil.copytree(base, base.with_name("prepared"))
for number in range(1, 1000):
    shutil.rmtree(base)
    shutil.copytree(base.with_name("prepared"), base)
    child = os.fork()
    if not child:
        act_until(number)
    ended = os.waitpid(child, 0)[1]
    check()
    if ended != signal.SIGKILL:
        assert ended == 0, ended
        break
print(number)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("how", ["save", "add", "remove", "choose", "export", "delete", "open"])
def test_a_kill_before_any_operation_on_a_file_loses_nothing(tmp_path, how):
    (tmp_path / "base").mkdir()
    command = [sys.executable, "-c", BEFORE_EACH_OPERATION, str(tmp_path / "base"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
