"""Editor of the clean-up: below which sizes specks, holes and spurs are removed."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget

from napari_c2f.refine.request import CleanUpChoice
from napari_c2f.widgets.editors import IntEditor
from napari_c2f.widgets.parts import add_row

LARGEST = 9999
TIPS = {
    "on": "Remove from the fine map what is smaller than this and not in the coarse map",
    "region": "Smaller regions become the class around them; 0 keeps all",
    "hole": "Smaller holes that one class encloses are filled; 0 keeps all",
    "spur": "Smaller spurs and notches of edges are smoothed; thin lines stay; 0 keeps all",
}


class CleanUpEditor(QWidget):
    """Edits a `CleanUpChoice`."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.on = QCheckBox("Clean up the fine map")
        self.on.setToolTip(TIPS["on"])
        self.region, self.hole, self.spur = (IntEditor(0, LARGEST) for _ in range(3))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.on)
        for text, editor, tip in (
            ("Regions below", self.region, "region"),
            ("Holes below", self.hole, "hole"),
            ("Ragged edges below", self.spur, "spur"),
        ):
            editor.setSuffix(" px")
            editor.setSpecialValueText("keep all")
            add_row(form, text, editor, TIPS[tip])
            editor.valueChanged.connect(lambda *_: self.changed.emit())
            self.on.toggled.connect(editor.setEnabled)
        self.setValue(CleanUpChoice())
        self.on.toggled.connect(lambda *_: self.changed.emit())

    def value(self) -> CleanUpChoice:
        """Return the choice."""
        sizes = self.region.value(), self.hole.value(), self.spur.value()
        return CleanUpChoice(self.on.isChecked(), *sizes)

    def setValue(self, choice: CleanUpChoice) -> None:  # noqa: N802
        """Show a choice."""
        self.on.setChecked(choice.is_on)
        self.region.setValue(choice.smallest_region)
        self.hole.setValue(choice.smallest_hole)
        self.spur.setValue(choice.smallest_spur)

    def summary(self) -> str:
        """Return what is cleaned up, in a few words: docks are narrow."""
        sizes = zip(("regions", "holes", "edges"), self.value().sizes, strict=True)
        return ", ".join(name for name, pixels in sizes if pixels > 1) or "off"
