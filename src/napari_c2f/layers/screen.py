"""Keep what napari draws for the screen out of the data of Labels layers.

For small integers, napari's picture of a layer is the layer's data itself, not a copy. Outlines are
a picture of their own, but napari makes it only while the layer is visible: an edit of a layer that
was hidden when outlines were switched on would draw them into the data.
"""

from typing import Any

import numpy as np
from napari.layers import Labels

from napari_c2f.base.proxies import bare


def guard_data(layer: Labels) -> None:
    """Keep a layer's outlines out of its data for as long as it exists, whoever sets them."""
    layer = bare(layer)
    layer.events.contour.connect(_separate_outlines)
    if not layer.visible and _draws_into_data(layer):
        layer.set_view_slice()


def renew_picture(layer: Labels) -> None:
    """Renew napari's picture of a hidden layer before its data are edited.

    napari writes an edit into data and picture, but does not renew the picture while the layer is
    hidden: it may share the data, show another plane, or be an empty placeholder.
    """
    if not layer.visible and (layer.ndim > 2 or layer._slice.empty or _draws_into_data(layer)):
        layer.set_view_slice()


def _separate_outlines(event: Any) -> None:
    layer = event.source
    if not layer.visible and _draws_into_data(layer):
        layer.set_view_slice()


def _draws_into_data(layer: Labels) -> bool:
    return (
        layer.contour > 0
        and isinstance(layer.data, np.ndarray)
        and np.may_share_memory(layer.data, layer._slice.image.view)
    )
