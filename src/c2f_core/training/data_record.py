"""Record of the data of a run, kept with it, so that a resumed run trains on the same data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from pydantic import model_validator

from c2f_core.classes.table import ClassEntry, ClassTable
from c2f_core.config.settings import DataConfig, Settings
from c2f_core.data.pairs import Pair, fingerprint
from c2f_core.data.splits import Roles, grouped, listed_names, read_groups
from c2f_core.errors import ChangedDataError, DataError

LISTED = 5
"""Number of pairs that a message names."""


class DataRecord(Settings):
    """Class table, roles and contents of the pairs that a run reads."""

    class_table: ClassTable
    """Class table of the maps."""
    train: tuple[str, ...]
    """Names of the pairs that train with their fine maps, as often as they are drawn."""
    coarse_only: tuple[str, ...]
    """Names of the training pairs whose fine maps are missing or not used."""
    validation: tuple[str, ...]
    """Names of the pairs that validate."""
    hashes: dict[str, str]
    """SHA-256 of each pair as its role uses it, by name."""

    @model_validator(mode="after")
    def _all_pairs_have_a_role_and_a_hash(self) -> Self:
        if set(self.hashes) != set(self.roles):
            raise ValueError("hashes needs the names of the pairs that have a role, and no others")
        return self

    @classmethod
    def of(cls, class_table: ClassTable, roles: Roles, pairs: Mapping[str, Pair]) -> "DataRecord":
        """Record the data of a run.

        Parameters
        ----------
        class_table : ClassTable
            Class table of the maps.
        roles : Roles
            Names of the pairs by role.
        pairs : mapping of str to Pair
            All pairs by name, with their fine maps.
        """
        coarse_only = set(roles.coarse_only)
        names = dict.fromkeys([*roles.train, *roles.coarse_only, *roles.validation])
        return cls(
            class_table=class_table,
            train=tuple(roles.train),
            coarse_only=tuple(roles.coarse_only),
            validation=tuple(roles.validation),
            hashes={name: hash_of(pairs[name], name not in coarse_only) for name in names},
        )

    @property
    def roles(self) -> dict[str, str]:
        """Role of each pair by name: train, coarse_only or validation."""
        kinds = ("train", "coarse_only", "validation")
        return {name: kind for kind in kinds for name in getattr(self, kind)}


def hash_of(pair: Pair, with_fine: bool) -> str:
    """Return the SHA-256 of the pixels of a pair, with or without its fine map."""
    return fingerprint([replace(pair, name="", fine=pair.fine if with_fine else None)])


@dataclass(frozen=True)
class ResumedData:
    """Data of a run that is resumed, compared with those that it began with.

    Attributes
    ----------
    record : DataRecord
        Data that the run began with.
    class_table : ClassTable
        Class table of the maps now.
    pairs : dict of str to Pair
        Pairs now, by name, with their fine maps.
    settings : DataConfig
        Settings that name the pairs.
    """

    record: DataRecord
    class_table: ClassTable
    pairs: dict[str, Pair]
    settings: DataConfig

    def roles(self, accept_changes: bool) -> tuple[Roles, tuple[str, ...]]:
        """Give pairs the roles with which the run began.

        A pair that trained never validates, whatever was added or removed. New pairs
        train, unless the split file lists them for validation or a pair of the same
        person validates.

        Parameters
        ----------
        accept_changes : bool
            Whether to resume although the data have changed.

        Returns
        -------
        roles : Roles
            Names of the pairs by role, known pairs first and in their former order.
        messages : tuple of str
            What the user should know, one sentence each.

        Raises
        ------
        DataError
            If no pair is left to train on, or none to validate.
        ChangedDataError
            If the data have changed, and this is not accepted.
        """
        changes = self.changes()
        if changes and not accept_changes:
            raise changed_data(changes)
        roles = self._kept_roles.roles()
        message = f"The data have changed since the run began: {'; '.join(changes)}."
        return roles, (message,) if changes else ()

    def changes(self) -> list[str]:
        """Name what differs, in parts of a sentence; empty if nothing does."""
        known = self.record.hashes
        kinds = {
            "pairs added": [name for name in self.pairs if name not in known],
            "pairs removed": [name for name in known if name not in self.pairs],
            "pairs changed": [name for name in self.pairs if self._has_changed(name)],
            **self._moved_pairs(),
        }
        listed = [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]
        return [*class_changes(self.record.class_table, self.class_table), *listed]

    def _has_changed(self, name: str) -> bool:
        record, pair = self.record, self.pairs[name]
        if name not in record.hashes:
            return False
        is_coarse_only = name in record.coarse_only
        if is_coarse_only and self.settings.fine_maps is None and pair.fine is not None:
            return True
        return record.hashes[name] != hash_of(pair, not is_coarse_only)

    def _moved_pairs(self) -> dict[str, list[str]]:
        """Pairs that a changed split file gives another role."""
        listed, roles = self._kept_roles.listed_for_validation, self.record.roles
        if not listed:
            return {}
        validated = [name for name in self.record.validation if name in self.pairs]
        return {
            "pairs moved to validation": [
                name for name in listed if roles.get(name, "validation") != "validation"
            ],
            "pairs moved from validation": [name for name in validated if name not in listed],
        }

    @cached_property
    def _kept_roles(self) -> "KeptRoles":
        def has_fine(name: str) -> bool:
            return self.pairs[name].fine is not None

        def digest(name: str) -> str:
            return hash_of(self.pairs[name], True)

        return KeptRoles(self.record, self.settings, list(self.pairs), has_fine, digest)


@dataclass(frozen=True)
class KeptRoles:
    """Roles of the pairs of a resumed run.

    Attributes
    ----------
    record : DataRecord
        Data that the run began with.
    settings : DataConfig
        Settings that name the pairs.
    names : list of str
        Names of the pairs now.
    has_fine : callable
        Function that returns whether a pair has a fine map, given its name.
    digest : callable
        Function that returns the hash of a pair with its fine map, given its name; it is
        called for new pairs only.
    """

    record: DataRecord
    settings: DataConfig
    names: list[str]
    has_fine: Callable[[str], bool]
    digest: Callable[[str], str]

    @cached_property
    def listed_for_validation(self) -> list[str]:
        """Names of the pairs that the split file lists for validation."""
        return listed_names(self.settings, self.names)[1]

    def roles(self) -> Roles:
        """Return the names of the pairs by role, known pairs first and in their former order.

        Raises
        ------
        DataError
            If no pair is left to train on, or none to validate.
        """
        record = self.record
        known = [*record.train, *record.coarse_only, *record.validation]
        new = [name for name in self.names if name not in record.hashes]
        roles, former = Roles([], [], []), record.roles | self._roles_of_new(new)
        for name in [*(name for name in known if name in self.names), *new]:
            self._add(roles, name, former.get(name, ""))
        if not roles.train or not roles.validation:
            raise DataError(
                "The pairs that are left of the interrupted run cannot both train and validate; "
                "restore them with their fine maps, or start a new run."
            )
        return roles

    def _roles_of_new(self, names: Sequence[str]) -> dict[str, str]:
        """Return the roles of new pairs that are listed, renamed, or of a known person."""
        groups = read_groups(self.settings.splits) if self.settings.splits else []
        members = grouped([*self.record.hashes, *names], groups).values()
        validated = set(self.record.validation)
        renamed = {known: self.record.roles[name] for name, known in self.record.hashes.items()}
        roles = dict.fromkeys(self.listed_for_validation, "validation")
        for group in members:
            if validated & set(group):
                roles |= dict.fromkeys(group, "validation")
        roles |= {name: renamed[known] for name in names if (known := self.digest(name)) in renamed}
        return {name: roles[name] for name in names if name in roles}

    def _add(self, roles: Roles, name: str, former: str) -> None:
        """Add a pair to its former role, or to the one that its fine map allows."""
        limit = self.settings.fine_maps
        if not self.has_fine(name):
            roles.coarse_only.append(name)
        elif former == "validation":
            roles.validation.append(name)
        elif former == "train" or limit is None or len(set(roles.train)) < limit:
            roles.train.append(name)
        else:
            roles.coarse_only.append(name)


def check_same_classes(was: ClassTable, now: ClassTable, accept_changes: bool) -> None:
    """Check that a run may be resumed with a class table.

    Parameters
    ----------
    was, now : ClassTable
        Class table with which the run began, and the present one.
    accept_changes : bool
        Whether to resume although classes were renamed or swapped.

    Raises
    ------
    DataError
        If the number of classes has changed.
    ChangedDataError
        If the class table has changed otherwise, and this is not accepted.
    """
    changes = class_changes(was, now)
    if was.number_of_classes != now.number_of_classes:
        raise DataError(
            f"The class table has {now.number_of_classes} classes, and the run began with "
            f"{was.number_of_classes} ({'; '.join(changes)}); restore it, or start a new run."
        )
    if changes and not accept_changes:
        raise changed_data(changes)


def changed_data(changes: Sequence[str]) -> ChangedDataError:
    """Return the error that names changes of the data, which are parts of a sentence."""
    return ChangedDataError(
        f"The data have changed since the run began ({'; '.join(changes)}); restore them or "
        "start a new run."
    )


def content_changes(was: DataRecord, now: DataRecord) -> list[str]:
    """Name what differs between the classes and pairs of two records, whatever their roles are.

    Parameters
    ----------
    was, now : DataRecord
        Former and present data.

    Returns
    -------
    list of str
        Parts of a sentence, empty if nothing differs.
    """
    before, after = was.hashes, now.hashes
    kinds = {
        "pairs added": [name for name in after if name not in before],
        "pairs removed": [name for name in before if name not in after],
        "pairs changed": [name for name in after if before.get(name, after[name]) != after[name]],
    }
    listed = [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]
    return [*class_changes(was.class_table, now.class_table), *listed]


def class_changes(was: ClassTable, now: ClassTable) -> list[str]:
    """Name what differs between two class tables, of which only the names are ignored.

    Parameters
    ----------
    was, now : ClassTable
        Former and present class table.

    Returns
    -------
    list of str
        Parts of a sentence, empty if nothing differs.
    """
    return [*_name_changes(was.names, now.names), *_entry_changes(was, now)]


def _name_changes(was: list[str], now: list[str]) -> Iterator[str]:
    added = [name for name in now if name not in was]
    removed = [name for name in was if name not in now]
    if len(was) == len(now) and added:
        renamed = zip(was, now, strict=True)
        yield "classes renamed: " + _listed([f"{a} to {b}" for a, b in renamed if a != b])
    elif len(was) == len(now) and was != now:
        places = [name for name, other in zip(was, now, strict=True) if name != other]
        yield f"classes swapped: {_listed(places)}"
    else:
        kinds = {"classes added": added, "classes removed": removed}
        yield from (f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names)


def _entry_changes(was: ClassTable, now: ClassTable) -> Iterator[str]:
    former = {entry.name: entry for entry in was.entries}

    def differing(field: str) -> list[str]:
        def value(entry: ClassEntry) -> object:
            return getattr(entry, field)

        both = [(former[entry.name], entry) for entry in now.entries if entry.name in former]
        return [entry.name for old, entry in both if value(old) != value(entry)]

    for field, kind in (("index", "labels changed of"), ("colour", "colours changed of")):
        if names := differing(field):
            yield f"{kind}: {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
