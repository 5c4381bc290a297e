"""Layers that show simulated coarse maps, and how the network refines while it trains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from c2f_core.training.inspection import Inspection
from napari_c2f.base.worker import debouncer
from napari_c2f.layers.convert import RESULT_KEY, unique_name
from napari_c2f.train.model import Phase, Training

NAME = "training: image, coarse, prediction now, fine"
EXAMPLES_NAME = "training: image, fine, simulated coarse"
GAP = 50.0
"""Distance from the user's layers, in world units."""
DELAY = 50
"""Milliseconds to the preview, so that curves are drawn before; both at once take too long."""


class PreviewController:
    """Shows the previews of a run in a layer, and simulated coarse maps in another.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that gets the layer.
    model : Training
        State of the run.
    """

    def __init__(self, viewer: ViewerModel, model: Training) -> None:
        self._model = model
        self.layer = PreviewLayer(viewer, NAME)
        self.examples = PreviewLayer(viewer, EXAMPLES_NAME)
        self._timer = debouncer(DELAY, self._show)
        model.events.phase.connect(self._follow_run)
        model.events.preview.connect(self._show_soon)
        model.events.inspection.connect(self._show_examples)

    def look(self) -> None:
        """Bring the layer into view: the user asked for it."""
        self.layer.look()

    def close(self, *_: Any) -> None:
        """Show no more previews."""
        self._timer.cancel()
        self._model.events.phase.disconnect(self._follow_run, missing_ok=True)
        self._model.events.preview.disconnect(self._show_soon, missing_ok=True)
        self._model.events.inspection.disconnect(self._show_examples, missing_ok=True)

    def _follow_run(self, phase: Phase) -> None:
        if phase is Phase.PREPARING:
            self.layer.prepare()
        elif phase in (Phase.STOPPED, Phase.FAILED, Phase.DONE):
            self._show()  # It may still wait for its turn.
            self.layer.tidy()

    def _show_soon(self) -> None:
        self._timer.throttle()

    def _show(self) -> None:
        self._timer.cancel()
        if self._model.preview is not None:
            self.layer.show(self._model.preview.pixels)

    def _show_examples(self, found: Inspection | None) -> None:
        """Show the coarse maps that a check has simulated, if any."""
        if found is not None and found.examples is not None:
            self.examples.prepare()
            self.examples.show(found.examples.pixels)


class PreviewLayer:
    """Shows previews in one layer next to the user's layers.

    Camera, selection, visibility and all other layers stay unchanged. If the user
    removes the layer, it does not come back before the next run.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer that gets the layer.
    name : str
        Name of the layer; a number is appended if another layer already has it.
    """

    def __init__(self, viewer: ViewerModel, name: str) -> None:
        self._viewer = viewer
        self._name = name
        # The first layer of a session loads units of measurement, which takes napari a
        # quarter of a second: here it holds up no run.
        Image(np.zeros((1, 1), np.uint8))
        self.layer: Image | None = None
        self._is_blank = False

    def prepare(self) -> None:
        """Add the layer, hidden and blank: napari takes a while for it, and no run waits yet."""
        if self._present() is None:
            self._is_blank = True
            self._add()

    def show(self, pixels: NDArray[np.uint8]) -> None:
        """Show a picture (Y, X, 3), unless the user has removed the layer."""
        layer = self._present()
        if layer is None:
            return
        is_first, self._is_blank = self._is_blank, False
        if is_first:
            layer.visible = True  # Before its data: napari measures no hidden layer.
        layer.data = pixels
        if is_first:
            self._settle(layer)

    def tidy(self) -> None:
        """Remove the layer if a run has ended before there was anything to show."""
        layer = self._present()
        if layer is not None and self._is_blank:
            self._viewer.layers.remove(layer)

    def look(self) -> None:
        """Bring the layer into view."""
        layer = self._present()
        if layer is not None and not self._is_blank:
            layer.visible = True
            self._viewer.fit_to_view(layers=[layer])

    def _present(self) -> Image | None:
        """Return the layer if it is in the viewer."""
        is_present = self.layer is not None and self.layer in self._viewer.layers
        return self.layer if is_present else None

    def _add(self) -> None:
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        self.layer = Image(
            np.zeros((1, 1, 3), np.uint8),
            rgb=True,
            name=unique_name(layers, self._name),
            visible=False,
            translate=_next_to(layers),
            units=layers[0].units[-2:] if len(layers) else None,
            metadata={RESULT_KEY: True},
        )
        layers.append(self.layer)
        layers.selection = selected
        layers.selection.active = active

    def _settle(self, layer: Image) -> None:
        """Move next to the existing layers; if there are none, move the view to the preview."""
        others = [each for each in self._viewer.layers if each is not layer]
        if others:
            layer.translate = _next_to(others)
        else:
            self._viewer.fit_to_view(layers=[layer])


def _next_to(layers: Sequence[Layer]) -> tuple[float, float]:
    """Return where the preview lies in the world: right of all layers."""
    extents = [layer.extent.world for layer in layers]
    if not extents:
        return 0.0, 0.0
    top, right = (min(low[-2] for low, _ in extents), max(high[-1] for _, high in extents))
    return float(top), float(right + GAP)
