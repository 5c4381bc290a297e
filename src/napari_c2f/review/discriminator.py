"""Controller that shows how realistic a discriminator finds a map."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils import Colormap
from numpy.typing import NDArray

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError
from c2f_core.refine.run import Plane
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Report, ShouldStop, TaskFunction
from napari_c2f.layers.convert import RESULT_KEY, class_table_of_layer, level0, unique_name
from napari_c2f.layers.lineage import placed_keywords, whole_slices
from napari_c2f.layers.planes import check_planes, current_plane, plane_slices
from napari_c2f.layers.session import Session
from napari_c2f.layers.upright import check_drawn_upright

UNREALISTIC = Colormap(
    [[0, 0.75, 1, 1], [0, 0.75, 1, 0]], name="unrealistic", display_name="unrealistic"
)
"""Blue where a map looks unrealistic, transparent where it looks real."""


def score_realism(
    image: NDArray[Any], labels: NDArray[Any], class_table: ClassTable, model: str
) -> TaskFunction:
    """Return the function that scores a map with a discriminator, for a thread.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 1, 3 or 4) array
        The image that the map belongs to.
    labels : (Y, X) integer array
        Label values of the map.
    class_table : ClassTable
        Class table of the map.
    model : str
        Checkpoint of the generator that was trained with the discriminator.
    """

    def score(_report: Report, should_stop: ShouldStop) -> NDArray[np.float32]:
        from c2f_core.training.realism import DiscriminatorScorer  # It takes seconds to import.

        scorer = DiscriminatorScorer.load(model)
        translated = class_table.translate(labels, scorer.class_table)
        return scorer.realism_map(image, translated, should_stop=should_stop)

    return score


class DiscriminatorController(Controller[Activity]):
    """Adds the realism map of a fine map as a layer.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that gets the layer.
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(Activity())
        self._viewer, self._session = viewer, session

    def realism_map(self, image: Image | None, fine: Labels | None, model: str) -> None:
        """Start to score a fine map; the model shows errors and the mean score.

        Parameters
        ----------
        image, fine : layer or None
            Layers whose current data are used; of stacks, the plane in view.
        model : str
            Checkpoint of the generator that was trained with the discriminator.
        """
        with self._showing_errors():
            if image is None or fine is None:
                raise C2FError("Choose a fine map and its image first.")
            slices = self._session.lineage.slices_of(fine)
            if slices == whole_slices(fine):
                check_drawn_upright(image, level0(fine).shape)
            check_planes(fine, image, slices)
            plane = current_plane(self._viewer, fine)
            task = score_realism(
                np.asarray(level0(image)[slices][plane]),
                np.array(level0(fine)[plane]),
                class_table_of_layer(fine),
                model,
            )
            self.model.message = "Scoring the map with the discriminator…"
            self._start(task, lambda _: None, lambda scores: self._show(fine, plane, model, scores))

    def _show(self, fine: Labels, plane: Plane, model: str, scores: NDArray[np.float32]) -> None:
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            scores[(np.newaxis,) * len(plane)],
            name=unique_name(self._viewer.layers, f"{fine.name} realism"),
            colormap=UNREALISTIC,
            contrast_limits=(0, 1),
            blending="translucent",
            metadata={RESULT_KEY: True},
            **placed_keywords(fine, plane_slices(plane, scores.shape)),
        )
        self._viewer.layers.selection.active = active  # So that the user can keep drawing there.
        run = Path(model).parent.parent.name
        self._succeed(
            f"Mean realism {100 * float(scores.mean()):.0f} % according to the discriminator of "
            f"'{run}'; areas that look unrealistic are blue."
        )
