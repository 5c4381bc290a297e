"""Earlier runs: list them, read their curves, export their models, delete them."""

import datetime
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from c2f_core.config.settings import TrainConfig
from c2f_core.errors import C2FError, CheckpointError, ConfigError, DataError
from c2f_core.io.atomic import atomic_path, delete_unfinished
from c2f_core.models.bundled import is_model_file, stem_of
from c2f_core.models.metadata import read_model_metadata
from c2f_core.training.curves import Curves
from c2f_core.training.run_folder import PANELS, STAGES, RunFolder

State = Literal["running", "finished", "rolled back", "stopped"]
DEPTH = 3
"""Number of folder levels that are searched for runs."""


@dataclass(frozen=True)
class RunSummary:
    """Summary of one run for a list of runs.

    Attributes
    ----------
    folder : Path
        Run folder.
    method : str
        plain, model1, stage1, stage2 or model2.
    data : Path
        Data folder.
    changed : datetime
        Time of the last change of the log or the config.
    state : {"running", "finished", "rolled back", "stopped"}
        State of the run; rolled back if the guard of stage 2 ended it.
    step, steps : int
        Number of steps done and of all steps, of both stages together.
    scores : dict of str to float
        Validation scores in [0, 1] of the best checkpoint by name; empty before the first.
    best_model : Path or None
        Best checkpoint; None before the first validation.
    note : str
        Note of the guard that ended the run; empty if it did not.
    """

    folder: Path
    method: str
    data: Path
    changed: datetime.datetime
    state: State
    step: int
    steps: int
    scores: dict[str, float]
    best_model: Path | None
    note: str

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name


def list_runs(
    root: str | Path, report_problem: Callable[[str], object] = lambda _: None
) -> list[RunSummary]:
    """Find the runs in a folder and below it; a model2 run counts as one.

    Parameters
    ----------
    root : str or Path
        Folder to search, `DEPTH` levels deep.
    report_problem : callable
        Function that is called with a sentence for each folder that cannot be read, and
        each run whose files are damaged.

    Returns
    -------
    list of RunSummary
        Runs that can be read, the latest first.
    """
    found = []
    for folder in _run_folders(Path(root), DEPTH, report_problem):
        try:
            found.append(summarise(folder))
        except C2FError as error:
            report_problem(str(error))
    return sorted(found, key=lambda run: run.changed, reverse=True)


def _run_folders(folder: Path, depth: int, report_problem: Callable[[str], object]) -> list[Path]:
    """Return the folders of runs; one that cannot be read is reported, and others are searched."""
    run = RunFolder(folder)
    try:
        if run.log.exists() or run.has_checkpoint:
            return [folder]
        children = _subfolders(folder) if depth else []
        has_config = run.config.is_file()
    except OSError as error:
        report_problem(f"{folder} cannot be read ({error.strerror}); check its permissions.")
        return []
    below = [run for child in children for run in _run_folders(child, depth - 1, report_problem)]
    # A cross-validation or a search also has a config, and its runs in subfolders.
    return below or ([folder] if has_config else [])


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir() or (folder / STAGES[0]).is_dir():
        return []
    children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    return [child for child in children if child.is_dir()]


