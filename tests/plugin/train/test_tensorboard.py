"""TensorBoard's process and its address, without a widget."""

import shutil
import sys
from urllib.request import urlopen

import pytest

from napari_c2f.train.tensorboard import TensorBoard, address_in

LONGEST = 60000
OUTPUT = """
NOTE: Using experimental fast data loading logic. To disable, pass
    "--load_fast=false" and report issues on GitHub. More details:
    https://github.com/tensorflow/tensorboard/issues/4784

Serving TensorBoard on localhost; to expose to the network, use a proxy or pass --bind_all
TensorBoard 2.21.0 at http://localhost:40621/ (Press CTRL+C to quit)
"""
"""Recorded from TensorBoard 2.21 with tensorboard-data-server 0.7."""


@pytest.fixture
def board(qapp):
    board = TensorBoard()
    yield board
    board.close()


def test_the_address_is_tensorboards_own():
    assert address_in(OUTPUT) == "http://localhost:40621/"


def test_there_is_no_address_before_all_of_it_is_printed():
    for end in (OUTPUT.index("TensorBoard 2"), OUTPUT.index("0621"), OUTPUT.index("CTRL") - 7):
        assert address_in(OUTPUT[:end]) == ""


def test_tensorboard_answers_until_it_is_closed(board, qtbot, tmp_path):
    with qtbot.waitSignal(board.ready, timeout=LONGEST) as ready:
        board.open(tmp_path)
    (address,) = ready.args
    assert address.startswith("http://localhost:")
    with urlopen(address) as answer:
        assert answer.status == 200
    with qtbot.waitSignal(board.ready, timeout=LONGEST) as again:
        board.open(tmp_path)
    assert again.args == [address]
    board.close()
    assert not board.is_running


def test_the_user_is_asked_to_train_first(board, qtbot):
    with qtbot.waitSignal(board.message) as said:
        board.open(None)
    assert said.args == ["Train or resume a run first: TensorBoard shows its folder."]
    assert not board.is_running


def test_a_process_that_ends_says_why(board, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    said = []
    board.message.connect(said.append)
    board.open(tmp_path)
    qtbot.waitUntil(lambda: len(said) == 2, timeout=LONGEST)
    assert said[1] == "TensorBoard ended: it could not be started."


def test_a_process_that_never_begins_is_reported_and_tried_again(
    board, qtbot, monkeypatch, tmp_path
):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    said = []
    board.message.connect(said.append)
    for count in (2, 4):
        board.open(tmp_path)
        qtbot.waitUntil(lambda count=count: len(said) == count, timeout=LONGEST)
        assert said[-1].startswith("TensorBoard could not be started (")
    assert not board.is_running


def test_only_the_end_of_a_long_output_is_kept(board, qtbot, monkeypatch, tmp_path):
    noisy = tmp_path / "noisy"
    noisy.write_text("#!/bin/sh\nyes warning | head -c 300000\necho the reason.\nexit 1\n")
    noisy.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(noisy))
    said = []
    board.message.connect(said.append)
    board.open(tmp_path)
    qtbot.waitUntil(lambda: len(said) == 2, timeout=LONGEST)
    assert said[1] == "TensorBoard ended: the reason."
    assert len(board._output) <= 10_000
