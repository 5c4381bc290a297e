"""Effort spent on a project: minutes and hand-painted pixels per image."""

from pathlib import Path

from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path, delete_unfinished
from c2f_core.io.tables import Row, markdown_table, write_csv
from c2f_core.project.layout import check_export_target
from c2f_core.project.project import Project
from c2f_core.project.records import Effort, Status

TOTAL = "all"
"""Name of the row for all images."""


def effort_rows(project: Project) -> list[Row]:
    """Return one row per image, and one for all images.

    Columns are the minutes during which the image was open and the window active and the pixels
    whose label was changed by hand, both before and after the first refinement, and the doubt of
    the last refinement.
    """
    rows = [
        _row(record.name, record.stage, record.doubt, record.before, record.after)
        for record in project.records
    ]
    before, after = Effort(), Effort()
    for record in project.records:
        before, after = before + record.before, after + record.after
    reviewed = sum(record.status is Status.REVIEWED for record in project.records)
    return [*rows, _row(TOTAL, f"{reviewed} reviewed", None, before, after)]


def _row(name: str, status: str, doubt: float | None, before: Effort, after: Effort) -> Row:
    return {
        "image": name,
        "status": status,
        "doubt": "" if doubt is None else f"{doubt:.3f}",
        "minutes before": f"{before.seconds / 60:.1f}",
        "minutes after": f"{after.seconds / 60:.1f}",
        "painted before": str(before.painted),
        "painted after": str(after.painted),
    }


def write_effort(project: Project, path: str | Path) -> None:
    """Write the table of `effort_rows`.

    Parameters
    ----------
    project : Project
        Project whose effort is written.
    path : str or Path
        File with the suffix .csv (CSV) or .md (Markdown).

    Raises
    ------
    DataError
        If the suffix is another, or the file is one of a project or cannot be written.
    """
    path, rows = Path(path), effort_rows(project)
    check_export_target(path)
    delete_unfinished(path.parent, path)
    if path.suffix.lower() == ".csv":
        write_csv(path, rows)
    elif path.suffix.lower() == ".md":
        with atomic_path(path) as temporary:
            temporary.write_text(markdown_table(rows), encoding="utf-8")
    else:
        raise DataError(f"The table is written as .csv or .md; rename {path.name}.")
