"""Prefetched batches are the ones that are requested."""

import threading

import pytest
import torch

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import AugmentationConfig
from c2f_core.data.batches import AugmentedBatches, CropSampling, Prefetcher, prefetched
from c2f_core.data.synthetic import synthetic_pair
from c2f_core.errors import DataError


@pytest.fixture
def batches():
    pairs = [synthetic_pair(48, seed) for seed in range(3)]
    config = AugmentationConfig(background_class="hair")
    return AugmentedBatches(pairs, ClassTable.preset("fasseg"), config, CropSampling(32, 2, 0))


def test_prefetched_batches_are_the_same_in_any_order(batches):
    ahead = Prefetcher(batches)
    for step in (0, 1, 2, 7, 3, 4, 4):
        made, expected = ahead(step), batches(step)
        for name in ("images", "coarse", "fine"):
            assert torch.equal(getattr(made, name), getattr(expected, name))


def test_the_next_batch_is_made_in_another_thread_meanwhile():
    made: dict[int, str] = {}
    begun = threading.Event()

    def make(step):
        made[step] = threading.current_thread().name
        if step == 1:
            begun.set()
        return step

    ahead = Prefetcher(make)
    assert ahead(0) == 0
    assert begun.wait(10), "step 1 has not been requested yet"
    assert ahead(1) == 1
    assert made[0] == threading.current_thread().name
    assert made[1].startswith("batches")


def test_what_fails_in_the_thread_is_raised_for_its_step():
    def make(step):
        if step == 1:
            raise DataError("no such pair")
        return step

    ahead = Prefetcher(make)
    assert ahead(0) == 0
    with pytest.raises(DataError, match="no such pair"):
        ahead(1)


def test_a_processor_that_trains_makes_no_batch_ahead(batches):
    assert prefetched(batches, torch.device("cpu")) is batches
    assert isinstance(prefetched(batches, torch.device("cuda")), Prefetcher)
