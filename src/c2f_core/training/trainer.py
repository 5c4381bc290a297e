"""The trainer: a generator of events that can be stopped between steps."""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from c2f_core.config.settings import TrainConfig
from c2f_core.device import freed_memory_kept
from c2f_core.errors import C2FError, Cancelled
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import ModelMetadata, RecordedConfig, library_versions
from c2f_core.opencv import cv2
from c2f_core.training.class_agnostic import ClassAgnosticLearner
from c2f_core.training.data_record import DataRecord
from c2f_core.training.events import (
    ClassicalReference,
    Event,
    Finished,
    Preview,
    RolledBack,
    RunStarted,
    Saved,
    StepDone,
    Validated,
)
from c2f_core.training.launch import events_of_processes
from c2f_core.training.learner import Learner, StepResult
from c2f_core.training.loading import (
    ShouldStop,
    TrainingData,
    check_coarse_only,
    load_training_data,
    without_record,
)
from c2f_core.training.lost_process import LastStep, LostProcessError, is_lost_process
from c2f_core.training.memory import (
    FOR_DATA,
    FOR_STEPS,
    FOR_THE_REST,
    FOR_VALIDATION,
    memory_advice,
)
from c2f_core.training.optimisation import learning_rate, make_fabric
from c2f_core.training.process_group import ProcessGroup
from c2f_core.training.processes import (
    check_processes,
    is_first_process,
    launched_processes,
    processes_per_node,
)
from c2f_core.training.run_folder import STAGES, RunFolder
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.stage2 import Stage2Learner
from c2f_core.training.supervised import SupervisedLearner
from c2f_core.training.validation import (
    ValidationResult,
    best_classical,
    reference_scores,
)

GUESSING, WINNING = 0.55, 0.95
"""Accuracies of the discriminator between which it is useful to the generator."""
LEARNERS: dict[str, type[Learner]] = {
    "plain": SupervisedLearner,
    "model1": SupervisedLearner,
    "stage1": Stage1Learner,
    "stage2": Stage2Learner,
    "any": ClassAgnosticLearner,
}


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    accept_changes: bool = False,
    should_stop: ShouldStop = lambda: False,
) -> Generator[Event, None, None]:
    """Train the plain U-Net, Model 1, one or both stages of Model 2, or a model for any classes.

    With `config.devices` above 1, as many processes are started, unless torchrun or srun has
    started them. This process then yields the events of the first of them.

    Parameters
    ----------
    config : TrainConfig
        Settings of the run. Method model2 trains stage 1 in the subfolder `stage1`
        of the run folder, then stage 2 in `stage2`.
    resume : bool
        Whether to continue from the last checkpoint in `config.run_folder`; on the
        CPU the result equals an uninterrupted run bit for bit.
    accept_changes : bool
        Whether to resume although the data have changed; pairs keep their roles.
    should_stop : callable
        Function that is called between steps; when it returns True, a checkpoint is
        saved and the run ends.

    Yields
    ------
    Event
        `RunStarted`, `StepDone`, `Validated`, `Preview`, `Saved`, in stage 2
        perhaps `RolledBack`, and `Finished` at the end; for model2 all of these
        for each stage. A run that is stopped while the data are read yields
        `Finished` alone, as does a process that is not the first of its run.

    Raises
    ------
    ChangedDataError
        If the data have changed since the resumed run began, and this is not accepted.
    C2FError
        If data, config, device or run folder do not fit, memory or disk is full, or a
        process of the run has ended.
    """
    with _opened(config, resume) as folder:
        yield from train_in(
            folder, config, resume=resume, accept_changes=accept_changes, should_stop=should_stop
        )


def train_in(
    folder: RunFolder,
    config: TrainConfig,
    *,
    resume: bool = False,
    accept_changes: bool = False,
    should_stop: ShouldStop = lambda: False,
) -> Generator[Event, None, None]:
    """Train as `train` does, in a folder that is open already.

    Parameters
    ----------
    folder : RunFolder
        Folder that `RunFolder.open` has opened for this config and `resume`, and that
        stays open until the generator ends.
    config, resume, accept_changes, should_stop
        Parameters of `train`, which also yields and raises the same.
    """
    check_processes(config)
    if processes_per_node(config) > 1 and launched_processes() == 1:
        yield from events_of_processes(config, resume, accept_changes, should_stop)
        return
    events = _train_here(folder, config, resume, accept_changes, should_stop)
    if is_first_process():
        yield from events
    else:
        *_, last = events
        yield last


