"""Exhausted memory ends in one sentence, whichever library notices it."""

import base64
import errno
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.errors import C2FError, DataError, ImageError, enough_memory, is_out_of_memory
from c2f_core.geometry import arrays
from c2f_core.io.maps import read_map, write_map
from c2f_core.refine.classical import WatershedRefiner
from c2f_core.refine.run import RefineJob, run_refinement
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within


def numpy_error() -> BaseException:
    with pytest.raises(MemoryError) as raised:
        np.empty((1 << 40, 1 << 20), np.uint8)
    return raised.value


KINDS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("std::bad_alloc"),
    cv2.error("(-4:Insufficient memory) Failed to allocate 4294967296 bytes"),
    zlib.error("Error -4 while decompressing data: out of memory"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__module__)
def test_exhausted_memory_becomes_a_sentence(error: BaseException) -> None:
    with (
        pytest.raises(ImageError, match=r"^Close something\.$") as raised,
        enough_memory(ImageError, "Close something."),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_numpy_names_its_error_differently() -> None:
    assert is_out_of_memory(numpy_error())


@pytest.mark.parametrize("error", [ValueError("no"), C2FError("out of memory.png is bad.")])
def test_other_errors_stay(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, enough_memory(ImageError, "Close something."):
        raise error
    assert raised.value is error


def exhaust(*_: object, **__: object) -> None:
    raise numpy_error()


@pytest.mark.parametrize(
    "refine",
    [
        lambda image, coarse: WatershedRefiner(SHAPES).refine(image, coarse),
        lambda image, coarse: refine_within(WatershedRefiner(SHAPES), image, coarse),
        lambda image, coarse: run_refinement(
            RefineJob(image, coarse, SHAPES), WatershedRefiner(SHAPES)
        ),
    ],
)
def test_refining_ends_with_a_sentence(refine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatershedRefiner, "refine_ids", exhaust)
    pair = synthetic_pair(32)
    with pytest.raises(ImageError, match="not enough memory to refine"):
        refine(pair.image, SHAPES.to_labels(pair.coarse))


def test_reading_and_writing_end_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, path = np.ones((4, 4), np.uint8), tmp_path / "map.png"
    write_map(path, labels, SHAPES)
    monkeypatch.setattr(ClassTable, "to_class_ids", exhaust)
    with pytest.raises(DataError, match="not enough memory to write"):
        write_map(tmp_path / "other.png", labels, SHAPES)
    monkeypatch.setattr("c2f_core.classes.colours._distinct_colours", exhaust)
    with pytest.raises(DataError, match="not enough memory to read"):
        read_map(path, SHAPES)
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


def test_a_mask_is_never_larger_than_its_record_says() -> None:
    record = Scope(mask=np.ones((8, 9), bool)).to_record()
    assert Scope.from_record(record).mask.all()
    bomb = base64.b64encode(zlib.compress(bytes(10_000_000))).decode()
    with pytest.raises(ValueError, match="another size"):
        Scope.from_record(record | {"mask": {"shape": [8, 9], "bits": bomb}})
    with pytest.raises(ValueError, match="too large"):
        Scope.from_record(record | {"mask": record["mask"] | {"shape": [10**6, 10**6]}})


LIMITED = """
import resource, sys
from c2f_core.refine import classical, learned, run
from c2f_core.cli.refine import main
import psutil
now = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[1]), now + int(sys.argv[1])))
main(sys.argv[2:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("model", ["watershed", "random walker", "fasseg"])
def test_commands_end_with_a_sentence_when_memory_is_limited(tmp_path: Path, model: str) -> None:
    table = ClassTable.preset("fasseg")
    image, coarse = tmp_path / "image.tif", tmp_path / "coarse.png"
    tifffile.imwrite(image, np.zeros((3000, 3000, 3), np.uint8))
    labels = np.zeros((3000, 3000), np.uint8)
    labels[1000:2000] = 1
    write_map(coarse, labels, table)
    for megabytes in (20, 100):
        ran = subprocess.run(
            [
                sys.executable, "-c", LIMITED, str(megabytes << 20), str(image), str(coarse),
                "-o", str(tmp_path / "fine.png"), "--model", model, "--device", "cpu",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 2, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "memory" in ran.stderr.splitlines()[-1]
        assert not (tmp_path / "fine.png").exists()


def test_colour_maps_are_read_in_bands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = encode_colours(random.integers(0, 4, (40, 9), dtype=np.uint8), SHAPES)
    pixels[3:30:7, 2] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "map.png")
    expected = read_map(tmp_path / "map.png", SHAPES)
    monkeypatch.setattr(arrays, "BAND", 27)
    found = read_map(tmp_path / "map.png", SHAPES)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
