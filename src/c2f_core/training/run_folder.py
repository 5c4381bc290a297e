"""The folder of a run: config, checkpoints, logs, and the lock that keeps a second run out."""

import io
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from c2f_core.classes.table import PRESETS
from c2f_core.config.settings import TrainConfig
from c2f_core.errors import CheckpointError, ConfigError
from c2f_core.io.atomic import atomic_path
from c2f_core.io.lock import lock_folder
from c2f_core.models.bundled import bundled_models

PLACE = {"run_folder", "device", "threads"}
"""Settings that say where a run computes, not what it learns."""
CHANGEABLE = PLACE | {"batch_size", "crop", "stage2.start"}
"""Settings that may change when a run is resumed: its place, and what takes memory.

A run that has begun does not go back to its start, which may have been moved.
"""
STAGES = ("stage1", "stage2")
"""Folders of the stages in the folder of a model2 run."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files."""

    root: Path

    @property
    def config(self) -> Path:
        """Resolved config, JSON."""
        return self.root / "config.json"

    @property
    def last(self) -> Path:
        """Checkpoint of the last validation."""
        return self.root / "last.safetensors"

    @property
    def best(self) -> Path:
        """Checkpoint of the best validation pixel accuracy."""
        return self.root / "best.safetensors"

    @property
    def state(self) -> Path:
        """All that resuming needs: weights, optimiser, step."""
        return self.root / "state.pt"

    @property
    def log(self) -> Path:
        """Losses and scores by step, CSV."""
        return self.root / "log.csv"

    @property
    def best_model(self) -> Path | None:
        """Best checkpoint, of the last stage that has one; None before the first validation."""
        folders = [*(RunFolder(self.root / stage) for stage in reversed(STAGES)), self]
        return next((folder.best for folder in folders if folder.best.exists()), None)

    @property
    def has_checkpoint(self) -> bool:
        """Tell whether the run got as far as its first checkpoint, in any stage."""
        folders = [self, *(RunFolder(self.root / stage) for stage in STAGES)]
        return any(folder.state.exists() or folder.last.exists() for folder in folders)

    @classmethod
    @contextmanager
    def open(
        cls, config: TrainConfig, resume: bool, changeable: Collection[str] = CHANGEABLE
    ) -> Iterator["RunFolder"]:
        """Make the folder of a new run, or open that of an interrupted one, and lock it.

        A folder in which a run ended before its first checkpoint is as good as new.

        Parameters
        ----------
        config : TrainConfig
        resume : bool
        changeable : collection of str
            Settings that may differ from those of the interrupted run, by dotted name.

        Raises
        ------
        ConfigError
            A new run would overwrite another, there is nothing to resume, the
            config differs from that of the interrupted run, or the run is under way.
        """
        folder = cls(Path(config.run_folder))
        folder.refuse_unfit(config, resume, changeable)  # An unfit folder is left as it is.
        with folder.locked():
            folder._refuse_other_run(config, resume, changeable)
            with atomic_path(folder.config) as temporary:
                text = with_absolute_paths(config).model_dump_json(indent=2)
                temporary.write_text(text + "\n", encoding="utf-8")
            yield folder

    def refuse_unfit(
        self, config: TrainConfig, resume: bool, changeable: Collection[str] = CHANGEABLE
    ) -> None:
        """Refuse what `open` would refuse, and write nothing.

        Parameters and errors are those of `open`.
        """
        self._refuse_under_way()
        self._refuse_other_run(config, resume, changeable)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from training here; the lock ends with the process.

        Raises
        ------
        ConfigError
            Another run is under way here, or the folder cannot be made.
        """
        lock = lock_folder(
            self.root,
            ConfigError,
            in_use=f"A run is under way in {self.root}; wait for its end, stop it, or choose "
            "another run folder.",
            unusable=f"The run folder {self.root} cannot be used; choose another",
        )
        try:
            yield
        finally:
            lock.release()

    @property
    def is_under_way(self) -> bool:
        """Tell whether a run is training here now."""
        try:
            self._refuse_under_way()
        except ConfigError:
            return True
        return False

    def _refuse_under_way(self) -> None:
        if (self.root / ".lock").exists():
            with self.locked():
                return

    def read_config(self) -> TrainConfig:
        """Read the resolved config of the run.

        Raises
        ------
        ConfigError
            The folder holds no run, or its config is damaged.
        """
        try:
            return TrainConfig.model_validate_json(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # Of another encoding, or invalid.
            raise ConfigError(
                f"{self.root} holds no run to resume; check the folder or start a new run."
            ) from error

    def _refuse_other_run(
        self, config: TrainConfig, resume: bool, changeable: Collection[str]
    ) -> None:
        if resume:
            self._refuse_other_config(config, changeable)
        elif self.has_checkpoint:
            raise ConfigError(
                f"{self.root} already holds a run; resume it or choose another run folder."
            )

    def _refuse_other_config(self, config: TrainConfig, changeable: Collection[str]) -> None:
        was = with_absolute_paths(self.read_config()).model_dump(mode="json")
        now = with_absolute_paths(config).model_dump(mode="json")
        for settings in (was, now):
            for name in changeable:
                *tables, last = name.split(".")
                reduce(dict.__getitem__, tables, settings).pop(last)
        differing = sorted(key for key in now if now[key] != was[key])
        if differing:
            raise ConfigError(
                f"The run in {self.root} was started with another {', '.join(differing)}; resume "
                "with the same settings or start a new run."
            )

    def restore_best(self) -> None:
        """Put the best checkpoint in the place of the last."""
        with atomic_path(self.last) as temporary:
            shutil.copyfile(self.best, temporary)

    def write_state(self, state: dict[str, Any]) -> None:
        """Write the state for resuming, atomically.

        Raises
        ------
        DataError
            The file cannot be written.
        """
        import torch  # Only here and below: the folder is looked at by who needs no torch.

        written = io.BytesIO()  # torch's own writer does not say that a disk is full.
        torch.save(state, written)
        with atomic_path(self.state) as temporary:
            temporary.write_bytes(written.getbuffer())

    def read_state(self) -> dict[str, Any]:
        """Read the state for resuming; nothing in it is executed.

        Raises
        ------
        CheckpointError
            The file lacks or is damaged.
        """
        import torch

        try:
            state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            began = self.config.exists()
            raise CheckpointError(
                f"{self.root} was stopped before its first checkpoint; start a new run."
                if began
                else f"{self.root} holds no run; choose the folder of one."
            ) from error
        except Exception as error:  # Damaged archives raise many kinds.
            raise CheckpointError(
                f"{self.state} is damaged ({error}); start a new run, or use last.safetensors."
            ) from error
        return state


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return a config that finds its data from any working directory."""
    data = config.data
    in_file = data.class_table not in PRESETS
    changes: dict[str, Any] = {
        "root": data.root.absolute(),
        "splits": data.splits and data.splits.absolute(),
        "class_table": str(Path(data.class_table).absolute()) if in_file else data.class_table,
    }
    start = config.stage2.start
    stage2 = config.stage2.model_copy(update={"start": start and start.absolute()})
    initial = config.initial_weights
    if initial is not None and initial not in bundled_models():
        initial = str(Path(initial).absolute())
    return config.model_copy(
        update={
            "data": data.model_copy(update=changes),
            "stage2": stage2,
            "initial_weights": initial,
        }
    )


def has_discriminator(model: str | Path) -> bool:
    """Tell whether a checkpoint lies in the folder of a run that trained a discriminator."""
    folder = RunFolder(Path(model).parent)
    try:
        return folder.state.is_file() and folder.read_config().method in STAGES
    except ConfigError:
        return False
