"""Tables of scores in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from c2f_core.evaluation import TEXT_COLUMNS, Row, formatted

PIPED_WIDTH = 240
"""Columns of the tables where the output is no terminal, so that none is folded."""


def show_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows that have the same columns; shares as percentages."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in TEXT_COLUMNS else "right")
    for row in formatted(rows):
        table.add_row(*row.values())
    console.print(table)
