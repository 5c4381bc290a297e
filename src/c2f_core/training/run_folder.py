"""The run folder: config, checkpoints, logs, and the lock that keeps a second run out."""

import io
import os
import shutil
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from c2f_core.classes.table import PRESETS
from c2f_core.config.files import invalid_setting
from c2f_core.config.settings import TrainConfig
from c2f_core.documents import first_problem, irregular_kind, is_unicode, read_document
from c2f_core.errors import CheckpointError, ConfigError, is_out_of_memory
from c2f_core.io.atomic import atomic_path, delete_unfinished
from c2f_core.io.lock import is_locked, lock_folder
from c2f_core.models.bundled import bundled_models
from c2f_core.training.data_record import DataRecord

PLACE = {"run_folder", "device", "devices", "nodes", "threads"}
"""Settings that decide where a run computes, not what it learns."""
CHANGEABLE = PLACE | {"batch_size", "crop", "stage2.coarse_only_batch_size", "stage2.start"}
"""Settings that may change when a run is resumed: its place, and what takes memory.

The start of stage 2 is not needed any more, so it may have been moved.
"""
STAGES = ("stage1", "stage2")
"""Subfolders of the stages in the run folder of a model2 run."""
PANELS = "panels"
"""Subfolder of the pictures of validation pairs."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's files.

    Attributes
    ----------
    root : Path
        The run folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """Resolved config, JSON."""
        return self.root / "config.json"

    @property
    def data_record(self) -> Path:
        """Class table, roles and hashes of the pairs, JSON."""
        return self.root / "data.json"

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
        """State for resuming: weights, optimiser, step."""
        return self.root / "state.pt"

    @property
    def log(self) -> Path:
        """Losses and scores by step, CSV."""
        return self.root / "log.csv"

    @property
    def best_model(self) -> Path | None:
        """Best checkpoint of the last stage that has one; None before the first validation."""
        folders = [*(RunFolder(self.root / stage) for stage in reversed(STAGES)), self]
        return next((folder.best for folder in folders if folder.best.exists()), None)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has reached its first checkpoint, in any stage."""
        folders = [self, *(RunFolder(self.root / stage) for stage in STAGES)]
        return any(folder.state.exists() or folder.last.exists() for folder in folders)

    @classmethod
    @contextmanager
    def open(
        cls, config: TrainConfig, resume: bool, changeable: Collection[str] = CHANGEABLE
    ) -> Iterator["RunFolder"]:
        """Lock the folder of a new or interrupted run and check that the run fits.

        A folder whose run ended before its first checkpoint counts as new. Nothing
        stays in the folder if it was not a run folder before and `write_config` was
        not called.

        Parameters
        ----------
        config : TrainConfig
            Config of the run.
        resume : bool
            Whether to resume the run in the folder.
        changeable : collection of str
            Dotted names of settings that may differ from those of the interrupted run.

        Yields
        ------
        RunFolder
            The folder, locked until the end of the context.

        Raises
        ------
        ConfigError
            If a new run would overwrite another, there is nothing to resume, the
            config differs from that of the interrupted run, or a run is in progress.
        """
        _check_unicode(config)
        folder = cls(Path(config.run_folder))
        with folder.locked():
            for each in (folder.root, folder.root / PANELS):
                delete_unfinished(each)
            if resume:
                folder._check_same_config(config, changeable)
            elif folder.has_checkpoint:
                raise ConfigError(
                    f"{folder.root} already holds a run; resume it or choose another run folder."
                )
            yield folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from training here; the lock ends with the process.

        Raises
        ------
        ConfigError
            If another run is in progress here, or the folder cannot be created.
        """
        is_new = not os.path.lexists(self.root)
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
            if not self.config.exists():
                self._remove_lock(with_folder=is_new)

    def _remove_lock(self, with_folder: bool) -> None:
        """Remove the traces of a lock from a folder in which no run has begun."""
        with suppress(OSError):  # Another process may be using the folder by now.
            (self.root / ".lock").unlink(missing_ok=True)
            if with_folder:
                self.root.rmdir()

    @property
    def is_under_way(self) -> bool:
        """Whether a run is training here now."""
        return is_locked(self.root)

    def write_config(self, config: TrainConfig) -> None:
        """Write the config of the run, atomically, with absolute paths.

        Parameters
        ----------
        config : TrainConfig
            Config of the run.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        with atomic_path(self.config) as temporary:
            text = with_absolute_paths(config).model_dump_json(indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")

    def read_config(self) -> TrainConfig:
        """Read the resolved config of the run.

        Returns
        -------
        TrainConfig
            Validated config.

        Raises
        ------
        ConfigError
            If the folder does not contain a run, or its config is damaged or has settings
            of another version.
        """
        if _is_missing(self.config):
            raise ConfigError(
                f"{self.root} contains no run to resume; check the folder or start a new run."
            )
        advice = "check the folder or start a new run"
        settings = read_document(self.config, "config", ConfigError, advice)
        try:
            return TrainConfig.model_validate(settings)
        except ValidationError as error:
            raise ConfigError(f"{self.config}: {invalid_setting(error)}") from error

    def write_data_record(self, record: DataRecord) -> None:
        """Write the record of the run's data, atomically.

        Parameters
        ----------
        record : DataRecord
            Class table, roles and hashes of the pairs.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        with atomic_path(self.data_record) as temporary:
            temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def read_data_record(self) -> DataRecord | None:
        """Read the record of the run's data.

        Returns
        -------
        DataRecord or None
            Validated record; None for a run of an earlier version, which kept none.

        Raises
        ------
        ConfigError
            If the file is damaged.
        """
        if not self.data_record.exists():
            return None
        advice = "delete it to resume without comparing the data"
        content = read_document(self.data_record, "record of the data", ConfigError, advice)
        try:
            return DataRecord.model_validate(content)
        except ValidationError as error:
            raise ConfigError(
                f"The record of the data {self.data_record} is damaged "
                f"({': '.join(first_problem(error))}); {advice}."
            ) from error

    def _check_same_config(self, config: TrainConfig, changeable: Collection[str]) -> None:
        """Check that a config differs from that of the run in changeable settings alone."""
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
        """Replace the last checkpoint by the best one."""
        with atomic_path(self.last) as temporary:
            shutil.copyfile(self.best, temporary)

    def write_state(self, state: dict[str, Any]) -> None:
        """Write the state for resuming, atomically.

        Parameters
        ----------
        state : dict
            Tensors and numbers by name.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        import torch  # Imported lazily so that listing runs does not import torch.

        written = io.BytesIO()  # torch's own writer does not report a full disk.
        torch.save(state, written)
        with atomic_path(self.state) as temporary:
            temporary.write_bytes(written.getbuffer())

    @contextmanager
    def fitting_state(self) -> Iterator[None]:
        """Turn errors of a state that is not one of this run into one sentence.

        Raises
        ------
        CheckpointError
            If the code within finds entries missing, or of another type or shape.
        """
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(
                f"{self.state} does not fit its config ({type(error).__name__}); start a new run, "
                "or use last.safetensors."
            ) from error

    def read_state(self) -> dict[str, Any]:
        """Read the state for resuming; nothing in it is executed.

        Returns
        -------
        dict
            Tensors and numbers by name.

        Raises
        ------
        CheckpointError
            If the file is missing or damaged.
        """
        import torch

        try:
            kind = irregular_kind(self.state)
            if kind:
                raise CheckpointError(f"{self.state} is {kind}; start a new run.")
            _check_stored(self.state)
            state = torch.load(self.state, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            began = self.config.exists()
            raise CheckpointError(
                f"{self.root} was stopped before its first checkpoint; start a new run."
                if began
                else f"{self.root} contains no run; choose the folder of one."
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"{self.state} cannot be read ({error.strerror}); check its permissions."
            ) from error
        except CheckpointError:
            raise
        except Exception as error:  # Damaged archives raise many kinds of errors.
            raise CheckpointError(
                f"{self.state} is damaged ({error}); start a new run, or use last.safetensors."
            ) from error
        if not isinstance(state, dict):
            raise CheckpointError(
                f"{self.state} is of another program; start a new run, or use last.safetensors."
            )
        return state


def _check_stored(path: Path) -> None:
    """Check that an archive is not compressed, as torch writes it: it could grow without limit."""
    with zipfile.ZipFile(path) as archive:
        if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
            raise ValueError("it is compressed")


def _is_missing(path: Path) -> bool:
    """Return whether there certainly is no file; one in a closed folder may be there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _check_unicode(config: TrainConfig) -> None:
    """Check that all paths of a run can be recorded in JSON."""
    whole = with_absolute_paths(config)
    data = whole.data
    paths = (data.root, data.splits, data.class_table, whole.stage2.start, whole.initial_weights)
    for path in (Path(config.run_folder).absolute(), *paths):
        if "\0" in str(path):
            raise ConfigError(f"The path {str(path)!r} contains a NUL character; correct it.")
        if not is_unicode(str(path)):
            raise ConfigError(
                f"The path {path} is not valid UTF-8 and cannot be recorded; rename the folder or "
                "file."
            )


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return a config whose paths are absolute, so that any working directory will do."""
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
    """Return whether a checkpoint is in the folder of a run that trained a discriminator."""
    folder = RunFolder(Path(model).parent)
    try:
        return folder.state.is_file() and folder.read_config().method in STAGES
    except ConfigError:
        return False
