"""Maps shown as outlines of their classes for a while, so that the image can be seen."""

from weakref import WeakKeyDictionary

from napari.layers import Labels

from napari_c2f.base.proxies import bare


class OutlinedMaps:
    """The maps that the tools show as outlines, and how the user had them before."""

    def __init__(self) -> None:
        self._widths: WeakKeyDictionary[Labels, int] = WeakKeyDictionary()

    def outline(self, layer: Labels, width: int) -> None:
        """Show a map as outlines of at least this width, in pixels of the map."""
        layer = bare(layer)
        self._widths.setdefault(layer, layer.contour)
        _set_contour(layer, max(width, self._widths[layer]))

    def restore(self, layer: Labels) -> None:
        """Show a map as the user had it before it was outlined."""
        layer = bare(layer)
        if layer in self._widths:
            _set_contour(layer, self._widths.pop(layer))


def _set_contour(layer: Labels, width: int) -> None:
    if layer.contour != width:  # Setting it takes time even if it is the same.
        layer.contour = width
