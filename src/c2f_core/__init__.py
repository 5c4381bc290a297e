"""Coarse-to-fine segmentation without a screen: the core of napari-c2f."""

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
    # Torch takes seconds to import; only who refines pays for it.
    if name == "Refiner":
        from c2f_core.refine.learned import Refiner

        return Refiner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
