"""Which refiner fits a coarse map, found without opening a network."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import CheckpointError
from c2f_core.geometry.arrays import Covered, Patch
from c2f_core.models.bundled import (
    bundled_file,
    bundled_for_any_classes,
    bundled_models,
    is_model_file,
    stem_of,
)
from c2f_core.models.metadata import CheckpointMetadata, read_model_metadata

INSTANT = "instant"
"""Refiner that takes any class table and needs no training."""


def general_refiner() -> str:
    """Return the name of the best refiner for maps of any classes."""
    return next(iter(bundled_for_any_classes()), INSTANT)


def fitting_refiner(class_table: ClassTable, files: Iterable[str | Path] = ()) -> str:
    """Return the refiner that fits the classes of a coarse map.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the coarse map.
    files : iterable of str or Path
        Model files to consider before the bundled models, the preferred one first.
        Files that cannot be read are passed over.

    Returns
    -------
    str
        The first trained model for exactly these classes: a file, or the name of a
        bundled model. Without one, the `general_refiner`.
    """
    for model in (*map(str, files), *bundled_models()):
        with suppress(CheckpointError):
            if _classes_of(model) == set(class_table.names):
                return model
    return general_refiner()


def misfit(
    model: str,
    class_table: ClassTable,
    labels: NDArray[Any] | None = None,
    painted: Sequence[Patch] = (),
    *,
    title: str = "",
) -> str:
    """Return why a refiner cannot refine a coarse map.

    Parameters
    ----------
    model : str
        Name of a refiner, or path of a model file.
    class_table : ClassTable
        Class table of the coarse map.
    labels : (..., Y, X) integer array, optional
        Coarse map or stack in memory. Without it, all classes of the table count.
    painted : sequence of Patch
        Pixels that stay as they are: if a refiner does not know their class, it sees
        them as unlabelled.
    title : str
        Name of the model in the sentence, by default that of the refiner or file.

    Returns
    -------
    str
        One sentence for the user; empty if the refiner takes the classes, or its file
        cannot be read, which opening it reports.
    """
    known = None
    with suppress(CheckpointError):
        known = _classes_of(model)
    if known is None:
        return ""
    title = title or stem_of(model)
    unknown = [name for name in class_table.names if name not in known]
    if unknown and labels is not None:
        used = _used_classes(labels, class_table, painted)
        unknown = [name for name in unknown if name in used]
    if unknown:
        return (
            f"'{title}' does not know {_quoted(unknown)} of the coarse map; choose another model."
        )
    missing = sorted(known - set(class_table.names))
    if missing:
        return (
            f"'{title}' also finds {_quoted(missing)}, which '{class_table.name}' does not have; "
            "add that to the classes of the coarse map, or choose another model."
        )
    return ""


def _used_classes(
    labels: NDArray[Any], class_table: ClassTable, painted: Sequence[Patch]
) -> set[str]:
    """Return the names of the classes of the pixels that are not painted."""
    if painted:
        labels = labels[~Covered(tuple(labels.shape), painted)[...]]
    found = set(np.unique(labels).tolist())
    return {entry.name for entry in class_table.classes if entry.index in found}


def _classes_of(model: str) -> set[str] | None:
    """Return the names of the classes of a trained model; None if it takes any."""
    if not is_model_file(model) and model not in bundled_models():
        return None
    metadata = read_model_metadata(model if is_model_file(model) else bundled_file(model))
    return set(metadata.class_table.names) if isinstance(metadata, CheckpointMetadata) else None


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
