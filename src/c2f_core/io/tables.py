"""Tables of results as Markdown and CSV."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from c2f_core.errors import DataError
from c2f_core.io.atomic import atomic_path

COUNTS = ("images", "images made worse")
"""Columns of image counts; all other numeric columns are shares."""
TEXT_COLUMNS = ("image", "method", "config")
"""Columns of names."""

Row = dict[str, str | float]


def formatted(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Format rows for people: shares as percentages, "–" for missing values."""
    return [{column: _cell(column, value) for column, value in row.items()} for row in rows]


def _cell(column: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    if column in COUNTS:
        return f"{value:.0f}"
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def markdown_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table with shares in percent.

    Raises
    ------
    DataError
        If there are no rows.
    """
    return "\n".join(_markdown_lines(formatted(_checked(rows)))) + "\n"


def _markdown_lines(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    columns = list(rows[0])
    yield _markdown_line(columns)
    yield _markdown_line("---" if column in TEXT_COLUMNS else "---:" for column in columns)
    for row in rows:
        yield _markdown_line(row[column].replace("|", "\\|") for column in columns)


def _markdown_line(cells: "Sequence[str] | Iterator[str]") -> str:
    return f"| {' | '.join(cells)} |"


def write_markdown(path: str | Path, tables: Mapping[str, Sequence[Row]]) -> None:
    """Write Markdown tables with titles, atomically.

    Parameters
    ----------
    path : str or Path
        Path of the Markdown file.
    tables : mapping of str to sequence of rows
        Rows of each table by its title.

    Raises
    ------
    DataError
        If the file cannot be written, or a table is empty.
    """
    text = "\n".join(f"## {title}\n\n{markdown_table(rows)}" for title, rows in tables.items())
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_csv(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, atomically: shares in [0, 1], empty cells for missing values.

    Parameters
    ----------
    path : str or Path
        Path of the CSV file.
    rows : sequence of rows
        Rows, whose columns may differ; the file has all of their columns.

    Raises
    ------
    DataError
        If the file cannot be written, or there are no rows.
    """
    columns = list(dict.fromkeys(column for row in _checked(rows) for column in row))
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {column: "" if value != value else value for column, value in row.items()}
            for row in rows
        )


def _checked(rows: Sequence[Row]) -> Sequence[Row]:
    if not rows:
        raise DataError("There is nothing to write; evaluate at least one pair first.")
    return rows
