"""Small OME-Zarr images, written by hand and not by the code under test."""

from pathlib import Path

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def write_multiscale(path: Path, data, axes: str, version="0.5", levels=1, label=None):
    """Write an array as an OME-Zarr image, or with `label` as a label group of one."""
    group = zarr.open_group(path, mode="a", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for level in range(levels):
        shrunk = data[..., :: 2**level, :: 2**level]
        more = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if version == "0.5":
            more = {"dimension_names": tuple(axes)}
        chunks = tuple(min(64, length) for length in shrunk.shape)
        array = group.create_array(
            str(level), shape=shrunk.shape, dtype=shrunk.dtype, chunks=chunks, **more
        )
        array[...] = shrunk
        scale = [0.5 * 2**level if name in "yx" else 1.0 for name in axes]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        )
    described = {
        "axes": [
            {"name": name, "type": KINDS[name]}
            | ({"unit": "micrometer"} if KINDS[name] == "space" else {})
            for name in axes
        ],
        "datasets": datasets,
    }
    ome = {"multiscales": [described]} | ({"image-label": label} if label is not None else {})
    if version == "0.5":
        group.attrs.update({"ome": {"version": "0.5", **ome}})
    else:
        described["version"] = "0.4"
        group.attrs.update(ome)
    return path


def write_labels(store: Path, name: str, data, axes: str, version="0.5", levels=1, label=None):
    """Write an array as a label group of an image, and list it there."""
    listed = zarr.open_group(store / "labels", mode="a", zarr_format=3 if version == "0.5" else 2)
    found = {"labels": [name]}
    listed.attrs.update({"ome": {"version": "0.5", **found}} if version == "0.5" else found)
    label = {"colors": [{"label-value": 1, "rgba": [0, 0, 9, 255]}]} if label is None else label
    return write_multiscale(store / "labels" / name, data, axes, version, levels, label)


def scene(height, width, seed=0):
    """Return an RGB image of two classes and a coarse map of it, drawn too wide."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    edge = width / 2 + 12 * np.sin(rows / 17 + seed)
    fine = (columns > edge).astype(np.uint8)
    image = np.where(fine[..., None], (190, 120, 60), (60, 110, 170)) + rng.normal(
        0, 12, (height, width, 3)
    )
    coarse = (columns > width / 2).astype(np.uint8)
    return np.clip(image, 0, 255).astype(np.uint8), coarse


@pytest.fixture(scope="session")
def two_classes():
    """Class table of the scenes."""
    from c2f_core.classes.table import ClassEntry, ClassTable

    return ClassTable(
        name="two",
        classes=(
            ClassEntry(name="sky", index=0, colour=(10, 20, 200)),
            ClassEntry(name="earth", index=1, colour=(150, 90, 30)),
        ),
        unlabelled=ClassEntry(name="unlabelled", index=255, colour=(255, 255, 255)),
    )


@pytest.fixture(scope="session")
def volume(tmp_path_factory):
    """Image of two planes with 200 x 230 pixels and three channels, and its coarse map."""
    scenes = [scene(200, 230, seed) for seed in range(2)]
    image = np.stack([each for each, _ in scenes])
    path = tmp_path_factory.mktemp("volume") / "image.zarr"
    write_multiscale(path, np.moveaxis(image, -1, 0), "czyx", levels=3)
    named = {
        "colors": [{"label-value": n, "rgba": [90 * n, 40, 200, 255]} for n in (1, 2)],
        "properties": [{"label-value": n, "name": name} for n, name in ((1, "sky"), (2, "earth"))],
    }
    coarse = np.stack([1 + each for _, each in scenes])
    write_labels(path, "coarse", coarse, "zyx", levels=3, label=named)
    return path


@pytest.fixture(scope="session")
def plan_volume(volume):
    """Make the plan of a run on the volume with small blocks, shards and chunks."""
    from c2f_core.refine.run import open_refiner
    from c2f_core.refine.scope import Scope
    from c2f_core.scale.coarse import CoarseMap
    from c2f_core.scale.multiscale import open_multiscale
    from c2f_core.scale.plan import RefinerPlan
    from c2f_core.scale.volume import VolumePlan

    def plan(store, side=64, model="watershed", **changes):
        image = open_multiscale(volume)
        coarse = CoarseMap(volume / "labels" / "coarse", image, 0)
        table = coarse.class_table()
        scope = changes.pop("scope", Scope(smallest_region=4))
        refiner = open_refiner(model, lambda: table)
        settings = {
            "image": volume,
            "coarse": coarse.path,
            "store": store,
            "name": "fine",
            "level": 0,
            "channels": None,
            "limits": None,
            "tolerance": 64.0,
            "levels": 3,
            "side": side,
            "chunk": 32,
            "block": 64,
        }
        refined_by = RefinerPlan.of(refiner, model, scope, table)
        return VolumePlan(refiner=refined_by, **{**settings, **changes})

    return plan


def pixels(store, name="fine"):
    """Return all levels of a label group and of its confidence."""
    group = zarr.open_group(store / "labels" / name, mode="r")
    return [group[f"{folder}{level}"][...] for folder in ("", "confidence/") for level in range(3)]
