"""Controller of the Refine widget; the only writer of its model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from psygnal import Signal

from c2f_core.classes.editing import with_background
from c2f_core.classes.report import MapReport, OneClassReport
from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io.recognise import recognise_table
from c2f_core.refine.report import ScopeReport
from c2f_core.refine.run import JobResult, RefineJob
from c2f_core.refine.scope import Scope
from napari_c2f.base.controller import GuiSteps
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.words import counted
from napari_c2f.layers.convert import (
    TABLE_KEY,
    add_map,
    class_table_of_layer,
    confidence_layer_data,
    level0,
    name_of_result,
    new_map,
    set_class_table,
    unique_name,
)
from napari_c2f.layers.lineage import placed_keywords
from napari_c2f.layers.map_controller import MapController
from napari_c2f.layers.map_files import ChooseImage, image_name, placement, read_map_of
from napari_c2f.layers.project_map import replace_labels
from napari_c2f.layers.session import Refined, Session
from napari_c2f.layers.strokes import ProtectedStroke
from napari_c2f.layers.upright import check_drawn_upright, sideways_problem
from napari_c2f.refine.live import Live, LiveTarget, Touched
from napari_c2f.refine.model import Refining
from napari_c2f.refine.preselection import Preselection, check_fit, misfit_of
from napari_c2f.refine.protected_layer import ProtectedLayer
from napari_c2f.refine.request import (
    PreparedJob,
    RefinerChoice,
    RefineRequest,
    check_layers,
    prepare,
    refining,
    table_of,
)
from napari_c2f.refine.results import Earlier, Results
from napari_c2f.widgets.choices import title_of


class RefineController(MapController[Refining]):
    """Refines coarse maps into new layers, and opens coarse maps.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose layers are refined.
    session : Session
        Session of the viewer.
    """

    succeeded = Signal(RefineRequest)
    """Emitted with a request that was refined, before its layers are added."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(Refining(), viewer, session)
        self._request: RefineRequest | None = None
        self._live: Live | None = None
        self._waiting: Touched = {}
        """What was drawn since the refinement whose result live mode will follow."""
        self._live_layers: tuple[Image | None, Labels | None] = (None, None)
        """Image and coarse map for which live mode was switched on."""
        self._preselection = Preselection(
            self.model, lambda request: misfit_of(request, viewer, session.lineage)
        )
        self._results = Results(viewer, session)
        self._protected_layer = ProtectedLayer(viewer, self._protected_now)
        session.review_begun.connect(self._yield_to_review)
        viewer.layers.events.removing.connect(self._on_removing)

    def _yield_to_review(self, _final: Labels) -> None:
        """End live mode if a review of its fine map begins: the final map would not follow."""
        if self._live is not None and self._is_reviewed(self._live.target.fine):
            self._stop_live("its fine map is being reviewed")

    def _on_removing(self, event: Any) -> None:
        """End live mode with its layers."""
        if self._live is not None:
            name = self._live.target.name_of(self._viewer.layers[event.index])
            if name is not None:
                self._stop_live(f"its {name} was removed")

    def pause(self) -> None:
        """End live mode, because the dock is closed."""
        if self.model.live:
            self._stop_live("the Refine widget was closed")

    def _stop_live(self, reason: str) -> None:
        self._end_live()
        self.model.live = False
        self.model.message = f"Live mode is off: {reason}."

    def _is_reviewed(self, fine: Labels) -> bool:
        return self._session.lineage.final_of(self._viewer.layers, fine) is not None

    def close(self, *_: Any) -> None:
        """End the work for good, because the widget or the window closes."""
        super().close()
        self._session.review_begun.disconnect(self._yield_to_review, missing_ok=True)
        self._viewer.layers.events.removing.disconnect(self._on_removing)
        self._protected_layer.want(False)
        self.model.live = False
        if self._live is not None:
            self._live.close()
            self._session.display.restore(self._live.target.coarse)
            self._live = None

    def show_protected(self, shown: bool) -> None:
        """Show as a layer what the next refinement would leave unchanged."""
        self._protected_layer.want(shown)

    def _protected_now(self) -> tuple[Labels, list[ProtectedStroke]] | None:
        request = self._request
        if request is None or request.coarse is None:
            return None
        coarse, choice = request.coarse, request.choice
        layers, session = self._viewer.layers, self._session
        for layer in (coarse, *session.lineage.results_of(layers, coarse)):
            if session.strokes.is_followed(layer):
                follower = session.strokes.follow(layer)
                follower.touched.connect(self._protected_layer.update, unique=True)
        keep = choice.keep_fine, choice.keep_coarse
        return coarse, session.lineage.protected_strokes(layers, coarse, *keep)

    def open_map(
        self,
        path: str,
        selection: TableSelection,
        image: Image | None,
        choose_image: ChooseImage,
    ) -> None:
        """Add the map of a file as a layer, or put it into the map of a project's image.

        Parameters
        ----------
        path : str
            Map or annotation file.
        selection : TableSelection
            Class table of the map; without a table, that of the file is used.
        image : Image or None
            Image that the map belongs to.
        choose_image : callable
            Function that is called with the names of the images if the file covers several and
            none clearly is this one.
        """
        with self._showing_errors():
            table = selection.checked_table() or recognise_table(path, image_name(image))
            if table is None:
                raise DataError(
                    f"{Path(path).name} does not match any known class table; choose its classes "
                    "first, under 'Classes'."
                )
            read = read_map_of(image, path, table, choose_image)
            if read is None:
                return
            index_map, report = read
            message = self._show_opened(index_map, table, image, Path(path).stem)
            problem = "" if image is None else sideways_problem(image, index_map.shape)
            self.model.message = _opened(message, report, problem)

    def _show_opened(
        self, index_map: NDArray[Any], table: ClassTable, image: Image | None, name: str
    ) -> str:
        """Put a map into that of a project's image, or add it; return a message."""
        own = self._session.lineage.project_map(self._viewer.layers, image)
        if own is None or image is None:
            add_map(self._viewer, index_map, table, name, placement(index_map, image))
            return f"Opened with the classes '{title_of(table.name)}'."
        check_drawn_upright(image, index_map.shape)
        replace_labels(self._session.strokes, own, index_map, table)
        self._show_map(own)
        return (
            f"Opened in '{own.name}', the map of this image that the project saves; undo restores "
            "its previous content."
        )

    def update(self, request: RefineRequest) -> None:
        """Take over the user's current choices, which live mode refines with."""
        self._request = request
        self._protected_layer.refresh()
        self._note_misfit(misfit_of(request, self._viewer, self._session.lineage))
        if self.model.live and (request.image, request.coarse) != self._live_layers:
            self._stop_live("another image or coarse map is chosen")

    def _note_misfit(self, problem: str) -> None:
        """Say at once that the chosen model cannot refine the map, and no longer once it can."""
        before, self.model.misfit = self.model.misfit, problem
        if problem and problem != before:
            self.tell(problem)
        elif before and not problem and self.model.message == before:
            self.tell("")

    def choose_model(self, name: str) -> None:
        """Keep the model that the user chose."""
        self._preselection.choose(name)

    def show_classes(self, coarse: Labels | None, selection: TableSelection) -> None:
        """Show the classes of a coarse map: those of the selected table, or else its own."""
        if selection.error is not None:
            self.tell(selection.error)
        before = self._request or RefineRequest(None, None, RefinerChoice(self.model.refiner))
        request = replace(before, coarse=coarse, table_selection=selection)
        self.model.class_table = table_of(request)
        replaced = self._preselection.follow(request)
        if replaced:
            self.tell(replaced)

    def refine(self, request: RefineRequest) -> None:
        """Start refining; the model shows errors and progress."""
        with self._showing_errors():
            self.model.progress = 0.0
            check_fit(request, self._viewer, self._session.lineage)
            prepared = prepare(request, self._viewer, self._session.lineage)
            earlier = self._results.renewable(
                prepared.coarse, prepared.job.scope, request.choice.keep_fine
            )
            self.model.message = "Refining…"

            def succeed(result: JobResult) -> GuiSteps:
                self.succeeded.emit(request)
                yield from self._show_result(prepared, result, earlier)
                if self.model.live:
                    self._begin_live()

            work = refining(prepared.job, request.model)
            self._start(work, self._show_progress, succeed)

    def may_take_background(self, coarse: Labels | None) -> bool:
        """Return whether a map is a plain Labels layer, whose undrawn pixels may be background."""
        return coarse is not None and TABLE_KEY not in coarse.metadata

    def take_background(self, coarse: Labels | None) -> None:
        """Make the undrawn pixels of a plain Labels layer a class, "background"."""
        with self._showing_errors():
            if coarse is None:
                raise C2FError("Choose the coarse map first.")
            table = with_background(class_table_of_layer(coarse))
            set_class_table(coarse, table)
            self.model.message = (
                f"The label {table.classes[0].index} of '{coarse.name}' is now the class "
                f"'background'; the label {table.unlabelled.index} means unlabelled."
            )

    def remove_old(self, coarse: Labels | None) -> None:
        """Remove all results of a coarse map but the latest ones."""
        with self._showing_errors():
            if coarse is None:
                raise C2FError("Choose the coarse map first.")
            number, kept = self._results.remove_old(coarse)
            removed = (
                "There are no old results."
                if not number
                else f"Removed {counted(number, 'layer')}."
            )
            names = ", ".join(f"'{name}'" for name in kept)
            edits = f" {names} stay, because they have edits that the latest map does not have."
            self.model.message = removed + (edits if kept else "")

    def set_live(self, live: bool) -> None:
        """Begin or end live mode, which refines after each stroke what the stroke touches.

        If there is no fine map yet, or it was reviewed, one is made first.
        """
        self._end_live()
        self.model.live = live
        if live:
            self._begin_live()
        else:
            self.model.message = "Live mode is off."

    def _begin_live(self) -> None:
        """Follow the latest fine map of the chosen coarse map; refine that one if there is none."""
        try:
            if self._request is None:
                raise C2FError("Choose an image and a coarse map: open or draw them first.")
            image, coarse = check_layers(self._request.image, self._request.coarse)
        except C2FError as error:
            self.tell(str(error))
            self.set_live_off()
            return
        self._live_layers = image, coarse
        if not self._follow_live(image, coarse) and not self.model.busy:
            self.refine(self._request)

    def set_live_off(self) -> None:
        """End live mode, and leave the message that says why."""
        self._end_live()
        self.model.live = False

    def _follow_live(self, image: Image, coarse: Labels) -> bool:
        """Let live mode follow the latest fine map of a coarse map; return whether there is one."""
        touched, target = {**self._waiting, **self._end_live()}, self._live_target(image, coarse)
        self._waiting = {}
        if target is None:
            return False
        self._live = Live(self._session, target, self._live_job, self._live_result, touched)
        coarse.visible = True
        self._session.display.outline(coarse, 1)  # So that both maps are visible.
        self._viewer.layers.selection.active = coarse
        return True

    def _live_target(self, image: Image, coarse: Labels) -> LiveTarget | None:
        """Return the layers to keep up to date; None if they must be made first.

        A fine map under review is hidden by its final map, which live mode does not update.
        """
        layers, lineage = self._viewer.layers, self._session.lineage
        fine = lineage.latest_result(layers, coarse)
        confidence = None if fine is None else lineage.confidence_of(layers, fine)
        if fine is None or confidence is None or self._is_reviewed(fine):
            return None
        return LiveTarget(image, coarse, fine, confidence)

    def _end_live(self) -> Touched:
        """End live mode; return what was not refined yet."""
        if self._live is None:
            return {}
        touched, coarse = self._live.end(), self._live.target.coarse
        coarse.visible = False
        self._session.display.restore(coarse)
        self._live = None
        return touched

    def _live_job(self, target: LiveTarget) -> tuple[RefineJob, RefinerChoice] | None:
        """Return a job with the user's current choices; None while another one runs."""
        if self._request is None or self.model.busy:
            return None
        # The job is about the map whose fine map it changes, whatever is chosen meanwhile.
        request = replace(self._request, image=target.image, coarse=target.coarse)
        check_fit(request, self._viewer, self._session.lineage)
        prepared = prepare(request, self._viewer, self._session.lineage, copy=False)
        return prepared.job, request.model

    def _live_result(self, result: JobResult | C2FError) -> None:
        if isinstance(result, C2FError):
            self.model.message = str(result)
            self.set_live_off()
            return
        self.model.report = result.report
        self.model.message = (
            f"Live: {result.report.changed:,} of {result.report.pixels:,} pixels changed, "
            f"{result.report.seconds:.1f} s."
        )

    def _show_result(
        self, prepared: PreparedJob, result: JobResult, earlier: Sequence[Earlier]
    ) -> GuiSteps:
        coarse = prepared.coarse
        for each in earlier:
            if self._session.lineage.is_closed(coarse):
                break
            if self._live is not None and self._live.target.fine == each.fine:
                self._waiting = self._end_live()  # It will follow the new map.
            self._results.remove(each, result.slices)
            yield
        for _ in self._add_result(prepared, result):
            yield
            if self._session.lineage.is_closed(coarse):
                self._succeed(f"'{coarse.name}' is no longer open, so its fine map is not shown.")
                return

    def _add_result(self, prepared: PreparedJob, result: JobResult) -> Iterator[None]:
        coarse, layers = prepared.coarse, self._viewer.layers
        confidence = self._confidence_layer(coarse, result)
        fine = self._fine_layer(prepared, result, confidence)
        self._results.note(fine, prepared.job.scope)
        yield
        self._hide_results(coarse)
        yield
        self._viewer.add_layer(fine)
        self._session.strokes.follow(coarse)
        yield
        self._viewer.add_layer(confidence)
        layers.selection.active = fine  # So that the user can correct it at once.
        self._session.refined.emit(Refined(fine, confidence, result.record))
        yield
        coarse.visible = False
        yield
        self._protected_layer.update()
        self.model.report = result.report
        self._succeed(
            f"{result.cancelled} "
            f"{_one_class(prepared.job, result, self.may_take_background(coarse))}"
            f"{_summary(prepared.job.scope, result.report, confidence.name)} "
            "The coarse map is unchanged and now hidden.".strip()
        )

    def _confidence_layer(self, coarse: Labels, result: JobResult) -> Image:
        name = unique_name(self._viewer.layers, name_of_result(coarse.name, "confidence"))
        data, keywords, _ = confidence_layer_data(result.confidence, name)
        return Image(data, **keywords, **placed_keywords(coarse, result.slices))

    def _fine_layer(self, prepared: PreparedJob, result: JobResult, confidence: Image) -> Labels:
        """Make the fine map, with its origin, strokes and locks."""
        coarse, session = prepared.coarse, self._session
        name = name_of_result(coarse.name, "fine")
        table, spatial = prepared.job.class_table, placed_keywords(coarse, result.slices)
        fine = new_map(self._viewer, result.labels, table, name, spatial, is_result=True)
        is_part = result.labels.shape != level0(coarse).shape
        session.lineage.add_fine(
            fine,
            coarse,
            confidence,
            slices=result.slices if is_part else None,
            record=result.record,
            protected=prepared.protected,
        )
        return fine


