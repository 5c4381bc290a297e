"""Decides what happens in the Refine widget; the only writer of its model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from c2f_core.classes import ClassTable
from c2f_core.errors import DataError
from c2f_core.io import read_map
from c2f_core.recognise import recognise_table
from c2f_core.refine.run import RunResult
from napari_c2f._controller import ChooseTable, MapController
from napari_c2f._kept_layer import KeptLayer
from napari_c2f._layers import (
    COARSE_KEY,
    CONFIDENCE_KEY,
    PLACE_KEY,
    PROVENANCE_KEY,
    RESULT_KEY,
    class_table_of_layer,
    confidence_layer_data,
    level0,
    unique_name,
)
from napari_c2f._model import Refining
from napari_c2f._painted import follow, is_followed
from napari_c2f._refining import MakeRefiner, check_layers, refining, run_of_layers
from napari_c2f._results import (
    Kept,
    kept_pixels,
    latest_result,
    placed_keywords,
    strokes_in,
)
from napari_c2f._scoping import ScopeChoice, planes_of, scope_of
from napari_c2f._worker import Task

EVERYTHING = ScopeChoice(all_planes=True)


class RefineController(MapController):
    """Refines a coarse layer into new layers, and brings coarse layers in.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.refining = Refining()
        super().__init__(self.refining, viewer)
        self._shown: tuple[Labels, ScopeChoice] | None = None
        self._kept_layer = KeptLayer(viewer, self._look_at_kept)

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        super().close()
        self._kept_layer.close()

    def show_kept(self, coarse: Labels | None, choice: ScopeChoice, shown: bool) -> None:
        """Show as a layer what the next refinement of a coarse map would leave as it is."""
        self._shown = None if coarse is None else (coarse, choice)
        self._kept_layer.want(shown)

    def _look_at_kept(self) -> tuple[Labels, list[Kept]] | None:
        if self._shown is None:
            return None
        coarse, choice = self._shown
        fine = latest_result(self._viewer.layers, coarse)
        for layer in (coarse, fine):
            if layer is not None and is_followed(layer):
                follow(layer).touched.connect(self._kept_layer.update, unique=True)
        return coarse, kept_pixels(coarse, fine, choice.keep_fine, choice.keep_coarse)

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
        choice: ScopeChoice = EVERYTHING,
        shapes: Shapes | None = None,
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
        choice : ScopeChoice
            What may change.
        shapes : Shapes or None
            Where, if the choice says so.
        done : callable
            Called after success.
        """
        with self._errors_told():
            self.activity.progress = 0.0
            image, coarse = check_layers(image, coarse)
            table = choose_table() or class_table_of_layer(coarse)
            layers, fine = self._viewer.layers, latest_result(self._viewer.layers, coarse)
            kept = kept_pixels(coarse, fine, choice.keep_fine, choice.keep_coarse)
            run = run_of_layers(
                image,
                coarse,
                table,
                scope_of(choice, self._viewer, coarse, shapes),
                planes_of(choice, self._viewer, coarse),
                [each.patch for each in kept],
                fine,
                layers,
            )
            self.activity.message = "Refining…"

            def succeed(result: RunResult) -> None:
                done()
                self._show_result(coarse, table, result, kept)

            self._start(Task(refining(run, make_refiner)), self._show_progress, succeed)

    def _show_progress(self, shares: list[float]) -> None:
        self.activity.progress = shares[-1]

    def _show_result(
        self, coarse: Labels, class_table: ClassTable, result: RunResult, kept: list[Kept]
    ) -> None:
        fine, confidence = self._add_layers(coarse, class_table, result)
        follow(fine, strokes_in(kept, result.place))
        follow(coarse)
        self._kept_layer.update()
        report = result.report
        self.refining.report = report
        self._succeed(
            f"{result.cancelled} {100 * report.changed / max(report.pixels, 1):.1f} % of the "
            f"pixels changed, mean confidence {100 * report.mean_confidence:.1f} %, "
            f"{report.seconds:.1f} s. Doubtful places are magenta, see '{confidence.name}'. The "
            "coarse map is as it was, and hidden.".strip()
        )

    def _add_layers(
        self, coarse: Labels, class_table: ClassTable, result: RunResult
    ) -> tuple[Labels, Image]:
        """Add the fine map and, above it, the confidence."""
        layers, spatial = self._viewer.layers, placed_keywords(coarse, result.place)
        # What is refined again keeps its name, with a number.
        name = coarse.name if RESULT_KEY in coarse.metadata else f"{coarse.name} refined"
        confidence_name = unique_name(layers, f"{coarse.name} confidence")
        data, keywords, _ = confidence_layer_data(result.confidence, confidence_name)
        confidence = Image(data, **keywords, **spatial)
        metadata = {
            RESULT_KEY: True,
            COARSE_KEY: coarse.unique_id,
            CONFIDENCE_KEY: confidence.unique_id,
            PROVENANCE_KEY: result.record,
        }
        if result.labels.shape != level0(coarse).shape:
            metadata[PLACE_KEY] = result.place
        fine = self._add_map(result.labels, class_table, name, spatial, **metadata)
        self._viewer.add_layer(confidence)
        layers.selection.active = fine  # There the annotator goes on.
        coarse.visible = False  # Two maps on top of each other show neither.
        return fine, confidence
