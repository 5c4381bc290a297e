"""Hyperparameter search with Optuna: every trial is a run that may be pruned when it validates.

The sampler is the tree-structured Parzen estimator (Bergstra et al., NIPS 2011),
after ten random trials. Its seed depends on the config's seed and the number of the
trial, so that an interrupted search continues as if it had never been interrupted.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from c2f_core.config.files import with_settings
from c2f_core.config.settings import TrainConfig
from c2f_core.documents import check_regular_file
from c2f_core.errors import C2FError, ConfigError, WritingError
from c2f_core.experiments.plan import BEST, write_or_check_plan
from c2f_core.experiments.ranges import Choices, Range, Ranges, check_ranges, number_kind
from c2f_core.io.atomic import atomic_path
from c2f_core.models.metadata import read_model_metadata
from c2f_core.training.events import Event, Finished, RunStarted, Validated
from c2f_core.training.loading import load_training_data
from c2f_core.training.run_folder import PLACE, RunFolder
from c2f_core.training.trainer import stage_configs, train_or_resume

if TYPE_CHECKING:
    import optuna


SEARCH = "search.json"
STUDY = "search"
JOURNAL = "trials.journal"
Objective = Literal["accuracy", "miou"]
OBJECTIVES: dict[Objective, str] = {"accuracy": "pixel accuracy", "miou": "mIoU"}
Pruner = Literal["median", "hyperband", "none"]
UNPRUNED_TRIALS = 5
"""Number of trials that the median pruner never prunes, to have trials to compare with."""


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts or is resumed, with these settings by dotted name."""

    number: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class TrialDone:
    """A trial has ended.

    Attributes
    ----------
    number : int
        Number of the trial, from 0.
    settings : dict
        Settings of the trial by dotted name.
    outcome : {"complete", "pruned", "failed"}
        End of the trial: finished, stopped early for a low score, or ended by an error.
    score : float or None
        Score in [0, 1] of the best checkpoint, or at the time of pruning; None if the
        trial failed.
    reason : str
        Reason of a failure.
    """

    number: int
    settings: dict[str, Any]
    outcome: Literal["complete", "pruned", "failed"]
    score: float | None = None
    reason: str = ""


