"""Pictures of pairs: maps in the colours of their classes, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import SimulationConfig, SimulationKind
from c2f_core.data.pairs import Pair
from c2f_core.data.simulation import simulation_of

GAP = 4
"""Width of the white gap between pictures, in pixels."""
LONGEST_SIDE = 512
"""Longest side of a picture of examples; larger pairs are shown at a lower resolution."""


def coloured(class_ids: NDArray[np.uint8], class_table: ClassTable) -> NDArray[np.uint8]:
    """Return a map (Y, X) of class ids in the colours of its classes, (Y, X, 3) uint8."""
    return encode_colours(class_table.to_labels(class_ids), class_table)


def side_by_side(pictures: Sequence[NDArray[np.uint8]], axis: int = 1) -> NDArray[np.uint8]:
    """Join pictures (Y, X, 3) along an axis, with white gaps."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], axis=axis)


@dataclass(frozen=True)
class SimulatedExamples:
    """Examples of the coarse maps that a run simulates, one of each kind.

    Attributes
    ----------
    pixels : (Y, X, 3) uint8 array
        Image, fine map and simulated maps in rows.
    name : str
        Name of the pair.
    ious : mapping of str to float
        Mean IoU of each map with the fine map in [0, 1], by kind.
    """

    pixels: NDArray[np.uint8]
    name: str
    ious: Mapping[SimulationKind, float]

    def message(self) -> str:
        """Return one sentence with the kinds and their IoU."""
        listed = ", ".join(
            f"{kind.replace('_', ' ')} {100 * iou:.0f} %" for kind, iou in self.ious.items()
        )
        return f"Simulated coarse maps of {self.name}, by their mean IoU: {listed}."


def simulated_examples(
    pair: Pair, class_table: ClassTable, config: SimulationConfig, seed: int
) -> SimulatedExamples | None:
    """Simulate a coarse map of each kind.

    Parameters
    ----------
    pair : Pair
        Pair with a fine map.
    class_table : ClassTable
        Class table with the colours of its maps.
    config : SimulationConfig
        Settings of the simulation.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    SimulatedExamples or None
        Examples; None if nothing is simulated, or the pair has no fine map.
    """
    mixture = simulation_of(config)
    if mixture is None or pair.fine is None:
        return None
    rng = np.random.default_rng(seed)
    simulated = [mixture.of_kind(kind).simulate(pair.fine, rng) for kind in config.kinds]
    step = math.ceil(max(pair.fine.shape) / LONGEST_SIDE)
    maps = (pair.fine, *(each.class_ids for each in simulated))
    pictures = [
        pair.image[::step, ::step],
        *(coloured(class_ids[::step, ::step], class_table) for class_ids in maps),
    ]
    ious = {each.kind: each.iou for each in simulated}
    return SimulatedExamples(_in_rows(pictures), pair.name, ious)


def _in_rows(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join pictures of one size in rows; white ones fill the last row."""
    columns = len(pictures) if len(pictures) < 5 else math.ceil(len(pictures) / 2)
    missing = -len(pictures) % columns
    cells = [*pictures, *(np.full_like(pictures[0], 255) for _ in range(missing))]
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    return side_by_side([side_by_side(row) for row in rows], axis=0)