def summarise(folder: str | Path) -> RunSummary:
    """Summarise one run.

    Parameters
    ----------
    folder : str or Path
        Run folder.

    Returns
    -------
    RunSummary
        State, scores and best checkpoint of the run.

    Raises
    ------
    C2FError
        If the folder does not contain a run, or a file of it cannot be read.
    """
    run = RunFolder(Path(folder))
    try:
        return _summary(run)
    except OSError as error:
        raise DataError(
            f"{run.root} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _summary(run: RunFolder) -> RunSummary:
    config = run.read_config()
    parts = stages_of(run.root, config)
    last = parts[-1][1]
    step, steps = sum(curves.last_step for _, curves in parts), steps_of(config)
    return RunSummary(
        folder=run.root,
        method=config.method,
        data=config.data.root,
        changed=_changed(run),
        state=_state(run, last, step >= steps),
        step=step,
        steps=steps,
        scores=_scores(run.best_model),
        best_model=run.best_model,
        note=last.guard_note,
    )


def _state(run: RunFolder, last: Curves, is_finished: bool) -> State:
    if run.is_under_way:
        return "running"
    if last.is_rolled_back:
        return "rolled back"
    return "finished" if is_finished else "stopped"


def steps_of(config: TrainConfig) -> int:
    """Return the number of steps of a run, of both stages together if it has two."""
    both = config.steps + config.stage2.steps
    return both if config.method == "model2" else config.total_steps


def stages_of(folder: Path, config: TrainConfig) -> list[tuple[str, Curves]]:
    """Return method and curves of a run, or of each stage of a model2 run."""
    if config.method != "model2":
        return [(config.method, Curves.read(RunFolder(folder).log))]
    return [(stage, Curves.read(RunFolder(folder / stage).log)) for stage in STAGES]


def _changed(run: RunFolder) -> datetime.datetime:
    logs = [run.config, run.log, *(RunFolder(run.root / stage).log for stage in STAGES)]
    latest = max(path.stat().st_mtime for path in logs if path.exists())
    return datetime.datetime.fromtimestamp(latest).astimezone()


def _scores(best: Path | None) -> dict[str, float]:
    try:
        return {} if best is None else read_model_metadata(best).scores
    except CheckpointError:
        return {}


def export_model(folder: str | Path, target: str | Path) -> Path:
    """Copy the best checkpoint of a run to a file, atomically.

    Parameters
    ----------
    folder : str or Path
        Run folder.
    target : str or Path
        File to write, replaced if it exists. The suffix .safetensors is appended if it
        is missing.

    Returns
    -------
    Path
        File that was written.

    Raises
    ------
    CheckpointError
        If the run has no checkpoint.
    DataError
        If the file cannot be written, is in a run folder, or already exists with the
        suffix that was appended.
    """
    best = RunFolder(Path(folder)).best_model
    if best is None:
        raise CheckpointError(f"{folder} was never validated and has no model to export.")
    target = Path(target)
    has_ending = target.suffix == ".safetensors"
    file = target if has_ending else target.with_name(f"{target.name}.safetensors")
    in_run = file.resolve().is_relative_to(Path(folder).resolve())
    if in_run or RunFolder(file.parent).has_checkpoint:
        raise DataError(f"{file} is in the folder of a run; choose another place.")
    if not has_ending and file.exists():
        raise DataError(f"{file} already exists; choose another name, or give this one in full.")
    with atomic_path(file) as temporary:
        shutil.copyfile(best, temporary)
    return file


def delete_run(folder: str | Path) -> None:
    """Delete the files of a run, and its folder if nothing else is in it.

    Parameters
    ----------
    folder : str or Path
        Run folder.

    Raises
    ------
    ConfigError
        If the folder does not contain a run, the run is in progress, or a file cannot
        be deleted.
    """
    run = RunFolder(Path(folder))
    run.read_config()
    try:
        with run.locked():
            stages = [RunFolder(run.root / stage) for stage in STAGES]
            for stage in stages:
                delete_unfinished(stage.root)
                if stage.config.exists() and not stage.root.is_symlink():
                    _delete_files(stage)
            _delete_files(run)
        (run.root / ".lock").unlink(missing_ok=True)
        if not any(run.root.iterdir()):
            run.root.rmdir()
    except OSError as error:
        raise ConfigError(
            f"{run.root} cannot be deleted completely ({error}); check it."
        ) from error


def _delete_files(run: RunFolder) -> None:
    for path in (run.best, run.last, run.state, run.log, run.data_record, run.config):
        path.unlink(missing_ok=True)
    for name in (PANELS, "tensorboard"):
        shutil.rmtree(run.root / name, ignore_errors=True)
    delete_unfinished(run.root)
    if run.root.name in STAGES:
        (run.root / ".lock").unlink(missing_ok=True)
        if not any(run.root.iterdir()):
            run.root.rmdir()


def name_with_run(file: str | Path) -> str:
    """Return the name of a model file, preceded by that of the run that made it."""
    path = Path(file).absolute()
    run = path.parent.parent if path.parent.name in STAGES else path.parent
    return f"{run.name}: {path.stem}"


def distinct_names(models: Sequence[str]) -> list[str]:
    """Return short distinct names of models: by file, by run and file, or by full path.

    Parameters
    ----------
    models : sequence of str
        Names of bundled models, or model files; equal ones get the same name.

    Returns
    -------
    list of str
        Names in the order of the models.
    """
    return [_shortest_name(model, set(models)) for model in models]


def _shortest_name(model: str, models: set[str]) -> str:
    if not is_model_file(model):
        return model
    for naming in (stem_of, name_with_run):
        if [naming(other) for other in models].count(naming(model)) == 1:
            return naming(model)
    return model
