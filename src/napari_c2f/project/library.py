"""Adds images to the open project, removes them, and chooses its model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from napari.layers import Layer

from c2f_core.project import Project
from napari_c2f.base.words import counted
from napari_c2f.base.worker import Report, ShouldStop, simple_task
from napari_c2f.layers.pairs import NewImage, images_of_layers
from napari_c2f.project.workspace import Workspace


class Library:
    """Changes which images and which model the open project contains.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add_files(self, paths: Iterable[Path]) -> None:
        """Copy image files into the project."""
        with self._workspace.showing_errors():
            task = partial(_add_files, self._workspace.project, list(paths))
            self._workspace.do(task, self._report_added, "Copying images…", self._workspace.refresh)

    def add_layers(self, layers: Iterable[Layer]) -> None:
        """Copy image layers into the project, or one image and its coarse map."""
        with self._workspace.showing_errors():
            project = self._workspace.project
            task = partial(_add_images, project, images_of_layers(layers, project.class_table))
            self._workspace.do(task, self._report_added, "Copying images…", self._workspace.refresh)

    def _report_added(self, count: int) -> None:
        self._workspace.report(f"Added {counted(count, 'image')}.")

    def remove(self, name: str) -> None:
        """Move an image with its maps out of the project."""
        with self._workspace.showing_errors():
            self._workspace.saving.when_saved(partial(self._remove, name), ignore=name)

    def _remove(self, name: str) -> None:
        if name == self._workspace.model.opened:
            self._workspace.close_image()
        task = simple_task(self._workspace.project.remove_image, name)
        self._workspace.do(task, partial(self._report_removed, name), "Removing…")

    def _report_removed(self, name: str, folder: Path) -> None:
        self._workspace.saving.discard(name)
        self._workspace.report(f"{name} was moved to {folder}.")

    def choose_model(self, model: str) -> None:
        """Use another refiner in the project."""
        with self._workspace.showing_errors():
            project = self._workspace.project
            if model != project.model:
                task = simple_task(project.choose_model, model)
                self._workspace.do(task, self._report_model)

    def _report_model(self, _result: None) -> None:
        self._workspace.report("The model of the project has changed.")


def _add_files(
    project: Project, paths: Sequence[Path], _report: Report, should_stop: ShouldStop
) -> int:
    """Copy files into the project until stopped; return the number of files copied."""
    for number, path in enumerate(paths):
        if should_stop():
            return number
        project.add_image(path)
    return len(paths)


def _add_images(
    project: Project, images: Sequence[NewImage], _report: Report, should_stop: ShouldStop
) -> int:
    """Write images into the project until stopped; return the number of images written."""
    for number, image in enumerate(images):
        if should_stop():
            return number
        name = project.add_image(image.pixels, image.name).name
        if image.coarse is not None:
            project.save(replace(project.read(name), coarse=image.coarse))
    return len(images)
