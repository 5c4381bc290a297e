"""The estimate of the time that a run will take."""

import pytest

from napari_c2f.base.clock import Clock


def test_the_time_left_is_estimated_from_the_first_steps():
    times = iter([0.0, 10.0, 20.0, 30.0])
    clock = Clock(100, lambda: next(times))
    for step in (1, 2):
        clock.tick(step)
        assert clock.text() == ""
    clock.tick(3)
    assert clock.seconds_left() == pytest.approx(970)
    assert clock.text() == "About 16 min left. "
