"""Named lists of pairs, read from a JSON file or drawn at random."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from pydantic import TypeAdapter, ValidationError

from c2f_core.config.settings import DataConfig
from c2f_core.documents import read_document
from c2f_core.errors import DataError


def read_split(path: str | Path, names: str) -> list[str]:
    """Read pair names from a JSON file of nested lists.

    Parameters
    ----------
    path : str or Path
        Path of the split file.
    names : str
        Name of the list: keys and list indices joined by ":", such as "report:test"
        or "folds:0". Several lists are joined by "+".

    Raises
    ------
    DataError
        If the file cannot be read or has no such list.
    """
    path = Path(path)
    content, names = read_splits(path), normalize("NFC", names)
    return [pair for name in names.split("+") for pair in _lookup(content, name, path)]


def read_splits(path: Path) -> dict[str, Any]:
    """Read a whole file of named lists.

    Parameters
    ----------
    path : Path
        Path of the split file.

    Raises
    ------
    DataError
        If the file cannot be read or has no named lists.
    """
    content = read_document(path, "split file", DataError, "give a JSON file")
    if not isinstance(content, dict):
        raise DataError(f"The split file {path} has no named lists; give a JSON object.")
    return {normalize("NFC", name): _composed(lists) for name, lists in content.items()}


def _composed(content: Any) -> Any:
    """Return lists with their names in composed form, like the names of pairs."""
    if isinstance(content, str):
        return normalize("NFC", content)
    if isinstance(content, list):
        return [_composed(entry) for entry in content]
    if isinstance(content, dict):
        return {normalize("NFC", name): _composed(lists) for name, lists in content.items()}
    return content


def _lookup(content: Any, name: str, path: Path) -> list[str]:
    found = content
    for key in name.split(":"):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            options = ", ".join(found) if isinstance(found, dict) else "a list index"
            raise DataError(f"{path.name} has no list '{name}' at '{key}'; choose {options}.")
    if not isinstance(found, list) or not all(isinstance(pair, str) for pair in found):
        raise DataError(
            f"'{name}' in {path.name} is not a list of pair names; go one level deeper."
        )
    return found


def read_groups(path: str | Path) -> list[list[str]]:
    """Read the groups of pairs of the same person, which no split may divide.

    Parameters
    ----------
    path : str or Path
        Path of the split file.

    Returns
    -------
    list of list of str
        List "same_person" of the split file, empty if it has none.

    Raises
    ------
    DataError
        If the file cannot be read, or its list is not a list of lists of names.
    """
    return groups_of(read_splits(Path(path)), Path(path))


def groups_of(content: Mapping[str, Any], path: Path) -> list[list[str]]:
    """Return the groups of pairs of the same person in the content of a split file.

    Parameters
    ----------
    content : mapping
        Content of the split file.
    path : Path
        Path of the split file, for the error message.

    Raises
    ------
    DataError
        If the list "same_person" is not a list of lists of names.
    """
    return list_of_lists(content.get("same_person", []), f"'same_person' in {path.name}")


def list_of_lists(found: Any, name: str) -> list[list[str]]:
    """Return a value from a split file after checking that it is a list of lists of names.

    Parameters
    ----------
    found : object
        Value to check.
    name : str
        What the value is, for the error message.

    Raises
    ------
    DataError
        If it is anything else.
    """
    try:
        return TypeAdapter(list[list[str]]).validate_python(found, strict=True)
    except ValidationError as error:
        raise DataError(
            f"{name} is not a list of lists of pair names; write it as [['a', 'b'], ['c']]."
        ) from error


def draw_validation(
    names: Sequence[str], share: float, seed: int, groups: Sequence[Sequence[str]] = ()
) -> tuple[list[str], list[str]]:
    """Draw pairs for validation, in whole groups; at least one remains on either side.

    Parameters
    ----------
    names : sequence of str
        Names of the pairs.
    share : float
        Share of the pairs to draw, in (0, 1).
    seed : int
        Seed of the random generator.
    groups : sequence of sequence of str
        Names of pairs that must stay together.

    Returns
    -------
    train, validation : list of str
        Names of the pairs, in the order of `names`.

    Raises
    ------
    DataError
        If there are fewer than two groups.
    """
    members = grouped(names, groups)
    if len(members) < 2:
        raise DataError(
            "Training needs at least two unrelated pairs with fine maps; add more pairs."
        )
    wanted = max(1, round(share * len(names)))
    drawn: set[str] = set()
    leaders = sorted(members)
    for number in np.random.default_rng(seed).permutation(len(leaders))[:-1]:
        if len(drawn) >= wanted:
            break
        drawn.update(members[leaders[number]])
    return [name for name in names if name not in drawn], [name for name in names if name in drawn]


def draw_folds(
    names: Sequence[str], count: int, seed: int, groups: Sequence[Sequence[str]] = ()
) -> list[list[str]]:
    """Draw folds of nearly equal size, in whole groups.

    Parameters
    ----------
    names : sequence of str
        Names of the pairs.
    count : int
        Number of folds.
    seed : int
        Seed of the random generator.
    groups : sequence of sequence of str
        Names of pairs that must stay together.

    Returns
    -------
    list of list of str
        Names of each fold, in the order of `names`; every name is in one fold.

    Raises
    ------
    DataError
        If there are fewer than two folds, or fewer groups than folds.
    """
    members = grouped(names, groups)
    if not 2 <= count <= len(members):
        raise DataError(
            f"{len(members)} unrelated pairs with fine maps cannot make {count} folds; choose at "
            "least 2 folds, and at most as many as there are such pairs."
        )
    leaders = sorted(members)
    shuffled = [leaders[number] for number in np.random.default_rng(seed).permutation(len(leaders))]
    folds: list[set[str]] = [set() for _ in range(count)]
    # Largest groups first, so that the small ones even out the folds.
    for leader in sorted(shuffled, key=lambda leader: -len(members[leader])):
        min(folds, key=len).update(members[leader])
    return [[name for name in names if name in fold] for fold in folds]


def grouped(names: Sequence[str], groups: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the names of each group by its first name.

    Groups with a common name are merged. Names in no group form a group each.

    Parameters
    ----------
    names : sequence of str
        Names of the pairs.
    groups : sequence of sequence of str
        Names of pairs that must stay together.
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
    """Sort the first name of each group to the front, so that the first pairs differ most.

    Parameters
    ----------
    names : sequence of str
        Names of the pairs.
    groups : sequence of sequence of str
        Names of pairs of the same person.
    """
    first = {members[0] for members in grouped(names, groups).values()}
    return sorted(names, key=lambda name: name not in first)


@dataclass(frozen=True)
class Roles:
    """Names of the pairs for training with fine maps, training without them, and validation."""

    train: list[str]
    coarse_only: list[str]
    validation: list[str]


def listed_names(config: DataConfig, available: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names that a config lists for training and for validation.

    Parameters
    ----------
    config : DataConfig
        Settings that name the split file and its lists.
    available : sequence of str
        Names of all pairs, which are used for training if there is no split file.

    Returns
    -------
    train, validation : list of str

    Raises
    ------
    DataError
        If the split file cannot be read or has no such list, or lists are named
        without a split file.
    """
    if config.splits is None:
        if config.validation or config.train != DataConfig.model_fields["train"].default:
            raise DataError(
                "data.train and data.validation name lists of a split file; give the file as "
                "data.splits, or do not set them."
            )
        return list(available), []
    held_out = read_split(config.splits, config.validation) if config.validation else []
    return read_split(config.splits, config.train), held_out


def assign_roles(
    config: DataConfig, seed: int, available: Sequence[str], has_fine: Callable[[str], bool]
) -> Roles:
    """Assign pairs to training and validation, by the lists of a config or at random.

    Parameters
    ----------
    config : DataConfig
        Settings that name the lists, or the share of validation pairs to draw.
    seed : int
        Seed for drawing validation pairs.
    available : sequence of str
        Names of all pairs.
    has_fine : callable
        Function that returns whether the pair of a given name has a fine map.

    Raises
    ------
    DataError
        If there are too few fine maps, or the split file does not match the data.
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
