"""Coarse-to-fine segmentation without a GUI: the core of napari-c2f."""

from typing import TYPE_CHECKING, Any

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError
from c2f_core.refine.interface import RefineResult
from c2f_core.refine.scope import Scope
from c2f_core.refine.within import refine_within

if TYPE_CHECKING:
    from c2f_core.refine.learned import Refiner


__all__ = ["C2FError", "ClassTable", "RefineResult", "Refiner", "Scope", "refine_within"]


def __getattr__(name: str) -> Any:
    # Imported lazily, as torch takes seconds to import.
    if name == "Refiner":
        from c2f_core.refine.learned import Refiner

        return Refiner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
