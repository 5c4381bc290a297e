"""Keep the OpenGL context current in which layers are removed."""

from typing import Any
from weakref import ref

from napari.components import ViewerModel
from qtpy.compat import isalive

from napari_c2f.base.proxies import bare

GUARDED = "c2f_guarded"
"""Property of a guarded canvas: several widgets are docked in one viewer."""


def guard_removals(viewer: ViewerModel) -> None:
    """Make the canvas's OpenGL context current whenever a layer is about to be removed.

    napari 0.9 deletes the textures and buffers of a layer at once, in whatever context is
    current. After drawing, that is the context of the window: there, other objects with the
    same numbers are deleted, and drawing crashes later.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to guard; a viewer without a window needs no guard, others are guarded once.
    """
    window = getattr(bare(viewer), "window", None)
    if window is None:
        return
    canvas = window._qt_viewer.canvas.native
    if canvas.property(GUARDED):
        return
    canvas.setProperty(GUARDED, True)
    there = ref(canvas)

    def make_current(*_: Any) -> None:
        canvas = there()
        if canvas is not None and isalive(canvas):
            canvas.makeCurrent()

    viewer.layers.events.removing.connect(make_current)
