"""Exports maps of the open project, and the effort spent on it."""

from functools import partial
from pathlib import Path

from c2f_core.project import Project
from c2f_core.project.effort import write_effort
from c2f_core.project.export import Export, export_map
from c2f_core.project.export_all import POLYGON_TOLERANCE, ExportFormat, ExportOfAll, export_all
from napari_c2f.base.worker import Report, ShouldStop, simple_task
from napari_c2f.project.workspace import Workspace


class Exporter:
    """Writes files from the open project once all images are saved.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def export_map(self, name: str, path: Path) -> None:
        """Write the fine map of an image to a file, with its sidecar."""
        with self._workspace.showing_errors():
            self._workspace.saving.when_saved(partial(self._export_map, name, path))

    def _export_map(self, name: str, path: Path) -> None:
        task = partial(_export_map, self._workspace.project, name, path)
        self._workspace.do(task, self._report_export, f"Exporting {name}…")

    def _report_export(self, export: Export) -> None:
        self._workspace.report(export.message())

    def export_all(
        self, folder: Path, layout: ExportFormat, tolerance: float = POLYGON_TOLERANCE
    ) -> None:
        """Write the fine maps of all images to a folder, in this format.

        Polygons are simplified by at most `tolerance` pixels.
        """
        with self._workspace.showing_errors():
            write = partial(self._export_all, folder, layout, tolerance)
            self._workspace.saving.when_saved(write)

    def _export_all(self, folder: Path, layout: ExportFormat, tolerance: float) -> None:
        task = partial(_export_all, self._workspace.project, folder, layout, tolerance)
        self._workspace.do(task, self._report_all, "Exporting all maps…")

    def _report_all(self, export: ExportOfAll) -> None:
        self._workspace.report(export.message())

    def write_effort(self, path: Path) -> None:
        """Write the table of minutes and painted pixels to a file."""
        with self._workspace.showing_errors():
            self._workspace.saving.when_saved(partial(self._write_effort, path))

    def _write_effort(self, path: Path) -> None:
        task = simple_task(write_effort, self._workspace.project, path)
        self._workspace.do(task, partial(self._report_effort, path), "Writing…")

    def _report_effort(self, path: Path, _result: None) -> None:
        self._workspace.report(f"Wrote {path}.")


def _export_map(
    project: Project, name: str, path: Path, report: Report, should_stop: ShouldStop
) -> Export:
    return export_map(project, name, path, progress=report, should_stop=should_stop)


def _export_all(
    project: Project,
    folder: Path,
    layout: ExportFormat,
    tolerance: float,
    report: Report,
    should_stop: ShouldStop,
) -> ExportOfAll:
    return export_all(
        project, folder, layout, tolerance=tolerance, progress=report, should_stop=should_stop
    )
