"""Reading and writing meanwhile: order, errors and bounds."""

import threading

import pytest

from c2f_core.cli.overlap import overlapped


def run(count, *, ahead=True, fails_at=None, stage="work"):
    """Overlap the work on numbers; return what has happened, stage by stage."""
    done = {"read": [], "work": [], "write": []}

    def step(name, number):
        if name == stage and number == fails_at:
            raise ValueError(number)
        done[name].append(number)
        return [number]

    try:
        overlapped(
            range(count),
            lambda number: step("read", number),
            lambda number, content: step("work", content[0]) if number == content[0] else None,
            lambda number, content: step("write", number) if content == [number] else None,
            lambda _: ahead,
        )
    finally:
        run.done = done
    return done


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("ahead", [True, False])
def test_every_item_is_read_worked_on_and_written_in_order(count, ahead):
    expected = list(range(count))
    assert run(count, ahead=ahead) == {"read": expected, "work": expected, "write": expected}


def test_the_next_item_is_read_and_the_last_one_written_meanwhile():
    """Each stage waits for another one of another item: one after the other would never end."""
    read_two, written_one = threading.Event(), threading.Event()

    def read(number):
        if number == 1:
            read_two.set()
        return number

    def work(number, _):
        assert (read_two if number == 0 else written_one).wait(10)

    def write(number, _):
        if number == 0:
            written_one.set()

    overlapped([0, 1], read, work, write, lambda _: True)


def test_a_large_item_is_alone_in_memory_until_it_has_been_worked_on():
    begun = []

    def work(number, _):
        assert begun == list(range(number + 1))

    overlapped(range(3), begun.append, work, lambda *_: None, lambda _: False)


@pytest.mark.parametrize("stage", ["read", "work"])
def test_after_an_error_what_is_finished_has_been_written(stage):
    with pytest.raises(ValueError, match="3"):
        run(6, fails_at=3, stage=stage)
    assert run.done["write"] == [0, 1, 2]
    assert run.done["work"] == [0, 1, 2]


def test_an_error_of_writing_ends_the_work():
    with pytest.raises(ValueError, match="0"):
        run(6, fails_at=0, stage="write")
    assert len(run.done["work"]) <= 2
