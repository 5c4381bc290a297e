"""The ledger keeps every entry that was flushed, and lets one run at a time write an output."""

import pytest

from c2f_core.errors import DataError
from c2f_core.scale.ledger import Ledger, Share, Task


def test_entries_of_all_parts_are_read_again(tmp_path):
    for index in (1, 2):
        with Ledger(tmp_path / "x.ledger", Share(index, 2)) as ledger:
            ledger.add(Task(0, index))
    with Ledger(tmp_path / "x.ledger") as ledger:
        ledger.add(Task(1, 7))
        assert ledger.finished() == {Task(0, 1), Task(0, 2), Task(1, 7)}


@pytest.mark.parametrize("torn", [b"0", b"0 ", b"0 12", b"1 123456"])
def test_an_entry_that_was_cut_off_does_not_count_and_is_removed(tmp_path, torn):
    folder = tmp_path / "x.ledger"
    with Ledger(folder) as ledger:
        ledger.add(Task(0, 3))
    file = folder / "writers" / "1-of-1" / "finished.txt"
    file.write_bytes(file.read_bytes() + torn)
    with Ledger(folder) as ledger:
        assert ledger.finished() == {Task(0, 3)}
        ledger.add(Task(0, 4))
        assert ledger.finished() == {Task(0, 3), Task(0, 4)}


def test_a_second_run_is_refused_and_parts_are_not(tmp_path):
    folder = tmp_path / "x.ledger"
    with Ledger(folder):
        for share in (Share(), Share(1, 2)):
            with (
                pytest.raises(DataError, match="x is being written by another run"),
                Ledger(folder, share),
            ):
                pass
    with Ledger(folder, Share(1, 2)), Ledger(folder, Share(2, 2)):
        for share in (Share(), Share(1, 2), Share(1, 3)):
            with pytest.raises(DataError, match="is being written"), Ledger(folder, share):
                pass
    with Ledger(folder):
        pass


@pytest.mark.parametrize("tasks", [0, 1, 7, 100])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_parts_cover_all_tasks_once(tasks, count):
    covered = [number for index in range(count) for number in Share(index + 1, count).of(tasks)]
    assert covered == list(range(tasks))
