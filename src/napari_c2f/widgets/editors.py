"""Typed editors of single settings, made from the settings' own descriptions."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QSpinBox, QStyle, QWidget

from napari_c2f.widgets.choices import Choice, FolderEdit

LARGEST = 2**31 - 1


class BoolEditor(QCheckBox):
    """Yes or no."""

    def value(self) -> bool:
        """Return whether it is checked."""
        return self.isChecked()

    def setValue(self, value: bool) -> None:  # noqa: N802
        """Check or uncheck."""
        self.setChecked(value)

    @property
    def changed(self) -> Any:
        """Signal of another value."""
        return self.toggled


class IntEditor(QSpinBox):
    """A whole number; scrolling over it changes nothing by accident."""

    def __init__(self, smallest: int, largest: int = LARGEST) -> None:
        super().__init__()
        self.setRange(smallest, largest)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def changed(self) -> Any:
        """Signal of another value."""
        return self.valueChanged

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Let the form scroll unless the user is editing here."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()


class LiteralEditor(Choice):
    """One of the values of a `Literal`.

    Parameters
    ----------
    values : tuple
        Strings or numbers.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        super().__init__({str(value): str(value) for value in values})
        self._values = {str(value): value for value in values}

    def value(self) -> Any:
        """Return the chosen value itself."""
        return self._values[super().value()]

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Choose a value."""
        super().setValue(str(value))


class TextEditor(QLineEdit):
    """Any other type as text: numbers, tuples with commas, nothing where that is allowed.

    What cannot be used is framed in red; its tool tip says why.

    Parameters
    ----------
    annotation : type
        With its constraints.
    tip : str
        Tool tip while all is well.
    """

    def __init__(self, annotation: Any, tip: str) -> None:
        super().__init__()
        self._adapter = TypeAdapter(annotation)
        self._optional = NoneType in union_members(strip(annotation))
        self._is_tuple = any(get_origin(each) is tuple for each in union_members(strip(annotation)))
        self._tip = tip
        icon = self.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        self.wrong = self.addAction(icon, QLineEdit.ActionPosition.TrailingPosition)
        """A sign that shows where the text is no such value."""
        self.wrong.setToolTip("This cannot be used; the tool tip of the field tells why")
        self.wrong.setVisible(False)
        self.setPlaceholderText("none" if self._optional else "")
        self.textChanged.connect(self._check)

    def value(self) -> Any:
        """Return the text, its parts or None, for pydantic to turn into the type."""
        text = self.text().strip()
        if not text and self._optional:
            return None
        return [part.strip() for part in text.split(",")] if self._is_tuple else text

    def setValue(self, value: Any) -> None:  # noqa: N802
        """Show a value."""
        if isinstance(value, (tuple, list)):
            self.setText(", ".join(shown(each) for each in value))
        else:
            self.setText("" if value is None else shown(value))

    @property
    def changed(self) -> Any:
        """Signal of another text."""
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


class PathEditor(FolderEdit):
    """A file, typed or chosen; empty is none."""

    def __init__(self) -> None:
        super().__init__("none")

    def value(self) -> Path | None:
        """Return the file."""
        return None if self.is_empty() else super().value()

    def setValue(self, value: str | Path | None) -> None:  # noqa: N802
        """Show a file."""
        super().setValue("" if value is None else value)

    def _ask(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose a file")[0]


def shown(value: Any) -> str:
    """Return a value as people write it."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def strip(annotation: Any) -> Any:
    """Take the constraints off a type."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def make_editor(field: FieldInfo) -> QWidget:
    """Make the editor of a setting, with its tool tip.

    Parameters
    ----------
    field : FieldInfo
        Of a pydantic model.

    Returns
    -------
    QWidget
        With ``value()``, ``setValue(value)`` and the signal ``changed``.
    """
    kind, tip = field.annotation, field.description or ""
    members = [member for member in union_members(kind) if member is not NoneType]
    editor: QWidget
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
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            return int(bound.ge)  # type: ignore[call-overload]
        if isinstance(bound, annotated_types.Gt):
            return int(bound.gt) + 1  # type: ignore[call-overload]
    return -LARGEST
