"""Controller of the Draw widget, which decides what happens in the class palette."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes
from napari.utils.key_bindings import KeyBinding
from numpy.typing import NDArray

from c2f_core.classes.editing import (
    moved,
    new_table,
    recoloured,
    renamed,
    with_class,
    without_class,
)
from c2f_core.classes.table import ClassEntry, ClassTable, Colour
from c2f_core.errors import C2FError, ClassTableError
from napari_c2f.base.keys import Action, Keys
from napari_c2f.base.table_selection import TableSelection
from napari_c2f.base.words import counted
from napari_c2f.draw.model import Palette, Swatch
from napari_c2f.draw.shares import ShareCounter, Shares
from napari_c2f.layers.convert import (
    TABLE_KEY,
    add_map,
    class_table_of_layer,
    is_background,
    level0,
    plane_shape,
    spatial_keywords,
)
from napari_c2f.layers.locks import locked_classes
from napari_c2f.layers.map_controller import MapController
from napari_c2f.layers.planes import lie_alike
from napari_c2f.layers.project_map import erase_label, paste_labels
from napari_c2f.layers.session import Session
from napari_c2f.layers.shapes import coarse_of_shapes, covered_by, follow_class, set_class

NUMBERS = range(10)

Confirm = Callable[[str], bool]
"""Function that asks the user a question, and returns whether the answer is yes."""
DRAWING_MODES = ("paint", "fill", "polygon")
"""Modes of a Labels layer that draw with the chosen class."""
HOW_TO_DRAW = (
    "Press 2 to draw with the brush, 3 with polygons, which a double-click closes, or 4 to fill "
    "areas."
)
UNSEEN = "The background is shown transparent; check 'Background' to see what you draw."
LARGEST_SEARCHED = 1 << 20
"""Largest number of pixels in a layer without class table to search for labels."""


class PaletteController(MapController[Palette]):
    """Shows and edits the classes of the map that the user draws in.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer of the map.
    session : Session
        Session of the viewer.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(Palette(), viewer, session)
        self._layer: Labels | None = None
        self._draft = new_table()
        self.table: ClassTable | None = self._draft
        """Class table of the map, or of the first map to come; None if the map has none."""
        self._shares: Shares = {}
        self._counter = ShareCounter(self._show_shares)
        viewer.layers.selection.events.active.connect(self.ready_shapes)
        self._show()

    def close(self, *_: Any) -> None:
        """End the work for good: the window closes."""
        super().close()
        self._counter.close()
        self._viewer.layers.selection.events.active.disconnect(self.ready_shapes)
        self._disconnect()

    def follow(self, layer: Labels | None) -> None:
        """Show the classes of another map."""
        if layer is self._layer:
            return
        self._disconnect()
        self._counter.cancel()
        self._layer, self._shares = layer, {}
        if layer is not None:
            self._session.locks.guard(layer)
            layer.events.selected_label.connect(self._show_chosen)
            for name in _changes(layer):
                layer.events[name].connect(self._on_change)
        self._update_table()
        self._show_chosen()

    def _disconnect(self) -> None:
        if self._layer is not None:
            self._layer.events.selected_label.disconnect(self._show_chosen)
            for name in _changes(self._layer):
                self._layer.events[name].disconnect(self._on_change)
            self._layer = None

    def begin_with(self, selection: TableSelection) -> None:
        """Use these classes while there is no map."""
        with self._showing_errors():
            self._draft = selection.checked_table() or self._draft
            self._update_table()

    def choose(self, index: int) -> None:
        """Draw with a class in the active Shapes layer, or else in the map; the tool stays."""
        active = self._viewer.layers.selection.active
        if isinstance(active, Shapes):
            set_class(active, self._entry(index))
        elif self._layer is not None:
            self._layer.selected_label = index
            self._viewer.layers.selection.active = self._layer
            self.model.message = self._hint(self._layer, index)
        self.model.chosen = index

    def _hint(self, layer: Labels, index: int) -> str:
        """Return what the user needs to know to draw with a class; empty if nothing."""
        entries = () if self.table is None else self.table.classes
        if layer.mode not in DRAWING_MODES:
            return HOW_TO_DRAW
        if any(each.index == index and is_background(each) for each in entries):
            return "" if self._session.display.background else UNSEEN
        return ""

    def choose_key(self, number: int) -> None:
        """Choose the class of a number key; 0 is the eraser."""
        for swatch in self.model.swatches:
            if swatch.key == number:
                self.choose(swatch.entry.index)

    def add(self) -> None:
        """Add a class, and choose it."""
        with self._showing_errors():
            self._store(self._with_class())
            self.choose(self.model.swatches[-2].entry.index)
            self.model.message = "Added a class; double-click its name or colour to change them."

    def _with_class(self) -> ClassTable:
        """Return the table with another class; in a map without a table, labels are classes too."""
        layer = self._layer
        if self.table is not None:
            return with_class(self.table)
        background = None if layer is None else layer.colormap.background_value
        if layer is None or (np.asarray(level0(layer)) == background).all():
            return new_table()
        return with_class(class_table_of_layer(layer))

    def rename(self, index: int, name: str, shapes: Shapes | None) -> None:
        """Rename a class in the map and in shapes."""
        self._edit(index, shapes, lambda table: renamed(table, index, name))

    def recolour(self, index: int, colour: Colour, shapes: Shapes | None) -> None:
        """Change the colour of a class in the map and in shapes."""
        self._edit(index, shapes, lambda table: recoloured(table, index, colour))

    def move(self, index: int, rows: int) -> None:
        """Move a class down by a number of rows, or up."""
        with self._showing_errors():
            if self.table is not None:
                self._store(moved(self.table, index, rows))

    def delete(self, index: int, confirm: Confirm) -> None:
        """Delete a class; its pixels become unlabelled in all maps that share the classes.

        If the map is that of a project, its other images are affected, so that the project asks.

        Parameters
        ----------
        index : int
            Label of the class.
        confirm : callable
            Function that is called with a question if the class has pixels, and returns whether
            to delete the class.
        """
        with self._showing_errors():
            if self.table is None:
                return
            table = without_class(self.table, index)
            if self._layer is not None:
                entry = self._entry(index)
                if self._is_of_project(self._layer):
                    self.model.message = (
                        f"The Project widget deletes '{entry.name}' from all maps of the project, "
                        "and asks you first if it has pixels."
                    )
                    self._session.class_deletion_wanted.emit(index)
                    return
                users = self._users(self._layer, entry)
                if users and not confirm(_question(entry, users)):
                    return
                lineage, layers = self._session.lineage, self._viewer.layers
                lineage.share_lock(layers, self._layer, index, False)
                for layer in users:
                    erase_label(self._session.strokes, layer, index)
            self._store(table)
            self.model.message = ""

    def _is_of_project(self, layer: Labels) -> bool:
        """Return whether a map is the coarse map of a project's image, or was made from it."""
        lineage = self._session.lineage
        return any(
            lineage.is_of_project(each) for each in lineage.family_of(self._viewer.layers, layer)
        )

    def _users(self, layer: Labels, entry: ClassEntry) -> dict[Labels, int]:
        """Return how many pixels of a class the maps have that share the classes of a layer."""
        users = {}
        for each in self._session.lineage.family_of(self._viewer.layers, layer):
            own = each.metadata.get(TABLE_KEY)
            if own is not None and entry not in own.entries:
                continue
            if not isinstance(each.data, np.ndarray):
                raise C2FError(
                    f"'{each.name}' is not loaded into memory, so its classes cannot be deleted."
                )
            number = int(np.count_nonzero(each.data == entry.index))
            if number:
                users[each] = number
        return users

    def ready_shapes(self, *_: Any) -> None:
        """Give the next shapes of the active Shapes layer the chosen class."""
        active, chosen = self._viewer.layers.selection.active, self.model.chosen
        if isinstance(active, Shapes) and not active.selected_data:
            for swatch in self.model.swatches:
                if swatch.entry.index == chosen:
                    set_class(active, swatch.entry)

    def _edit(
        self, index: int, shapes: Shapes | None, change: Callable[[ClassTable], ClassTable]
    ) -> None:
        if self.table is None:
            return
        before = self._entry(index)
        with self._showing_errors():
            self._store(change(self.table))
            if shapes is not None:
                follow_class(shapes, before, self._entry(index))
            self.model.message = ""

    def lock(self, index: int, locked: bool) -> None:
        """Lock or unlock a class of the map."""
        if self._layer is not None:
            self._session.lineage.share_lock(self._viewer.layers, self._layer, index, locked)
            name = self._entry(index).name
            self.model.message = f"Drawing and refining leave '{name}' unchanged." if locked else ""
        self._show()

    def map_of_shapes(
        self, image: Image | None, shapes: Shapes | None, selection: TableSelection
    ) -> None:
        """Draw shapes as a map, later ones on top.

        The map is that of a project's image, the chosen one if it is empty, or else a new one.
        """
        with self._showing_errors():
            table = selection.checked_table()
            if image is None or shapes is None or table is None:
                raise C2FError(
                    "Choose an image, classes and a Shapes layer first; draw polygons or paths "
                    "in it, and click the class of each."
                )
            names = {entry.index: entry.name for entry in table.classes}
            chosen = None if self.model.chosen is None else names.get(self.model.chosen)
            index_map, report = coarse_of_shapes(shapes, image, table, chosen)
            where = self._show_drawn(index_map, image, table, covered_by(shapes, image))
            shapes.visible = False  # It would hide what is drawn in the map.
            drawn = counted(report.drawn, "shape")
            self.model.message = report.message() or (
                f"Drew {drawn} in {where}; Refine fills in the rest. '{shapes.name}' is now hidden."
            )

    def _show_drawn(
        self, index_map: NDArray[Any], image: Image, table: ClassTable, drawn: NDArray[np.bool_]
    ) -> str:
        """Put the drawn pixels into a map, see `map_of_shapes`; return where, for the user."""
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
        return next(swatch.entry for swatch in self.model.swatches if swatch.entry.index == index)

    def _store(self, table: ClassTable) -> None:
        if self._layer is None:
            self._draft = table
        else:
            lineage = self._session.lineage
            lineage.share_class_table(self._viewer.layers, self._layer, self.table, table)
        self._update_table()

    def _update_table(self) -> None:
        self.table = self._draft if self._layer is None else _table_of(self._layer)
        self._show()
        self._count()

    def _on_change(self) -> None:
        """Follow drawing; in a map without a class table, each new label is a class."""
        if self._layer is not None and TABLE_KEY not in self._layer.metadata:
            self._update_table()
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
        locked: frozenset[int] = frozenset() if layer is None else locked_classes(layer)
        self.model.has_map = layer is not None
        self.model.swatches = () if table is None else swatches(table, self._shares, locked)
        known = [swatch.entry.index for swatch in self.model.swatches]
        if layer is None and known and self.model.chosen not in known:
            self.model.chosen = known[0]  # The first shape gets it.
        if layer is not None and table is None:
            self.model.message = (
                f"'{layer.name}' has no classes yet; click 'Add class' to add the first."
            )

    def _show_chosen(self) -> None:
        """Follow the label in napari's own controls, unless shapes are drawn."""
        active = self._viewer.layers.selection.active
        if self._layer is not None and not isinstance(active, Shapes):
            self.model.chosen = self._layer.selected_label


