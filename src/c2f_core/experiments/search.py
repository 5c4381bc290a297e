"""Hyper-parameter search with Optuna: every trial is a run, pruned at its validations.

The sampler is the tree-structured Parzen estimator (Bergstra et al., NIPS 2011),
after ten random trials. Its seed depends on the config's seed and the number of
the trial, so that an interrupted search goes on as if it had not been.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from c2f_core.config.files import with_settings
from c2f_core.config.settings import TrainConfig
from c2f_core.errors import C2FError, ConfigError, WritingError
from c2f_core.experiments.plan import write_or_check_plan
from c2f_core.experiments.ranges import Choices, Range, Ranges, check_ranges, number_kind
from c2f_core.io.atomic import atomic_path
from c2f_core.models.metadata import read_metadata
from c2f_core.training.events import Event, Finished, RunStarted, Validated
from c2f_core.training.loading import load_training_data
from c2f_core.training.run_folder import PLACE, RunFolder
from c2f_core.training.trainer import stage_configs, train_or_resume

if TYPE_CHECKING:
    import optuna


SEARCH = "search.json"
STUDY = "search"
JOURNAL = "trials.journal"
BEST = "best.json"
Objective = Literal["accuracy", "miou"]
OBJECTIVES: dict[Objective, str] = {"accuracy": "pixel accuracy", "miou": "mIoU"}
Pruner = Literal["median", "hyperband", "none"]
UNPRUNED_TRIALS = 5
"""Trials that the median pruner lets run to their end, to have something to compare with."""


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins, or goes on; `settings` are what it tries, by dotted name."""

    number: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class TrialDone:
    """A trial has ended.

    Attributes
    ----------
    number : int
    settings : dict
        By dotted name.
    outcome : "complete", "pruned" or "failed"
    score : float or None
        In [0, 1]: of the best checkpoint, or where it was pruned; None when it failed.
    reason : str
        Why it failed.
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
        It is not installed.
    """
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise ConfigError(
            "The search needs Optuna, which is not installed; get it with: pip install optuna, or "
            "install napari-c2f with its extra 'search'."
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
    validation are pruned. The trials, and their runs in the folders `trial000` and
    so on, lie in the run folder of `config`; called again, the search goes on with
    the trial that was interrupted. One process at a time works on a search. The best
    settings so far are in `best.json`, a config for a run in the folder `best`.

    Parameters
    ----------
    config : TrainConfig
        Settings that the trials share.
    ranges : mapping of str to Range or Choices
        By dotted name.
    trials : int
        Number of trials in all, with those of earlier calls.
    objective : "accuracy" or "miou"
        Which score.
    pruner : "median", "hyperband" or "none"
        Prune a trial whose best score yet is below the median of the others at
        the same step, or by Hyperband (Li et al., JMLR 2018), or none.
    should_stop : callable
        Asked between steps; when it returns True a checkpoint is saved and it ends.

    Yields
    ------
    Event, TrialStarted or TrialDone
        For each trial its start, the events of `train`, and its end.

    Raises
    ------
    C2FError
        Ranges or config do not fit, Optuna is not installed, the run folder holds
        another search, or a trial fails before any has succeeded.
    """
    check_ranges(config, ranges)
    import_optuna()
    load_training_data(config)  # What is wrong with the data is said before anything is written.
    with RunFolder.open(config, RunFolder(config.run_folder).config.exists(), PLACE) as folder:
        folder.write_config(config)
        _begin(config, ranges, objective, pruner)
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


def _tidy(journal: Path) -> None:
    """Clear away what a kill may leave: a lock that nobody holds, and half a line at the end."""
    journal.with_name(journal.name + ".lock").unlink(missing_ok=True)
    content = journal.read_bytes() if journal.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with atomic_path(journal) as temporary:
            temporary.write_bytes(whole)


@dataclass(frozen=True)
class _Search:
    """A search at work."""

    config: TrainConfig
    ranges: Ranges
    score_name: str
    study: "optuna.Study"
    storage: "optuna.storages.BaseStorage"

    def count(self, *states: str) -> int:
        """Return the number of trials in these of Optuna's states."""
        return sum(trial.state.name in states for trial in self.study.get_trials(deepcopy=False))

    def next_trial(
        self, should_stop: Callable[[], bool]
    ) -> Generator[Event | TrialStarted, None, TrialDone | None]:
        """Run the interrupted trial, or a new one; return None when it is stopped."""
        trial = self._trial()
        for name, one in self.ranges.items():
            _suggest(trial, name, one)
        settings = self._settings(trial.params)
        yield TrialStarted(trial.number, settings)
        try:
            outcome = yield from self._run(trial, settings, should_stop)
        except WritingError:  # No fault of the settings: the trial goes on when there is space.
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
        """Turn Optuna's values into settings; choices are kept there as JSON."""
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
        """Train, report every validation, and ask whether to prune; None when stopped."""
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
        if step not in known:  # A resumed run may come by a step again.
            trial.report(score, step)
        prune: bool = trial.should_prune()
        return prune

    def _best_score(self, trial: "optuna.Trial", settings: Mapping[str, Any]) -> float:
        last_stage = stage_configs(self._trial_config(trial, settings))[-1]
        return read_metadata(RunFolder(last_stage.run_folder).best).scores[self.score_name]

    def _tell(self, trial: "optuna.Trial", state: str, score: float | None = None) -> float | None:
        """End a trial; return its score."""
        from optuna.trial import TrialState

        told: float | None = self.study.tell(trial.number, score, state=TrialState[state]).value
        return told

    def write_best(self) -> None:
        """Write the best settings so far, if any trial is complete, as a config."""
        if not self.count("COMPLETE"):
            return
        config = self._config("best", self._settings(self.study.best_trial.params))
        with atomic_path(self.config.run_folder / BEST) as temporary:
            temporary.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _suggest(trial: "optuna.Trial", name: str, one: Range | Choices) -> None:
    """Draw a value; a trial that goes on keeps those that it has."""
    if isinstance(one, Choices):
        trial.suggest_categorical(name, [json.dumps(choice) for choice in one.choices])
    elif number_kind(name) is int:
        trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    else:
        trial.suggest_float(name, one.low, one.high, log=one.log)
