"""What every refiner is: image and coarse map in, fine map and confidence out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, ImageError
from c2f_core.geometry.windows import Size, Window
from c2f_core.io.intensity import as_rgb8

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class RefineResult:
    """A fine map and how sure the refiner is of each pixel.

    Attributes
    ----------
    labels : (Y, X) unsigned integer array
        Class indices of the refiner's class table.
    confidence : (Y, X) float32 array
        Estimated probability in [0, 1] that the label is right.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    confidence: NDArray[np.float32]


class RefinerInterface(Protocol):
    """One refiner, learned or classical."""

    @property
    def name(self) -> str:
        """Name shown to the user."""

    @property
    def class_table(self) -> ClassTable:
        """Class table whose indices the coarse and the fine map hold."""

    def refine(
        self,
        image: NDArray[Any],
        coarse: NDArray[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> RefineResult:
        """Refine one coarse map.

        Parameters
        ----------
        image : (Y, X) or (Y, X, 3 or 4) array
            uint8, uint16, bool or float image, grey, RGB or RGBA.
        coarse : (Y, X) integer array
            Class indices; the table's unlabelled index means "nobody said".
        progress : callable, optional
            Called with the finished share in [0, 1].
        should_stop : callable, optional
            Asked between steps; work ends when it returns True.

        Raises
        ------
        ImageError
            Shapes or dtypes do not fit.
        ClassTableError
            The coarse map holds an index that is not in the class table.
        Cancelled
            `should_stop` returned True.
        """

    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the window of an image of this size that the result in a part depends on.

        Refining the window alone gives the same result in the part as refining
        the whole image.
        """


def check_inputs(
    image: NDArray[Any], coarse: NDArray[Any], class_table: ClassTable
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bring the inputs of a refiner into the form that it works on.

    Returns
    -------
    image : (Y, X, 3) uint8 array
    positions : (Y, X) uint8 array
        Positions in the class table, 255 where unlabelled.

    Raises
    ------
    ImageError
        Shapes or dtypes do not fit.
    ClassTableError
        The coarse map holds an index that is not in the class table.
    """
    image, coarse = np.asarray(image), np.asarray(coarse)
    check_sizes(image.shape, coarse.shape)
    return as_rgb8(image), class_table.to_class_ids(coarse)


def check_sizes(image: tuple[int, ...], coarse: tuple[int, ...]) -> Size:
    """Check that the shapes of an image and of a coarse map fit, and return their size.

    Raises
    ------
    ImageError
        The coarse map is no plane, or of another size than the image.
    """
    if len(coarse) != 2:
        raise ImageError(
            f"The coarse map has {len(coarse)} dimensions; choose one plane of shape (Y, X)."
        )
    if image[:2] != coarse:
        raise ImageError(
            f"The image is {' x '.join(map(str, image[:2]))} pixels and the coarse map "
            f"{coarse[0]} x {coarse[1]}; choose a coarse map drawn on this image."
        )
    return coarse[0], coarse[1]


def raise_if_stopped(should_stop: ShouldStop | None) -> None:
    """Raise `Cancelled` when `should_stop` returns True."""
    if should_stop is not None and should_stop():
        raise Cancelled("Refining was cancelled; no layer or file was changed.")


class Translated:
    """Takes and gives maps of one class table, whatever indices the refiner itself has.

    Parameters
    ----------
    refiner : RefinerInterface
    class_table : ClassTable
        Of the maps.
    """

    def __init__(self, refiner: RefinerInterface, class_table: ClassTable) -> None:
        self.refiner = refiner
        self.class_table = class_table

    @property
    def name(self) -> str:
        """Name shown to the user."""
        return self.refiner.name

    def refine(
        self,
        image: NDArray[Any],
        coarse: NDArray[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> RefineResult:
        """Refine one coarse map; see `RefinerInterface.refine`.

        Raises
        ------
        ClassTableError
            Also where one of the two tables lacks a class that occurs.
        """
        given = self.class_table.translate(coarse, self.refiner.class_table)
        result = self.refiner.refine(image, given, progress=progress, should_stop=should_stop)
        labels = self.refiner.class_table.translate(result.labels, self.class_table)
        return RefineResult(labels, result.confidence)

    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the window of an image that the result in a part depends on."""
        return self.refiner.receptive_window(part, size)
