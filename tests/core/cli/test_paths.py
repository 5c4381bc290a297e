"""Paths of all kinds given to all commands: what cannot be used is one sentence."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from c2f_core.cli import evaluate, export, refine, search, train
from c2f_core.errors import DataError

KINDS = {
    "not UTF-8": os.fsdecode(b"caf\xe9\xff"),
    "300 letters": "x" * 300,
    "255 letters": "y" * 255,
    "250 letters": "z" * 250,
    "5000 letters": "/".join(["d" * 200] * 25),
    "below a file": "file/below",
    "missing": "none",
    "NUL": "a\0b",
}
QUICK = ["--steps", "1", "--network.widths", "4", "--crop", "32", "--batch-size", "2"]
QUICK += ["--device", "cpu"]


@pytest.fixture(scope="module")
def data(write_shapes, tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("paths"), 3, 32)


@pytest.fixture
def write_config(tiny_settings, data, tmp_path):
    """Write the config of a quick run with one path of the user's."""

    def write(run_folder, root=data):
        settings = tiny_settings(data, run_folder, steps=1) | {"stage2": {}}
        settings["data"]["root"] = root
        file = tmp_path / "config.json"
        file.write_text(json.dumps(settings, default=os.fspath))
        return file

    return write


def arguments_of(place, path, data, tmp_path, write_config):
    """Return a command, and its arguments with a path at some place."""
    table, out = data / "classes.json", tmp_path / "out.png"
    one = [data / "images" / "0.png", data / "coarse" / "0.png"]
    new = ["--data.root", data, "--data.class-table", table, "--run-folder", tmp_path / "run"]
    classical = ["--model", "watershed"]
    folders = [data / "images", data / "coarse"]
    ranges = tmp_path / "ranges.json"
    ranges.write_text('{"seed": {"choices": [1, 2]}}')
    places = {
        "train run folder": (train, [*new[:4], "--run-folder", path, *QUICK]),
        "train data": (train, ["--data.root", path, *new[2:], *QUICK]),
        "train check": (train, ["--data.root", path, *new[2:], *QUICK, "--check"]),
        "train class table": (train, [*new, "--data.class-table", path]),
        "train splits": (train, [*new, "--data.splits", path]),
        "train start": (train, [*new, *QUICK, "--initial-weights", path]),
        "train config": (train, ["--config", path]),
        "train resume": (train, ["--resume", path]),
        "refine image": (refine, [path, one[1], "-o", out, *classical]),
        "refine coarse": (refine, [one[0], path, "-o", out, *classical]),
        "refine output": (refine, [*one, "-o", f"{path}.png", *classical]),
        "refine folder": (refine, [*folders, "-o", path, *classical]),
        "refine shard": (refine, [*folders, "-o", path, *classical, "--shard", "1/1"]),
        "export model": (export, [f"{path}.safetensors", "-o", tmp_path / "new.onnx"]),
        "export run": (export, [path, "-o", tmp_path / "new.onnx"]),
        "export output": (export, ["fasseg", "-o", f"{path}.onnx"]),
        "refine confidence": (refine, [*one, "-o", out, "--confidence", f"{path}.tif", *classical]),
        "refine model": (refine, [*one, "-o", out, "--model", f"{path}.safetensors"]),
        "refine class table": (refine, [*one, "-o", out, "--class-table", path, *classical]),
        "evaluate data": (evaluate, [path, "--class-table", table]),
        "evaluate model": (evaluate, [f"{path}.safetensors", data]),
        "evaluate split": (evaluate, [data, "--class-table", table, "--split", f"{path}.json:a"]),
        "evaluate csv": (evaluate, [data, "--class-table", table, "--csv", f"{path}.csv"]),
        "evaluate tables": (evaluate, [data, "--class-table", table, "--markdown", f"{path}.md"]),
        "folds config": (evaluate, ["--folds", "2", "--config", path]),
        "folds run folder": (evaluate, ["--folds", "2", "--config", write_config(path)]),
        "folds output": (
            evaluate,
            ["--folds", "9", "--config", write_config(tmp_path / "run"), "-o", f"{path}.csv"],
        ),
        "search ranges": (search, [path, "--config", write_config(tmp_path / "run")]),
        "search config": (search, [ranges, "--config", path]),
        "search run folder": (search, [ranges, "--trials", "1", "--config", path]),
    }
    return places.get(place, places)


