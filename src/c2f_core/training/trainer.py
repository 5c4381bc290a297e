"""The trainer: a generator of events that asks between steps whether to stop."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from c2f_core.classes import PRESETS, ClassTable
from c2f_core.config import TrainConfig
from c2f_core.data.folder import open_pairs
from c2f_core.data.pairs import Pair, fingerprint
from c2f_core.data.splits import draw_validation, read_groups, read_split
from c2f_core.data.transforms import AugmentedBatches, Batch, ReportBatches
from c2f_core.errors import C2FError, ConfigError, DataError
from c2f_core.events import Event, Finished, RunStarted, Saved, StepDone, Validated
from c2f_core.losses import PIXEL_LOSSES, inverse_class_proportions
from c2f_core.networks.unet import UNet, build_generator
from c2f_core.training.checkpoint import CheckpointMetadata, library_versions, save_checkpoint
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.supervised import learning_rate, make_optimiser, supervised_step
from c2f_core.training.validation import reference_scores, validate

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class TrainingData:
    """Pairs in memory, and what the user should know about them."""

    class_table: ClassTable
    train: list[Pair]
    validation: list[Pair]
    messages: tuple[str, ...]


def load_class_table(name: str) -> ClassTable:
    """Return a preset, or read a TOML or JSON file.

    Raises
    ------
    ClassTableError
        It is neither, or the file is no valid class table.
    """
    return ClassTable.preset(name) if name in PRESETS else ClassTable.from_file(name)


def load_training_data(config: TrainConfig) -> TrainingData:
    """Read the pairs of a run; pairs without a fine map are left out and named.

    Raises
    ------
    DataError, ClassTableError
        Files, splits or classes do not fit.
    """
    data = config.data
    pairs = open_pairs(data.root, load_class_table(data.class_table))
    if data.splits is None:
        names, groups = pairs.names, []
    else:
        names, groups = read_split(data.splits, data.train), read_groups(data.splits)
    held_out = read_split(data.splits, data.validation) if data.splits and data.validation else []
    loaded = {pair.name: pair for pair in pairs.subset([*dict.fromkeys([*names, *held_out])])}
    with_fine = [name for name in names if loaded[name].fine is not None]
    if held_out:
        train = [name for name in with_fine if name not in held_out]
    else:
        train, held_out = draw_validation(with_fine, data.validation_share, config.seed, groups)
    if not train or any(loaded[name].fine is None for name in held_out):
        raise DataError("Training and validation need pairs with fine maps; add fine maps.")
    messages = [f"{path.name}: {report.message()}" for path, report in pairs.reports.items()]
    if len(with_fine) < len(names):
        messages.append(f"{len(names) - len(with_fine)} pairs without a fine map were left out.")
    return TrainingData(
        pairs.class_table,
        [loaded[name] for name in train],
        [loaded[name] for name in held_out],
        tuple(messages),
    )


def make_batches(config: TrainConfig, data: TrainingData) -> Callable[[int], Batch]:
    """Return the function from step to batch that the config's preprocessing names."""
    if config.preprocessing == "report":
        classes = data.class_table.number_of_classes
        return ReportBatches(data.train, classes, config.batch_size, config.seed)
    return AugmentedBatches(
        data.train,
        data.class_table,
        config.augmentation,
        config.crop,
        config.batch_size,
        config.seed,
    )


def computes_in_bfloat16(device: str) -> bool:
    """Tell whether a device has instructions for bfloat16; without them it is much slower."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return False
    # Versions of torch that do not know the processor's abilities compute in float32.
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def make_fabric(config: TrainConfig) -> Fabric:
    """Make the engine: device, number of devices, precision.

    Raises
    ------
    ConfigError
        The device is not there.
    """
    half = config.precision == "bfloat16" or (
        config.precision == "auto" and computes_in_bfloat16(config.device)
    )
    try:
        return Fabric(
            accelerator=config.device,
            devices=config.devices,
            precision="bf16-mixed" if half else "32-true",
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The device '{config.device}' cannot be used ({error}); choose device auto or cpu."
        ) from error
    except Exception as error:
        # Lightning's MisconfigurationException derives from Exception alone.
        if type(error).__name__ != "MisconfigurationException":
            raise
        raise ConfigError(
            f"The device '{config.device}' is not there ({error}); choose device auto or cpu."
        ) from error


@dataclass
class TrainingState:
    """All that a run needs to go on exactly where it stopped."""

    generator: UNet
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0

    def validated_generator(self, config: TrainConfig) -> UNet:
        """Return the generator that is validated and saved: the average, where there is one."""
        if not config.optimiser.average_decay:
            return self.generator
        averaged = self.average.module
        assert isinstance(averaged, UNet)
        return averaged

    def state_dict(self) -> dict[str, object]:
        """Return tensors and numbers only, for `torch.load(weights_only=True)`."""
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go back to a saved state."""
        self.generator.load_state_dict(state["generator"])  # type: ignore[arg-type]
        self.average.load_state_dict(state["average"])  # type: ignore[arg-type]
        self.optimiser.load_state_dict(state["optimiser"])  # type: ignore[arg-type]
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.best = float(state["best"])  # type: ignore[arg-type]


