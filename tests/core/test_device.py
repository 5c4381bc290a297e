"""Tests of c2f_core.device."""

import subprocess
import sys

import pytest

PAGES_OF_A_STEP = """
import resource
import torch
from c2f_core.device import freed_memory_kept

def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2_000_000) for _ in range(16)]
    del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with freed_memory_kept():
    print([step() for _ in range(5)][-1])
print(step())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only the C library of Linux returns memory")
def test_memory_that_is_freed_in_a_block_is_kept_until_its_end():
    command = [sys.executable, "-c", PAGES_OF_A_STEP]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    inside, after = map(int, printed.split())
    assert inside < 1000
    assert after > 10_000
