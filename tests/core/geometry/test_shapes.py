"""Polygons, strokes and masks drawn as a map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon as skimage_polygon

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError, DataError
from c2f_core.geometry.shapes import Area, Labelled, LineStroke, Pixels, draw, ellipse, rectangle

TABLE = ClassTable.preset("fasseg")
SIZE = (12, 15)


def covered(shape, size=SIZE):
    window, mask = shape.cover(size)
    whole = np.zeros(size, dtype=bool)
    whole[window] = mask
    return whole


# Shifted by numbers of which no two have a rational relation, no edge meets the centre of a pixel,
# where the conventions differ.
TENTHS = st.integers(-50, 200).map(lambda number: number / 10)
OFF_GRID = st.tuples(TENTHS, TENTHS).map(
    lambda point: (point[0] + np.sqrt(2) / 100, point[1] + np.pi / 100)
)


@given(st.lists(OFF_GRID, min_size=3, max_size=8))
def test_polygons_are_filled_as_by_scikit_image(points):
    points = np.array(points)
    expected = np.zeros(SIZE, dtype=bool)
    expected[skimage_polygon(*points.T, SIZE)] = True
    np.testing.assert_array_equal(covered(Area([points])), expected)


def test_a_pixel_belongs_to_a_polygon_when_its_centre_does():
    mask = covered(Area([np.array([(1.4, 1.6), (1.4, 4.4), (3.6, 4.4), (3.6, 1.6)])]))
    rows, columns = np.nonzero(mask)
    assert sorted(set(rows.tolist())) == [2, 3]
    assert sorted(set(columns.tolist())) == [2, 3, 4]


def test_polygons_with_a_common_boundary_neither_overlap_nor_leave_a_gap():
    halves = [rectangle(0, 0, 12, 7), rectangle(0, 7, 12, 15)]
    assert sum(covered(half).astype(int) for half in halves).tolist() == [[1] * 15] * 12


def test_inner_rings_are_holes():
    rings = [rectangle(0, 0, 9, 9).rings[0], rectangle(3, 3, 6, 6).rings[0]]
    mask = covered(Area(rings))
    assert mask.sum() == 81 - 9
    assert not mask[3:6, 3:6].any()


def test_an_ellipse_has_its_area_and_turns_with_its_axes():
    size = (200, 200)
    upright = covered(ellipse((100.3, 100.3), [[30, 0], [0, 60]]), size)
    assert upright.sum() == pytest.approx(np.pi * 30 * 60, rel=0.01)
    lying = covered(ellipse((100.3, 100.3), [[0, 30], [60, 0]]), size)
    np.testing.assert_array_equal(lying, upright.T)


@pytest.mark.parametrize("width", [0.0, 1.0, 5.0])
def test_a_stroke_is_as_wide_as_it_says_and_has_no_gaps(width):
    mask = covered(LineStroke(np.array([(20, 5), (20, 60)]), width), (40, 70))
    assert mask[:, 30].sum() == max(1, width)
    slanted = covered(LineStroke(np.array([(2, 2), (13, 37), (30, 41)]), width), (40, 70))
    assert slanted[2:31].any(axis=1).all()
    assert slanted[:, 2:42].any(axis=0).all()


def test_a_stroke_of_one_point_is_a_dot():
    assert covered(LineStroke(np.array([(5.0, 5.0)]), 3)).sum() == 9
    assert covered(LineStroke(np.array([(5.0, 5.0)]), 1)).sum() == 1


def test_later_shapes_lie_on_top_and_the_rest_is_unlabelled():
    index_map, report = draw(
        [
            Labelled("skin", rectangle(1, 1, 6, 6)),
            Labelled("eyes", rectangle(3, 3, 9, 9)),
            Labelled("unlabelled", Pixels(np.ones((1, 2), dtype=bool), 1, 1)),
        ],
        SIZE,
        TABLE,
    )
    assert index_map[2, 2] == 2
    assert index_map[4, 4] == 3
    assert index_map[1, 1:4].tolist() == [255, 255, 2]
    assert (index_map == 255).sum() == 12 * 15 - 25 - 36 + 9 + 2
    assert (report.drawn, report.message()) == (3, "")


def test_shapes_are_cut_off_at_the_border_and_lost_ones_are_reported():
    index_map, report = draw(
        [
            Labelled("skin", rectangle(-5, -5, 2, 2)),
            Labelled("skin", Pixels(np.ones((4, 4), dtype=bool), 10, 13)),
            Labelled("skin", rectangle(100, 100, 110, 110)),
            Labelled("skin", rectangle(5.1, 5.1, 5.2, 5.2)),
            Labelled("skin", Area([])),
        ],
        SIZE,
        TABLE,
        {"point": 2},
    )
    assert (index_map == 2).sum() == 4 + 4
    assert "5 of 7 shapes are not in the map" in report.message()
    assert "2 × point (no area), 3 outside of the image" in report.message()


def test_unknown_classes_and_impossible_points_give_one_sentence():
    with pytest.raises(ClassTableError, match="the class 'nail', which 'fasseg' does not have"):
        draw([Labelled("nail", rectangle(0, 0, 1, 1))], SIZE, TABLE)
    for value in (np.nan, np.inf, 1e300):
        with pytest.raises(DataError, match="too far from any image"):
            Area([np.array([(0, 0), (0, value), (1, 1)])])
