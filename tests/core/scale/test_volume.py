"""Refining OME-Zarr in shards: no seams, nothing lost, and every failure has a place."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
from tests.core.scale.conftest import pixels, write_multiscale

from c2f_core.errors import DataError, ImageError, WritingError
from c2f_core.refine.interface import SILENT
from c2f_core.refine.plane import PlaneInputs, refine_plane
from c2f_core.refine.scope import Scope
from c2f_core.scale import engine
from c2f_core.scale.ledger import Ledger, Share, Task
from c2f_core.scale.multiscale import open_multiscale
from c2f_core.scale.output import OutputArrays
from c2f_core.scale.planes import image_planes
from c2f_core.scale.run import Execution, ledger_folder, refine_volume
from c2f_core.scale.volume import VolumeJob, stack_limits


@pytest.fixture(scope="module")
def in_one_process(plan_volume, tmp_path_factory):
    """All levels of the volume refined in one process with one shard per plane."""
    store = tmp_path_factory.mktemp("one") / "out.zarr"
    report = refine_volume(plan_volume(store, side=256))
    assert (report.failures, report.is_complete) == ([], True)
    return pixels(store)


def assert_same(store, expected):
    for found, wanted in zip(pixels(store), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_map_is_that_of_the_bare_loop_over_blocks(plan_volume, volume, in_one_process):
    plan = plan_volume(volume / "unused.zarr")
    refiner, scope = plan.refiner.open(), Scope.from_record(plan.refiner.scope)
    image = image_planes(open_multiscale(volume), 0, None)[1]
    coarse = image_planes(open_multiscale(volume / "labels" / "coarse"), 0, None)[1]
    block = slice(64, 128), slice(128, 192)
    inputs = PlaneInputs(
        image, coarse, plan.refiner.class_table, Scope(box=block, smallest_region=4)
    )
    labels, confidence = np.empty((64, 64), np.uint8), np.empty((64, 64), np.float32)
    refine_plane(refiner, inputs, labels, confidence, SILENT)
    assert scope.smallest_region == 4
    np.testing.assert_array_equal(in_one_process[0][(1, *block)], labels)
    np.testing.assert_array_equal(in_one_process[3][(1, *block)], confidence)
    assert (in_one_process[0] != 1 + (coarse == 2)).any()


@pytest.mark.parametrize("side", [64, 128])
def test_the_size_of_the_shards_does_not_change_a_bit(plan_volume, tmp_path, side, in_one_process):
    refine_volume(plan_volume(tmp_path / "out.zarr", side))
    assert_same(tmp_path / "out.zarr", in_one_process)


def test_parts_without_a_scheduler_make_the_same_map(plan_volume, tmp_path, in_one_process):
    plan = plan_volume(tmp_path / "out.zarr")
    reports = [refine_volume(plan, Execution(share=Share(index, 3))) for index in (2, 3, 1)]
    assert [report.is_complete for report in reports] == [False, False, True]
    assert sum(report.shards for report in reports) == sum(VolumeJob(plan).stages)
    assert_same(tmp_path / "out.zarr", in_one_process)
    assert refine_volume(plan, Execution(share=Share(2, 3))).shards == 0


def test_a_stopped_run_is_continued_by_the_same_call(
    plan_volume, tmp_path, in_one_process, monkeypatch
):
    plan = plan_volume(tmp_path / "out.zarr")
    write, calls = OutputArrays.write, []

    def write_five(self, *arguments):
        calls.append(1)
        if len(calls) == 6:
            raise WritingError("The disk is full; free some space.")
        write(self, *arguments)

    monkeypatch.setattr(OutputArrays, "write", write_five)
    with pytest.raises(WritingError, match="The disk is full"):
        refine_volume(plan)
    monkeypatch.setattr(OutputArrays, "write", write)
    report = refine_volume(plan)
    assert report.shards == sum(VolumeJob(plan).stages) - 5
    assert_same(tmp_path / "out.zarr", in_one_process)


def test_a_shard_that_fails_three_times_is_named_and_the_others_are_done(
    plan_volume, tmp_path, in_one_process, monkeypatch
):
    plan = plan_volume(tmp_path / "out.zarr", 128)
    perform, tried = VolumeJob.perform, []

    def fail(self, task):
        if task == Task(0, 2):
            tried.append(task)
            raise ImageError("The image has NaN or infinite values; replace them first.")
        perform(self, task)

    monkeypatch.setattr(VolumeJob, "perform", fail)
    report = refine_volume(plan)
    (failure,) = report.failures
    assert len(tried) == engine.TRIES
    assert failure.place == "z 0, rows 128 to 199, columns 0 to 127"
    assert "has NaN" in failure.error
    assert (report.shards, report.is_complete) == (7, False)
    monkeypatch.setattr(VolumeJob, "perform", perform)
    assert refine_volume(plan).is_complete
    assert_same(tmp_path / "out.zarr", in_one_process)


def test_two_runs_into_one_output_are_refused(plan_volume, tmp_path):
    plan = plan_volume(tmp_path / "out.zarr")
    in_use = pytest.raises(DataError, match="is being written by another run")
    with Ledger(ledger_folder(plan.store, plan.name)), in_use:
        refine_volume(plan)
    assert not plan.group.exists()


def test_an_output_is_neither_mixed_nor_overwritten_by_mistake(plan_volume, tmp_path):
    plan = plan_volume(tmp_path / "out.zarr", 256)
    refine_volume(plan)
    other = plan_volume(tmp_path / "out.zarr", 256, scope=Scope(band=3))
    with pytest.raises(DataError, match=r"other settings \(band: None, not 3\)"):
        refine_volume(other)
    assert refine_volume(other, overwrite=True).is_complete
    ledger_folder(plan.store, plan.name).rename(tmp_path / "moved")
    with pytest.raises(DataError, match="exists already; add --overwrite"):
        refine_volume(other)


def test_an_output_that_was_deleted_is_made_again(plan_volume, tmp_path, in_one_process):
    plan = plan_volume(tmp_path / "out.zarr", 256)
    refine_volume(plan)
    plan.group.delete()
    assert refine_volume(plan).shards == sum(VolumeJob(plan).stages)
    assert_same(tmp_path / "out.zarr", in_one_process)


def test_limits_are_those_of_the_stack_as_a_whole(tmp_path):
    data = np.full((2, 20, 20), 1000, np.uint16)
    data[0, 0, 0], data[1, 19, 19] = 900, 5000
    image = open_multiscale(write_multiscale(tmp_path / "image.zarr", data, "zyx"))
    assert stack_limits(image_planes(image, 0, None)) == (900.0, 5000.0)


@pytest.mark.parametrize("entries", [1, 4, 9])
def test_a_killed_run_loses_at_most_the_shard_at_hand(
    plan_volume, tmp_path, in_one_process, entries
):
    plan = plan_volume(tmp_path / "out.zarr")
    file = ledger_folder(plan.store, plan.name) / "writers" / "1-of-1" / "finished.txt"
    process = multiprocessing.get_context("forkserver").Process(target=refine_volume, args=(plan,))
    process.start()
    while process.is_alive() and (not file.exists() or file.read_bytes().count(b"\n") < entries):
        process.join(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Ledger(ledger_folder(plan.store, plan.name)) as ledger:
        before = len(ledger.finished())
    assert before >= entries
    assert refine_volume(plan).shards == sum(VolumeJob(plan).stages) - before
    assert_same(tmp_path / "out.zarr", in_one_process)
