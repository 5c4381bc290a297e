"""The folder of a run: config, checkpoints, logs."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from c2f_core.config import TrainConfig
from c2f_core.errors import CheckpointError, ConfigError
from c2f_core.io import atomic_path

EXTENDABLE = {"run_folder", "device", "devices", "threads"}
"""Settings that may change when a run is resumed: they do not change what is learned."""


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

    @classmethod
    def open(cls, config: TrainConfig, resume: bool) -> "RunFolder":
        """Make the folder of a new run, or open that of an interrupted one.

        Raises
        ------
        ConfigError
            A new run would overwrite another, there is nothing to resume, or the
            config differs from that of the interrupted run.
        """
        folder = cls(Path(config.run_folder))
        if resume:
            folder._refuse_other_config(config)
            return folder
        if folder.config.exists():
            raise ConfigError(
                f"{folder.root} already holds a run; resume it with --resume or choose another "
                "run folder."
            )
        try:
            folder.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The run folder {folder.root} cannot be made ({error}); choose another."
            ) from error
        with atomic_path(folder.config) as temporary:
            temporary.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return folder

    def read_config(self) -> TrainConfig:
        """Read the resolved config of the run.

        Raises
        ------
        ConfigError
            The folder holds no run, or its config is damaged.
        """
        try:
            return TrainConfig.model_validate_json(self.config.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{self.root} holds no run to resume; check the folder or start a new run."
            ) from error

    def _refuse_other_config(self, config: TrainConfig) -> None:
        was = self.read_config().model_dump(mode="json", exclude=EXTENDABLE)
        now = json.loads(config.model_dump_json(exclude=EXTENDABLE))
        differing = sorted(key for key in now if now[key] != was[key])
        if differing:
            raise ConfigError(
                f"The run in {self.root} was started with another {', '.join(differing)}; resume "
                "with the same settings or start a new run."
            )

    def forget_unsaved(self) -> None:
        """Make way for a new run where one was killed before its first checkpoint."""
        if not self.state.exists():
            self.config.unlink(missing_ok=True)

    def restore_best(self) -> None:
        """Put the best checkpoint in the place of the last."""
        with atomic_path(self.last) as temporary:
            shutil.copyfile(self.best, temporary)

    def write_state(self, state: dict[str, Any]) -> None:
        """Write the state for resuming, atomically."""
        with atomic_path(self.state) as temporary:
            torch.save(state, temporary)

    def read_state(self) -> dict[str, Any]:
        """Read the state for resuming; nothing in it is executed.

        Raises
        ------
        CheckpointError
            The file lacks or is damaged.
        """
        try:
            state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self.root} was stopped before its first checkpoint; start a new run."
            ) from error
        except Exception as error:  # Damaged archives raise many kinds.
            raise CheckpointError(
                f"{self.state} is damaged ({error}); start a new run, or use last.safetensors."
            ) from error
        return state
