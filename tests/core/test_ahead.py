"""Batches that are made ahead."""

import threading

import pytest

from c2f_core.data.ahead import BatchesAhead


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("numbers", [range(0, 12, 2), [5, 7, 9, 0, 2, 2, 11]])
def test_batches_are_those_that_were_asked_for(threads, numbers):
    batches = BatchesAhead(lambda number: f"batch {number}", threads, stride=2)
    assert [batches(number) for number in numbers] == [f"batch {number}" for number in numbers]


def test_the_next_batch_is_made_while_the_present_one_is_used():
    made = {number: threading.Event() for number in range(3)}

    def make(number):
        made[number].set()
        return number

    batches = BatchesAhead(make, threads=1)
    assert batches(0) == 0
    assert made[1].wait(10)
    assert not made[2].is_set()


def test_an_error_reaches_the_step_that_needs_the_batch():
    def make(number):
        if number == 1:
            raise ValueError("no batch")
        return number

    batches = BatchesAhead(make, threads=2)
    assert batches(0) == 0
    with pytest.raises(ValueError, match="no batch"):
        batches(1)
