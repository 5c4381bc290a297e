"""The trainer: a generator of events that asks between steps whether to stop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import torch

from c2f_core.config.settings import TrainConfig
from c2f_core.data.pairs import fingerprint
from c2f_core.errors import C2FError, Cancelled, is_out_of_memory
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.models.metadata import CheckpointMetadata, RecordedConfig, library_versions
from c2f_core.training.events import (
    Event,
    Finished,
    Preview,
    RolledBack,
    RunStarted,
    Saved,
    StepDone,
    Validated,
)
from c2f_core.training.initial import load_initial_weights, load_stage1
from c2f_core.training.loading import ShouldStop, load_training_data, refuse_without_coarse_only
from c2f_core.training.optimisation import learning_rate, make_fabric
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.stage1 import Stage1Learner
from c2f_core.training.stage2 import Stage2Learner
from c2f_core.training.supervised import SupervisedLearner
from c2f_core.training.validation import (
    ValidationResult,
    best_classical,
    reference_scores,
    validate,
)

FOR_DATA = "to hold all pairs; use fewer or smaller images, or close other programs"
FOR_STEPS = "for a step; choose a smaller batch_size or crop, or close other programs"
FOR_VALIDATION = (
    "for validation, which takes whole images; close other programs, choose device cpu if it is "
    "the GPU's memory, or cut the images of the validation pairs into smaller ones"
)
FOR_THE_REST = "for this run; close other programs, or choose device cpu if it is the GPU's memory"
GUESSING, WINNING = 0.55, 0.95
"""Accuracies of the discriminator between which it can teach the generator something."""
LEARNERS: dict[str, type[SupervisedLearner]] = {
    "plain": SupervisedLearner,
    "model1": SupervisedLearner,
    "stage1": Stage1Learner,
    "stage2": Stage2Learner,
}


def train(
    config: TrainConfig, *, resume: bool = False, should_stop: ShouldStop = lambda: False
) -> Iterator[Event]:
    """Train the plain U-Net, Model 1, or one or both stages of Model 2.

    Parameters
    ----------
    config : TrainConfig
        Method model2 trains stage 1 in the folder `stage1` of the run folder,
        then stage 2 in `stage2`.
    resume : bool
        Go on in `config.run_folder` from its last checkpoint; on the CPU the
        result equals an uninterrupted run bit for bit.
    should_stop : callable
        Asked between steps; when it returns True a checkpoint is saved and the run ends.

    Yields
    ------
    Event
        `RunStarted`, `StepDone`, `Validated`, `Preview`, `Saved`, in stage 2
        perhaps `RolledBack`, and `Finished` at the end; for model2 all of these
        for each stage. Stopped while the data are read, it yields `Finished` alone.

    Raises
    ------
    C2FError
        Data, config, device or run folder do not fit, or memory or disk is full.
    """
    try:
        with _memory_told(config, FOR_THE_REST):
            if config.method != "model2":
                yield from _train_stage(config, resume, should_stop)
            else:
                yield from _train_both_stages(config, resume, should_stop)
    except Cancelled:
        yield Finished(0, True, None)


@contextmanager
def _memory_told(config: TrainConfig, advice: str) -> Iterator[None]:
    """Say in a sentence that the memory is exhausted, and what to do."""
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not is_out_of_memory(error):
            raise
        begun = RunFolder(config.run_folder).has_checkpoint
        whole = f" The last checkpoint in {config.run_folder} is whole." if begun else ""
        raise C2FError(f"The memory does not suffice {advice}.{whole}") from error


def _train_both_stages(
    config: TrainConfig, resume: bool, should_stop: ShouldStop
) -> Iterator[Event]:
    with RunFolder.open(config, resume):
        for stage in stage_configs(config):
            begun = RunFolder(stage.run_folder).has_checkpoint
            for event in _train_stage(stage, begun, should_stop, of_both=True):
                yield event
                if isinstance(event, Finished) and event.stopped:
                    return


def _train_stage(
    config: TrainConfig, resume: bool, should_stop: ShouldStop, *, of_both: bool = False
) -> Iterator[Event]:
    RunFolder(config.run_folder).refuse_unfit(config, resume)  # Not only when all data are read.
    run = _Run(config, should_stop)
    if of_both:
        refuse_without_coarse_only(run.data.coarse_only)  # Not only hours later, in stage 2.
    with RunFolder.open(config, resume) as folder:
        yield from run.events(folder, resume)


def train_or_resume(
    config: TrainConfig, *, should_stop: ShouldStop = lambda: False
) -> Iterator[Event]:
    """Train a new run, or go on with the one in its folder; a finished one is left as it is.

    A run that was killed before its first checkpoint is begun anew. Parameters,
    events and errors are those of `train`.
    """
    resume = RunFolder(config.run_folder).has_checkpoint
    yield from train(config, resume=resume, should_stop=should_stop)


def stage_configs(config: TrainConfig) -> list[TrainConfig]:
    """Return the configs of both stages of a model2 run; of another method, the config alone."""
    if config.method != "model2":
        return [config]
    first = config.run_folder / "stage1"
    stage2 = config.stage2.model_copy(update={"start": first})
    return [
        config.model_copy(update={"method": "stage1", "run_folder": first}),
        config.model_copy(
            update={
                "method": "stage2",
                "run_folder": config.run_folder / "stage2",
                "stage2": stage2,
                "initial_weights": None,
            }
        ),
    ]


class _Run:
    """One run in its folder: the loop around a learner."""

    def __init__(self, config: TrainConfig, should_stop: ShouldStop) -> None:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
            cv2.setNumThreads(config.threads)
        self.config = config
        self.should_stop = should_stop
        self.fabric = make_fabric(config)
        self.fabric.launch()
        with _memory_told(config, FOR_DATA):
            self.data = load_training_data(config, should_stop)
        self.learner = LEARNERS[config.method](config, self.fabric, self.data)
        self.step = 0
        self.best = -1.0
        self.start = -1.0
        self.rolled_back = False

    def events(self, folder: RunFolder, resume: bool) -> Iterator[Event]:
        """Train in a folder and tell."""
        self.folder = folder
        self._begin(resume)
        with _memory_told(self.config, FOR_VALIDATION):  # It scores the classical refiners.
            started = self._started()
        yield started
        if self.config.method == "stage2" and self.step == 0:
            yield from self._validate_and_save()
            self.start = self.best
        stopped = self.rolled_back or self.should_stop()
        while self.step < self.config.total_steps and not stopped:
            yield self._step()
            stopped = self.should_stop()
            if self._validation_is_due():
                yield from self._validate_and_save()
                stopped = stopped or self.rolled_back
            elif stopped:
                self.folder.write_state(self._state())
                yield Saved(self.step, self.folder.state)
        best = self.folder.best if self.folder.best.exists() else None
        unfinished = self.step < self.config.total_steps and not self.rolled_back
        yield Finished(self.step, stopped and unfinished, best)

    def _begin(self, resume: bool) -> None:
        """Go back to the last checkpoint, or take the weights that the config names."""
        config = self.config
        if resume and self.folder.state.exists():
            self._load(self.folder.read_state())
        elif config.stage2.start is not None and isinstance(self.learner, Stage2Learner):
            start = load_stage1(config.stage2.start, config, self.data.class_table)
            self.learner.start_from(start)
        elif config.initial_weights is not None:
            weights = load_initial_weights(
                config.initial_weights, config.architecture, self.data.class_table
            )
            self.learner.set_weights(weights)

    def _started(self) -> RunStarted:
        weights = self.learner.class_weights.tolist()
        parameters = self.learner.generator.module.parameters()
        return RunStarted(
            run_folder=self.config.run_folder,
            method=self.config.method,
            first_step=self.step,
            steps=self.config.total_steps,
            device=str(self.fabric.device),
            parameters=sum(parameter.numel() for parameter in parameters),
            train_pairs=len(self.data.train),
            validation_pairs=len(self.data.validation),
            class_weights=dict(zip(self.data.class_table.names, weights, strict=True)),
            messages=self.data.messages,
            reference=reference_scores(self.data.validation, self.data.class_table),
            classical=best_classical(self.data.validation, self.data.class_table),
        )

    def _validation_is_due(self) -> bool:
        last = self.step == self.config.total_steps
        return last or self.step % self.config.validate_every == 0

    def _step(self) -> StepDone:
        began, rate = time.perf_counter(), learning_rate(self.step, self.config)
        self.learner.generator.set_learning_rate(rate)
        self.learner.generator.module.train()
        with _memory_told(self.config, FOR_STEPS):
            result = self.learner.step(self.step)
        self.step += 1
        seconds = time.perf_counter() - began
        return StepDone(self.step, result.loss, result.gradient_norm, rate, seconds, result.values)

    def _validate_and_save(self) -> Iterator[Event]:
        generator, data = self.learner.validated_generator, self.data
        weight = self.config.colour_weight
        device = self.fabric.device
        with _memory_told(self.config, FOR_VALIDATION):
            result = validate(generator, data.validation, data.class_table, device, weight)
            judged, preview = self._judge(result), self._preview(result)
        accuracy = result.scores["pixel accuracy"]
        best = accuracy > self.best
        scores = result.scores | ({} if judged is None else {"discriminator accuracy": judged})
        notes = () if judged is None else (balance_note(judged),)
        yield Validated(self.step, scores, best, notes)
        yield preview
        metadata = self._metadata(result)
        save_checkpoint(self.folder.last, generator, metadata)
        if best:
            self.best = accuracy
            save_checkpoint(self.folder.best, generator, metadata)
        guard = self.config.stage2.guard
        if self.step and guard is not None and accuracy < self.start - guard:
            self.rolled_back = True
            self.folder.restore_best()
            restored, _ = load_checkpoint(self.folder.best)
            self.learner.set_weights(restored.state_dict())
            yield RolledBack(self.step, self.start, accuracy, self.folder.best)
        self.folder.write_state(self._state())
        yield Saved(self.step, self.folder.last)

    def _judge(self, result: ValidationResult) -> float | None:
        """Accuracy of the discriminator on held-out pairs; None where there is none."""
        if not isinstance(self.learner, Stage1Learner):
            return None
        return self.learner.judge(self.data.validation, result.predictions)

    def _preview(self, result: ValidationResult) -> Preview:
        """Show the first validation pair."""
        pair, prediction = self.data.validation[0], result.predictions[0]
        score = None
        if isinstance(self.learner, Stage1Learner):
            score = self.learner.score_of(pair.image, prediction)
        assert pair.fine is not None
        table = self.data.class_table
        return Preview(self.step, table, pair.image, pair.coarse, prediction, pair.fine, score)

    def _metadata(self, result: ValidationResult) -> CheckpointMetadata:
        return CheckpointMetadata(
            class_table=self.data.class_table,
            config=RecordedConfig.model_validate(self.config.model_dump(mode="json")),
            data_fingerprint=fingerprint(self.data.train),
            scores=result.scores,
            temperature=result.temperature,
            library_versions=library_versions(),
        )

    def _state(self) -> dict[str, object]:
        return self.learner.state_dict() | {
            "step": self.step,
            "best": self.best,
            "start": self.start,
            "rolled back": self.rolled_back,
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state)
        self.step, self.best = int(state["step"]), float(state["best"])
        self.start, self.rolled_back = float(state["start"]), bool(state["rolled back"])


def balance_note(accuracy: float) -> str:
    """Say in a sentence whether the discriminator's accuracy on held-out pairs is healthy."""
    share = f"The discriminator is right in {100 * accuracy:.0f} % on held-out pairs"
    if accuracy < GUESSING:
        return f"{share}: it is guessing and teaches little."
    if accuracy > WINNING:
        return f"{share}: it wins, perhaps by an artefact, and teaches little."
    return f"{share}: the game is balanced."
