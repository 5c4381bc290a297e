"""A refiner that speaks the class table of a map, by the names of the classes."""

from typing import Any

from numpy.typing import NDArray

from c2f_core.classes import ClassTable
from c2f_core.refine.interface import Progress, RefineResult, RefinerInterface, ShouldStop
from c2f_core.windows import Size, Window


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

    def surroundings(self, part: Window, size: Size, /) -> Window:
        """Return the window of an image that the result in a part depends on."""
        return self.refiner.surroundings(part, size)
