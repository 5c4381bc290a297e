"""Coarse-to-fine segmentation without a GUI: the core of napari-c2f."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_core.classes.table import ClassTable
    from c2f_core.errors import C2FError
    from c2f_core.refine.interface import RefineResult
    from c2f_core.refine.learned import Refiner
    from c2f_core.refine.scope import Scope
    from c2f_core.refine.within import refine_within

__all__ = ["C2FError", "ClassTable", "RefineResult", "Refiner", "Scope", "refine_within"]

MODULES = {
    "C2FError": "c2f_core.errors",
    "ClassTable": "c2f_core.classes.table",
    "RefineResult": "c2f_core.refine.interface",
    "Refiner": "c2f_core.refine.learned",
    "Scope": "c2f_core.refine.scope",
    "refine_within": "c2f_core.refine.within",
}
"""Modules of the public names, imported lazily: torch takes seconds, and scipy half of one."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)
