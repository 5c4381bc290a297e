"""Samples of napari's "Open Sample" menu."""

from napari.types import LayerDataTuple

from c2f_core.classes.table import ClassTable
from c2f_core.data.pairs import Pair
from c2f_core.data.sample import astronaut_class_table, astronaut_pair
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from napari_c2f.layers.convert import labels_layer_data


def astronaut() -> list[LayerDataTuple]:
    """Return NASA's portrait of Eileen Collins (public domain) with a coarse and a fine map."""
    return _layers(astronaut_pair(), astronaut_class_table())


def shapes() -> list[LayerDataTuple]:
    """Return a synthetic scene with a coarse and a fine map."""
    return _layers(synthetic_pair(256, seed=3), SHAPES)


def _layers(pair: Pair, class_table: ClassTable) -> list[LayerDataTuple]:
    layers: list[LayerDataTuple] = [(pair.image, {"name": pair.name}, "image")]
    coarse = class_table.to_labels(pair.coarse)
    layers.append(labels_layer_data(coarse, class_table, f"{pair.name} coarse"))
    if pair.fine is not None:
        fine = class_table.to_labels(pair.fine)
        data, keywords, kind = labels_layer_data(fine, class_table, f"{pair.name} ground truth")
        layers.append((data, {**keywords, "visible": False}, kind))
    return layers
