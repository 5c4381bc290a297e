"""Named lists of pairs, read from a JSON file or drawn by a seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2f_core.config.settings import DataConfig
from c2f_core.documents import read_document
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
    content = read_splits(path)
    return [pair for name in names.split("+") for pair in _lookup(content, name, path)]


def read_splits(path: Path) -> dict[str, Any]:
    """Read a whole file of named lists.

    Raises
    ------
    DataError
        The file cannot be read or holds no named lists.
    """
    content = read_document(path, "split file", DataError, "give a JSON file")
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
    groups: list[list[str]] = read_splits(Path(path)).get("same_person", [])
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
    members = grouped(names, groups)
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


def draw_folds(
    names: Sequence[str], count: int, seed: int, groups: Sequence[Sequence[str]] = ()
) -> list[list[str]]:
    """Draw folds of nearly equal size, whole groups at a time.

    Parameters
    ----------
    names : sequence of str
    count : int
        Number of folds.
    seed : int
    groups : sequence of sequence of str
        Names that stay together.

    Returns
    -------
    list of list of str
        Each in the order of `names`, every name in one of them.

    Raises
    ------
    DataError
        There are fewer than two folds, or fewer groups of names than folds.
    """
    members = grouped(names, groups)
    if not 2 <= count <= len(members):
        raise DataError(
            f"{len(members)} unrelated pairs with fine maps cannot make {count} folds; choose at "
            "least 2 folds, and no more than there are such pairs."
        )
    leaders = sorted(members)
    shuffled = [leaders[place] for place in np.random.default_rng(seed).permutation(len(leaders))]
    folds: list[set[str]] = [set() for _ in range(count)]
    # The largest groups come first, so that the small ones even the folds out.
    for leader in sorted(shuffled, key=lambda leader: -len(members[leader])):
        min(folds, key=len).update(members[leader])
    return [[name for name in names if name in fold] for fold in folds]


def grouped(names: Sequence[str], groups: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the names that stay together, by the first name of their group.

    Groups that share a name are one.
    """
    leader: dict[str, str] = {}
    for group in filter(None, groups):
        together = {leader.get(name, name) for name in group}
        first = leader.get(group[0], group[0])
        leader |= {name: first for name in (*group, *leader) if leader.get(name, name) in together}
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(leader.get(name, name), []).append(name)
    return members


def first_of_each(names: Sequence[str], groups: Sequence[Sequence[str]]) -> list[str]:
    """Put one name of each group before all others of it: the first few are of many persons."""
    first = {members[0] for members in grouped(names, groups).values()}
    return sorted(names, key=lambda name: name not in first)


@dataclass(frozen=True)
class Roles:
    """Names of the pairs that train with their fine maps, train without them, and validate."""

    train: list[str]
    coarse_only: list[str]
    validation: list[str]


def listed_names(config: DataConfig, available: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names that a config lists for training, all without a list, and for validation.

    Raises
    ------
    DataError
        The split file cannot be read or has no such list, or lists are named without one.
    """
    if config.splits is None:
        if config.validation or config.train != DataConfig.model_fields["train"].default:
            raise DataError(
                "data.train and data.validation name lists of a split file; give it as "
                "data.splits, or leave them as they are."
            )
        return list(available), []
    held_out = read_split(config.splits, config.validation) if config.validation else []
    return read_split(config.splits, config.train), held_out


def assign_roles(
    config: DataConfig, seed: int, available: Sequence[str], has_fine: Callable[[str], bool]
) -> Roles:
    """Say which pairs train and which validate: listed, or drawn by the seed.

    Parameters
    ----------
    config : DataConfig
    seed : int
    available : sequence of str
        Names of all pairs.
    has_fine : callable
        Tells whether the pair of a name has a fine map.

    Raises
    ------
    DataError
        Fine maps do not suffice, or the split file does not fit.
    """
    names, held_out = listed_names(config, available)
    groups = read_groups(config.splits) if config.splits else []
    with_fine = [name for name in names if has_fine(name)]
    if held_out:
        with_fine = [name for name in with_fine if name not in held_out]
    else:
        with_fine, held_out = draw_validation(with_fine, config.validation_share, seed, groups)
    if not with_fine or not all(has_fine(name) for name in held_out):
        raise DataError("Training and validation need pairs with fine maps; add fine maps.")
    if config.fine_maps is not None:
        with_fine = first_of_each(with_fine, groups)
    train = with_fine[: config.fine_maps]
    unused = {*train, *held_out}
    return Roles(train, [name for name in names if name not in unused], held_out)
