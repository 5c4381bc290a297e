"""Keys of the Refine widget; they act on its buttons."""

from dataclasses import dataclass

from napari.utils.key_bindings import KeyBinding, KeyCode, KeyMod
from qtpy.QtWidgets import QAbstractButton

from napari_c2f._keys import Action, Keys


@dataclass(frozen=True)
class Buttons:
    """What can be pressed by a key."""

    refine: QAbstractButton
    live: QAbstractButton


KEYS = Keys(
    "Refine",
    {
        "refine": Action(
            KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.Enter),
            "refine as the widget stands",
            lambda buttons: buttons.refine.click(),
        ),
        "live": Action(
            KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyL),
            "begin or end live mode",
            lambda buttons: buttons.live.click(),
        ),
    },
)
