"""Kill refining, training and work on a project at random moments, and check what is left.

    python tests/fuzz/kills.py --kills 100

After each kill the work is continued as a user would, until it is finished; the result must be
that of an undisturbed call, byte by byte, with nothing else in the folders.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from c2f_core.cli.refine import Options, refine_files
from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.io.atomic import PREFIX
from c2f_core.project import Project
from c2f_core.project.export import export_map, rerun
from c2f_core.project.refining import refine_image
from c2f_core.training.catalogue import list_runs, summarise
from c2f_core.training.listeners import RunLogs
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train_or_resume

SIDE, COUNT = 48, 4
PAIRS = [synthetic_pair(SIDE, seed) for seed in range(COUNT)]
CHANGING = ("project.json", "journal.jsonl", "exports", "confidence")
"""Files with times, the history of the work, or numbers that differ in the last digit."""


@dataclass(frozen=True)
class Work:
    """Work that is killed and continued.

    Attributes
    ----------
    act : callable
        Function that begins or continues the work in a folder, until it is finished.
    check : callable
        Function that checks what a kill leaves in the folder.
    result : callable
        Function that returns the finished work, to be compared.
    """

    act: Callable[[Path], None]
    check: Callable[[Path], None]
    result: Callable[[Path], object]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder, and check that nothing unfinished is among them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert not [path for path in paths if path.name.startswith(PREFIX)], paths
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# Refining a folder


def refine(folder: Path) -> None:
    """Refine a folder of pairs with their confidences."""
    options = Options(
        folder / "data" / "images", folder / "data" / "coarse", folder / "fine", "watershed",
        confidence=folder / "confidence", resume=(folder / "fine").exists(),
    )  # fmt: skip
    refine_files(options)


def check_refined(folder: Path) -> None:
    """Check that each map that is there is complete, and each confidence up to rounding."""
    expected = folder.parent / "expected"
    for path in folder.glob("fine/[!.]*"):
        assert path.read_bytes() == (expected / "fine" / path.name).read_bytes(), path
    for path in folder.glob("confidence/[!.]*"):
        there = expected / "confidence" / path.name
        np.testing.assert_allclose(tifffile.imread(path), tifffile.imread(there), atol=1e-6)


def refined(folder: Path) -> object:
    """Return the names of the confidences, and the fine maps."""
    return [*contents(folder / "confidence")], contents(folder / "fine")


# Training a run


def train(folder: Path) -> None:
    """Train a run, or resume it."""
    config = TrainConfig.model_validate(
        {
            "data": {"root": folder / "data", "class_table": str(folder / "data/classes.json")},
            "network": {"stem": 2, "widths": (4, 6)},
            "colour_weight": 0.0,
            **{"method": "model1", "run_folder": folder / "run", "device": "cpu", "threads": 1},
            **{"steps": 6, "validate_every": 2, "crop": 16, "batch_size": 1},
        }
    )
    with RunLogs() as logs:
        for event in train_or_resume(config):
            logs(event)


def check_run(folder: Path) -> None:
    """Check that the run is listed, unless it was killed before it began."""
    problems: list[str] = []
    found = list_runs(folder, problems.append)
    assert not problems, problems
    assert len(found) == (folder / "run" / "config.json").exists()


def trained(folder: Path) -> object:
    """Return the weights and the state of a run, whose list of losses is complete."""
    run = summarise(folder / "run")
    assert (run.state, run.step) == ("finished", 6), run
    files = contents(folder / "run")
    names = ("last.safetensors", "best.safetensors", "data.json", "config.json")
    state = repr(_as_bytes(RunFolder(folder / "run").read_state()))
    return run.scores, {name: files[name] for name in names} | {"state.pt": state}


def _as_bytes(value: Any) -> Any:
    """Return a state with the bytes of its tensors, as the archive that holds them may differ."""
    if isinstance(value, dict):
        return {key: _as_bytes(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_bytes(each) for each in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


# Working on a project


def work_on_project(folder: Path) -> None:
    """Add, draw, refine, review, remove and export images."""
    root = folder / "project"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "again")
    is_new = not (root / "project.json").exists()
    with Project.create(root, SHAPES) if is_new else Project.open(root) as project:
        assert not [each for each in project.problems if "is there again" not in each]
        project.choose_model("watershed")
        for number, pair in enumerate(PAIRS):
            name, known = f"image{number}", {record.name: record for record in project.records}
            if name not in known:
                project.add_image(pair.image, name)
            if not project.record(name).drawn:
                coarse = SHAPES.to_labels(pair.coarse)
                project.save(replace(project.read(name), coarse=coarse))
            if project.read(name).fine is None:
                refine_image(project, name)
            project.autosave(project.read(name))
            project.review(name, reviewed=number != 1)
            export_map(project, name, root / "exports" / f"{name}.png")


def check_project(folder: Path) -> None:
    """Check that the project opens, that all its maps are complete and its exports repeatable."""
    root = folder / "project"
    if not (root / "project.json").exists():
        return
    with Project.open(root) as project:
        assert not [each for each in project.problems if "is there again" not in each]
        assert not project.skipped
        for number, record in enumerate(project.records):
            work, pair = project.read(record.name), PAIRS[number]
            assert not work.is_drawn or (SHAPES.to_class_ids(work.coarse) == pair.coarse).all()
            assert work.is_drawn or work.fine is None
        for sidecar in root.glob("exports/*.json"):
            rerun(sidecar, folder / sidecar.stem)


def worked_on(folder: Path) -> object:
    """Return the records and all maps of a project."""
    with Project.open(folder / "project") as project:
        records = [record.model_copy(update={"doubt": None}) for record in project.records]
    files = contents(folder / "project")
    return records, {name: files[name] for name in files if not name.startswith(CHANGING)}


WORKS = {
    "refine": Work(refine, check_refined, refined),
    "train": Work(train, check_run, trained),
    "project": Work(work_on_project, check_project, worked_on),
}


def killed(act: Callable[[Path], None], folder: Path, seconds: float) -> bool:
    """Let a process work, kill it after this time, and return whether it was still at work."""
    child = os.fork()
    if not child:
        _work_and_exit(act, folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, "the work failed"
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _work_and_exit(act: Callable[[Path], None], folder: Path) -> None:
    try:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
        act(folder)
    except BaseException as error:  # noqa: BLE001 - the parent must not be continued here.
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def kill(name: str, kills: int, rng: random.Random, folder: Path) -> tuple[int, int]:
    """Kill a kind of work this often; return the numbers of kills and of finished works."""
    work, place, data = WORKS[name], folder / "work", folder / "data"
    write_pairs(data, PAIRS, SHAPES)
    shutil.copytree(data, place / "data")
    work.act(place)  # Once to import what is imported late.
    shutil.rmtree(place)
    shutil.copytree(data, place / "data")
    began = time.monotonic()
    work.act(place)
    limit, result = time.monotonic() - began, work.result(place)
    place.rename(folder / "expected")
    done = rounds = 0
    while done < kills:
        rounds += 1
        shutil.copytree(data, place / "data")
        while killed(work.act, place, rng.uniform(0, 2 * limit)):
            done += 1
            work.check(place)
        work.check(place)
        found = work.result(place)
        assert found == result, f"{name}: {_differing(found, result)}"
        shutil.rmtree(place)
    return done, rounds


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
    parser.add_argument("--kills", type=int, default=40, help="for each kind of work")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.work or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(f"{name} {options.seed}")
            done, rounds = kill(name, options.kills, rng, Path(folder))
            print(f"{name}: {done} kills survived, {rounds} times finished", flush=True)


if __name__ == "__main__":
    main()
