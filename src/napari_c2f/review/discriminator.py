"""Shows what the discriminator of a Model 2 run thinks of a map; the only writer of its model."""

from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils import Colormap
from numpy.typing import NDArray

from c2f_core.errors import C2FError
from c2f_core.refine.run import Plane
from napari_c2f.base.activity import Activity
from napari_c2f.base.controller import Controller
from napari_c2f.base.worker import Report, ShouldStop, Task
from napari_c2f.layers.convert import RESULT_KEY, class_table_of_layer, level0, unique_name
from napari_c2f.layers.lineage import check_planes, place_of, placed_keywords, plane_place
from napari_c2f.layers.planes import current_plane

MADE_UP = Colormap([[0, 0.75, 1, 1], [0, 0.75, 1, 0]], name="made up", display_name="made up")
"""Blue where a map looks made up, transparent where it looks real."""


class DiscriminatorController(Controller[Activity]):
    """Adds the verdict of a discriminator as a layer.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(Activity())
        self._viewer = viewer

    def judge(self, image: Image | None, fine: Labels | None, model: str) -> None:
        """Start judging a fine map; errors and the verdict are shown in the model.

        Parameters
        ----------
        image, fine : layers
            Their data are taken now, of stacks those of the plane that is shown.
        model : str
            Checkpoint beside whose run folder the discriminator is.
        """
        with self._errors_told():
            if image is None or fine is None:
                raise C2FError("Choose a fine map and its image first.")
            check_planes(fine, image, place_of(fine))
            plane = current_plane(self._viewer, fine)
            pixels = np.asarray(level0(image)[place_of(fine)][plane])
            labels = np.array(level0(fine)[plane])
            table = class_table_of_layer(fine)

            def work(_report: Report, should_stop: ShouldStop) -> NDArray[np.float32]:
                from c2f_core.training.realism import (
                    DiscriminatorScorer,  # Not when the widget opens.
                )

                judge = DiscriminatorScorer.load(model)
                given = table.translate(labels, judge.class_table)
                return judge.judge(pixels, given, should_stop=should_stop)

            self.model.message = "The discriminator looks at the map…"
            self._start(
                Task(work),
                lambda _: None,
                lambda scores: self._show(fine, plane, model, scores),
            )

    def _show(self, fine: Labels, plane: Plane, model: str, scores: NDArray[np.float32]) -> None:
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            scores[(np.newaxis,) * len(plane)],
            name=unique_name(self._viewer.layers, f"{fine.name} verdict"),
            colormap=MADE_UP,
            contrast_limits=(0, 1),
            blending="translucent",
            metadata={RESULT_KEY: True},
            **placed_keywords(fine, plane_place(plane, scores.shape)),
        )
        self._viewer.layers.selection.active = active  # The annotator goes on there.
        run = Path(model).parent.parent.name
        self._succeed(
            f"The discriminator of '{run}' finds {100 * float(scores.mean()):.0f} % of the map "
            "real; what looks made up is blue."
        )
