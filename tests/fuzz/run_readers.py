"""Readers of the files of runs, cross-validations and searches."""

from contextlib import suppress
from pathlib import Path

from reader import SIDE, Reader, root_of

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.errors import C2FError
from c2f_core.experiments.comparison import comparison_tables, estimates_of
from c2f_core.experiments.cross_validation import cross_validate, records_of
from c2f_core.experiments.ranges import Range
from c2f_core.experiments.search import search
from c2f_core.training.catalogue import list_runs
from c2f_core.training.curves import Curves
from c2f_core.training.listeners import RunLogs
from c2f_core.training.run_folder import RunFolder, has_discriminator
from c2f_core.training.trainer import train

RANGES = {"optimiser.learning_rate": Range(low=1e-4, high=1e-2, log=True)}


def _config(folder: Path, run: str) -> TrainConfig:
    """Return the config of a tiny run on the pairs in the folder `data`."""
    settings = {
        "data": {"root": folder / "data", "class_table": str(folder / "data" / "classes.json")},
        "network": {"stem": 2, "widths": (4, 6)},
        "colour_weight": 0.0,
        **{"method": "model1", "run_folder": folder / run, "device": "cpu", "threads": 1},
        **{"steps": 2, "validate_every": 1, "crop": 16, "batch_size": 1},
    }
    return TrainConfig.model_validate(settings)


def _write_run(folder: Path) -> None:
    """Train a run, as in the folder in which it will be read."""
    write_pairs(folder / "data", [synthetic_pair(SIDE, seed) for seed in range(4)], SHAPES)
    with RunLogs() as logs:
        for event in train(_config(folder, "run")):
            logs(event)


def _is_in_run(path: Path) -> bool:
    is_log = path.parent.name in ("tensorboard", "panels") or path.name == ".lock"
    return path.parent.name != "data" and not is_log


def _read_run(path: Path) -> None:
    """Read a run as the list of runs and a resumed run do; every eighth is resumed."""
    root, resumes = root_of(path, 0), path.stat().st_size % 8 == 0
    run, problems = RunFolder(root / "run"), []
    for found in list_runs(root, problems.append):
        found.folder.joinpath(*found.scores, found.note)
    for read in (run.read_config, run.read_data_record, run.read_state):
        with suppress(C2FError):
            read()
    Curves.read(run.log).minutes_at([1, 2])
    has_discriminator(run.last)
    if resumes:
        list(train(_config(root, "run"), resume=True, should_stop=lambda: True))


def _write_folds(folder: Path) -> None:
    write_pairs(folder / "data", [synthetic_pair(SIDE, seed) for seed in range(4)], SHAPES)
    list(cross_validate({"a": _config(folder, "run")}, 2))


def _read_folds(path: Path) -> None:
    config = _config(root_of(path, 0), "run")
    list(cross_validate({"a": config}, 2, should_stop=lambda: True))
    comparison_tables(estimates_of({"a": records_of(config), "b": records_of(config)}))


def _write_search(folder: Path) -> None:
    write_pairs(folder / "data", [synthetic_pair(SIDE, seed) for seed in range(4)], SHAPES)
    list(search(_config(folder, "run"), RANGES, 1))


def _read_search(path: Path) -> None:
    list(search(_config(root_of(path, 0), "run"), RANGES, 1, should_stop=lambda: True))


RUN_READERS = {
    "runs": Reader(_write_run, _read_run, _is_in_run, writes=True),
    "folds": Reader(_write_folds, _read_folds, lambda path: path.suffix == ".json", writes=True),
    "searches": Reader(
        _write_search,
        _read_search,
        lambda path: path.parent.name == "run" and path.suffix in (".json", ".journal"),
        writes=True,
    ),
}
