"""Deletes classes from all maps of the open project."""

from collections.abc import Callable, Sequence
from functools import partial

from c2f_core.classes.table import ClassEntry
from c2f_core.errors import DataError
from c2f_core.project import Project
from napari_c2f.base.words import counted
from napari_c2f.base.worker import Report, ShouldStop, simple_task
from napari_c2f.project.image_controller import ImageController
from napari_c2f.project.workspace import Workspace

ChooseClass = Callable[[str, Sequence[str]], str | None]
"""Asks the user a question with these names as answers; None cancels."""


class ClassDeleter:
    """Deletes a class once all images are saved; the open image is closed meanwhile.

    Parameters
    ----------
    workspace : Workspace
        The open project.
    images : ImageController
        Shows the open image again.
    check_idle : callable
        Function that raises an error if the maps must not be changed now.
    """

    def __init__(
        self, workspace: Workspace, images: ImageController, check_idle: Callable[[], None]
    ) -> None:
        self._workspace, self._images, self._check_idle = workspace, images, check_idle

    def delete(self, label: int, choose: ChooseClass) -> None:
        """Delete a class; ask first what its pixels become, if it has any.

        Parameters
        ----------
        label : int
            Label of the class.
        choose : callable
            Function that is called with a question and the names of the remaining classes.
        """
        with self._workspace.showing_errors():
            self._check_idle()
            self._workspace.saving.when_saved(partial(self._count, label, choose))

    def _entry(self, label: int) -> ClassEntry:
        for entry in self._workspace.project.class_table.classes:
            if entry.index == label:
                return entry
        raise DataError(f"The project has no class {label}; choose one of its classes.")

    def _count(self, label: int, choose: ChooseClass) -> None:
        entry = self._entry(label)
        task = simple_task(self._workspace.project.pixels_of_class, label)
        ask = partial(self._ask, entry, choose)
        self._workspace.do(task, ask, f"Counting the pixels of '{entry.name}'…")

    def _ask(self, entry: ClassEntry, choose: ChooseClass, pixels: dict[str, int]) -> None:
        table = self._workspace.project.class_table
        others = [table.unlabelled, *(each for each in table.classes if each != entry)]
        answer: str | None = table.unlabelled.name
        if pixels:
            answer = choose(_question(entry, pixels), [each.name for each in others])
        if answer is None:
            self._workspace.report(f"'{entry.name}' is not deleted.")
            return
        self._check_idle()  # Something else may have begun while the question was open.
        replacement = next(each for each in others if each.name == answer)
        message = f"Deleted '{entry.name}'."
        if pixels:
            message += (
                f" Its pixels are now '{replacement.name}'; the maps that had some are kept as "
                "they were in the folder 'removed' of the project."
            )
        self._workspace.saving.when_saved(partial(self._delete, entry, replacement, message))

    def _delete(self, entry: ClassEntry, replacement: ClassEntry, message: str) -> None:
        opened = self._workspace.model.opened
        self._workspace.close_image()
        task = partial(_delete, self._workspace.project, entry.index, replacement.index)
        done = partial(self._report, opened, message)
        failed = partial(self._show_again, opened)
        self._workspace.do(task, done, f"Deleting '{entry.name}' in all maps…", failed)

    def _report(self, opened: str, message: str, _result: None) -> None:
        self._show_again(opened)
        self._workspace.report(message)

    def _show_again(self, opened: str) -> None:
        if opened:
            self._images.show(opened)


def _question(entry: ClassEntry, pixels: dict[str, int]) -> str:
    total = sum(pixels.values())
    return (
        f"'{entry.name}' has {counted(total, 'pixel')} in {counted(len(pixels), 'image')} of the "
        "project.\n"
        "Delete the class? Its pixels become:"
    )


def _delete(
    project: Project, label: int, replacement: int, report: Report, _should_stop: ShouldStop
) -> None:
    project.delete_class(label, replacement, report)
