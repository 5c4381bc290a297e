"""Editor of the scope: where refining may change the map, and what it leaves unchanged."""

from napari.components import ViewerModel
from napari.layers import Shapes
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QWidget,
)
from superqt import QLabeledSlider

from c2f_core.classes.table import ClassTable
from c2f_core.refine.scope import Care
from napari_c2f.layers.convert import preferred_layer
from napari_c2f.refine.request import ScopeChoice, Where
from napari_c2f.widgets.choices import Choice
from napari_c2f.widgets.editors import IntEditor
from napari_c2f.widgets.layer_choice import LayerChoice
from napari_c2f.widgets.parts import add_row, colour_icon

PLACES = {
    Where.IMAGE: "Whole image",
    Where.VIEW: "Current view",
    Where.SHAPES: "Shapes drawn",
}
CURRENT, ALL = "current", "all"
PLANES = {CURRENT: "Current slice", ALL: "All slices"}
CARES: dict[Care, str] = {
    "careful": "Careful",
    "balanced": "Balanced",
    "model": "As the model says",
}
"""Texts of the choice of changes that are kept."""
ICON = QSize(12, 12)
WIDEST_BAND = 999
MOST_ROWS = 5
"""Classes that are visible without scrolling."""
DEFAULT = ScopeChoice()
TIPS = {
    "where": "Part of the image that may change; nothing else is computed",
    "shapes": "Shapes layer with boxes and polygons; only selected shapes count, if there are any",
    "classes": "Only pixels that are, or become, one of the checked classes change (Space checks)",
    "band": "Only unlabelled pixels and those within this distance of a coarse boundary change; "
    "0 turns the band off",
    "confidence": "Pixels with a lower confidence keep their coarse label",
    "care": "Keep changes with a clear expected gain, those likelier to help than to harm, or all",
    "planes": "Refine the slice in view, or all slices of the stack one by one",
    "fine": "Keep what you painted in the fine map, and carry it over to the next one; "
    "erase it to let it change again",
    "coarse": "Keep what you painted in the coarse map since it was refined",
    "show": "Show the protected pixels as a layer",
}


