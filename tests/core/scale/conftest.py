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
