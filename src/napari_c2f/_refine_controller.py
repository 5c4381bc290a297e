"""Decides what happens in the Refine widget; the only writer of its model."""

from collections.abc import Callable
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image, Labels

from c2f_core.classes import ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io import read_map
from c2f_core.recognise import recognise_table
from c2f_core.refine.scope import Scope
from napari_c2f._controller import ChooseTable, MapController
from napari_c2f._layers import (
    COARSE_KEY,
    CONFIDENCE_KEY,
    PROVENANCE_KEY,
    RESULT_KEY,
    class_table_of_layer,
    confidence_layer_data,
    image_plane,
    labels_plane,
    spatial_keywords,
    unique_name,
)
from napari_c2f._locks import locked_classes
from napari_c2f._model import Refining
from napari_c2f._refining import MakeRefiner, Refined, RefineRequest, refining
from napari_c2f._worker import Task


class RefineController(MapController):
    """Refines a coarse layer into new layers, and brings coarse layers in.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.refining = Refining()
        super().__init__(self.refining, viewer)

    def open_map(self, path: str, choose_table: ChooseTable) -> None:
        """Add the map of a file, read with the chosen class table or with its own."""
        with self._errors_told():
            table = choose_table() or recognise_table(path)
            if table is None:
                raise DataError(
                    f"{Path(path).name} belongs to no class table known here; choose its classes "
                    "first, under 'Classes'."
                )
            index_map, report = read_map(path, table)
            self._add_map(index_map, table, Path(path).stem, {})
            self.activity.message = report.message() or f"Opened with the classes '{table.name}'."

    def refine(
        self,
        image: Image | None,
        coarse: Labels | None,
        choose_table: ChooseTable,
        make_refiner: MakeRefiner,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Start refining; errors and progress are shown in the model.

        Parameters
        ----------
        image, coarse : layers
            Their data are taken now: drawing can go on.
        choose_table : callable
            Returns the class table of the coarse map, None for its layer's own.
        make_refiner : callable
            Called in the thread.
        done : callable
            Called after success.
        """
        with self._errors_told():
            self.activity.progress = 0.0
            if image is None or coarse is None:
                raise C2FError("Choose an image and a coarse map: open or draw them first.")
            request = _request(image, coarse, choose_table() or class_table_of_layer(coarse))
            self.activity.message = "Refining…"

            def succeed(refined: Refined) -> None:
                done()
                self._show_result(coarse, request.class_table, refined)

            self._start(Task(refining(request, make_refiner)), self._show_progress, succeed)

    def _show_progress(self, shares: list[float]) -> None:
        self.activity.progress = shares[-1]

    def _show_result(self, coarse: Labels, class_table: ClassTable, refined: Refined) -> None:
        confidence = self._add_layers(coarse, class_table, refined)
        report = refined.report
        self.refining.report = report
        self._succeed(
            f"{100 * report.changed / max(report.pixels, 1):.1f} % of the pixels changed, mean "
            f"confidence {100 * report.mean_confidence:.1f} %, {report.seconds:.1f} s. Doubtful "
            f"places are magenta, see '{confidence}'. The coarse map is as it was, and hidden."
        )

    def _add_layers(self, coarse: Labels, class_table: ClassTable, refined: Refined) -> str:
        """Add the fine map and, above it, the confidence; return the latter's name."""
        layers, spatial = self._viewer.layers, spatial_keywords(coarse)
        name = unique_name(layers, f"{coarse.name} confidence")
        data, keywords, _ = confidence_layer_data(refined.confidence, name)
        confidence = Image(data, **keywords, **spatial)
        metadata = {
            RESULT_KEY: True,
            COARSE_KEY: coarse.unique_id,
            CONFIDENCE_KEY: confidence.unique_id,
            PROVENANCE_KEY: refined.record,
        }
        fine_name = f"{coarse.name} refined"
        fine = self._add_map(refined.labels, class_table, fine_name, spatial, **metadata)
        self._viewer.add_layer(confidence)
        layers.selection.active = fine  # There the annotator goes on.
        coarse.visible = False  # Two maps on top of each other show neither.
        return name


def _request(image: Image, coarse: Labels, class_table: ClassTable) -> RefineRequest:
    locked = locked_classes(coarse)
    names = tuple(entry.name for entry in class_table.entries if entry.index in locked)
    return RefineRequest(
        image=image_plane(image),
        coarse=labels_plane(coarse),
        scope=Scope(locked=names),
        class_table=class_table,
    )
