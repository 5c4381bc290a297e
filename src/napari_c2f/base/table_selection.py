"""The class table that the user selected, as a value that controllers receive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from c2f_core.classes.table import ClassTable
from c2f_core.errors import ClassTableError


@dataclass(frozen=True)
class TableSelection:
    """Class table that the user selected, or the reason why it cannot be read.

    Attributes
    ----------
    table : ClassTable or None
        Selected class table; None stands for the layer's or file's own table.
    error : str or None
        Why the selected class table cannot be read, as a sentence for the user; None if it
        was read.
    """

    table: ClassTable | None = None
    error: str | None = None

    @classmethod
    def read(cls, read: Callable[[], ClassTable | None]) -> Self:
        """Return the selection of a table that `read` returns, or of the error that it raises.

        Parameters
        ----------
        read : callable
            Function without parameters that returns a class table or None, or raises a
            `ClassTableError`.
        """
        try:
            return cls(read())
        except ClassTableError as error:
            return cls(error=str(error))

    def checked_table(self) -> ClassTable | None:
        """Return the selected class table; None stands for the layer's or file's own table.

        Raises
        ------
        ClassTableError
            If the selected class table cannot be read.
        """
        if self.error is not None:
            raise ClassTableError(self.error)
        return self.table
