"""The origin of each map, also when layers are copied or deleted."""

import gc
from weakref import ref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.layers._layer_actions import _duplicate_layer

from napari_c2f.layers.session import Session

SHAPE = (12, 16)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def session(viewer):
    return Session.of(viewer)


def add_map(viewer, name, shape=SHAPE):
    layer = Labels(np.zeros(shape, np.uint8), name=name)
    viewer.add_layer(layer)
    return layer


@pytest.fixture
def maps(viewer, session):
    """A coarse map, its fine map with a confidence, and the final map of a review."""
    coarse, fine, final = (add_map(viewer, name) for name in ("coarse", "fine", "final"))
    confidence = Image(np.ones(SHAPE, np.float32))
    viewer.add_layer(confidence)
    session.lineage.add_fine(fine, coarse, confidence, record={"refiner": "watershed"})
    session.lineage.add_final(final, fine)
    return coarse, fine, final, confidence


def test_a_viewer_has_one_session(viewer, session):
    assert Session.of(viewer) is session
    assert Session.of(ViewerModel()) is not session


def test_a_final_map_comes_from_the_coarse_map_of_its_fine_map(viewer, session, maps):
    coarse, fine, final, confidence = maps
    lineage, layers = session.lineage, viewer.layers
    assert lineage.coarse_of(layers, final) is lineage.coarse_of(layers, fine) is coarse
    assert lineage.confidence_of(layers, final) is confidence
    assert lineage.fine_of(layers, final) is fine
    assert lineage.final_of(layers, fine) is final
    assert list(lineage.results_of(layers, coarse)) == [final, fine]
    assert lineage.latest_result(layers, coarse) is fine
    assert [lineage.is_refined(each) for each in maps] == [False, True, True, False]
    assert [lineage.is_final(each) for each in maps] == [False, False, True, False]


def test_deleted_layers_are_not_returned(viewer, session, maps):
    coarse, fine, *_ = maps
    lineage, layers = session.lineage, viewer.layers
    layers.remove(coarse)
    assert lineage.coarse_of(layers, fine) is None
    assert lineage.is_refined(fine)
    assert lineage.slices_of(fine) == (slice(0, 12), slice(0, 16))


def test_the_memory_of_a_deleted_layer_is_freed(session):
    coarse, fine = Labels(np.zeros(SHAPE, np.uint8)), Labels(np.zeros(SHAPE, np.uint8))
    session.lineage.add_fine(fine, coarse)
    there = ref(coarse)
    del coarse
    gc.collect()
    assert there() is None
    assert session.lineage.coarse_of([fine], fine) is None


def test_a_duplicate_of_a_fine_map_is_one_too(viewer, session, maps):
    coarse, fine, _, confidence = maps
    viewer.layers.selection = {fine}
    _duplicate_layer(viewer.layers, name="copy")
    copy = viewer.layers[viewer.layers.index(fine) + 1]
    assert copy is not fine
    lineage, layers = session.lineage, viewer.layers
    assert lineage.coarse_of(layers, copy) is coarse
    assert lineage.confidence_of(layers, copy) is confidence
    assert lineage.record_of(copy) == {"refiner": "watershed"}
    assert lineage.latest_result(layers, coarse) is copy
    assert session.strokes.is_followed(copy)


def test_a_duplicate_of_a_fine_map_keeps_its_strokes_and_locks(viewer, session, maps):
    coarse, fine, *_ = maps
    fine.data_setitem((np.array([3]), np.array([4])), 2)
    session.locks.lock(fine, 2)
    viewer.layers.selection = {fine}
    _duplicate_layer(viewer.layers, name="copy")
    copy = viewer.layers[viewer.layers.index(fine) + 1]
    assert session.lineage.latest_result(viewer.layers, coarse) is copy
    fine.data_setitem((np.array([5]), np.array([6])), 1)  # Belongs to the original alone.
    (protected,) = session.lineage.protected_strokes(viewer.layers, coarse, True, True)
    assert protected.patch.slices == (slice(3, 4), slice(4, 5))
    assert protected.patch.values.tolist() == [2]
    copy.data_setitem((np.array([3, 3]), np.array([4, 5])), 1)
    assert copy.data[3, 4:6].tolist() == [2, 1]


def test_a_duplicate_of_the_map_of_a_project_does_not_belong_to_the_project(viewer, session):
    coarse = add_map(viewer, "coarse")
    image = viewer.add_image(np.zeros(SHAPE))
    session.lineage.set_image(coarse, image)
    viewer.layers.selection = {coarse}
    _duplicate_layer(viewer.layers, name="copy")
    assert session.lineage.project_map(viewer.layers, image) is coarse
    session.lineage.set_image(coarse, None)
    assert session.lineage.project_map(viewer.layers, image) is None


def test_strokes_in_a_part_of_a_part_are_known_in_the_whole_map(viewer, session):
    coarse = add_map(viewer, "coarse", (40, 40))
    part = add_map(viewer, "part", (20, 20))
    inner = add_map(viewer, "inner", (8, 8))
    session.lineage.add_fine(part, coarse, slices=(slice(10, 30), slice(5, 25)))
    session.lineage.add_fine(inner, part, slices=(slice(2, 10), slice(3, 11)))
    inner.data_setitem((np.array([1]), np.array([4])), 2)

    def places(layer):
        protected = session.lineage.protected_strokes(viewer.layers, layer, True, True)
        return [each.patch.slices for each in protected]

    assert places(coarse) == [(slice(13, 14), slice(12, 13))]
    assert places(part) == [(slice(3, 4), slice(7, 8))]
    assert places(inner) == [(slice(1, 2), slice(4, 5))]


def test_a_lock_is_shared_by_the_family(viewer, session, maps):
    coarse, fine, final, _ = maps
    other = add_map(viewer, "other")
    session.lineage.share_lock(viewer.layers, final, 2, True)
    locked = [layer.metadata.get("c2f_locked") for layer in (coarse, fine, final, other)]
    assert locked == [[2], [2], [2], None]
