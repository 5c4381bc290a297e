"""Decides what happens in the class palette; the only writer of its model."""

from contextlib import suppress
from operator import methodcaller
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes
from napari.utils.key_bindings import KeyBinding
from numpy.typing import NDArray

from c2f_core.classes.editing import new_table, recoloured, renamed, with_class
from c2f_core.classes.table import ClassEntry, ClassTable, Colour
from c2f_core.errors import C2FError, ClassTableError
from napari_c2f.base.keys import Action, Keys
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.draw.model import Palette, Swatch
from napari_c2f.draw.shares import ShareCounter, Shares
from napari_c2f.layers.convert import (
    TABLE_KEY,
    add_map,
    class_table_of_layer,
    level0,
    plane_shape,
    spatial_keywords,
)
from napari_c2f.layers.locks import locked_classes
from napari_c2f.layers.map_controller import MapController
from napari_c2f.layers.project_map import paste_labels
from napari_c2f.layers.session import Session
from napari_c2f.layers.shapes import coarse_of_shapes, covered_by, follow_class, set_class

NUMBERS = range(10)


def _what(number: int) -> str:
    return f"draw with class {number}" if number else "erase"


KEYS = Keys(
    "Draw",
    {
        f"class_{number}": Action(
            KeyBinding.from_str(f"Ctrl+{number}"), _what(number), methodcaller("choose_key", number)
        )
        for number in NUMBERS
    },
)

DRAWING = ("paint", "fill", "polygon")
"""Tools that draw with the chosen class."""
LARGEST_SEARCHED = 1 << 20
"""Pixels of a layer without class table in which labels are looked for, in a moment."""


