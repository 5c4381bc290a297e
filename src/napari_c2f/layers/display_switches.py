"""Switches of how maps are shown, for the widgets of the tools."""

from typing import Any

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_c2f.layers.display import KEYS, MapDisplay

TIPS = {
    "background": "Show the class 'background' in its colour; otherwise it is transparent, so that "
    "the image can be seen",
}


class DisplaySwitches(QWidget):
    """Check boxes for outlines and background of all maps.

    Parameters
    ----------
    display : MapDisplay
        How the maps of the viewer are shown.
    """

    def __init__(self, display: MapDisplay) -> None:
        super().__init__()
        self._display = display
        self.outlines = QCheckBox("&Outlines")
        self.background = QCheckBox("Bac&kground")
        self.background.setToolTip(TIPS["background"])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.outlines)
        layout.addWidget(self.background)
        layout.addStretch()  # Clicks next to the boxes do nothing.
        self.outlines.clicked.connect(display.set_outlined)
        self.background.clicked.connect(display.set_background)
        display.changed.connect(self._show)
        self.show_tips()
        self._show()

    def show_tips(self) -> None:
        """Show what the switches do, and their current keys."""
        self.outlines.setToolTip(KEYS.tip("outlines"))

    def leave(self) -> None:
        """Stop following the display, because the widget ends."""
        self._display.changed.disconnect(self._show, missing_ok=True)

    def _show(self, *_: Any) -> None:
        self.outlines.setChecked(self._display.outlined)
        self.background.setChecked(self._display.background)