def _opened(config: TrainConfig, resume: bool) -> AbstractContextManager[RunFolder]:
    """Open the folder of a run in the first process, which guards it for all."""
    if is_first_process():
        return RunFolder.open(config, resume)
    return nullcontext(RunFolder(config.run_folder))


def _train_here(
    folder: RunFolder,
    config: TrainConfig,
    resume: bool,
    accept_changes: bool,
    should_stop: ShouldStop,
) -> Iterator[Event]:
    """Train in this process, alone or as one of several."""
    try:
        with memory_advice(config, FOR_THE_REST):
            if config.method != "model2":
                loop = _TrainingLoop(config, folder, should_stop, accept_changes)
                yield from _train_stage(loop, resume)
            else:
                yield from _train_both_stages(folder, config, accept_changes, should_stop)
    except Cancelled:
        yield Finished(0, True, None)


def _train_both_stages(
    folder: RunFolder, config: TrainConfig, accept_changes: bool, should_stop: ShouldStop
) -> Iterator[Event]:
    if is_first_process():
        folder.write_config(config)
    record = None
    for stage in stage_configs(config):
        begun = RunFolder(stage.run_folder).has_checkpoint
        with _opened(stage, begun) as stage_folder:
            # What trained in stage 1 does not validate in stage 2.
            loop = _TrainingLoop(stage, stage_folder, should_stop, accept_changes, record)
            check_coarse_only(loop.data.coarse_only)  # Now, not hours later in stage 2.
            event = yield from _last_of(_train_stage(loop, begun))
        record = loop.data.record
        del loop  # Its networks and pairs are not needed in stage 2.
        if isinstance(event, Finished) and event.stopped:
            return


def _last_of(events: Iterator[Event]) -> Generator[Event, None, Event]:
    """Yield events; return the last of them."""
    for event in events:
        yield event
    return event


def _train_stage(loop: "_TrainingLoop", resume: bool) -> Iterator[Event]:
    if loop.processes.is_first:
        loop.folder.write_config(loop.config)
        loop.folder.write_data_record(loop.data.record)
    yield from loop.events(resume)


def train_or_resume(
    config: TrainConfig, *, should_stop: ShouldStop = lambda: False
) -> Iterator[Event]:
    """Train a new run, or resume the one in its folder; a finished run is left unchanged.

    A run that was killed before its first checkpoint starts anew. Parameters,
    events and errors are those of `train`.
    """
    resume = RunFolder(config.run_folder).has_checkpoint
    yield from train(config, resume=resume, should_stop=should_stop)


def stage_configs(config: TrainConfig) -> list[TrainConfig]:
    """Return the configs of both stages of a model2 run; for other methods, the config alone."""
    if config.method != "model2":
        return [config]
    first, second = (config.run_folder / stage for stage in STAGES)
    stage1 = {"method": "stage1", "run_folder": first}
    stage2 = {
        "method": "stage2",
        "run_folder": second,
        "stage2": config.stage2.model_copy(update={"start": first}),
        "initial_weights": None,
    }
    return [config.model_copy(update=changes) for changes in (stage1, stage2)]