class PaletteController(MapController[Palette]):
    """Shows and edits the classes of the map that the user draws in.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self.palette = Palette()
        super().__init__(self.palette, viewer, session)
        self._layer: Labels | None = None
        self._draft = new_table()
        self.table: ClassTable | None = self._draft
        """Of the map, or of the first map to come; None where the map has none."""
        self._shares: Shares = {}
        self._counter = ShareCounter(self._show_shares)
        KEYS.follow(viewer, self)
        self._show()

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        super().close()
        self._counter.close()
        self._disconnect()
        KEYS.leave(self._viewer, self)

    def follow(self, layer: Labels | None) -> None:
        """Show the classes of another map."""
        if layer is self._layer:
            return
        self._disconnect()
        self._counter.forget()
        self._layer, self._shares = layer, {}
        if layer is not None:
            self._session.locks.guard(layer)
            layer.events.selected_label.connect(self._show_chosen)
            for name in _changes(layer):
                layer.events[name].connect(self._on_change)
        self._look_again()
        self._show_chosen()

    def _disconnect(self) -> None:
        if self._layer is not None:
            self._layer.events.selected_label.disconnect(self._show_chosen)
            for name in _changes(self._layer):
                self._layer.events[name].disconnect(self._on_change)
            self._layer = None

    def begin_with(self, selection: TableSelection) -> None:
        """Take these classes as long as there is no map."""
        with self._errors_told():
            self._draft = selection.checked_table() or self._draft
            self._look_again()

    def choose(self, index: int) -> None:
        """Draw with this class: in the active Shapes layer, else in the map."""
        active = self._viewer.layers.selection.active
        if isinstance(active, Shapes):
            set_class(active, self._entry(index))
        elif self._layer is not None:
            self._layer.selected_label = index
            self._viewer.layers.selection.active = self._layer
            if self._layer.mode not in DRAWING:
                self._layer.mode = "paint"
        self.palette.chosen = index

    def choose_key(self, number: int) -> None:
        """Choose the class of a number key."""
        for swatch in self.palette.swatches:
            if swatch.key == number:
                self.choose(swatch.entry.index)

    def add(self) -> None:
        """Add a class and choose it."""
        with self._errors_told():
            self._store(self._with_class())
            self.choose(self.palette.swatches[-2].entry.index)
            self.palette.message = "Added a class; double-click its name or colour to change them."

    def _with_class(self) -> ClassTable:
        """Return the table with one class more; labels that are drawn already are classes, too."""
        layer = self._layer
        if self.table is not None:
            return with_class(self.table)
        background = None if layer is None else layer.colormap.background_value
        if layer is None or (np.asarray(level0(layer)) == background).all():
            return new_table()
        return with_class(class_table_of_layer(layer))

    def rename(self, index: int, name: str, shapes: Shapes | None) -> None:
        """Rename a class, of the map and of shapes."""
        self._edit(index, shapes, lambda table: renamed(table, index, name))

    def recolour(self, index: int, colour: Colour, shapes: Shapes | None) -> None:
        """Give a class another colour, in the map and in shapes."""
        self._edit(index, shapes, lambda table: recoloured(table, index, colour))

    def _edit(self, index: int, shapes: Shapes | None, change: Any) -> None:
        before = self._entry(index)
        with self._errors_told():
            self._store(change(self.table))
            if shapes is not None:
                follow_class(shapes, before, self._entry(index))
            self.palette.message = ""

    def lock(self, index: int, locked: bool) -> None:
        """Lock a class of the map, or unlock it."""
        if self._layer is not None:
            self._session.lineage.share_lock(self._viewer.layers, self._layer, index, locked)
            name = self._entry(index).name
            self.palette.message = (
                f"Drawing and refining leave '{name}' as it is." if locked else ""
            )
        self._show()

    def map_of_shapes(
        self, image: Image | None, shapes: Shapes | None, selection: TableSelection
    ) -> None:
        """Draw the shapes, on top of one another, in the map of a project's image, or as a map."""
        with self._errors_told():
            table = selection.checked_table()
            if image is None or shapes is None or table is None:
                raise C2FError(
                    "Choose an image, classes and a Shapes layer first; draw polygons or paths "
                    "in it, and click the class of each."
                )
            names = {entry.index: entry.name for entry in table.classes}
            chosen = None if self.palette.chosen is None else names.get(self.palette.chosen)
            index_map, report = coarse_of_shapes(shapes, image, table, chosen)
            where = self._show_drawn(index_map, image, table, covered_by(shapes, image))
            shapes.visible = False  # It would hide what is drawn in the map.
            self.palette.message = report.message() or (
                f"Drew {report.drawn} shapes in {where}; refining fills in the rest. "
                f"'{shapes.name}' is hidden."
            )

    def _show_drawn(
        self, index_map: NDArray[Any], image: Image, table: ClassTable, drawn: NDArray[np.bool_]
    ) -> str:
        """Draw a map in the project's, or in the chosen one if empty, else add it; tell where."""
        layer = self._session.lineage.project_map(self._viewer.layers, image)
        if layer is None and self._layer is not None and _is_empty(self._layer, image, table):
            layer = self._layer
        if layer is None:
            add_map(self._viewer, index_map, table, f"{image.name} coarse", spatial_keywords(image))
            return "a new map"
        paste_labels(self._session.strokes, layer, index_map, table, drawn)
        self._show_map(layer)
        return f"'{layer.name}'"

    def _entry(self, index: int) -> ClassEntry:
        return next(swatch.entry for swatch in self.palette.swatches if swatch.entry.index == index)

    def _store(self, table: ClassTable) -> None:
        if self._layer is None:
            self._draft = table
        else:
            lineage = self._session.lineage
            lineage.share_class_table(self._viewer.layers, self._layer, self.table, table)
        self._look_again()

    def _look_again(self) -> None:
        self.table = self._draft if self._layer is None else _table_of(self._layer)
        self._show()
        self._count()

    def _on_change(self) -> None:
        """Follow what is drawn; without a class table each new label is a class."""
        if self._layer is not None and TABLE_KEY not in self._layer.metadata:
            self._look_again()
        else:
            self._count()

    def _count(self) -> None:
        if self._layer is not None and self.table is not None:
            self._counter.ask(level0(self._layer), self.table)

    def _show_shares(self, shares: Shares) -> None:
        self._shares = shares
        self._show()

    def _show(self) -> None:
        layer, table = self._layer, self.table
        locked = frozenset() if layer is None else locked_classes(layer)
        self.palette.has_map = layer is not None
        self.palette.swatches = () if table is None else swatches(table, self._shares, locked)
        if layer is not None and table is None:
            self.palette.message = (
                f"'{layer.name}' has no classes yet; 'Add class' begins with one."
            )

    def _show_chosen(self) -> None:
        """Follow what napari's own controls choose; while shapes are drawn these do not matter."""
        active = self._viewer.layers.selection.active
        if self._layer is not None and not isinstance(active, Shapes):
            self.palette.chosen = self._layer.selected_label


def swatches(table: ClassTable, shares: Shares, locked: frozenset[int]) -> tuple[Swatch, ...]:
    """Return what the palette shows of a class table: its classes, then the eraser."""
    return tuple(
        Swatch(
            entry,
            key=0 if entry is table.unlabelled else place if place in NUMBERS else None,
            share=shares.get(entry.index),
            locked=entry.index in locked,
            is_eraser=entry is table.unlabelled,
        )
        for place, entry in enumerate(table.entries, 1)
    )


def _is_empty(layer: Labels, image: Image, table: ClassTable) -> bool:
    """Tell whether nothing is drawn yet in a map of an image, and its classes are these."""
    return (
        isinstance(layer.data, np.ndarray)
        and layer.metadata.get(TABLE_KEY) == table
        and layer.data.shape == plane_shape(image)
        and np.allclose(layer.extent.world, image.extent.world)
        and bool((layer.data == table.unlabelled.index).all())
    )


def _changes(layer: Labels) -> list[str]:
    """Return the events that tell of other pixels; undo shows in `set_data` only.

    That also tells of each plane of a stack that is shown: too often to count all again.
    """
    return ["paint", "data"] + ["set_data"] * (layer.ndim == 2)


def _table_of(layer: Labels) -> ClassTable | None:
    if TABLE_KEY not in layer.metadata and (
        layer.multiscale or np.prod(layer.data.shape) > LARGEST_SEARCHED
    ):
        return None
    with suppress(ClassTableError):
        return class_table_of_layer(layer)
    return None
