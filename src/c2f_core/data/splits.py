"""Named lists of pairs, read from a JSON file or drawn by a seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2f_core.errors import DataError


def read_split(path: str | Path, names: str) -> list[str]:
    """Read pair names from a JSON file of nested lists.

    Parameters
    ----------
    path : str or Path
    names : str
        Keys and list positions joined by ":", such as "report:test" or "folds:0";
        several lists are joined by "+".

    Raises
    ------
    DataError
        The file cannot be read or has no such list.
    """
    path = Path(path)
    content = _read_json(path)
    return [pair for name in names.split("+") for pair in _lookup(content, name, path)]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"The split file {path} cannot be read ({error}); give a JSON file."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"The split file {path} holds no named lists; give a JSON object.")
    return content


def _lookup(content: Any, name: str, path: Path) -> list[str]:
    found = content
    for key in name.split(":"):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            options = ", ".join(found) if isinstance(found, dict) else "a list position"
            raise DataError(f"{path.name} has no list '{name}' at '{key}'; choose {options}.")
    if not isinstance(found, list) or not all(isinstance(pair, str) for pair in found):
        raise DataError(f"'{name}' in {path.name} is no list of pair names; go one level deeper.")
    return found


def read_groups(path: str | Path) -> list[list[str]]:
    """Read the groups of pairs that show one person, which no split may part.

    Returns
    -------
    list of list of str
        The list "same_person" of the split file; empty where it has none.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    groups: list[list[str]] = _read_json(Path(path)).get("same_person", [])
    return groups


def draw_validation(
    names: Sequence[str], share: float, seed: int, groups: Sequence[Sequence[str]] = ()
) -> tuple[list[str], list[str]]:
    """Draw names for validation, whole groups at a time; at least one stays on either side.

    Parameters
    ----------
    names : sequence of str
    share : float
        Share of the names to draw, in (0, 1).
    seed : int
    groups : sequence of sequence of str
        Names that stay together.

    Returns
    -------
    train, validation : list of str
        In the order of `names`.

    Raises
    ------
    DataError
        There are fewer than two groups of names.
    """
    leader = {name: group[0] for group in groups for name in group}
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(leader.get(name, name), []).append(name)
    if len(members) < 2:
        raise DataError(
            "Training needs at least two unrelated pairs with fine maps; add more pairs."
        )
    wanted = max(1, round(share * len(names)))
    drawn: set[str] = set()
    leaders = sorted(members)
    for place in np.random.default_rng(seed).permutation(len(leaders))[:-1]:
        if len(drawn) >= wanted:
            break
        drawn.update(members[leaders[place]])
    return [name for name in names if name not in drawn], [name for name in names if name in drawn]
