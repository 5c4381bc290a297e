"""Interface of all refiners: image and coarse map in, fine map and confidence out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.codec import UNLABELLED_ID, LabelCodec
from c2f_core.classes.table import ClassTable
from c2f_core.errors import Cancelled, ImageError, enough_memory
from c2f_core.geometry.arrays import Size, Sliceable, Window, whole
from c2f_core.io.intensity import as_rgb8

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]
ClassIds = NDArray[np.uint8]
Confidence = NDArray[np.float32]

NO_MEMORY = (
    "There is not enough memory to refine this image; close other programs, choose another model "
    "or refine a smaller image."
)


@dataclass(frozen=True)
class RefineResult:
    """A fine map and its confidence.

    Attributes
    ----------
    labels : (Y, X) unsigned integer array
        Labels of the refiner's class table.
    confidence : (Y, X) float32 array
        Estimated probability in [0, 1] that the label is right.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    confidence: Confidence


@dataclass(frozen=True)
class Monitor:
    """Callbacks that report the progress of some work and can stop it.

    Attributes
    ----------
    progress : callable, optional
        Function that is called with the finished share in [0, 1].
    should_stop : callable, optional
        Function that is called between steps; the work ends when it returns True.
    """

    progress: Progress | None = None
    should_stop: ShouldStop | None = None

    def report(self, share: float) -> None:
        """Report the finished share of the work."""
        if self.progress is not None:
            self.progress(share)

    def raise_if_stopped(self) -> None:
        """Raise `Cancelled` if the work should stop."""
        if self.should_stop is not None and self.should_stop():
            raise Cancelled("Refining was cancelled; no layer or file was changed.")

    def split(self, costs: Sequence[int]) -> "Iterator[Monitor]":
        """Yield one monitor for each part of the work, in proportion to its cost."""
        total, done = sum(costs), 0
        for cost in costs:

            def report(share: float, done: int = done, cost: int = cost) -> None:
                self.report((done + share * cost) / total)

            yield Monitor(report, self.should_stop)
            done += cost


SILENT = Monitor()
FOREIGN_ID = UNLABELLED_ID - 1
"""Stands for classes of a map that the refiner does not know; no class of a refiner has this id."""


