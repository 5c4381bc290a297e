"""Fixtures for the tests of the core."""

import multiprocessing
import runpy

import pytest

SCRIPT = """
import os, sys

output = os.open({output!r}, os.O_WRONLY | os.O_CREAT)
os.dup2(output, 1)
os.dup2(output, 2)

from {module} import main

main({arguments!r})
"""


@pytest.fixture(scope="session")
def fork_server():
    """Context whose processes are forked from one that has imported torch and Lightning."""
    context = multiprocessing.get_context("forkserver")
    preload = ["c2f_core.training.trainer", "lightning_fabric", "torch.utils.tensorboard", "cv2"]
    context.set_forkserver_preload(preload)
    return context


@pytest.fixture(scope="session")
def start_command(fork_server, tmp_path_factory):
    """Start a command of the core in a separate process, which starts quickly."""

    def start(module, *arguments):
        folder = tmp_path_factory.mktemp("command")
        output, script = folder / "output.txt", folder / "command.py"
        text = [str(argument) for argument in arguments]
        script.write_text(SCRIPT.format(output=str(output), module=module, arguments=text))
        process = fork_server.Process(target=runpy.run_path, args=(str(script),))
        process.start()
        return process, output

    return start
