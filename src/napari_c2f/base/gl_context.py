"""Removes layers in the OpenGL context that they were drawn in."""

from typing import Any
from weakref import WeakSet, ref

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget

from napari_c2f.base.proxies import bare

_guarded: "WeakSet[QWidget]" = WeakSet()


def guard_removals(viewer: ViewerModel) -> None:
    """Make the canvas's OpenGL context current whenever a layer is about to be removed.

    napari 0.9 deletes textures and buffers of the layer at once, in whatever context is
    current. After drawing that is the window's own: there, others of the same numbers are
    deleted, and drawing crashes later.

    Parameters
    ----------
    viewer : ViewerModel
        Nothing is done where it has no window, and only once where it has.
    """
    window = getattr(bare(viewer), "window", None)
    if window is None:
        return
    canvas = window._qt_viewer.canvas.native
    if canvas in _guarded:
        return
    _guarded.add(canvas)
    there = ref(canvas)

    def make_current(*_: Any) -> None:
        canvas = there()
        if canvas is not None and isalive(canvas):
            canvas.makeCurrent()

    viewer.layers.events.removing.connect(make_current)