def _question(entry: ClassEntry, users: dict[Labels, int]) -> str:
    """Return the question whether to delete a class that has pixels."""
    where = ", ".join(
        f"{counted(number, 'pixel')} in '{layer.name}'" for layer, number in users.items()
    )
    return f"'{entry.name}' has {where}. They become unlabelled.\nDelete the class?"


def swatches(table: ClassTable, shares: Shares, locked: frozenset[int]) -> tuple[Swatch, ...]:
    """Return the swatches of a class table: its classes, then the eraser."""
    return tuple(
        Swatch(
            entry,
            key=0 if entry is table.unlabelled else number if number in NUMBERS else None,
            share=shares.get(entry.index),
            locked=entry.index in locked,
            is_eraser=entry is table.unlabelled,
        )
        for number, entry in enumerate(table.entries, 1)
    )


def _is_empty(layer: Labels, image: Image, table: ClassTable) -> bool:
    """Return whether a map of an image has these classes and nothing is drawn in it yet."""
    return (
        isinstance(layer.data, np.ndarray)
        and layer.metadata.get(TABLE_KEY) == table
        and layer.data.shape == plane_shape(image)
        and lie_alike(layer, image)
        and bool((layer.data == table.unlabelled.index).all())
    )


def _changes(layer: Labels) -> list[str]:
    """Return the names of the events that announce changed pixels.

    Undo is announced by `set_data` only. In a stack, so is each plane that is shown: too often
    to count all pixels again.
    """
    return ["paint", "data"] + ["set_data"] * (layer.ndim == 2)


def _table_of(layer: Labels) -> ClassTable | None:
    """Return the class table of a layer; None if it has none and is too large to search."""
    if TABLE_KEY not in layer.metadata and (
        layer.multiscale or np.prod(layer.data.shape) > LARGEST_SEARCHED
    ):
        return None
    with suppress(ClassTableError):
        return class_table_of_layer(layer)
    return None


def _key_action(number: int) -> Action[PaletteController]:
    """Return the action of a number key."""

    def choose(controller: PaletteController) -> None:
        controller.choose_key(number)

    description = f"draw with class {number}" if number else "erase"
    return Action(KeyBinding.from_str(f"Ctrl+{number}"), description, choose)


KEYS: Keys[PaletteController] = Keys(
    "Draw", {f"class_{number}": _key_action(number) for number in NUMBERS}
)
"""Number keys, which choose a class."""
