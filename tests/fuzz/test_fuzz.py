"""A bounded number of changed files for each reader; see `run.py` for longer runs."""

import subprocess
import sys
from pathlib import Path

INPUTS = 200
SECONDS = 25
"""For all readers together; on a free machine, the files take a fraction of it."""


def test_changed_files_raise_nothing_but_errors_for_the_user(tmp_path):
    command = [sys.executable, str(Path(__file__).parent / "run.py"), "--unguided"]
    limits = ["--inputs", str(INPUTS), "--seconds", str(SECONDS), "--findings", str(tmp_path)]
    done = subprocess.run([*command, *limits], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
