"""Shards, the units of distributed refining: parts of a stack of planes, given by coordinates.

Every shard of a level writes whole chunks of the output, and of the levels below it that no
other shard writes. The levels that are too small for that are made from the last of these,
in further stages of the same kind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from c2f_core.errors import ConfigError
from c2f_core.geometry.arrays import Slices

CHUNK = 512
"""Side in pixels of the chunks of an output, which are read as a whole."""
SHARD = 2048
"""Side in pixels of a shard: about 4 megapixels, and seconds of work."""


@dataclass(frozen=True)
class Grid:
    """Shards of a stack, numbered along the last axis first.

    Attributes
    ----------
    shape : tuple of int
        Shape (..., Y, X) of the stack.
    shard : tuple of int
        Length of a shard along each axis; the last ones may be shorter.
    """

    shape: tuple[int, ...]
    shard: tuple[int, ...]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Number of shards along each axis."""
        return tuple(
            -(-length // side) for length, side in zip(self.shape, self.shard, strict=True)
        )

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __getitem__(self, number: int) -> Slices:
        """Return the part of the stack that a shard covers."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        place = []
        for count in reversed(self.counts):
            number, index = divmod(number, count)
            place.append(index)
        return tuple(
            slice(index * side, min((index + 1) * side, length))
            for index, side, length in zip(reversed(place), self.shard, self.shape, strict=True)
        )


@dataclass(frozen=True)
class Pyramid:
    """Resolution levels of a stack of maps, each of half the size, and the stages that make them.

    Attributes
    ----------
    shape : tuple of int
        Shape (..., Y, X) of level 0.
    levels : int
        Number of levels.
    side : int
        Side of the shards in pixels, `chunk` times a power of two from 2 on.
    chunk : int
        Side of the chunks in pixels.

    Raises
    ------
    ConfigError
        If the side of the shards is not such a number.
    """

    shape: tuple[int, ...]
    levels: int
    side: int = SHARD
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        if self.side % self.chunk or self.side // self.chunk not in (2, 4, 8, 16, 32):
            raise ConfigError(
                f"Shards of {self.side} pixels cannot be aligned with chunks of {self.chunk}; give "
                f"a side of {2 * self.chunk}, {4 * self.chunk} or {8 * self.chunk} pixels."
            )

    @property
    def _steps(self) -> int:
        """Number of levels that a shard makes besides the one that it reads or refines."""
        return (self.side // self.chunk).bit_length() - 1

    @property
    def stages(self) -> int:
        """Number of stages; the first one refines, the others make further levels."""
        return max(1, -(-(self.levels - 1) // self._steps))

    def grid(self, stage: int) -> Grid:
        """Return the shards of a stage, in the level that it reads or refines."""
        shape = self.level_shape(self.first_level(stage))
        return Grid(shape, (*self._depth, self.side, self.side))

    def first_level(self, stage: int) -> int:
        """Return the level that the shards of a stage read, or refine."""
        return stage * self._steps

    def made_levels(self, stage: int) -> range:
        """Return the levels that the shards of a stage make by leaving out pixels."""
        first = self.first_level(stage)
        return range(first + 1, min(first + self._steps, self.levels - 1) + 1)

    def level_shape(self, level: int) -> tuple[int, ...]:
        """Return the shape of a level: every other row and column of the one before."""
        *leading, height, width = self.shape
        return (*leading, _halved(height, level), _halved(width, level))

    def level_shard(self, level: int) -> tuple[int, ...]:
        """Return the part of a level that one shard writes, which is one file in Zarr 3."""
        side = self.side if level == 0 else self.side >> ((level - 1) % self._steps + 1)
        return (*self._depth, side, side)

    def level_chunk(self) -> tuple[int, ...]:
        """Return the shape of the chunks of all levels."""
        return (*[1] * (len(self.shape) - 2), self.chunk, self.chunk)

    @cached_property
    def _depth(self) -> tuple[int, ...]:
        """Number of planes of a shard along each leading axis: several if they are small."""
        *leading, height, width = self.shape
        if not leading:
            return ()
        fitting = max(1, self.side**2 // max(height * width, 1))
        return (*[1] * (len(leading) - 1), min(leading[-1], fitting))


def _halved(length: int, times: int) -> int:
    return -(-length // (1 << times))


def level_count(shape: Sequence[int], of_image: int, chunk: int = CHUNK) -> int:
    """Return the number of levels of a label group.

    Parameters
    ----------
    shape : sequence of int
        Shape (..., Y, X) of its level 0.
    of_image : int
        Number of levels that the image has from there on: the specification demands as
        many of its label groups.
    chunk : int
        Side of a chunk in pixels: an image without further levels gets them until one
        chunk has the whole plane.
    """
    if of_image > 1:
        return of_image
    return max(1, math.ceil(math.log2(max(max(shape[-2:]) / chunk, 1))) + 1)


def place_of(part: Slices, axis_names: Sequence[str]) -> str:
    """Describe a part of a stack for the user.

    Parameters
    ----------
    part : tuple of slices
        Part of a stack (..., Y, X).
    axis_names : sequence of str
        Names of the leading axes.
    """
    *leading, rows, columns = part
    places = [
        f"{name} {axis.start}" if axis.stop == axis.start + 1 else f"{name} {_range(axis)}"
        for name, axis in zip(axis_names, leading, strict=True)
    ]
    return ", ".join([*places, f"rows {_range(rows)}", f"columns {_range(columns)}"])


def _range(axis: slice) -> str:
    return f"{axis.start} to {axis.stop - 1}"
