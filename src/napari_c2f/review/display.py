"""What a review shows in the viewer: the fine or the final map, outlines, the coarse map."""

from napari.components import ViewerModel
from napari.layers import Labels

from napari_c2f.review.layers import ReviewLayers
from napari_c2f.review.model import ReviewModel


class Display:
    """Shows and hides the layers of a review.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer whose active layer follows the map that is shown.
    model : ReviewModel
        State that the widget shows.
    layers : ReviewLayers
        Layers of the review.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        model: ReviewModel,
        layers: ReviewLayers,
    ) -> None:
        self._viewer, self._model, self._layers = viewer, model, layers
        self._before_comparing: list[tuple[Labels, bool]] = []

    def show_final(self, final: bool) -> None:
        """Show the final map, to correct it by hand, or else the fine map, to check it."""
        layers = self._layers
        layers.final.visible, layers.fine.visible = final, not final
        self._viewer.layers.selection.active = layers.final if final else layers.changes
        self._model.shows_final = final

    def switch_final(self) -> None:
        """Show the final map instead of the fine map, or the fine map again."""
        self.show_final(not self._model.shows_final)

    def compare(self, held: bool) -> None:
        """Show the coarse map instead of the other layers while a key or button is held."""
        if held and not self._before_comparing:
            self._before_comparing = [(layer, layer.visible) for layer in self._layers.all]
            for layer in self._layers.all:
                layer.visible = layer is self._layers.coarse
        elif not held:
            for layer, visible in self._before_comparing:
                layer.visible = visible
            self._before_comparing = []