class _TrainingLoop:
    """The loop of one run: steps, validations and checkpoints of a learner."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        should_stop: ShouldStop,
        accept_changes: bool,
        record: DataRecord | None = None,
    ) -> None:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
            cv2.setNumThreads(config.threads)
        self.config = config
        self.folder = folder
        self.should_stop = should_stop
        self.fabric = make_fabric(config)
        self.fabric.launch()
        self.processes = ProcessGroup(self.fabric)
        with memory_advice(config, FOR_DATA):
            self.data = self._read_together(record, accept_changes)
        self.learner = LEARNERS[config.method](config, self.fabric, self.data)
        self.step, self.first_step, self.kept_at = 0, 0, -1
        self.best_accuracy = -1.0
        self.start_accuracy = -1.0
        self.rolled_back = False
        self.last_step = LastStep()

    def _read_together(self, record: DataRecord | None, accept_changes: bool) -> TrainingData:
        """Read the pairs in all processes; stop in all of them if one was asked to."""
        try:
            data = self._read_data(record, accept_changes)
            cancelled = None
        except Cancelled as error:
            cancelled = error
        if self.processes.any(cancelled is not None):
            raise cancelled or Cancelled("Stopped before the first step; nothing was trained.")
        return data

    def _read_data(self, record: DataRecord | None, accept_changes: bool) -> TrainingData:
        """Read the pairs; those of the interrupted run, or else of a record, keep their roles."""
        begun = self.folder.has_checkpoint
        earlier = self.folder.read_data_record() if begun else record
        data = load_training_data(self.config, self.should_stop, earlier, accept_changes)
        if begun and earlier is None:
            return without_record(self.folder, data, accept_changes)
        return data

    def events(self, resume: bool) -> Iterator[Event]:
        """Train and yield the events.

        Raises
        ------
        LostProcessError
            If another process of the run has ended; the last whole step is saved.
        """
        try:
            with freed_memory_kept():
                yield from self._all_events(resume)
        except Exception as error:
            if self.processes.is_alone or not is_lost_process(error):
                raise
            raise self._rescued() from error

    def _rescued(self) -> LostProcessError:
        """Save the state after the last whole step, in every process that is left."""
        if self.step == self.first_step:
            return LostProcessError("so the run was stopped before its first step.")
        if self.kept_at == self.step:  # In the middle of a step.
            self.last_step.restore(self._state())
        self.folder.write_state(self._state())
        return LostProcessError(
            f"so the run was stopped; resume it from step {self.step} in {self.folder.root}."
        )

    def _all_events(self, resume: bool) -> Iterator[Event]:
        if resume and self.folder.state.exists():
            self._load_state(self.folder.read_state())
        else:
            self.learner.load_start()
        self.first_step = self.step
        with memory_advice(self.config, FOR_VALIDATION):  # It scores the classical refiners.
            started = self._started()
        yield started
        if self.config.method == "stage2" and self.step == 0:
            yield from self._validate_and_save()
            self.start_accuracy = self.best_accuracy
        stopped = yield from self._steps()
        best = self.folder.best if self.folder.best.exists() else None
        yield Finished(self.step, stopped and self._is_unfinished, best)

    @property
    def _is_unfinished(self) -> bool:
        return self.step < self.config.total_steps and not self.rolled_back

    def _steps(self) -> Generator[Event, None, bool]:
        """Train until the end; return whether the run was stopped before it."""
        stopped = self._should_stop()
        while self._is_unfinished and not stopped:
            yield self._step()
            stopped = self._should_stop()
            if self._validation_is_due():
                yield from self._validate_and_save()
            elif stopped:
                self._write_state()
                yield Saved(self.step, self.folder.state)
        return stopped

    def _should_stop(self) -> bool:
        """Return whether any process was asked to stop."""
        return self.processes.any(self.should_stop())

    def _write_state(self) -> None:
        """Write the state in the first process; the others wait, as they may read it next."""
        if self.processes.is_first:
            self.folder.write_state(self._state())
        self.processes.wait()

    def _started(self) -> RunStarted:
        parameters = self.learner.generator.module.parameters()
        return RunStarted(
            run_folder=self.config.run_folder,
            method=self.config.method,
            first_step=self.step,
            steps=self.config.total_steps,
            device=str(self.fabric.device),
            processes=self.processes.count,
            parameters=sum(parameter.numel() for parameter in parameters),
            train_pairs=len(self.data.train),
            validation_pairs=len(self.data.validation),
            class_weights=dict(self.learner.weights_by_class),
            messages=self.data.messages,
            reference=self.processes.from_first(self._reference),
            classical=self.processes.from_first(self._classical),
        )

    def _reference(self) -> dict[str, float]:
        return reference_scores(self.data.validation, self.data.class_table)

    def _classical(self) -> ClassicalReference | None:
        baselines = self.learner.baselines
        return best_classical(self.data.validation, self.data.class_table, baselines)

    def _validation_is_due(self) -> bool:
        last = self.step == self.config.total_steps
        return last or self.step % self.config.validate_every == 0

    def _step(self) -> StepDone:
        began, rate = time.perf_counter(), learning_rate(self.step, self.config)
        self.learner.generator.set_learning_rate(rate)
        self.learner.generator.module.train()
        with memory_advice(self.config, FOR_STEPS):
            result = self._step_together()
        self.step += 1
        self._check_finite(result)
        seconds = time.perf_counter() - began
        return StepDone(self.step, result.loss, result.gradient_norm, rate, seconds, result.values)

    def _step_together(self) -> StepResult:
        """Take a step; return the means over the processes, which are the losses of the batch."""
        if self.processes.is_alone:
            return self.learner.step(self.step)
        self.last_step.keep(self._state())
        self.kept_at = self.step
        result = self.learner.step(self.step)
        loss, *values = self.processes.means([result.loss, *result.values.values()])
        named = dict(zip(result.values, values, strict=True))
        return StepResult(loss, result.gradient_norm, named)

    def _check_finite(self, result: StepResult) -> None:
        """Check that training has not diverged: its weights would be useless from now on."""
        losses = {name: value for name, value in result.values.items() if name.endswith("loss")}
        numbers = {"loss": result.loss, "gradient norm": result.gradient_norm, **losses}
        broken = next((name for name, number in numbers.items() if not math.isfinite(number)), "")
        if broken:
            begun = self.folder.has_checkpoint
            intact = f" The last checkpoint in {self.folder.root} is intact." if begun else ""
            raise C2FError(
                f"Training diverged at step {self.step}: the {broken} is not a finite number; "
                f"start a new run with a smaller learning rate.{intact}"
            )

    def _validate_and_save(self) -> Iterator[Event]:
        with memory_advice(self.config, FOR_VALIDATION):
            result = self.learner.validate(self.data.validation)
            accuracy_on_held_out = self.learner.discriminator_accuracy_on(
                self.data.validation, result.predictions
            )
            preview = self._preview(result) if self.processes.is_first else None
        accuracy = result.scores["pixel accuracy"]
        is_best = accuracy > self.best_accuracy
        yield _validated(self.step, result, is_best, accuracy_on_held_out)
        if preview is not None:
            yield preview
        if self.processes.is_first:
            self._save(result, is_best)
        self.best_accuracy = max(self.best_accuracy, accuracy)
        if self._has_fallen(accuracy):
            yield self._roll_back(accuracy)
        self._write_state()
        yield Saved(self.step, self.folder.last)

    def _preview(self, result: ValidationResult) -> Preview:
        """Show the first validation pair."""
        pair, prediction = self.data.validation[0], result.predictions[0]
        realism = self.learner.realism_map(pair.image, prediction)
        assert pair.fine is not None
        table = self.data.class_table
        return Preview(self.step, table, pair.image, pair.coarse, prediction, pair.fine, realism)

    def _save(self, result: ValidationResult, is_best: bool) -> None:
        generator = self.learner.validated_generator
        common = ModelMetadata(
            config=RecordedConfig.model_validate(self.config.model_dump(mode="json")),
            data_fingerprint=self.data.fingerprint,
            coarse_displacement=self.data.coarse_displacement,
            scores=result.scores,
            temperature=result.temperature,
            library_versions=library_versions(),
        )
        metadata = self.learner.metadata(common)
        save_checkpoint(self.folder.last, generator, metadata)
        if is_best:
            save_checkpoint(self.folder.best, generator, metadata)

    def _has_fallen(self, accuracy: float) -> bool:
        """Return whether the guard of stage 2 has to end the run."""
        guard = self.config.stage2.guard
        return self.step > 0 and guard is not None and accuracy < self.start_accuracy - guard

    def _roll_back(self, accuracy: float) -> RolledBack:
        self.rolled_back = True
        self.processes.wait()  # The best checkpoint may be new.
        if self.processes.is_first:
            self.folder.restore_best()
        restored, _ = load_checkpoint(self.folder.best)
        self.learner.set_weights(restored.state_dict())
        return RolledBack(self.step, self.start_accuracy, accuracy, self.folder.best)

    def _state(self) -> dict[str, object]:
        return self.learner.state_dict() | {
            "step": self.step,
            "best": self.best_accuracy,
            "start": self.start_accuracy,
            "rolled back": self.rolled_back,
        }

    def _load_state(self, state: dict[str, Any]) -> None:
        with self.folder.fitting_state():
            self.learner.load_state_dict(state)
            self.step, self.best_accuracy = int(state["step"]), float(state["best"])
            self.start_accuracy = float(state["start"])
            self.rolled_back = bool(state["rolled back"])


def _validated(
    step: int, result: ValidationResult, is_best: bool, discriminator_accuracy: float | None
) -> Validated:
    if discriminator_accuracy is None:
        return Validated(step, result.scores, is_best)
    scores = result.scores | {"discriminator accuracy": discriminator_accuracy}
    return Validated(step, scores, is_best, (balance_note(discriminator_accuracy),))


def balance_note(accuracy: float) -> str:
    """Describe in one sentence whether the discriminator's held-out accuracy is healthy.

    Parameters
    ----------
    accuracy : float
        Accuracy of the discriminator on held-out pairs, in [0, 1].

    Returns
    -------
    str
        Sentence for the log.
    """
    share = f"The discriminator is right in {100 * accuracy:.0f} % on held-out pairs"
    if accuracy < GUESSING:
        return f"{share}: it is guessing and of little use to the generator."
    if accuracy > WINNING:
        return f"{share}: it wins, perhaps by an artefact, and is of little use to the generator."
    return f"{share}: the game is balanced."