def _opened(message: str, report: MapReport, problem: str) -> str:
    """Return what the user has to know about a map that was opened, with what to check."""
    warning = report.message()
    if not isinstance(report, OneClassReport):
        message, warning = warning or message, ""
    checks = " ".join(filter(None, (problem, warning)))
    return f"{message} Check it: {checks}" if checks else message


def _one_class(job: RefineJob, result: JobResult, is_plain: bool) -> str:
    """Return a warning if unlabelled pixels were filled with the only class there is."""
    label = int(result.labels.flat[0]) if result.labels.size else 0
    if not result.report.changed or not (result.labels == label).all():
        return ""
    names = {entry.index: entry.name for entry in job.class_table.entries}
    remedy = "click 'Unlabelled is background'" if is_plain else "draw the background as a class"
    return (
        f"The map has the class '{names[label]}' only, so all pixels became it; draw a second "
        f"class, or {remedy}, and refine again. "
    )


def _summary(scope: Scope, report: ScopeReport, confidence: str) -> str:
    """Return how much changed, and with what confidence, for the user."""
    if not report.pixels:
        return "The scope has no pixel that may change; widen it under 'Scope', or unlock classes."
    if not report.changed and scope.examines:
        return (
            "No change was clearly expected to help, so the fine map equals the coarse map. Draw "
            "closer to the boundaries, or choose another entry of 'Changes' under 'Scope'."
        )
    return (
        f"{100 * report.changed / report.pixels:.1f} % of the pixels changed, mean confidence "
        f"{100 * report.mean_confidence:.1f} %, {report.seconds:.1f} s. Doubtful regions "
        f"are magenta in '{confidence}'."
    )
