"""Work that `kills.py` kills and continues, with checks of what is left and of the result."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from c2f_core.cli.refine import Options, refine_files
from c2f_core.config.settings import NetworkConfig, TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.io.atomic import PREFIX
from c2f_core.models.checkpoint import save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.models.sharing import share_model
from c2f_core.networks.unet import build_generator
from c2f_core.project import Project
from c2f_core.project.export import export_map, rerun
from c2f_core.project.export_all import export_all
from c2f_core.project.refining import refine_image
from c2f_core.refine.learned import Refiner
from c2f_core.training.catalogue import list_runs, summarise
from c2f_core.training.listeners import RunLogs
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.trainer import train_or_resume

SIDE, COUNT = 48, 4
PAIRS = [synthetic_pair(SIDE, seed) for seed in range(COUNT)]
DISK = SHAPES.classes[1].name
CHANGING = ("project.json", "journal.jsonl", "exports", "confidence")
"""Files with times, the history of the work, or numbers that differ in the last digit."""


@dataclass(frozen=True)
class Work:
    """Work that is killed and continued.

    Attributes
    ----------
    prepare : callable
        Function that writes to a folder what the work starts from.
    act : callable
        Function that begins or continues the work in a folder, until it is finished.
    check : callable
        Function that checks what a kill leaves in the folder.
    result : callable
        Function that returns the finished work, to be compared.
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    check: Callable[[Path], None]
    result: Callable[[Path], object]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder, and check that nothing unfinished is among them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert not [path for path in paths if path.name.startswith(PREFIX)], paths
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write_data(folder: Path) -> None:
    """Write pairs to the folder `data`."""
    write_pairs(folder / "data", PAIRS, SHAPES)


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
        shutil.rmtree(folder / "all", ignore_errors=True)  # It replaces no files.
        export_all(project, folder / "all", "coco")


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


def worked_on(folder: Path) -> tuple[object, dict[str, bytes]]:
    """Return the records and all maps of a project."""
    with Project.open(folder / "project") as project:
        records = [record.model_copy(update={"doubt": None}) for record in project.records]
    files = contents(folder / "project")
    return records, {name: files[name] for name in files if not name.startswith(CHANGING)}


# Deleting a class


def delete_disks(folder: Path) -> None:
    """Delete a class from all maps of a finished project."""
    with Project.open(folder / "project") as project:
        expected = ("is deleted, which had been interrupted", "is there again")
        assert not [each for each in project.problems if not each.rstrip(".").endswith(expected)]
        if DISK in project.class_table.names:
            project.delete_class(2, replacement=1)


def check_deletion(folder: Path) -> None:
    """Check that either none or all pixels of the class have changed, once the project opens."""
    with Project.open(folder / "project") as project:
        was_done = DISK not in project.class_table.names
        for record, pair in zip(project.records, PAIRS, strict=True):
            coarse = SHAPES.to_labels(pair.coarse)
            coarse[(coarse == 2) & was_done] = 1
            assert (project.read(record.name).coarse == coarse).all(), record.name
            kept = folder / "project" / "removed" / record.name / "coarse-before-deletion-1.png"
            assert kept.exists() or not was_done or not (pair.coarse == 1).any(), kept


def deleted(folder: Path) -> object:
    """Return the records and all maps of a project, but not the copies of the earlier maps."""
    records, files = worked_on(folder)
    return records, {name: each for name, each in files.items() if not name.startswith("removed")}


# Exporting a model


def write_model(folder: Path) -> None:
    """Write a checkpoint of an untrained network."""
    torch.manual_seed(0)
    config = RecordedConfig(network=NetworkConfig(stem=2, widths=(4, 6)), colour_weight=0.0)
    metadata = CheckpointMetadata(config=config, class_table=SHAPES)
    folder.mkdir(parents=True)
    network = build_generator(config.architecture, SHAPES.number_of_classes)
    save_checkpoint(folder / "tiny.safetensors", network, metadata)


def export_model(folder: Path) -> None:
    """Export a checkpoint in both formats."""
    for suffix in (".onnx", ".zip"):
        share_model(folder / "tiny.safetensors", folder / f"tiny{suffix}", overwrite=True)


def check_model(folder: Path) -> None:
    """Check that each exported model that is there is complete."""
    for path in (folder / "tiny.onnx", folder / "tiny.zip"):
        assert not path.exists() or Refiner.load(path).class_table == SHAPES


def exported(folder: Path) -> object:
    """Return the names of the files, and the model that does not contain the time."""
    files = contents(folder)
    return [*files], {"tiny.onnx": files["tiny.onnx"]}


WORKS = {
    "refine": Work(write_data, refine, check_refined, refined),
    "train": Work(write_data, train, check_run, trained),
    "project": Work(write_data, work_on_project, check_project, worked_on),
    "deletion": Work(work_on_project, delete_disks, check_deletion, deleted),
    "export": Work(write_model, export_model, check_model, exported),
}