PLACES = list(arguments_of("", Path(), Path(), Path(tempfile.gettempdir()), lambda *_: Path()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_any_path_is_used_or_refused_in_one_sentence(
    place, kind, data, tmp_path, write_config, capsys
):
    (tmp_path / "file").touch()
    path = tmp_path / KINDS[kind]
    module, arguments = arguments_of(place, path, data, tmp_path, write_config)
    with pytest.raises(SystemExit) as ended:
        module.main([str(argument) for argument in arguments])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert (ended.value.code, len(errors)) in ((0, 0), (2, 1))


def rename_first(root, name):
    """Rename the files of the first pair in a copy of the data."""
    for kind in ("images", "coarse", "fine"):
        (root / kind / "0.png").rename(root / kind / f"{name}.png")


@pytest.mark.parametrize("name", [KINDS["not UTF-8"], "z" * 251, "日本" * 41])
def test_pairs_of_any_name_are_refined_and_scored(data, tmp_path, name):
    root = Path(shutil.copytree(data, tmp_path / "data"))
    rename_first(root, name)
    out, table = tmp_path / "out", str(root / "classes.json")
    folders = [str(root / "images"), str(root / "coarse"), "-o", str(out)]
    confidence = ["--confidence", str(tmp_path / "confidence")]
    with pytest.raises(SystemExit, match="0"):
        refine.main([*folders, *confidence, "--model", "watershed"])
    assert (out / f"{name}.png").exists()
    tables = ["--csv", str(tmp_path / "a.csv"), "--markdown", str(tmp_path / "a.md")]
    with pytest.raises(SystemExit, match="0"):
        evaluate.main([str(root), "--class-table", table, "--per-image", *tables])
    assert (tmp_path / "a.csv").read_text().count("\n") > 3


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_pairs_whose_names_cannot_be_recorded_are_named(data, tmp_path, capsys, check):
    root = Path(shutil.copytree(data, tmp_path / "data"))
    rename_first(root, KINDS["not UTF-8"])
    new = ["--data.root", root, "--data.class-table", root / "classes.json"]
    with pytest.raises(SystemExit) as ended:
        train.main([*map(str, new), "--run-folder", str(tmp_path / "run"), *QUICK, *check])
    assert ended.value.code == 2
    shown = "".join(capsys.readouterr())
    assert "is not valid UTF-8 and cannot be recorded; rename its files" in shown
    assert not (tmp_path / "run").exists()


def test_a_path_that_cannot_be_recorded_is_refused_before_the_data_are_read(data, tmp_path, capsys):
    run = tmp_path / KINDS["not UTF-8"]
    new = ["--data.root", data, "--data.class-table", data / "classes.json", "--run-folder", run]
    with pytest.raises(SystemExit):
        train.main([str(argument) for argument in new])
    assert "is not valid UTF-8" in capsys.readouterr().err
    assert not run.exists()


def test_a_damaged_file_of_a_pair_is_named_once(data, tmp_path):
    root = Path(shutil.copytree(data, tmp_path / "data"))
    (root / "coarse" / "1.png").write_bytes(b"damaged")
    with pytest.raises(DataError) as caught:
        evaluate.evaluate_models(evaluate.Options((str(root),), class_table=f"{root}/classes.json"))
    path = root / "coarse" / "1.png"
    assert str(caught.value).startswith(f"{path} cannot be read")


PERMISSIONS = """
import contextlib, io, os, sys
from pathlib import Path
import torch, lightning_fabric, c2f_core.models.sharing
import c2f_core.experiments.cross_validation, c2f_core.refine.classical
from c2f_core.cli import evaluate, export, refine, train
from c2f_core.training.trainer import train as _

root, data = Path(sys.argv[1]), Path(sys.argv[1]) / "data"
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
new = ["--data.class-table", data / "classes.json", *{quick!r}]
pair = [data / "images/0.png", data / "coarse/0.png"]
closed, read_only = root / "closed", root / "read-only"
calls = [
    (train, ["--data.root", data, "--run-folder", read_only / "run", *new]),
    (train, ["--data.root", data, "--run-folder", closed / "run", *new]),
    (train, ["--data.root", closed / "data", "--run-folder", root / "run", *new]),
    (train, ["--data.root", closed, "--run-folder", root / "run", *new, "--check"]),
    (train, ["--resume", closed / "run"]),
    (train, ["--config", closed / "config.json"]),
    (train, ["--config", root / "secret.json"]),
    (refine, [*pair, "-o", read_only / "fine.png", "--model", "watershed"]),
    (refine, [*pair, "-o", closed / "fine.png", "--model", "watershed"]),
    (refine, [data / "images", data / "coarse", "-o", read_only / "a/b", "--model", "watershed"]),
    (refine, [pair[0], closed / "0.png", "-o", root / "fine.png", "--model", "watershed"]),
    (refine, [*pair, "-o", root / "fine.png", "--model", root / "secret.safetensors"]),
    (evaluate, [closed, "--class-table", data / "classes.json"]),
    (evaluate, [data, "--class-table", root / "secret.json"]),
    (evaluate, [data, "--class-table", data / "classes.json", "--csv", read_only / "a.csv"]),
    (evaluate, ["--folds", "2", "--config", root / "secret.json"]),
    (refine, [closed, data / "coarse", "-o", root / "fine", "--model", "watershed"]),
    (refine, [data / "images", closed, "-o", root / "fine", "--model", "watershed"]),
    (export, [closed, "-o", root / "new.onnx"]),
    (export, ["fasseg", "-o", read_only / "new.onnx"]),
]
for module, arguments in calls:
    error = io.StringIO()
    try:
        with contextlib.redirect_stderr(error):
            module.main([str(argument) for argument in arguments])
    except SystemExit as end:
        print(end.code, error.getvalue().strip().splitlines()[-1])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
def test_files_and_folders_without_permission_are_one_sentence(data):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(data, root / "data")
        for name in ("secret.json", "secret.safetensors"):
            (root / name).write_text("{}")
            (root / name).chmod(0)
        (root / "closed").mkdir(mode=0o000)
        (root / "read-only").mkdir(mode=0o555)
        root.chmod(0o755)
        script = [sys.executable, "-c", PERMISSIONS.format(quick=QUICK), folder]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        (root / "closed").chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 20
    for line in lines:
        assert line.startswith("2 error: ")
        assert "ermission denied" in line or "you may not write in" in line
        assert "zarr.json" not in line
        assert "V1" not in line
