"""The plan of an experiment, kept in its run folder so that it can be continued."""

import json
from pathlib import Path
from typing import Any

from c2f_core.documents import read_document
from c2f_core.errors import ConfigError
from c2f_core.io.atomic import atomic_path

BEST = "best.json"
"""File of the best settings in the run folder of a search."""


def write_or_check_plan(path: Path, plan: dict[str, Any], difference: str) -> None:
    """Write the plan of an experiment, or check that it was begun with the same plan.

    Parameters
    ----------
    path : Path
        JSON file in the run folder.
    plan : dict
        What defines the experiment, as JSON types.
    difference : str
        Error message if the file has another plan.

    Raises
    ------
    ConfigError
        If the file has another plan or cannot be read.
    DataError
        If the file cannot be written.
    """
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    elif read_document(path, "plan", ConfigError, "restore or delete the file") != plan:
        raise ConfigError(difference)
