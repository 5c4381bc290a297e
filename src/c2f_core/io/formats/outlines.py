"""Convert maps to masks and outlines, from which they can be restored exactly."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassEntry, ClassTable

EIGHT = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class ClassMask:
    """Mask of pixels of one class, cropped to its bounding box.

    Attributes
    ----------
    entry : ClassEntry
        Class of the pixels.
    mask : (Y, X) bool array
        Pixels of the class in the bounding box.
    top, left : int
        Row and column of the first pixel of the bounding box in the map.
    """

    entry: ClassEntry
    mask: NDArray[np.bool_]
    top: int
    left: int


def class_masks(class_ids: NDArray[np.uint8], class_table: ClassTable) -> Iterator[ClassMask]:
    """Yield one mask for each class that occurs in a map.

    Parameters
    ----------
    class_ids : (Y, X) uint8 array
        Class ids, 255 where unlabelled.
    class_table : ClassTable
        Class table of the map.
    """
    from scipy import ndimage  # Imported lazily, here and below, as it takes long.

    for class_id, entry in enumerate(class_table.classes):
        for box in ndimage.find_objects((class_ids == class_id).astype(np.uint8)):
            yield ClassMask(entry, class_ids[box] == class_id, box[0].start, box[1].start)


def connected_masks(class_ids: NDArray[np.uint8], class_table: ClassTable) -> Iterator[ClassMask]:
    """Yield the edge-connected regions of each class, including unlabelled regions."""
    from scipy import ndimage
    from skimage.measure import label

    entries = dict(enumerate(class_table.classes))
    numbers = label(class_ids, connectivity=1, background=-1)
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        mask = numbers[box] == number
        class_id = int(class_ids[box][mask][0])
        entry = entries.get(class_id, class_table.unlabelled)
        yield ClassMask(entry, mask, box[0].start, box[1].start)


def labelled_masks(class_ids: NDArray[np.uint8], class_table: ClassTable) -> Iterator[ClassMask]:
    """Yield the edge-connected regions of each class."""
    for region in connected_masks(class_ids, class_table):
        if region.entry is not class_table.unlabelled:
            yield region


def outline(region: ClassMask) -> NDArray[np.int64]:
    """Return one closed ring along the pixel edges around a region, without its holes.

    The ring runs to each hole and back along the same line, on which there are no
    pixel centres. Filling it by the even-odd or winding number rule therefore gives
    exactly the pixels of the region.

    Parameters
    ----------
    region : ClassMask
        Edge-connected region.

    Returns
    -------
    (N, 2) int array
        (row, column) of corners; the pixel in row r and column c extends from
        (r, c) to (r + 1, c + 1).
    """
    return turns(circuit(region))


def circuit(region: ClassMask) -> NDArray[np.int64]:
    """Return the ring of `outline` with every corner (row, column) on the way, (N, 2)."""
    steps = np.concatenate([_boundary(region.mask), _cuts(region.mask)])
    return np.add(_circuit(steps, region.mask.shape[1] + 1), (region.top, region.left))


def outer_pixels(region: ClassMask) -> NDArray[np.int64]:
    """Return the ring of outermost pixels of a region, ignoring its holes.

    Returns
    -------
    (N, 2) int array
        (row, column) of at least three pixels, repeated if there are fewer.
    """
    columns = region.mask.shape[1] + 1
    corners = _circuit(_boundary(fill_holes(region.mask)), columns)
    ahead = np.roll(corners, -1, axis=0) - corners
    # Twice the centres of the pixels, which lie to the right of the direction of travel.
    centres = 2 * corners + ahead + np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    pixels = turns(centres // 2)
    if not len(pixels):
        pixels = centres[:1] // 2
    return np.add(np.resize(pixels, (max(3, len(pixels)), 2)), (region.top, region.left))


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the pixels that cannot be reached from outside, not even across corners."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(mask, EIGHT))


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the steps (E, 2) from corner to corner that have the mask on their right.

    Corners are numbered row by row.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    columns = mask.shape[1] + 1
    down = np.diff(padded[:, 1:-1], axis=0)
    across = np.diff(padded[1:-1], axis=1)
    steps = []
    for change, value, first, second in (
        (down, 1, 0, 1),  # an upper edge, travelled to the right
        (down, -1, 1, 0),
        (across, 1, columns, 0),  # a left edge, travelled upwards
        (across, -1, 0, columns),
    ):
        row, column = np.nonzero(change == value)
        corner = row * columns + column
        steps.append(np.stack([corner + first, corner + second], axis=1))
    return np.concatenate(steps)


def _cuts(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the steps to each hole and back from the background or hole to its left."""
    from scipy import ndimage

    outside, _ = ndimage.label(~np.pad(mask, 1), EIGHT)
    holes = outside[1:-1, 1:-1]
    columns = mask.shape[1] + 1
    steps = [np.empty((0, 2), dtype=np.int64)]
    for number, box in enumerate(ndimage.find_objects(holes), start=1):
        if box is None or number == outside[0, 0]:
            continue
        column = box[1].start
        row = box[0].start + int(np.argmax(holes[box][:, 0] == number))
        run = int(np.argmin(mask[row, :column][::-1])) or column
        hole = row * columns + column
        steps.append(np.array([(hole - run, hole), (hole, hole - run)]))
    return np.concatenate(steps)


def _circuit(steps: NDArray[np.int64], columns: int) -> NDArray[np.int64]:
    """Join steps to a closed ring of corners (row, column), by Hierholzer's algorithm."""
    following = defaultdict(list)
    for start, end in steps.tolist():
        following[start].append(end)
    open_end, ring = [int(steps[0, 0])], []
    while open_end:
        if following[open_end[-1]]:
            open_end.append(following[open_end[-1]].pop())
        else:
            ring.append(open_end.pop())
    return np.stack(np.divmod(ring[:0:-1], columns), axis=1)


def turns(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the points (N, 2) of a ring at which the direction changes."""
    ring = ring[(ring != np.roll(ring, -1, axis=0)).any(axis=1)]
    ahead = np.sign(np.roll(ring, -1, axis=0) - ring)
    corners: NDArray[np.int64] = ring[(ahead != np.roll(ahead, 1, axis=0)).any(axis=1)]
    return corners
