"""A form of all settings, made from their model, so that new settings appear in it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_c2f.widgets.editors import Editor, make_editor
from napari_c2f.widgets.parts import add_row, collapsible


class ConfigForm(QWidget):
    """Editors of the fields of a pydantic model, in a collapsible group for each nested model.

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
        self._editors: dict[str, Editor] = {}
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
            # Long names stand above their editors: the narrow dock cuts off whatever is wider.
            rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
            self.groups[title] = collapsible(title, rows)
            self.groups[title].toggleButton().setToolTip("Show or hide these settings")
            layout.addWidget(self.groups[title])
        editor = make_editor(field)
        self._editors[path] = editor
        self._defaults[path] = None if field.default is PydanticUndefined else field.default
        editor.setValue(self._defaults[path])
        editor.changed.connect(lambda *_: self.changed.emit(path))
        form = self.groups[title].content().layout()
        assert isinstance(form, QFormLayout)
        add_row(form, words(name), editor, field.description or "")

    def editor(self, path: str) -> Editor:
        """Return the editor of a setting, as in "optimiser.learning_rate"."""
        return self._editors[path]

    def value(self) -> dict[str, Any]:
        """Return the settings as nested dicts, which pydantic has not validated yet."""
        nested: dict[str, Any] = {}
        for path, editor in self._editors.items():
            group, _, name = path.rpartition(".")
            target = nested.setdefault(group, {}) if group else nested
            target[name] = editor.value()
        return nested

    def setValue(self, settings: Mapping[str, Any]) -> None:  # noqa: N802
        """Show settings given as nested dicts; missing ones get their default."""
        for path, editor in self._editors.items():
            group, _, name = path.rpartition(".")
            source = settings.get(group, {}) if group else settings
            editor.setValue(source.get(name, self._defaults[path]))


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
