"""Number keys of the palette: 1 to 9 for the classes, 0 for the eraser."""

from operator import methodcaller

from napari.utils.key_bindings import KeyBinding

from napari_c2f._keys import Action, Keys

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