class RefinerInterface(ABC):
    """A refiner, learned or classical.

    Subclasses set the attributes and implement `refine_ids` and `receptive_window`.

    Attributes
    ----------
    name : str
        Name shown to the user.
    class_table : ClassTable
        Class table of the coarse and fine maps.
    source : Path, optional
        File from which a learned refiner was loaded.
    confidence_weight : float
        How far the confidence decides what a change is expected to gain, in [0, 1]: 0
        leaves it to the look of the change, 1 is for confidence that was calibrated on
        images of the refiner's own kind. See `c2f_core.refine.gate`.
    usual_displacement : float, optional
        Mean distance in pixels between the boundaries of the coarse and the fine maps that
        the refiner was trained on. Maps that it would change far less than that are nearly
        fine already.
    """

    name: str
    class_table: ClassTable
    source: Path | None = None
    confidence_weight: float = 0.0
    usual_displacement: float | None = None

    def refine(
        self,
        image: NDArray[Any],
        coarse: NDArray[Any],
        *,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> RefineResult:
        """Refine one coarse map; unlabelled pixels get a class, too.

        Parameters
        ----------
        image : (Y, X) or (Y, X, 1, 3 or 4) array
            Grey, RGB or RGBA image of bool, integer or float values.
        coarse : (Y, X) integer array
            Labels of the refiner's class table.
        progress : callable, optional
            Function that is called with the finished share in [0, 1].
        should_stop : callable, optional
            Function that is called between steps; the work ends when it returns True.

        Returns
        -------
        RefineResult

        Raises
        ------
        ImageError
            If shapes or dtypes do not fit, or there is not enough memory.
        ClassTableError
            If the coarse map has a label that is not in the class table.
        CheckpointError
            If the output of a network is not finite.
        Cancelled
            If `should_stop` returned True.
        """
        with enough_memory(ImageError, NO_MEMORY):
            rgb, class_ids = encode_inputs(image, coarse, self.class_table)
            size = class_ids.shape[0], class_ids.shape[1]
            costs = [self.learning_cost(size), class_ids.size]
            learning, refining = Monitor(progress, should_stop).split(costs)
            refiner = self.prepared(rgb, class_ids, learning)
            refined, confidence = refiner.assembled(rgb, class_ids, refining)
            return RefineResult(self.class_table.to_labels(refined), confidence)

    def assembled(
        self, rgb: Sliceable, class_ids: Sliceable, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids part by part, and return it in memory.

        Parameters and results are those of `refine_ids`; image and map may be loaded lazily.
        """
        fine = np.empty(class_ids.shape, np.uint8)
        confidence = np.empty(class_ids.shape, np.float32)
        for window, labels, shares in self.refine_parts(rgb, class_ids, monitor):
            fine[window], confidence[window] = labels, shares
        return fine, confidence

    @abstractmethod
    def refine_ids(
        self, rgb: NDArray[np.uint8], class_ids: ClassIds, monitor: Monitor, /
    ) -> tuple[ClassIds, Confidence]:
        """Refine one coarse map of class ids.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image.
        class_ids : (Y, X) uint8 array
            Class ids of the coarse map, `UNLABELLED_ID` where unlabelled.
        monitor : Monitor
            Receives the progress, and is asked between steps whether to stop.

        Returns
        -------
        class_ids : (Y, X) uint8 array
            Class ids of the fine map.
        confidence : (Y, X) float32 array
            Estimated probability in [0, 1] that the class is right.

        Raises
        ------
        C2FError
            As `refine`.
        """

    def refine_parts(
        self,
        rgb: Sliceable,
        class_ids: Sliceable,
        monitor: Monitor,
        /,
        place: Window | None = None,
    ) -> Iterator[tuple[Window, ClassIds, Confidence]]:
        """Refine one coarse map of class ids part by part, so that a large one needs less memory.

        Refiners that can do so override this; by default there is one part, all that
        `receptive_window` contains.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image, in memory or loaded lazily.
        class_ids : (Y, X) uint8 array
            Class ids of the coarse map, in memory or loaded lazily.
        monitor : Monitor
            Receives the progress, and is asked between steps whether to stop.
        place : (slice, slice), optional
            Rows and columns that are asked for, by default all. Only the `receptive_window`
            of them is read.

        Yields
        ------
        window : (slice, slice)
            Rows and columns of the part. Together, the parts cover the place. If memory runs
            out, the refiner starts again with smaller parts, and the new ones count.
        class_ids : (y, x) uint8 array
            Class ids of the fine map in this part.
        confidence : (y, x) float32 array
            Estimated probability in [0, 1] that the class is right.

        Raises
        ------
        C2FError
            As `refine`.
        """
        size = class_ids.shape[0], class_ids.shape[1]
        window = self.receptive_window(place or whole(size), size)
        loaded = np.asarray(rgb[window]), np.asarray(class_ids[window])
        yield window, *self.refine_ids(*loaded, monitor)

    def learning_cost(self, size: Size, /) -> int:  # noqa: ARG002
        """Return what `prepared` costs, in pixels that are refined in the same time.

        Parameters
        ----------
        size : (int, int)
            Height and width of the image in pixels.
        """
        return 0

    def prepared(
        self,
        rgb: Sliceable,  # noqa: ARG002
        class_ids: Sliceable,  # noqa: ARG002
        monitor: Monitor,  # noqa: ARG002
        /,
    ) -> "RefinerInterface":
        """Return a refiner that knows what all parts of an image share.

        It refines each part of this image as it refines the whole image, also in another
        process. It is learned from a bounded sample of the image.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8 array
            RGB image, in memory or loaded lazily.
        class_ids : (Y, X) uint8 array
            Class ids of the coarse map, in memory or loaded lazily.
        monitor : Monitor
            Receives the progress, and is asked between steps whether to stop.

        Returns
        -------
        RefinerInterface
            The same refiner if its parts share nothing, or the image is refined as a whole.

        Raises
        ------
        C2FError
            As `refine`.
        """
        return self

    @abstractmethod
    def receptive_window(self, part: Window, size: Size, /) -> Window:
        """Return the window of an image on which the result in a part depends.

        Refining only this window gives the same result in the part as refining
        the whole image.

        Parameters
        ----------
        part : (slice, slice)
            Rows and columns of the part.
        size : (int, int)
            Height and width of the image in pixels.

        Returns
        -------
        (slice, slice)
        """


def encode_inputs(
    image: NDArray[Any], labels: NDArray[Any], class_table: ClassTable
) -> tuple[NDArray[np.uint8], ClassIds]:
    """Convert an image and a map of it to 8-bit RGB and class ids.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        Grey, RGB or RGBA image of bool, integer or float values.
    labels : (Y, X) integer array
        Labels of the class table.
    class_table : ClassTable
        Class table of the map.

    Returns
    -------
    rgb : (Y, X, 3) uint8 array
        RGB image.
    class_ids : (Y, X) uint8 array
        Class ids, `UNLABELLED_ID` where unlabelled.

    Raises
    ------
    ImageError
        If shapes or dtypes do not fit.
    ClassTableError
        If the map has a label that is not in the class table.
    """
    image, labels = np.asarray(image), np.asarray(labels)
    check_sizes(image.shape, labels.shape)
    return as_rgb8(image), class_table.to_class_ids(labels)


def check_sizes(image: tuple[int, ...], coarse: tuple[int, ...]) -> Size:
    """Check that the shapes of an image and of a coarse map fit, and return their size.

    Raises
    ------
    ImageError
        If the coarse map is not a single plane, or differs in size from the image.
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


class ClassCodec:
    """Conversion between the labels of a map and the class ids of a refiner, by class name.

    Parameters
    ----------
    class_table : ClassTable
        Class table of the map.
    refiner_table : ClassTable
        Class table of the refiner.
    """

    def __init__(self, class_table: ClassTable, refiner_table: ClassTable) -> None:
        self._table, self._refiner_table = class_table, refiner_table
        ids = {name: class_id for class_id, name in enumerate(refiner_table.names)}
        class_ids = {entry.index: ids.pop(entry.name, FOREIGN_ID) for entry in class_table.classes}
        self._codec = LabelCodec(class_table.name, class_ids, class_table.unlabelled.index)
        self._missing = list(ids.values())

    def to_class_ids(
        self, labels: NDArray[Any], protected: NDArray[np.bool_] | None = None
    ) -> ClassIds:
        """Convert labels of the map to class ids of the refiner.

        Parameters
        ----------
        labels : (Y, X) integer array
            Labels of the map.
        protected : (Y, X) boolean array, optional
            Pixels that never change: they become unlabelled if the refiner does
            not know their class.

        Raises
        ------
        ClassTableError
            If the map has a label that is not in its class table, or a class that
            the refiner does not know.
        """
        class_ids = self._codec.to_class_ids(labels)
        foreign = class_ids == FOREIGN_ID
        if protected is not None:
            class_ids[foreign & protected] = UNLABELLED_ID
            foreign &= ~protected
        if foreign.any():
            self._table.translate(labels[foreign], self._refiner_table)  # Raises the error.
        return class_ids

    def to_labels(self, class_ids: ClassIds) -> NDArray[np.unsignedinteger[Any]]:
        """Convert class ids of the refiner to labels of the map.

        Raises
        ------
        ClassTableError
            If the class table of the map does not have one of the classes.
        """
        if self._missing and np.isin(class_ids, self._missing).any():
            self._refiner_table.translate_ids(class_ids, self._table)  # Raises the error.
        return self._codec.to_labels(class_ids)
