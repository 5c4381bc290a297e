"""`c2f-evaluate --folds`: train and score settings by cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from c2f_core.cli.console import StopOnInterrupt, check_output, show_table
from c2f_core.config.files import read_config
from c2f_core.config.settings import TrainConfig
from c2f_core.errors import ConfigError, DataError


@dataclass(frozen=True)
class Options:
    """Train configs on all folds but one, score them on the held-out fold, and compare them.

    Nothing of the held-out pairs is used for training, and the last checkpoint is
    scored. Every run is recorded in the run folder of its config. The same command
    continues a cross-validation that was interrupted, by Ctrl-C or otherwise.
    """

    folds: int
    """Number of folds; they are read from the list "folds" of the split file, or else drawn."""
    config: tuple[Path, ...]
    """Config files, TOML or JSON, with the same data and different run folders."""
    seeds: tuple[int, ...] = (0,)
    """Seeds with which every fold is trained."""
    fold_seed: int = 0
    """Seed for drawing the folds."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """File for the comparison: .csv for programs, .md for people."""


def cross_validate_configs(arguments: Sequence[str]) -> None:
    """Train, score, record and compare configs.

    Parameters
    ----------
    arguments : sequence of str
        Command-line arguments.

    Raises
    ------
    C2FError
        If configs, data or folds do not fit together, or a file cannot be written.
    """
    options = tyro.cli(Options, prog="c2f-evaluate", args=arguments)
    _check_output(options.output)
    configs = _read_configs(options.config)
    if not _run(configs, options):
        print("Stopped. Continue with the same command.")
    _show(configs, options)


def _check_output(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix not in (".csv", ".md") or path.is_dir() or not path.parent.is_dir():
        raise DataError(f"{path} cannot be written; give a .csv or .md file in an existing folder.")
    check_output(path)


def _read_configs(paths: Sequence[Path]) -> dict[str, TrainConfig]:
    """Read configs by file name."""
    configs = {path.stem: read_config(path) for path in paths}
    if not configs:
        raise ConfigError("There is nothing to train; give config files with --config.")
    if len(configs) < len(paths):
        raise ConfigError(
            "Two config files have the same name, by which they are identified; rename one of them."
        )
    return configs


def _run(configs: dict[str, TrainConfig], options: Options) -> bool:
    """Train and score the missing runs; return False if stopped before the end."""
    # Imported lazily, as torch takes seconds to import.
    from tqdm import tqdm

    from c2f_core.experiments.cross_validation import RunScored, cross_validate
    from c2f_core.training.listeners import ProgressBar, RunLogs

    stop = StopOnInterrupt()
    with ProgressBar() as bar, RunLogs() as log, stop:
        for event in cross_validate(
            configs, options.folds, options.seeds, fold_seed=options.fold_seed, should_stop=stop
        ):
            if isinstance(event, RunScored):
                tqdm.write(_line(event.record))
            else:
                bar(event)
                log(event)
    return not stop()


def _line(record: dict[str, str | float]) -> str:
    from c2f_core.experiments.comparison import COLUMNS

    scores = ", ".join(f"{name} {record[key]}" for key, name in COLUMNS.items())
    return f"{record['config']}, fold {record['fold']}, seed {record['seed']}: {scores}"


def _show(configs: dict[str, TrainConfig], options: Options) -> None:
    """Compare the runs that are recorded so far."""
    from c2f_core.experiments.comparison import comparison_tables, estimate_rows, estimates_of
    from c2f_core.experiments.cross_validation import records_of
    from c2f_core.io.tables import write_csv, write_markdown

    runs = {
        name: [record for record in records_of(config) if record["seed"] in options.seeds]
        for name, config in configs.items()
    }
    estimates = estimates_of(runs)
    tables = comparison_tables(estimates)
    for title, rows in tables.items():
        show_table(title, rows)
    if options.output is None or not estimates:
        return
    if options.output.suffix == ".csv":
        write_csv(options.output, estimate_rows(estimates))
    else:
        write_markdown(options.output, tables)