def import_optuna() -> ModuleType:
    """Import Optuna.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise ConfigError(
            "The search needs Optuna, which is not installed; install it with: pip install optuna, "
            "or install napari-c2f with its extra 'search'."
        ) from error
    return optuna


def search(
    config: TrainConfig,
    ranges: Ranges,
    trials: int,
    *,
    objective: Objective = "accuracy",
    pruner: Pruner = "median",
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event | TrialStarted | TrialDone]:
    """Search ranges of settings for the best validation score.

    The score of a trial is that of its best checkpoint. Trials that fall behind at a
    validation are pruned. Trials and their runs (in the folders `trial000` and so on)
    are stored in the run folder of `config`. Calling the function again continues
    with the interrupted trial. A search can only be used by one process at a time.
    The best settings so far are in `best.json`, a config for a run in the folder
    `best`.

    Parameters
    ----------
    config : TrainConfig
        Settings that all trials have in common.
    ranges : mapping of str to Range or Choices
        Values to search by dotted name of the setting.
    trials : int
        Total number of trials, including those of earlier calls.
    objective : {"accuracy", "miou"}
        Score to maximise.
    pruner : {"median", "hyperband", "none"}
        "median" prunes trials whose best score so far is below the median of the
        others at the same step, "hyperband" prunes by Hyperband (Li et al., JMLR
        2018), "none" never prunes.
    should_stop : callable
        Function that is called between steps. When it returns True, a checkpoint is
        saved, and the function returns.

    Yields
    ------
    Event, TrialStarted or TrialDone
        `TrialStarted`, the events of `train` and `TrialDone`, for each trial.

    Raises
    ------
    C2FError
        If the ranges do not match the config, Optuna is not installed, the run folder
        has another search, or a trial fails before any has succeeded.
    """
    check_ranges(config, ranges)
    import_optuna()
    earlier = RunFolder(config.run_folder).read_data_record()
    # Errors in the data are raised before anything is written.
    data = load_training_data(config, earlier=earlier)
    with RunFolder.open(config, RunFolder(config.run_folder).config.exists(), PLACE) as folder:
        folder.write_config(config)
        _begin(config, ranges, objective, pruner)
        folder.write_data_record(data.record)
        with _readable_trials(config):
            searched = _Search(config, ranges, OBJECTIVES[objective], *_open_study(config, pruner))
            searched.write_best()
        while searched.count("COMPLETE", "PRUNED", "FAIL") < trials:
            done = yield from searched.next_trial(should_stop)
            if done is None:
                return
            searched.write_best()
            yield done
            if should_stop():
                return


def _begin(config: TrainConfig, ranges: Ranges, objective: str, pruner: str) -> None:
    """Write the plan of the search, or check that it was begun with the same plan."""
    dumped = {name: one.model_dump(mode="json") for name, one in ranges.items()}
    plan = {"objective": objective, "pruner": pruner, "ranges": dumped}
    difference = (
        f"{config.run_folder} has a search with other ranges, objective or pruner; continue with "
        "the same ones or choose another run folder."
    )
    write_or_check_plan(config.run_folder / SEARCH, plan, difference)


def _open_study(
    config: TrainConfig, pruner: Pruner
) -> tuple["optuna.Study", "optuna.storages.BaseStorage"]:
    """Open the study in the run folder."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = config.run_folder / JOURNAL
    _tidy(path)
    backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    storage = optuna.storages.JournalStorage(backend)
    steps = sum(stage.total_steps for stage in stage_configs(config))
    pruners: dict[Pruner, optuna.pruners.BasePruner] = {
        "median": optuna.pruners.MedianPruner(UNPRUNED_TRIALS),
        "hyperband": optuna.pruners.HyperbandPruner(min(config.validate_every, steps), steps),
        "none": optuna.pruners.NopPruner(),
    }
    study = optuna.create_study(
        study_name=STUDY,
        storage=storage,
        direction="maximize",
        pruner=pruners[pruner],
        load_if_exists=True,
    )
    return study, storage


