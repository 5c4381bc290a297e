"""Readers of files, with small valid files written by this program to start from."""

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from reader import MAP, PAIR, SIDE, Reader, root_of
from run_readers import RUN_READERS

from c2f_core.classes.table import ClassTable
from c2f_core.config.files import read_config
from c2f_core.config.settings import NetworkConfig
from c2f_core.data.layouts import list_pairs
from c2f_core.data.splits import read_groups, read_split
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.io.annotations import FORMATS, FormatName, is_annotation_file, write_annotations
from c2f_core.io.images import read_image, write_image
from c2f_core.io.intensity import as_rgb8
from c2f_core.io.maps import read_map, write_map
from c2f_core.io.recognise import recognise_table
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig
from c2f_core.networks.unet import build_generator
from c2f_core.project.effort import effort_rows
from c2f_core.project.export import export_map, rerun
from c2f_core.project.project import Project
from c2f_core.project.records import ImageRecord
from c2f_core.project.refining import refine_image
from c2f_core.project.work import Work, read_snapshot, undecided_regions, write_snapshot


def _write_annotations(layout: FormatName, folder: Path) -> None:
    write_image(folder / "photo.png", PAIR.image)
    for form in ("masks", "polygons"):
        path = folder / f"{form}{FORMATS[layout].SUFFIX}"
        write_annotations(path, MAP, SHAPES, layout, "photo.png", form)
        content = path.read_text()
        if layout != "cvat":
            document = json.loads(content)
            document.pop("c2f_class_table")
            (folder / f"{form}-plain{path.suffix}").write_text(json.dumps(document))


def _read_annotations(path: Path) -> None:
    is_annotation_file(path)
    table = recognise_table(path, path.parent / "photo.png")
    for image in (path.parent / "photo.png", None):
        read_map(path, table or SHAPES, image=image)


def _write_maps(folder: Path) -> None:
    for style in ("palette", "colour", "index"):
        write_map(folder / f"{style}.png", MAP, SHAPES, style)
        Image.open(folder / f"{style}.png").save(folder / f"{style}-plain.png")
    write_map(folder / "colour.tif", MAP, SHAPES, "colour")
    write_map(folder / "index.tif", MAP, SHAPES, "index")
    write_map(folder / "array.npy", MAP, SHAPES)


def _read_map(path: Path) -> None:
    recognise_table(path)
    read_map(path, SHAPES)


def _write_images(folder: Path) -> None:
    colour = Image.fromarray(PAIR.image)
    for mode in ("RGB", "L", "P", "RGBA", "LA", "1", "I;16"):
        colour.convert("L" if mode == "I;16" else mode).save(folder / f"{mode[0]}{mode[-1]}.png")
    colour.save(folder / "a.jpg")
    colour.convert("CMYK").save(folder / "cmyk.jpg")
    colour.save(folder / "a.bmp")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        colour.save(folder / f"{compression}.tif", compression=compression)


def _write_tables(folder: Path) -> None:
    (folder / "classes.json").write_text(SHAPES.model_dump_json())
    lines = ['name = "shapes"']
    for title, entry in [
        ("[unlabelled]", SHAPES.unlabelled),
        *(("[[classes]]", entry) for entry in SHAPES.classes),
    ]:
        colour = list(entry.colour)
        lines += [title, f'name = "{entry.name}"', f"index = {entry.index}", f"colour = {colour}"]
    (folder / "classes.toml").write_text("\n".join(lines))


def _write_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"run_folder": "run", "data": {"root": "d"}, "seed": 3}')
    (folder / "config.toml").write_text('run_folder = "run"\nseed = 3\n[data]\nroot = "data"\n')


def _write_splits(folder: Path) -> None:
    lists = {"a": {"train": ["1", "2"], "validation": ["3"]}, "same_person": [["1", "2"], ["3"]]}
    (folder / "splits.json").write_text(json.dumps(lists))


def _read_splits(path: Path) -> None:
    read_groups(path)
    read_split(path, "a:train+a:validation")


def _write_dataset(folder: Path) -> None:
    write_pairs(folder, [synthetic_pair(SIDE, 0)], SHAPES)
    write_annotations(folder / "coarse" / "1.json", MAP, SHAPES, "labelme", "1.png")
    write_image(folder / "images" / "1.png", PAIR.image)


def _read_dataset(path: Path) -> None:
    root = root_of(path, 0)
    table = ClassTable.from_file(root / "classes.json")
    pairs = list_pairs(root, table).pairs()
    list(pairs)
    pairs.warnings()


@cache
def _network() -> tuple[torch.nn.Module, CheckpointMetadata]:
    torch.manual_seed(0)
    config = RecordedConfig(network=NetworkConfig(stem=2, widths=(4, 6)), colour_weight=0.0)
    metadata = CheckpointMetadata(config=config, class_table=SHAPES)
    return build_generator(config.architecture, SHAPES.number_of_classes), metadata


def _write_checkpoint(folder: Path) -> None:
    save_checkpoint(folder / "tiny.safetensors", *_network())


def _write_project(folder: Path) -> None:
    write_image(folder / "new.png", PAIR.image)
    with Project.create(folder / "project", SHAPES) as project:
        project.add_image(folder / "new.png", "face")
        project.save(replace(project.read("face"), coarse=MAP))
        project.choose_model("watershed")
        refine_image(project, "face")
        project.add_image(folder / "new.png", "other")
        project.autosave(project.read("other"))
    (folder / "new.png").unlink()


def _read_project(path: Path) -> None:
    """Read a project as the Project widget does; every eighth is saved, too, which takes longer."""
    saves = path.stat().st_size % 8 == 0
    with Project.open(root_of(path, 1)) as project:
        effort_rows(project)
        for record in project.by_doubt():
            project.read_image(record.name)
            work = project.read(record.name)
            undecided_regions(work)
            if saves:
                project.save(work)


def _write_snapshots(folder: Path) -> None:
    work = Work(ImageRecord(name="a", image="a.png", size=MAP.shape), SHAPES, MAP)
    stored, mask = np.full(MAP.shape, 9, dtype=np.uint8), MAP == 1
    write_snapshot(folder / "coarse.npz", work)
    work = replace(work, fine=MAP, refined=MAP, confidence=stored, painted=mask)
    write_snapshot(folder / "fine.npz", replace(work, painted_refined=mask))


def _write_sidecar(folder: Path) -> None:
    _write_project(folder)
    with Project.open(folder / "project") as project:
        export_map(project, "face", project.root / "exports" / "face.png")


def _read_sidecar(path: Path) -> None:
    rerun(path, path.parent / "again.png")


READERS: dict[str, Reader] = {
    **{
        layout: Reader(
            partial(_write_annotations, layout),
            _read_annotations,
            lambda path: path.stem != "photo",
        )
        for layout in FORMATS
    },
    "maps": Reader(_write_maps, _read_map),
    "images": Reader(_write_images, lambda path: as_rgb8(read_image(path))),
    "tables": Reader(_write_tables, ClassTable.from_file),
    "configs": Reader(_write_config, read_config),
    "splits": Reader(_write_splits, _read_splits),
    "datasets": Reader(_write_dataset, _read_dataset),
    "checkpoints": Reader(_write_checkpoint, load_checkpoint),
    "projects": Reader(
        _write_project, _read_project, lambda path: path.suffix != ".lock", writes=True
    ),
    "snapshots": Reader(_write_snapshots, lambda path: read_snapshot(path, (SIDE, SIDE))),
    "sidecars": Reader(_write_sidecar, _read_sidecar, lambda path: path.name == "face.png.json"),
    **RUN_READERS,
}
