"""Export the fine maps of all images of a project at once, for other programs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from c2f_core.classes.table import ClassTable
from c2f_core.errors import C2FError, DataError
from c2f_core.io.annotations import FORMATS, FormatName, check_tolerance, write_annotations
from c2f_core.io.atomic import delete_unfinished
from c2f_core.io.formats.base import Form
from c2f_core.io.maps import MapStyle, write_map
from c2f_core.project.layout import check_export_target
from c2f_core.project.project import Project
from c2f_core.refine.interface import Progress

ExportFormat = Literal["png", FormatName]
EXPORT_FORMATS: tuple[ExportFormat, ...] = ("png", *FORMATS)
"""Formats of `export_all`: palette PNG, and those of annotation files."""
POLYGON_TOLERANCE = 0.5
"""Usual largest deviation of exported polygons, in pixels."""
MAX_PALETTE_LABEL = 255
NAMES_SHOWN = 3
"""Maximum number of images that a message lists by name."""


@dataclass(frozen=True)
class ExportOfAll:
    """Result of an export of all images.

    Attributes
    ----------
    folder : Path
        Folder of the files.
    files : tuple of Path
        Files that were written, one for each image.
    skipped : dict of str to list of str
        Names of the images that were not exported, by reason.
    """

    folder: Path
    files: tuple[Path, ...]
    skipped: dict[str, list[str]]

    def message(self) -> str:
        """Return a message for the user."""
        maps = "1 map" if len(self.files) == 1 else f"{len(self.files)} maps"
        return " ".join(
            [f"Exported {maps} to {self.folder}.", *map(_text, self.skipped, self.skipped.values())]
        )


def _text(reason: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"Not exported: {', '.join(names[:NAMES_SHOWN])}{more} ({reason.rstrip('.')})."


def export_all(
    project: Project,
    folder: str | Path,
    layout: ExportFormat,
    *,
    form: Form = "polygons",
    tolerance: float = POLYGON_TOLERANCE,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ExportOfAll:
    """Write the fine map of each image to a file with the name of the image.

    Images without a fine map are skipped, and so are images that the format cannot store.

    Parameters
    ----------
    project : Project
        Project whose maps are exported.
    folder : str or Path
        Folder of the files; created if it is missing.
    layout : {"png", "coco", "labelme", "cityscapes", "cvat"}
        Format of the files.
    form : {"masks", "polygons"}
        Form of the annotations, see `write_annotations`.
    tolerance : float
        Largest deviation, in pixels, by which polygons are simplified; with 0 they are exact.
    progress : callable, optional
        Function that is called with the finished share, 0 to 1.
    should_stop : callable
        Function without parameters that is called before each image; the export ends when it
        returns True.

    Returns
    -------
    ExportOfAll
        Written files, and the images that were skipped.

    Raises
    ------
    DataError
        If a file exists already, the folder is one of a project, a file cannot be written, or the
        tolerance is not a number from 0.
    """
    check_tolerance(tolerance)
    folder = Path(folder)
    suffix = ".png" if layout == "png" else FORMATS[layout].SUFFIX
    targets = {record.name: folder / f"{record.name}{suffix}" for record in project.records}
    _prepare(folder, list(targets.values()))
    files, skipped = [], dict[str, list[str]]()
    for number, (name, path) in enumerate(targets.items()):
        if should_stop():
            break
        try:
            _export(project, name, path, layout, form, tolerance)
            files.append(path)
        except C2FError as error:  # One image that cannot be exported does not stop the others.
            skipped.setdefault(str(error), []).append(name)
        if progress is not None:
            progress((number + 1) / len(targets))
    details = {"layout": layout, "folder": str(folder), "maps": len(files)}
    if layout != "png" and (form == "polygons" or layout == "cityscapes"):
        details["tolerance"] = tolerance
    project.journal.write("exported all", **details)
    return ExportOfAll(folder, tuple(files), skipped)


def _prepare(folder: Path, targets: list[Path]) -> None:
    """Create the folder, and check that no file in it would be replaced."""
    for path in targets:
        check_export_target(path)
        if path.exists():
            raise DataError(f"{path} exists already; choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be created ({error.strerror}); choose another."
        ) from error
    delete_unfinished(folder, *targets)


def _export(
    project: Project, name: str, path: Path, layout: ExportFormat, form: Form, tolerance: float
) -> None:
    work = project.read(name)
    if work.fine is None:
        raise DataError("no fine map yet")
    if layout == "png":
        write_map(path, work.fine, work.class_table, _style(work.class_table))
    else:
        image = work.record.image
        write_annotations(path, work.fine, work.class_table, layout, image, form, tolerance)


def _style(class_table: ClassTable) -> MapStyle:
    largest = max(entry.index for entry in class_table.entries)
    return "palette" if largest <= MAX_PALETTE_LABEL else "index"
