"""Refiners that need no training, by name."""

from collections.abc import Mapping

from c2f_core.refine.classical import CLASSICAL_REFINERS, MarkerRefiner
from c2f_core.refine.instant.refiner import InstantRefiner


def untrained_refiners() -> Mapping[str, type[InstantRefiner] | type[MarkerRefiner]]:
    """Return the refiners that work with any class table, the best one first."""
    return {InstantRefiner.name: InstantRefiner, **CLASSICAL_REFINERS}
