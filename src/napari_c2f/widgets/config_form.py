"""A form of all settings, made from their model, so that new settings appear in it."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_c2f.widgets.editors import Editor, make_editor
from napari_c2f.widgets.parts import add_row, collapsible


class ConfigForm(QWidget):
    """Editors of the fields of a pydantic model, in a collapsible group for each nested model.

    The editors are made when they are first needed: there are many, and few users look at them.

    Parameters
    ----------
    model : type of BaseModel
        Model whose fields are settings or models of settings, one level deep.
    hidden : set of str
        Settings without an editor here, as in "data.root".
    title : str
        Title of the group of settings that do not belong to a nested model.

    """

    changed = Signal(str)
    """Emitted with the setting that was changed, as in "optimiser.learning_rate"."""

    def __init__(self, model: type[BaseModel], hidden: set[str], title: str) -> None:
        super().__init__()
        self._title = title
        self._settings = {path: field for path, field in _fields(model) if path not in hidden}
        self._defaults = {path: _default(field) for path, field in self._settings.items()}
        self._values: Mapping[str, Any] = self._defaults
        """Values until there are editors."""
        self._groups: dict[str, QCollapsible] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)

    @cached_property
    def _editors(self) -> dict[str, Editor]:
        """Editor of each setting."""
        return {path: self._add(path, field) for path, field in self._settings.items()}

    @property
    def groups(self) -> Mapping[str, QCollapsible]:
        """Group of editors by title."""
        _ = self._editors
        return self._groups

    def _add(self, path: str, field: Any) -> Editor:
        group, _, name = path.rpartition(".")
        form = self._form_of(words(group) if group else self._title)
        editor = make_editor(field)
        editor.setValue(self._values[path])
        editor.changed.connect(lambda *_: self.changed.emit(path))
        add_row(form, words(name), editor, field.description or "")
        return editor

    def _form_of(self, title: str) -> QFormLayout:
        """Return the rows of a group, which is made when its first setting is added."""
        if title not in self._groups:
            rows = QFormLayout()
            # Long names stand above their editors: the narrow dock cuts off whatever is wider.
            rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
            self._groups[title] = collapsible(title, rows)
            self._groups[title].toggleButton().setToolTip("Show or hide these settings")
            layout = self.layout()
            assert layout is not None  # It is set above.
            layout.addWidget(self._groups[title])
        form = self._groups[title].content().layout()
        assert isinstance(form, QFormLayout)
        return form

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Make the editors before they are seen."""
        _ = self._editors
        super().showEvent(event)

    def editor(self, path: str) -> Editor:
        """Return the editor of a setting, as in "optimiser.learning_rate"."""
        return self._editors[path]

    def value(self) -> dict[str, Any]:
        """Return the settings as nested dicts, which pydantic has not validated yet."""
        nested: dict[str, Any] = {}
        for path in self._settings:
            group, _, name = path.rpartition(".")
            target = nested.setdefault(group, {}) if group else nested
            target[name] = self._editors[path].value() if self._has_editors else self._values[path]
        return nested

    def setValue(self, settings: Mapping[str, Any]) -> None:  # noqa: N802
        """Show settings given as nested dicts; missing ones get their default."""
        values = {path: self._find(settings, path) for path in self._settings}
        if not self._has_editors:
            self._values = values
            return
        for path, editor in self._editors.items():
            editor.setValue(values[path])

    def _find(self, settings: Mapping[str, Any], path: str) -> Any:
        group, _, name = path.rpartition(".")
        source = settings.get(group, {}) if group else settings
        return source.get(name, self._defaults[path])

    @property
    def _has_editors(self) -> bool:
        return "_editors" in vars(self)


def _default(field: FieldInfo) -> Any:
    return None if field.default is PydanticUndefined else field.default


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yield the path and field of every setting; those of the model itself come first."""
    parts = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts.append((name, field.annotation))
        else:
            yield name, field
    for name, part in parts:
        for inner, field in part.model_fields.items():
            yield f"{name}.{inner}", field


def words(name: str) -> str:
    """Return the name of a field in words, as in "Learning rate" for learning_rate."""
    return re.sub(r"(\d+)$", r" \1", name.replace("_", " ")).capitalize()