@contextmanager
def _readable_trials(config: TrainConfig) -> Iterator[None]:
    """Turn errors of damaged trials into one sentence: Optuna's are of many kinds."""
    try:
        yield
    except (C2FError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ConfigError(
            f"The trials in {config.run_folder / JOURNAL} are damaged ({type(error).__name__}); "
            "restore the file from a backup, or choose another run folder."
        ) from error


def _tidy(journal: Path) -> None:
    """Remove what a killed process may leave: a stale lock, and an incomplete last line."""
    journal.with_name(journal.name + ".lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    check_regular_file(journal, ConfigError)
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with atomic_path(journal) as temporary:
            temporary.write_bytes(whole)


@dataclass(frozen=True)
class _Search:
    """A running search."""

    config: TrainConfig
    ranges: Ranges
    score_name: str
    study: "optuna.Study"
    storage: "optuna.storages.BaseStorage"

    def count(self, *states: str) -> int:
        """Return the number of trials that have one of these Optuna states."""
        return sum(trial.state.name in states for trial in self.study.get_trials(deepcopy=False))

    def next_trial(
        self, should_stop: Callable[[], bool]
    ) -> Generator[Event | TrialStarted, None, TrialDone | None]:
        """Run the interrupted trial or a new one; return None if it was stopped."""
        with _readable_trials(self.config):
            trial = self._trial()
            for name, one in self.ranges.items():
                _suggest(trial, name, one)
            settings = self._settings(trial.params)
        yield TrialStarted(trial.number, settings)
        try:
            outcome = yield from self._run(trial, settings, should_stop)
        except WritingError:  # Not caused by the settings; the trial can be resumed later.
            raise
        except C2FError as error:
            self._tell(trial, "FAIL")
            if not self.count("COMPLETE", "PRUNED"):
                raise
            return TrialDone(trial.number, settings, "failed", reason=str(error))
        if outcome is None:
            return None
        if outcome == "pruned":
            return TrialDone(trial.number, settings, outcome, self._tell(trial, "PRUNED"))
        score = self._best_score(trial, settings)
        return TrialDone(trial.number, settings, outcome, self._tell(trial, "COMPLETE", score))

    def _trial(self) -> "optuna.Trial":
        import optuna

        everyone = self.study.get_trials(deepcopy=False)
        running = [trial for trial in everyone if trial.state.name == "RUNNING"]
        number = running[0].number if running else len(everyone)
        seed = np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0]
        self.study.sampler = optuna.samplers.TPESampler(seed=int(seed))
        if not running:
            return self.study.ask()
        # `ask` only returns new trials; the interrupted one is built from its stored state.
        study_id = self.storage.get_study_id_from_name(STUDY)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return optuna.Trial(self.study, trial_id)

    def _settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert Optuna's values to settings; choices are stored as JSON."""
        return {
            name: json.loads(value) if isinstance(self.ranges[name], Choices) else value
            for name, value in values.items()
        }

    def _config(self, folder: str, settings: Mapping[str, Any]) -> TrainConfig:
        changes = {**settings, "run_folder": self.config.run_folder / folder}
        return with_settings(self.config, changes)

    def _trial_config(self, trial: "optuna.Trial", settings: Mapping[str, Any]) -> TrainConfig:
        return self._config(f"trial{trial.number:03d}", settings)

    def _run(
        self, trial: "optuna.Trial", settings: Mapping[str, Any], should_stop: Callable[[], bool]
    ) -> Generator[Event, None, Literal["complete", "pruned"] | None]:
        """Train, report every validation, and prune if Optuna says so; return None if stopped."""
        run, steps_before = self._trial_config(trial, settings), 0
        for event in train_or_resume(run, should_stop=should_stop):
            yield event
            if isinstance(event, RunStarted):
                in_second_stage = (run.method, event.method) == ("model2", "stage2")
                steps_before = run.steps if in_second_stage else 0
            elif isinstance(event, Validated):
                if self._report(trial, steps_before + event.step, event.scores[self.score_name]):
                    return "pruned"
            elif isinstance(event, Finished) and event.stopped:
                return None
        return "complete"

    def _report(self, trial: "optuna.Trial", step: int, score: float) -> bool:
        """Report a score, and return whether to prune."""
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if step not in known:  # A resumed run may repeat a step.
            trial.report(score, step)
        prune: bool = trial.should_prune()
        return prune

    def _best_score(self, trial: "optuna.Trial", settings: Mapping[str, Any]) -> float:
        last_stage = stage_configs(self._trial_config(trial, settings))[-1]
        best = RunFolder(last_stage.run_folder).best
        return read_model_metadata(best).scores[self.score_name]

    def _tell(self, trial: "optuna.Trial", state: str, score: float | None = None) -> float | None:
        """End a trial; return its score."""
        from optuna.trial import TrialState

        final: float | None = self.study.tell(trial.number, score, state=TrialState[state]).value
        return final

    def write_best(self) -> None:
        """Write the best settings so far as a config, if any trial is complete."""
        if not self.count("COMPLETE"):
            return
        config = self._config("best", self._settings(self.study.best_trial.params))
        with atomic_path(self.config.run_folder / BEST) as temporary:
            temporary.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _suggest(trial: "optuna.Trial", name: str, one: Range | Choices) -> None:
    """Suggest a value; a resumed trial keeps the values that it has."""
    if isinstance(one, Choices):
        trial.suggest_categorical(name, [json.dumps(choice) for choice in one.choices])
    elif number_kind(name) is int:
        trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    else:
        trial.suggest_float(name, one.low, one.high, log=one.log)
