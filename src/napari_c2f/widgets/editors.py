"""Typed editors of single settings, made from the fields of the settings' model."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QWheelEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QSpinBox, QStyle

from napari_c2f.widgets.choices import Choice, PathLine

LARGEST = 2**31 - 1


class BoolEditor(QCheckBox):
    """An editor of a yes-or-no setting."""

    def value(self) -> bool:
        """Return whether the box is checked."""
        return self.isChecked()

    def setValue(self, value: bool) -> None:  # noqa: N802
        """Check or uncheck the box."""
        self.setChecked(value)

    @property
    def changed(self) -> Any:
        """Signal that is emitted when the value changes."""
        return self.toggled


class IntEditor(QSpinBox):
    """An editor of a whole number, which scrolling changes only while it has the focus.

    Parameters
    ----------
    smallest, largest : int
        Range of the numbers, both included.
    """

    def __init__(self, smallest: int, largest: int = LARGEST) -> None:
        super().__init__()
        self.setRange(smallest, largest)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def changed(self) -> Any:
        """Signal that is emitted when the value changes."""
        return self.valueChanged

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Let the form scroll unless the user is editing here."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()


class LiteralEditor(Choice):
    """An editor of a `Literal`, with its values as a list.

    Parameters
    ----------
    values : tuple
        Values of the `Literal`: strings or numbers.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        super().__init__({str(value): str(value) for value in values})
        self._values = {str(value): value for value in values}

    def value(self) -> Any:
        """Return the chosen value, with its own type."""
        return self._values[super().value()]

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Choose a value."""
        super().setValue(str(value))


class TextEditor(QLineEdit):
    """An editor of any other type as text: numbers, tuples with commas, or nothing for None.

    A warning sign marks text that is not valid; the tool tip of the field says why.

    Parameters
    ----------
    annotation : type
        Type of the setting, with its constraints.
    tip : str
        Tool tip while the text is valid.
    """

    def __init__(self, annotation: Any, tip: str) -> None:
        super().__init__()
        self._adapter = TypeAdapter(annotation)
        self._optional = NoneType in union_members(strip(annotation))
        self._is_tuple = any(get_origin(each) is tuple for each in union_members(strip(annotation)))
        self._tip = tip
        style = self.style()
        assert style is not None
        icon = style.standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        self.wrong = QAction(icon, "", self)
        """Warning sign in the field, visible while the text is not valid."""
        self.wrong.setToolTip("This is not valid; the tool tip of the field says why")
        self.wrong.setVisible(False)
        self.addAction(self.wrong, QLineEdit.ActionPosition.TrailingPosition)
        self.setPlaceholderText("none" if self._optional else "")
        self.textChanged.connect(self._check)

    def value(self) -> Any:
        """Return the text, its parts or None, which pydantic converts to the type."""
        text = self.text().strip()
        if not text and self._optional:
            return None
        return [part.strip() for part in text.split(",")] if self._is_tuple else text

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Set the value."""
        if isinstance(value, (tuple, list)):
            self.setText(", ".join(shown(each) for each in value))
        else:
            self.setText("" if value is None else shown(value))

    @property
    def changed(self) -> Any:
        """Signal that is emitted when the text changes."""
        return self.textChanged

    def _check(self) -> None:
        try:
            self._adapter.validate_python(self.value())
        except ValidationError as error:
            self.wrong.setVisible(True)
            self.setToolTip(f"{self._tip}\n{error.errors()[0]['msg']}.")
        else:
            self.wrong.setVisible(False)
            self.setToolTip(self._tip)


class PathEditor(PathLine):
    """An editor of an optional file, which is typed or chosen in a dialog."""

    def __init__(self) -> None:
        super().__init__("none")

    def value(self) -> Path | None:
        """Return the file, or None if the line is empty."""
        return self.chosen

    def setValue(self, value: str | Path | None) -> None:  # noqa: N802
        """Set the file."""
        self.line.setText("" if value is None else str(value))

    def _ask(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose a file")[0]


def shown(value: Any) -> str:
    """Return a value as a person writes it: 3 instead of 3.0."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def strip(annotation: Any) -> Any:
    """Return a type without its constraints."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union; for any other type, the type alone."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


Editor = BoolEditor | IntEditor | LiteralEditor | TextEditor | PathEditor
"""A widget with the methods ``value()`` and ``setValue(value)``, and the signal ``changed``."""


def make_editor(field: FieldInfo) -> Editor:
    """Make the editor of a setting, with its tool tip.

    Parameters
    ----------
    field : FieldInfo
        Field of a pydantic model.

    Returns
    -------
    Editor
        Editor that fits the type of the field.
    """
    kind, tip = field.annotation, field.description or ""
    members = [member for member in union_members(kind) if member is not NoneType]
    editor: Editor
    if kind is bool:
        editor = BoolEditor()
    elif get_origin(kind) is Literal:
        editor = LiteralEditor(get_args(kind))
    elif kind is int:
        editor = IntEditor(_smallest(field))
    elif members == [Path]:
        editor = PathEditor()
    else:
        annotation = Annotated[(kind, *field.metadata)] if field.metadata else kind
        editor = TextEditor(annotation, tip)
    for widget in (editor, editor.focusProxy()):
        if widget is not None:
            widget.setToolTip(tip)
    return editor


def _smallest(field: FieldInfo) -> int:
    """Return the smallest number that the constraints of a whole number allow."""
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge) and isinstance(bound.ge, int):
            return bound.ge
        if isinstance(bound, annotated_types.Gt) and isinstance(bound.gt, int):
            return bound.gt + 1
    return -LARGEST
