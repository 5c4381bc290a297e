"""Synthetic pairs: coloured shapes on a textured background, with blurred coarse maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import disk, ellipse, polygon

from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.data.pairs import Pair

SHAPES = ClassTable(
    name="shapes",
    classes=(
        ClassEntry(name="ground", index=1, colour=(96, 96, 96)),
        ClassEntry(name="disk", index=2, colour=(230, 60, 60)),
        ClassEntry(name="ellipse", index=3, colour=(60, 160, 60)),
        ClassEntry(name="triangle", index=4, colour=(70, 90, 230)),
    ),
    unlabelled=ClassEntry(name="unlabelled", index=0, colour=(0, 0, 0)),
)
"""Class table of the synthetic pairs; label 0 is unlabelled, which napari shows transparent."""


def synthetic_pair(size: int = 256, seed: int = 0) -> Pair:
    """Paint one pair with the class table `SHAPES`.

    Parameters
    ----------
    size : int
        Side length in pixels, at least 32.
    seed : int
        Seed of the random generator.

    Returns
    -------
    Pair
        Image, coarse and fine map of shape (size, size).
    """
    rng = np.random.default_rng(seed)
    fine = np.zeros((size, size), dtype=np.uint8)
    for class_id in rng.permutation([1, 2, 3, 1, 2, 3]):
        rows, columns = _shape(int(class_id), size, rng)
        fine[rows, columns] = class_id
    colours = rng.uniform(40, 215, (SHAPES.number_of_classes, 3))
    noise = ndimage.gaussian_filter(rng.standard_normal((size, size, 3)), (1.5, 1.5, 0)) * 40
    image = ndimage.gaussian_filter(colours[fine], (0.7, 0.7, 0)) + noise
    return Pair(
        name=f"shapes-{seed}",
        image=np.clip(image, 0, 255).astype(np.uint8),
        coarse=_blobby(fine, size / 64, rng),
        fine=fine,
    )


def _shape(class_id: int, size: int, rng: np.random.Generator) -> Any:
    """Return the rows and columns of the pixels in a random shape of a class."""
    row, column = rng.uniform(0.15, 0.85, 2) * size
    radius = rng.uniform(0.08, 0.18) * size
    if class_id == 1:
        return disk((row, column), radius, shape=(size, size))
    if class_id == 2:
        turn = rng.uniform(0, np.pi)
        return ellipse(row, column, radius * 1.4, radius * 0.7, (size, size), turn)
    angles = rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2])
    corners = (row + 1.3 * radius * np.sin(angles), column + 1.3 * radius * np.cos(angles))
    return polygon(*corners, shape=(size, size))


def _blobby(fine: NDArray[np.uint8], reach: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Displace the boundaries by smooth noise of about `reach` pixels."""
    sigma = (0, 3 * reach, 3 * reach)
    noise = ndimage.gaussian_filter(rng.standard_normal((2, *fine.shape)), sigma)
    noise *= 2 * reach / max(float(noise.std()), 1e-9)
    coordinates = np.indices(fine.shape) + noise
    moved: NDArray[np.uint8] = ndimage.map_coordinates(fine, coordinates, order=0, mode="nearest")
    return moved
