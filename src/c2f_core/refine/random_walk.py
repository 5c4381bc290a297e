"""Equations of the random walker on the pixels between the markers, and their solution.

scikit-image's `random_walker` sets up the equations of all pixels, which takes half a
gigabyte per megapixel. Pixels that have a marker are known, so that the equations of the
others give the same probabilities.

References
----------
.. [1] L. Grady: Random walks for image segmentation. PAMI 2006.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

from c2f_core.refine.gradients import to_lab
from c2f_core.refine.interface import Monitor

BETA = 3.0
"""How strongly colour differences hinder random walkers: the exponent at the mean difference."""
SMALLEST_WEIGHT = 1e-6
"""Weight of edges between very different colours; zero would isolate pixels in noise."""
SOLVER_TOLERANCE = 1e-5
"""Residual of the equations, relative to their right side."""
MAX_STEPS = 3000
"""Maximum number of steps of the solver for each class."""
CHUNK = 1 << 20
"""Number of edges whose colours are compared at a time, to bound the memory."""

Edges = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]
"""Flat indices of the two pixels of each edge, and its weight."""


def walk(
    rgb: NDArray[np.uint8],
    markers: NDArray[np.uint8],
    monitor: Monitor,
    difference: float | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Give each pixel the marker that a random walker from there reaches most probably [1]_.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    markers : (Y, X) uint8 array
        Markers, 0 where there is none; there must be at least one.
    monitor : Monitor
        Receives the progress, and is asked in each step of the solver whether to stop.
    difference : float, optional
        Mean squared difference of the colours of neighbours to which others are compared; by
        default `mean_difference` of this image. Parts of one image share it.

    Returns
    -------
    markers : (Y, X) uint8 array
        Marker of each pixel.
    probability : (Y, X) float32 array
        Probability that a random walker reaches this marker first, in [0, 1].

    Raises
    ------
    Cancelled
        If the monitor asked to stop.
    """
    flooded, probability = markers.copy(), np.ones(markers.shape, np.float32)
    unknown = np.flatnonzero(markers == 0)
    if not unknown.size:
        return flooded, probability
    # More threads make the solver's short vectors up to thirty times slower.
    with threadpool_limits(limits=1):
        best = _most_probable(rgb, markers, unknown, monitor, difference)
    flooded.flat[unknown], probability.flat[unknown] = best
    return flooded, probability


def _most_probable(
    rgb: NDArray[np.uint8],
    markers: NDArray[np.uint8],
    unknown: NDArray[np.intp],
    monitor: Monitor,
    difference: float | None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the most probable marker of each unknown pixel, and its probability."""
    values = np.flatnonzero(np.bincount(markers.ravel(), minlength=256)[1:]) + 1
    best = np.full(unknown.size, values[0], np.uint8)
    largest, total = np.zeros(unknown.size, np.float32), np.zeros(unknown.size, np.float32)
    if len(values) == 1:
        return best, np.ones(unknown.size, np.float32)
    matrix, to_markers = _equations(rgb, markers, unknown, difference)
    for value, share in zip(values, monitor.split([1] * len(values)), strict=True):
        probability = _solve(matrix, to_markers, int(value), share)
        best[probability > largest] = value
        np.maximum(largest, probability, out=largest)
        total += probability
        share.report(1.0)
    # Where noise isolates a pixel, the solver stops before its probabilities sum to one.
    return best, np.where(total > 0, largest / np.maximum(total, 1e-30), 1 / len(values))


def _equations(
    rgb: NDArray[np.uint8],
    markers: NDArray[np.uint8],
    unknown: NDArray[np.intp],
    difference: float | None,
) -> tuple[sparse.csr_array, Edges]:
    """Return the Laplacian of the unknown pixels, and the edges from them to markers.

    The edges name an unknown pixel by its number, and the marker by its value.
    """
    first, second = _edges(markers)
    weights = _weights(_squared_differences(rgb, first, second), difference)
    numbers = np.full(markers.size, -1, np.int32)
    numbers[unknown] = np.arange(unknown.size, dtype=np.int32)
    one, other = numbers[first], numbers[second]
    inside = (one >= 0) & (other >= 0)
    degree = np.bincount(one[one >= 0], weights[one >= 0], unknown.size)
    degree += np.bincount(other[other >= 0], weights[other >= 0], unknown.size)
    upper = sparse.csr_array(
        (-weights[inside], (one[inside], other[inside])), shape=(unknown.size, unknown.size)
    )
    matrix = (upper + upper.T + sparse.diags_array(degree)).tocsr()
    rim = np.concatenate([one[other < 0], other[one < 0]])
    reached = markers.ravel()[np.concatenate([second[other < 0], first[one < 0]])]
    return matrix, (rim, reached, np.concatenate([weights[other < 0], weights[one < 0]]))


def mean_difference(rgb: NDArray[np.uint8], markers: NDArray[np.uint8]) -> float:
    """Return the mean squared difference of the colours of neighbours, of which one has no marker.

    Parameters
    ----------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    markers : (Y, X) uint8 array
        Markers, 0 where a pixel has none.

    Returns
    -------
    float
        Mean of the squared differences, at least 0; 0 if all pixels have a marker.
    """
    squared = _squared_differences(rgb, *_edges(markers))
    return float(squared.mean()) if squared.size else 0.0


def _edges(markers: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the edges of 4-neighbours of which at least one has no marker."""
    unknown = markers == 0
    below, right = np.zeros_like(unknown), np.zeros_like(unknown)
    np.logical_or(unknown[:-1], unknown[1:], out=below[:-1])
    np.logical_or(unknown[:, :-1], unknown[:, 1:], out=right[:, :-1])
    below_first, right_first = np.flatnonzero(below), np.flatnonzero(right)
    first = np.concatenate([below_first, right_first])
    second = np.concatenate([below_first + markers.shape[1], right_first + 1])
    return first, second


def _squared_differences(
    rgb: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the squared differences of the colours of edges."""
    colours = rgb.reshape(-1, 3)
    squared = np.empty(first.size)
    for start in range(0, first.size, CHUNK):
        part = slice(start, start + CHUNK)
        difference = to_lab(colours[first[part]][None]) - to_lab(colours[second[part]][None])
        squared[part] = np.square(difference[0]).sum(axis=1)
    return squared


def _weights(squared: NDArray[np.float64], mean: float | None) -> NDArray[np.float64]:
    """Return the weights of edges: 1 between equal colours, less the more they differ."""
    mean = squared.mean() if mean is None else mean
    return np.exp(-BETA * squared / mean if mean else squared) + SMALLEST_WEIGHT


def _solve(
    matrix: sparse.csr_array, to_markers: Edges, marker: int, monitor: Monitor
) -> NDArray[np.float32]:
    """Return the probability that a walker from each unknown pixel reaches a marker."""
    rim, reached, weights = to_markers
    chosen = reached == marker
    right_side = np.bincount(rim[chosen], weights[chosen], matrix.shape[0])
    inverse = 1 / matrix.diagonal()
    found, _ = cg(
        matrix,
        right_side,
        rtol=SOLVER_TOLERANCE,
        maxiter=MAX_STEPS,
        M=LinearOperator(matrix.shape, matvec=lambda vector: inverse * vector),
        callback=lambda _: monitor.raise_if_stopped(),
    )
    probability: NDArray[np.float32] = np.clip(found, 0, 1).astype(np.float32)
    return probability
