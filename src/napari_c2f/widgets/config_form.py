"""A form of all settings, made from the model of the settings: a new one appears by itself."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_c2f.widgets.editors import make_editor
from napari_c2f.widgets.parts import add_row, collapsible


class ConfigForm(QWidget):
    """Editors of a pydantic model, one collapsible group for each model within it.

    Parameters
    ----------
    model : type of BaseModel
        Its fields are settings or, one level deep, models of settings.
    hidden : set of str
        Settings that are edited elsewhere, as in "data.root".
    title : str
        Of the group of the settings that belong to no part.

    Attributes
    ----------
    changed : Signal
        With the setting, as in "optimiser.learning_rate".
    """

    changed = Signal(str)

    def __init__(self, model: type[BaseModel], hidden: set[str], title: str) -> None:
        super().__init__()
        self._title = title
        self._editors: dict[str, QWidget] = {}
        self._defaults: dict[str, Any] = {}
        self.groups: dict[str, QCollapsible] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for path, field in _fields(model):
            if path not in hidden:
                self._add(path, field, layout)

    def _add(self, path: str, field: Any, layout: QVBoxLayout) -> None:
        group, _, name = path.rpartition(".")
        title = words(group) if group else self._title
        if title not in self.groups:
            rows = QFormLayout()
            # Long names stand above their editors: the dock is narrow, and cuts off what is wider.
            rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
            self.groups[title] = collapsible(title, rows)
            self.groups[title].toggleButton().setToolTip("Show or hide these settings")
            layout.addWidget(self.groups[title])
        editor = make_editor(field)
        self._editors[path] = editor
        self._defaults[path] = None if field.default is PydanticUndefined else field.default
        editor.setValue(self._defaults[path])  # type: ignore[attr-defined]
        editor.changed.connect(lambda *_: self.changed.emit(path))  # type: ignore[attr-defined]
        form = self.groups[title].content().layout()
        assert isinstance(form, QFormLayout)
        add_row(form, words(name), editor, field.description or "")

    def editor(self, path: str) -> QWidget:
        """Return the editor of a setting, as in "optimiser.learning_rate"."""
        return self._editors[path]

    def value(self) -> dict[str, Any]:
        """Return the settings as nested dicts; pydantic validates them."""
        nested: dict[str, Any] = {}
        for path, editor in self._editors.items():
            group, _, name = path.rpartition(".")
            target = nested.setdefault(group, {}) if group else nested
            target[name] = editor.value()  # type: ignore[attr-defined]
        return nested

    def setValue(self, settings: Mapping[str, Any]) -> None:  # noqa: N802
        """Show settings given as nested dicts; those that lack get their default."""
        for path, editor in self._editors.items():
            group, _, name = path.rpartition(".")
            source = settings.get(group, {}) if group else settings
            editor.setValue(source.get(name, self._defaults[path]))  # type: ignore[attr-defined]


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yield path and description of every setting; those of the model itself first."""
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
    """Return a field's name as a person writes it."""
    return re.sub(r"(\d+)$", r" \1", name.replace("_", " ")).capitalize()
