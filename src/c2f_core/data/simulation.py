"""Simulated coarse maps: fine maps made coarser, as annotators and models make them.

How coarse a simulated map is, is set by a range of the mean IoU of its classes with
those of the fine map. The strength of the simulation is searched such that the map
falls into that range.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import MAX_CLASS_IDS, UNLABELLED_ID
from c2f_core.config.settings import SimulationConfig, SimulationKind
from c2f_core.data.coarsening import (
    ByStrength,
    Ids,
    displacement,
    freehand,
    inside_polygons,
    low_resolution,
    morphology,
    polygons,
    scribbles,
    small_parts,
)
from c2f_core.metrics.scores import confusion_matrix, mean_iou

Range = tuple[float, float]

TRIES = 8
"""Largest number of strengths that are tried for a map."""


@dataclass(frozen=True)
class _Kind:
    """How a kind of simulation is made, and how coarse its maps are by default."""

    make: Callable[[Ids, np.random.Generator], ByStrength]
    iou: Range
    first: float = 2.0
    """Strength that is tried first."""


_KINDS: Mapping[SimulationKind, _Kind] = {
    "polygons": _Kind(polygons, (0.7, 0.95)),
    "displacement": _Kind(displacement, (0.7, 0.95)),
    "freehand": _Kind(freehand, (0.7, 0.95)),
    "morphology": _Kind(morphology, (0.7, 0.95)),
    "small_parts": _Kind(small_parts, (0.7, 0.95)),
    "low_resolution": _Kind(low_resolution, (0.7, 0.95)),
    "inside_polygons": _Kind(inside_polygons, (0.5, 0.8)),
    "scribbles": _Kind(scribbles, (0.02, 0.15), first=16.0),
}
KINDS: tuple[SimulationKind, ...] = get_args(SimulationKind)
"""All kinds of simulation."""
FULL_KINDS: tuple[SimulationKind, ...] = KINDS[:6]
"""Kinds of simulation that leave no labelled pixel of the fine map out."""


@dataclass(frozen=True)
class SimulatedMap:
    """A simulated coarse map.

    Attributes
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    kind : str
        Kind of the simulation.
    iou : float
        Mean IoU of the classes with those of the fine map; outside of the range of the
        simulation if the map does not allow more, and NaN without labelled pixels.
    """

    class_ids: NDArray[np.uint8]
    kind: SimulationKind
    iou: float


class Simulation(Protocol):
    """Anything that makes coarse maps of fine maps."""

    def simulate(self, fine: NDArray[np.uint8], rng: np.random.Generator) -> SimulatedMap:
        """Make a coarse map of a fine map (Y, X) of class ids."""


@dataclass(frozen=True)
class CoarseSimulation:
    """A simulation of coarse maps of one kind.

    Attributes
    ----------
    kind : str
        "polygons" redraws each region as a polygon of few jittered vertices,
        "displacement" moves the map by a smooth random field, "morphology" dilates and
        erodes classes, "freehand" does both as a quick hand does, "small_parts" drops
        small parts and merges neighbouring ones, "low_resolution" makes blocks,
        "inside_polygons" draws polygons inside regions with unlabelled gaps, and
        "scribbles" draws a few strokes per class.
    iou : (float, float) or None
        Range of the mean IoU of the classes with those of the fine map, in which
        unlabelled pixels are wrong; None for the default of the kind.
    """

    kind: SimulationKind
    iou: Range | None = None

    def simulate(self, fine: NDArray[np.uint8], rng: np.random.Generator) -> SimulatedMap:
        """Make a coarse map of a fine map.

        Unlabelled pixels of the fine map are treated as one more class.

        Parameters
        ----------
        fine : (Y, X) uint8 array
            Class ids, 255 where unlabelled.
        rng : numpy.random.Generator
            Source of the random numbers; the same state gives the same map.

        Returns
        -------
        SimulatedMap
            Coarse map of the same shape, with no class that the fine map does not have.
        """
        present = np.flatnonzero(np.bincount(fine.ravel(), minlength=MAX_CLASS_IDS))
        classes = present[present != UNLABELLED_ID]
        if not classes.size:
            return SimulatedMap(fine.copy(), self.kind, float("nan"))
        lookup = np.full(MAX_CLASS_IDS, classes.size, np.uint8)
        lookup[classes] = range(classes.size)
        ids = Ids(lookup[fine], classes.size)
        found, iou = _search(ids, self.kind, self.iou or _KINDS[self.kind].iou, rng)
        return SimulatedMap(
            np.append(classes, UNLABELLED_ID).astype(np.uint8)[found], self.kind, iou
        )


@dataclass(frozen=True)
class MixedSimulation:
    """A simulation that draws one of several kinds for each map.

    Attributes
    ----------
    kinds : tuple of str
        Kinds as for `CoarseSimulation`, equally likely.
    iou : (float, float) or None
        Range of the mean IoU of kinds without unlabelled gaps; None for the default of
        the kind, which the other kinds always take.
    """

    kinds: tuple[SimulationKind, ...] = KINDS
    iou: Range | None = None

    def simulate(self, fine: NDArray[np.uint8], rng: np.random.Generator) -> SimulatedMap:
        """Make a coarse map of a fine map; see `CoarseSimulation.simulate`."""
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        return self.of_kind(kind).simulate(fine, rng)

    def of_kind(self, kind: SimulationKind) -> CoarseSimulation:
        """Return the simulation of one of the kinds."""
        return CoarseSimulation(kind, self.iou if kind in FULL_KINDS else None)


def simulation_of(config: SimulationConfig) -> MixedSimulation | None:
    """Return the simulation that settings describe; None if they simulate no maps."""
    return MixedSimulation(config.kinds, config.iou) if config.share else None


def _search(
    fine: Ids, kind: SimulationKind, wanted: Range, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """Search the strength whose map is nearest to an IoU drawn from a range."""
    target = float(rng.uniform(*wanted))
    close = (wanted[1] - wanted[0]) / 4
    coarser = _KINDS[kind].make(fine, rng)
    bracket = _Bracket(target, _KINDS[kind].first, float(max(fine.map.shape)))
    best, best_iou = fine.map, float("inf")
    for _ in range(TRIES):
        found = coarser(bracket.strength)
        iou = mean_iou(confusion_matrix(found, fine.map, fine.classes))
        if abs(iou - target) < abs(best_iou - target):
            best, best_iou = found, iou
        is_close = abs(iou - target) <= close and wanted[0] <= iou <= wanted[1]
        if is_close or not bracket.narrow(iou):
            break
    return best, best_iou


class _Bracket:
    """The strengths between which the wanted IoU lies; the IoU falls with the strength.

    Parameters
    ----------
    target : float
        Wanted IoU.
    first, largest : float
        Strength to try first, and largest strength.
    """

    def __init__(self, target: float, first: float, largest: float) -> None:
        self._target = target
        self._largest = largest
        self._weak: tuple[float, float] | None = None
        self._strong: tuple[float, float] | None = None
        self.strength = min(first, largest)

    def narrow(self, iou: float) -> bool:
        """Choose the next strength after the IoU of the last one; return whether there is one."""
        if iou > self._target:
            self._weak = self.strength, iou
        else:
            self._strong = self.strength, iou
        before = self.strength
        self.strength = self._between() or self._beyond(iou)
        return abs(self.strength - before) > 1e-3 * before

    def _between(self) -> float | None:
        """Interpolate between both ends, not too close to one of them."""
        if not (self._weak and self._strong):
            return None
        (low, high_iou), (high, low_iou) = self._weak, self._strong
        share = (high_iou - self._target) / max(high_iou - low_iou, 1e-9)
        return low + (high - low) * min(max(share, 0.15), 0.85)

    def _beyond(self, iou: float) -> float:
        """Extrapolate: the loss of IoU is about proportional to the strength."""
        factor = (1 - self._target) / max(1 - iou, 1e-9)
        factor = min(max(factor, 1.5), 4.0) if iou > self._target else max(min(factor, 0.7), 0.25)
        return min(self.strength * factor, self._largest)
