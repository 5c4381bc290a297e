"""Exhausted memory and a full disk are reported in one sentence."""

import re
from contextlib import contextmanager

import cv2
import pytest
import torch

from c2f_core.device import describe_memory
from c2f_core.errors import C2FError, DataError, is_out_of_memory
from c2f_core.models.checkpoint import load_checkpoint, save_checkpoint
from c2f_core.training.run_folder import RunFolder
from c2f_core.training.supervised import SupervisedLearner


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte"),
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"),
    ],
)
def test_exhausted_memory_is_a_sentence_with_advice(make_config, run, tmp_path, monkeypatch, error):
    def step(self, number):
        raise error

    monkeypatch.setattr(SupervisedLearner, "step", step)
    with pytest.raises(C2FError, match="smaller batch_size"):
        run(make_config(tmp_path / "run"))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_messages_of_gpu_libraries_about_exhausted_memory_are_recognised(text):
    assert is_out_of_memory(RuntimeError(text))


def test_exhausted_memory_in_validation_comes_with_other_advice(
    make_config, run, stop_after, tmp_path, monkeypatch
):
    def validate(*_):
        raise torch.OutOfMemoryError("CUDA")

    config = make_config(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.supervised.validate", validate)
        with pytest.raises(C2FError, match="takes whole images") as caught:
            run(config)
    assert "checkpoint" not in str(caught.value)
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.best_classical", validate)
        with pytest.raises(C2FError, match="takes whole images"):
            run(make_config(tmp_path / "classical"))
    with monkeypatch.context() as patch:
        patch.setattr("c2f_core.training.trainer.load_training_data", validate)
        with pytest.raises(C2FError, match="fewer or smaller images"):
            run(make_config(tmp_path / "reading"))
    stop_after(make_config(tmp_path / "begun"), 1)
    monkeypatch.setattr("c2f_core.training.supervised.validate", validate)
    with pytest.raises(C2FError, match=r"takes whole images.*begun is intact"):
        run(make_config(tmp_path / "begun"), resume=True)


@contextmanager
def full_disk(size):
    """Limit files, including the tests' log, to this many bytes, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_reported_when_checkpoints_and_state_are_saved(make_config, run, tmp_path):
    config = make_config(tmp_path / "run", steps=1)
    run(config)
    generator, metadata = load_checkpoint(tmp_path / "run" / "best.safetensors")
    folder = RunFolder(tmp_path / "run")
    before = folder.state.read_bytes()
    with full_disk(600), pytest.raises(DataError, match="free some space"):
        folder.write_state({"weights": torch.zeros(1000)})
    with full_disk(600), pytest.raises(DataError, match="free some space"):
        save_checkpoint(folder.best, generator, metadata)
    assert folder.state.read_bytes() == before
    load_checkpoint(folder.best)


def test_a_full_disk_is_reported_when_logs_are_written(make_config, run, tmp_path):
    config = make_config(tmp_path / "run", steps=1000, validate_every=1000)
    with full_disk(20_000), pytest.raises(DataError, match="disk is full"):
        run(config)


def test_other_runtime_errors_are_not_converted(make_config, run, tmp_path, monkeypatch):
    def step(self, number):
        raise RuntimeError("a bug")

    monkeypatch.setattr(SupervisedLearner, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        run(make_config(tmp_path / "run"))
    assert not RunFolder(tmp_path / "run").is_under_way


def test_the_memory_in_use_is_reported():
    assert re.fullmatch(
        r"this program uses [\d.]+ GiB, [\d.]+ GiB are free", describe_memory("cpu")
    )