class ClassList(QListWidget):
    """A list of classes with check boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.setUniformItemSizes(True)
        self.setTabKeyNavigation(False)
        self._unchecked: set[str] = set()

    def show_table(self, class_table: ClassTable | None) -> None:
        """List the classes of a table; names that were unchecked stay unchecked."""
        if self.count():  # So that a map without classes in between does not check all.
            self._unchecked = set(self._names(Qt.CheckState.Unchecked))
        entries = () if class_table is None else class_table.entries
        self.blockSignals(True)
        self.clear()
        for entry in entries:
            item = QListWidgetItem(entry.name, self)
            item.setIcon(colour_icon(entry.colour, ICON))
            item.setCheckState(_state(entry.name not in self._unchecked))
        self.blockSignals(False)
        rows = min(max(self.count(), 1), MOST_ROWS)
        self.setFixedHeight(rows * max(self.sizeHintForRow(0), 16) + 2 * self.frameWidth())

    def value(self) -> tuple[str, ...] | None:
        """Return the checked names; None if all are checked."""
        checked = self._names(Qt.CheckState.Checked)
        return None if len(checked) == self.count() else checked

    def setValue(self, names: tuple[str, ...] | None) -> None:  # noqa: N802
        """Check these classes, or all for None."""
        for row in range(self.count()):
            item = self.item(row)
            assert item is not None
            item.setCheckState(_state(names is None or item.text() in names))

    def _names(self, state: Qt.CheckState) -> tuple[str, ...]:
        items = (self.item(row) for row in range(self.count()))
        return tuple(item.text() for item in items if item and item.checkState() == state)


def _state(checked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked


class ScopeEditor(QWidget):
    """Edits a `ScopeChoice`.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose Shapes layers are listed.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.where = Choice({str(where): text for where, text in PLACES.items()})
        self.shapes = LayerChoice(viewer, Shapes, preferred_layer)
        self.classes = ClassList()
        self.band = IntEditor(0, WIDEST_BAND)
        self.band.setSpecialValueText("off")
        self.band.setSuffix(" px")
        self.confidence = QLabeledSlider(Qt.Orientation.Horizontal)
        self.confidence.setRange(0, 99)
        self.care = Choice({str(care): text for care, text in CARES.items()})
        self.planes = Choice(PLANES)
        self.keep_fine = QCheckBox("&Fine map")
        self.keep_coarse = QCheckBox("Coarse ma&p")
        self.show_protected = QCheckBox("Sho&w")
        self._form = QFormLayout(self)
        self._lay_out()
        self._connect()
        self.setValue(ScopeChoice())
        self.show_stack(False)
        self._show_rows()

    def _lay_out(self) -> None:
        form = self._form
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "W&here", self.where, TIPS["where"])
        add_row(form, "Sh&apes", self.shapes.native, TIPS["shapes"])
        add_row(form, "Chan&ge only", self.classes, TIPS["classes"])
        add_row(form, "&Band", self.band, TIPS["band"])
        add_row(form, "Minim&um\nconfidence (%)", self.confidence, TIPS["confidence"])
        add_row(form, "Changes", self.care, TIPS["care"])
        add_row(form, "Slices", self.planes, TIPS["planes"])
        kept = QHBoxLayout()
        for box, tip in (
            (self.keep_fine, "fine"),
            (self.keep_coarse, "coarse"),
            (self.show_protected, "show"),
        ):
            box.setToolTip(TIPS[tip])
            kept.addWidget(box)
        form.addRow("Keep my edits", kept)

    def _connect(self) -> None:
        for signal in (
            self.where.currentIndexChanged,
            self.planes.currentIndexChanged,
            self.classes.itemChanged,
            self.band.valueChanged,
            self.confidence.valueChanged,
            self.care.currentIndexChanged,
            self.keep_fine.toggled,
            self.keep_coarse.toggled,
        ):
            signal.connect(lambda *_: self.changed.emit())
        self.where.currentIndexChanged.connect(self._show_rows)

    def _show_rows(self) -> None:
        shapes = self.where.value() == Where.SHAPES
        self._form.setRowVisible(self.shapes.native, shapes)

    def show_classes(self, class_table: ClassTable | None) -> None:
        """List the classes of a table."""
        self.classes.show_table(class_table)
        self._form.setRowVisible(self.classes, class_table is not None)
        self.changed.emit()

    def show_stack(self, is_stack: bool) -> None:
        """Show the choice of slices if the map is a stack."""
        self._form.setRowVisible(self.planes, is_stack)

    def value(self) -> ScopeChoice:
        """Return the choice."""
        return ScopeChoice(
            where=Where(self.where.value()),
            classes=self.classes.value(),
            band=self.band.value() or None,
            minimal_confidence=self.confidence.value() / 100,
            all_planes=self.planes.value() == ALL,
            keep_fine=self.keep_fine.isChecked(),
            keep_coarse=self.keep_coarse.isChecked(),
            care=next(care for care in CARES if care == self.care.value()),
        )

    def setValue(self, choice: ScopeChoice) -> None:  # noqa: N802
        """Show a choice."""
        self.where.setValue(str(choice.where))
        self.classes.setValue(choice.classes)
        self.band.setValue(choice.band or 0)
        self.confidence.setValue(round(100 * choice.minimal_confidence))
        self.planes.setValue(ALL if choice.all_planes else CURRENT)
        self.keep_fine.setChecked(choice.keep_fine)
        self.keep_coarse.setChecked(choice.keep_coarse)
        self.care.setValue(choice.care)

    def summary(self) -> str:
        """Return a summary in a few words."""
        choice = self.value()
        words = [PLACES[choice.where].lower()]
        if choice.classes is not None:
            words.append("some classes")
        if choice.band is not None:
            words.append(f"band {choice.band} px")
        if choice.minimal_confidence:
            words.append(f"confidence from {self.confidence.value()} %")
        if choice.care != DEFAULT.care:
            words.append(CARES[choice.care].lower())
        return ", ".join(words)
