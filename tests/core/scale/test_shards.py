"""Shards cover every level once, and no two of them write the same chunk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_core.errors import ConfigError
from c2f_core.scale.shards import Grid, Pyramid, level_count, place_of


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    side=st.lists(st.integers(1, 5), min_size=3, max_size=3),
)
def test_a_grid_covers_every_pixel_once(shape, side):
    grid = Grid(tuple(shape), tuple(side[: len(shape)]))
    seen = np.zeros(shape, int)
    for number in range(len(grid)):
        seen[grid[number]] += 1
    assert (seen == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    leading=st.lists(st.integers(1, 5), max_size=2),
    size=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    levels=st.integers(1, 7),
    steps=st.integers(1, 3),
)
def test_the_stages_write_every_level_once_in_whole_chunks(leading, size, levels, steps):
    pyramid = Pyramid((*leading, *size), levels, 4 << steps, 4)
    written = [np.zeros(pyramid.level_shape(level), int) for level in range(levels)]
    chunks = [{} for _ in range(levels)]
    for stage in range(pyramid.stages):
        grid = pyramid.grid(stage)
        for number in range(len(grid)):
            part = grid[number]
            for level in ([0] if stage == 0 else []) + list(pyramid.made_levels(stage)):
                factor = 2 ** (level - pyramid.first_level(stage))
                *planes, rows, columns = part
                there = (
                    *planes,
                    *(slice(a.start // factor, -(-a.stop // factor)) for a in (rows, columns)),
                )
                written[level][there] += 1
                shard = pyramid.level_shard(level)
                assert all(a.start % s == 0 for a, s in zip(there, shard, strict=True))
                key = tuple(a.start // s for a, s in zip(there, shard, strict=True))
                assert chunks[level].setdefault(key, (stage, number)) == (stage, number)
    assert all((level == 1).all() for level in written)


def test_small_planes_share_a_shard():
    assert Pyramid((40, 512, 512), 1).grid(0).counts == (3, 1, 1)
    assert Pyramid((2, 40, 4096, 4096), 1).grid(0).counts == (2, 40, 2, 2)


@pytest.mark.parametrize("side", [512, 1000, 1536])
def test_shards_that_cannot_be_aligned_are_refused(side):
    with pytest.raises(ConfigError, match="give a side of 1024, 2048 or 4096 pixels"):
        Pyramid((100, 100), 1, side)


def test_a_label_group_has_as_many_levels_as_its_image_or_enough_for_one_chunk():
    assert level_count((20000, 20000), of_image=4) == 4
    assert level_count((512, 512), of_image=1) == 1
    assert level_count((3, 513, 100), of_image=1) == 2
    assert level_count((20000, 20000), of_image=1) == 7


def test_a_place_is_described_by_its_axes():
    part = (slice(2, 3), slice(0, 4), slice(0, 2048), slice(2048, 4096))
    assert place_of(part, ("t", "z")) == "t 2, z 0 to 3, rows 0 to 2047, columns 2048 to 4095"
