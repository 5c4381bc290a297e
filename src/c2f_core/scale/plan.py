"""The plan of a run: everything that a worker needs to know, as JSON in the ledger."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from c2f_core.classes.table import ClassTable
from c2f_core.errors import DataError
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.run import file_hash, open_refiner
from c2f_core.refine.scope import Scope
from c2f_core.scale.ledger import Ledger

UNIMPORTANT = {"device"}
"""Entries that may differ when a run is continued."""


class RefinerPlan(BaseModel):
    """Which refiner is used, and how much it may change.

    Attributes
    ----------
    model : str
        Name or absolute path of the refiner; see `open_refiner`.
    sha256 : str, optional
        SHA-256 of its file, if it has one.
    device : str
        Device that trained models compute on: "auto", "cpu", "cuda" or "mps".
    average_flips : bool
        Whether a trained model averages over the image and its mirror image.
    scope : dict
        Scope as made by `Scope.to_record`.
    class_table : ClassTable
        Class table of the coarse maps, for refiners that take any classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    sha256: str | None
    device: str
    average_flips: bool
    scope: dict[str, Any]
    class_table: ClassTable

    @classmethod
    def of(
        cls,
        refiner: RefinerInterface,
        model: str,
        scope: Scope,
        class_table: ClassTable,
        *,
        device: str = "auto",
        average_flips: bool = False,
    ) -> "RefinerPlan":
        """Return the plan of an opened refiner.

        Parameters
        ----------
        refiner : RefinerInterface
            The refiner.
        model : str
            Name or path that it was opened by.
        scope : Scope
            Region in which maps may change; it must not have masks.
        class_table : ClassTable
            Class table of the coarse maps.
        device, average_flips
            See the attributes.
        """
        return cls(
            model=str(Path(model).absolute()) if Path(model).is_file() else model,
            sha256=None if refiner.source is None else file_hash(refiner.source),
            device=device,
            average_flips=average_flips,
            scope=scope.to_record(),
            class_table=class_table,
        )

    def open(self) -> RefinerInterface:
        """Open the refiner in this process; one of several workers takes its own GPU."""
        device = device_of_worker(self.device)
        return open_refiner(
            self.model, lambda: self.class_table, device, average_flips=self.average_flips
        )


def device_of_worker(device: str) -> str:
    """Return the device of this process: workers of a local cluster share the GPUs evenly.

    Parameters
    ----------
    device : str
        Device for all of them: "auto", "cpu", "cuda" or "mps".
    """
    number = _worker_number()
    if number is None or device not in ("auto", "cuda"):
        return device
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{number % count}" if count > 1 else device


def _worker_number() -> int | None:
    """Return the number of this process in a local Dask cluster, None outside of one."""
    import sys

    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:
        return None
    return name if isinstance(name, int) else None


class Plan(BaseModel):
    """Plan of a run; subclasses say what is refined.

    Attributes
    ----------
    refiner : RefinerPlan
        Which refiner is used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    refiner: RefinerPlan

    def check(self) -> None:
        """Check that the plan can be written.

        Raises
        ------
        DataError
            If a path is not readable text.
        """
        try:
            self.model_dump_json()
        except PydanticSerializationError as error:
            raise DataError(
                "The name of a file or folder is not valid UTF-8 and cannot be recorded; rename "
                "it, or omit --workers, --scheduler and --shard."
            ) from error

    @property
    def fingerprint(self) -> str:
        """Hash of all that the output depends on."""
        described = self.model_dump_json(exclude={"refiner": UNIMPORTANT})
        return hashlib.sha256(described.encode()).hexdigest()

    def is_begun(self, ledger: Ledger) -> bool:
        """Return whether a run of this plan has begun; its ledger must be open.

        Raises
        ------
        DataError
            If a run of another plan has begun.
        """
        if not ledger.plan.is_file():
            return False
        try:
            begun = type(self).model_validate_json(ledger.plan.read_bytes())
        except ValidationError as error:
            raise DataError(f"{ledger.plan} is damaged; add --overwrite to start again.") from error
        if begun.fingerprint == self.fingerprint:
            return True
        raise DataError(
            f"The output was begun with other settings ({self._difference(begun)}); repeat that "
            "command, add --overwrite to start again, or choose another output."
        )

    def _difference(self, begun: "Plan") -> str:
        """Return the first entry that differs from another plan, and its values."""
        for name, then, now in _differences(begun.model_dump(), self.model_dump()):
            if name not in UNIMPORTANT:
                return f"{name.replace('_', ' ')}: {_short(then)}, not {_short(now)}"
        return "unknown"

    def begin(self, ledger: Ledger) -> None:
        """Write the plan into an open ledger.

        Raises
        ------
        WritingError
            If it cannot be written.
        """
        ledger.begin(self.model_dump_json(indent=1))


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    found = []
    for name in now:
        if then[name] != now[name] and isinstance(now[name], dict) and isinstance(then[name], dict):
            found += _differences(then[name], now[name])
        elif then[name] != now[name]:
            found.append((name, then[name], now[name]))
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
