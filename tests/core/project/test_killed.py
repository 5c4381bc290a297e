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
    sidecar = Path(f"{OUTPUT}{SUFFIX}")
    if sidecar.exists():
        assert Sidecar.read(sidecar).file_sha256 == hash_of(OUTPUT)


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