def make_state(config: TrainConfig, number_of_classes: int) -> TrainingState:
    """Make generator, average and optimiser from the seed."""
    torch.manual_seed(config.seed)
    generator = build_generator(config.architecture, number_of_classes)
    generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(
        generator,
        multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.average_decay),
        use_buffers=True,
    )
    return TrainingState(generator, average, make_optimiser(generator, config.optimiser))


def train(
    config: TrainConfig, *, resume: bool = False, should_stop: ShouldStop = lambda: False
) -> Iterator[Event]:
    """Train Model 1 or the plain U-Net.

    Parameters
    ----------
    config : TrainConfig
    resume : bool
        Go on in `config.run_folder` from its last checkpoint; on the CPU the
        result equals an uninterrupted run bit for bit.
    should_stop : callable
        Asked between steps; when it returns True a checkpoint is saved and the run ends.

    Yields
    ------
    Event
        `RunStarted`, `StepDone`, `Validated`, `Saved`, and `Finished` at the end.

    Raises
    ------
    C2FError
        Data, config, device or run folder do not fit, or memory or disk is full.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    fabric = make_fabric(config)
    fabric.launch()
    data = load_training_data(config)
    folder = RunFolder.open(config, resume)
    state = make_state(config, data.class_table.number_of_classes)
    if resume:
        state.load_state_dict(folder.read_state())
    try:
        yield from _run(config, fabric, data, folder, state, should_stop)
    except torch.OutOfMemoryError as error:
        raise C2FError(
            "The device ran out of memory; resume with a smaller batch_size or crop. The last "
            f"checkpoint in {config.run_folder} is whole."
        ) from error


def _run(
    config: TrainConfig,
    fabric: Fabric,
    data: TrainingData,
    folder: RunFolder,
    state: TrainingState,
    should_stop: ShouldStop,
) -> Iterator[Event]:
    weights = inverse_class_proportions(
        [pair.fine for pair in data.train if pair.fine is not None],
        data.class_table.number_of_classes,
        config.class_weight_cap,
    )
    yield RunStarted(
        first_step=state.step,
        steps=config.steps,
        device=str(fabric.device),
        parameters=sum(parameter.numel() for parameter in state.generator.parameters()),
        train_pairs=len(data.train),
        validation_pairs=len(data.validation),
        class_weights=dict(zip(data.class_table.names, weights.tolist(), strict=True)),
        messages=data.messages,
        reference=reference_scores(data.validation, data.class_table),
    )
    class_weights = torch.from_numpy(weights).to(fabric.device)
    generator, optimiser = fabric.setup(state.generator, state.optimiser)
    state.average.to(fabric.device)
    batches = make_batches(config, data)
    stopped = False
    while state.step < config.steps and not stopped:
        generator.train()
        yield _step(config, fabric, generator, optimiser, batches, class_weights, state)
        stopped = should_stop()
        last = state.step == config.steps
        if last or state.step % config.validate_every == 0:
            yield from _validate_and_save(config, data, folder, state, fabric.device)
        elif stopped:
            folder.write_state(state.state_dict())
            yield Saved(state.step, folder.state)
    best = folder.best if folder.best.exists() else None
    yield Finished(state.step, stopped and state.step < config.steps, best)


def _step(
    config: TrainConfig,
    fabric: Fabric,
    generator: UNet,
    optimiser: torch.optim.Optimizer,
    batches: Callable[[int], Batch],
    class_weights: torch.Tensor,
    state: TrainingState,
) -> StepDone:
    began = time.perf_counter()
    rate = learning_rate(state.step, config.steps, config.optimiser)
    for group in optimiser.param_groups:
        group["lr"] = rate
    batch = batches(state.step * config.devices + fabric.global_rank).to(fabric.device)
    result = supervised_step(
        fabric,
        generator,
        optimiser,
        batch,
        PIXEL_LOSSES[config.loss],
        class_weights,
        config.optimiser.clip_norm,
    )
    if config.optimiser.average_decay:
        state.average.update_parameters(state.generator)
    state.step += 1
    seconds = time.perf_counter() - began
    return StepDone(state.step, result.loss, result.gradient_norm, rate, seconds)


def _validate_and_save(
    config: TrainConfig,
    data: TrainingData,
    folder: RunFolder,
    state: TrainingState,
    device: torch.device,
) -> Iterator[Event]:
    generator = state.validated_generator(config)
    result = validate(generator, data.validation, data.class_table, device)
    best = result.scores["pixel accuracy"] > state.best
    yield Validated(state.step, result.scores, best)
    metadata = CheckpointMetadata(
        architecture=config.architecture,
        class_table=data.class_table,
        config=config.model_dump(mode="json"),
        data_fingerprint=fingerprint(data.train),
        scores=result.scores,
        temperature=result.temperature,
        library_versions=library_versions(),
    )
    save_checkpoint(folder.last, generator, metadata)
    if best:
        state.best = result.scores["pixel accuracy"]
        save_checkpoint(folder.best, generator, metadata)
    folder.write_state(state.state_dict())
    yield Saved(state.step, folder.last)
