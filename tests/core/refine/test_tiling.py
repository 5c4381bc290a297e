"""Tiles cover every pixel once in weight, start on the grid and leave no trace."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from c2f_core.refine.tiling import Span, blend, spans

# length, tile, overlap, alignment: the tile takes at least two aligned overlaps.
Layout = tuple[int, int, int, int]


def layouts(longest: int) -> st.SearchStrategy[Layout]:
    return st.tuples(
        st.integers(1, longest),
        st.integers(1, 6),
        st.integers(0, 24),
        st.sampled_from([1, 2, 4, 8]),
    ).map(lambda d: (d[0], d[3] * (d[1] + 2 * -(-d[2] // d[3])), d[2], d[3]))


@given(layouts(400))
def test_weights_sum_to_one_everywhere(layout: Layout) -> None:
    length = layout[0]
    total = np.zeros(length)
    for span in spans(*layout):
        assert span.weights.shape == (span.stop - span.start,)
        assert span.weights.min() >= 0
        total[span.pixels] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(layouts(400))
def test_tiles_are_aligned_and_not_too_large(layout: Layout) -> None:
    length, tile, _, alignment = layout
    cut = spans(*layout)
    assert cut[0].start == 0
    assert cut[-1].stop == length
    for span in cut:
        assert span.start % alignment == 0
        assert 0 < span.stop - span.start <= tile


@given(layouts(400))
def test_at_most_two_tiles_share_a_pixel(layout: Layout) -> None:
    shared = np.zeros(layout[0], dtype=int)
    for span in spans(*layout):
        shared[span.pixels] += 1
    assert shared.min() >= 1
    assert shared.max() <= 2


@given(layouts(40), layouts(40), st.integers(0, 2**32 - 1))
def test_identity_is_reproduced(vertical: Layout, horizontal: Layout, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(3, vertical[0], horizontal[0]))
    values = values.astype(np.float32)
    tiles = torch.from_numpy(values)
    blended, covered = np.full_like(values, np.nan), np.zeros(values.shape[1:], dtype=int)
    parts = blend(spans(*vertical), spans(*horizontal), lambda y, x: tiles[:, y, x])
    for rows, columns, part in parts:
        blended[:, rows, columns] = part.numpy()
        covered[rows, columns] += 1
    assert (covered == 1).all()
    np.testing.assert_allclose(blended, values, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(blended.argmax(axis=0), values.argmax(axis=0))


def test_outer_part_of_an_overlap_belongs_to_the_neighbour() -> None:
    first, second = spans(length=96, tile=64, overlap=32)
    assert (first.start, first.stop, second.start, second.stop) == (0, 64, 32, 96)
    np.testing.assert_array_equal(first.weights[-12:], 0)
    np.testing.assert_array_equal(second.weights[:12], 0)
    assert np.abs(np.diff(first.weights)).max() < 0.25


def test_small_image_is_one_tile() -> None:
    (span,) = spans(length=7, tile=512, overlap=128, alignment=32)
    assert (span.start, span.stop) == (0, 7)
    np.testing.assert_array_equal(span.weights, 1)


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(0, 8, 0), (100, 8, 5), (100, 8, -1), (100, 0, 0)]
)
def test_impossible_layouts_are_refused(length: int, tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="give"):
        spans(length, tile, overlap)


def test_finished_bands_are_not_changed_later() -> None:
    rows = spans(40, 16, 8)
    values = torch.ones((1, 40, 5))
    kept = []
    for *_, band in blend(rows, spans(5, 16, 8), lambda y, x: values[:, y, x]):
        kept.append((band, band.clone()))
    assert len(kept) > 2
    for band, copy in kept:
        assert torch.equal(band, copy)


def test_span_knows_its_pixels() -> None:
    assert Span(3, 5, np.ones(2, dtype=np.float32)).pixels == slice(3, 5)
