"""Goes from region to region."""

from napari.components import ViewerModel
from napari.layers import Labels

from c2f_core.review.decisions import Decision
from c2f_core.review.regions import ReviewRegion
from napari_c2f.review.camera import look_at
from napari_c2f.review.model import ReviewModel
from napari_c2f.review.request import ReviewData


class Navigator:
    """Chooses the next region and moves the camera there.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose camera moves.
    model : ReviewModel
        State that the widget shows.
    data : ReviewData
        The reviewed plane and its doubtful regions.
    layer : Labels
        A layer of the review; regions have the coordinates of its data.
    """

    def __init__(
        self, viewer: ViewerModel, model: ReviewModel, data: ReviewData, layer: Labels
    ) -> None:
        self._viewer, self._model, self._data, self._layer = viewer, model, data, layer
        self._doubtful_seen = 0

    def choose(self, number: int) -> None:
        """Move to the region of a number."""
        self._model.current = number
        self._move_to(self._model.region(number))

    def choose_at(self, row: int, column: int) -> None:
        """Move to the region that contains a pixel of the plane, if any."""
        number = int(self._data.review.numbers[row, column])
        if number:
            self.choose(number)

    def next(self) -> None:
        """Move to the next undecided region, or the next one if all are decided."""
        self._step(1)

    def previous(self) -> None:
        """Move to the previous undecided region, or the previous one if all are decided."""
        self._step(-1)

    def next_doubtful(self) -> None:
        """Move to the most doubtful region not yet visited, whether or not it changed."""
        regions = self._data.doubtful
        if not regions:
            self._model.message = "No region is doubtful."
            return
        region = regions[self._doubtful_seen % len(regions)]
        self._doubtful_seen += 1
        self._move_to(region)
        self._model.message = (
            f"Doubtful region {region.number} of {len(regions)}: {region.size} px, mean "
            f"confidence {100 * region.confidence:.0f} %."
            + (" This is the last one." if region.number == len(regions) else "")
        )

    def _step(self, direction: int) -> None:
        numbers = self._model.numbers(Decision.UNDECIDED)
        numbers = numbers or list(range(1, len(self._model.regions) + 1))
        if direction < 0:
            numbers.reverse()
        if numbers:
            beyond = (n for n in numbers if (n - self._model.current) * direction > 0)
            self.choose(next(beyond, numbers[0]))

    def _move_to(self, region: ReviewRegion) -> None:
        look_at(self._viewer, self._layer, self._data.plane, region.window)
