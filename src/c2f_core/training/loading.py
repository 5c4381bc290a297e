"""Pairs of a run: with fine maps for training, without them, and for validation."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from c2f_core.classes.table import ClassTable
from c2f_core.config.settings import DataConfig, TrainConfig
from c2f_core.data.layouts import open_pairs
from c2f_core.data.pairs import Pair, coarse_displacement, fingerprint
from c2f_core.data.pixel_store import PixelStore
from c2f_core.data.simulation import simulation_of
from c2f_core.data.splits import assign_roles, listed_names
from c2f_core.device import free_memory
from c2f_core.documents import existing_parent, is_unicode
from c2f_core.errors import Cancelled, DataError
from c2f_core.models.metadata import read_metadata
from c2f_core.training.data_record import (
    DataRecord,
    ResumedData,
    changed_data,
    check_same_classes,
)
from c2f_core.training.processes import processes_per_node
from c2f_core.training.run_folder import RunFolder

ShouldStop = Callable[[], bool]

SHARE_OF_MEMORY = 0.5
"""Share of the free memory that pixels of pairs may take; networks and the system need the rest."""


@dataclass(frozen=True)
class TrainingData:
    """Pairs of a run, and what the user should know about them.

    Attributes
    ----------
    class_table : ClassTable
        Class table of the pairs.
    train, validation : list of Pair
        Pairs with fine maps that train and that validate.
    coarse_only : list of Pair
        Training pairs without fine maps.
    messages : tuple of str
        What the user should know, one sentence each.
    record : DataRecord
        Record to compare the data with when the run is resumed.
    """

    class_table: ClassTable
    train: list[Pair]
    coarse_only: list[Pair]
    validation: list[Pair]
    messages: tuple[str, ...]
    record: DataRecord

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the training pairs; hashed once, as checkpoints are written often."""
        return fingerprint(self.train)

    @cached_property
    def coarse_displacement(self) -> float | None:
        """Mean distance in pixels of coarse from fine boundaries in the training pairs."""
        return coarse_displacement(self.train)


def load_training_data(
    config: TrainConfig,
    should_stop: ShouldStop = lambda: False,
    earlier: DataRecord | None = None,
    accept_changes: bool = False,
) -> TrainingData:
    """Read the pairs of a run.

    Parameters
    ----------
    config : TrainConfig
        Config of the run, which names the data and decides how they are split.
    should_stop : callable
        Function that is called between the pairs; reading ends when it returns True.
    earlier : DataRecord, optional
        Data with which an interrupted run began; its pairs keep their roles.
    accept_changes : bool
        Whether to resume that run although its data have changed.

    Returns
    -------
    TrainingData
        Pairs by their role.

    Raises
    ------
    DataError, ClassTableError
        If files, splits or classes do not fit.
    ChangedDataError
        If the data are not those of the interrupted run, and this is not accepted.
    Cancelled
        If `should_stop` returned True.
    """
    data = config.data
    table = ClassTable.named(data.class_table)
    source = open_pairs(data.root, table, simulation_of(config.simulation))
    if earlier is not None:  # Maps may be unreadable with other classes.
        check_same_classes(earlier.class_table, source.class_table, accept_changes)
    names, held_out = listed_names(data, source.names)
    check_pair_names([*names, *held_out])
    loaded: dict[str, Pair] = {}
    store = pixel_store(config)
    for pair in source.subset([*dict.fromkeys([*names, *held_out])]):
        if should_stop():
            raise Cancelled("Stopped before the first step; nothing was trained.")
        loaded[pair.name] = store.hold(pair)
    changes: tuple[str, ...] = ()
    if earlier is None:
        roles = assign_roles(
            data, config.seed, source.names, lambda name: loaded[name].fine is not None
        )
    else:
        resumed = ResumedData(earlier, source.class_table, loaded, data)
        roles, changes = resumed.roles(accept_changes)
    source.check_class_tables()
    for name in (*roles.train, *roles.validation):
        check_something_drawn(loaded[name], source.fine_map_warning(name))
    coarse_only = [replace(loaded[name], fine=None) for name in roles.coarse_only]
    return TrainingData(
        source.class_table,
        [loaded[name] for name in roles.train],
        coarse_only,
        [loaded[name] for name in roles.validation],
        (
            *changes,
            *source.notes(),
            *simulated_message(sum(pair.is_simulated for pair in loaded.values())),
            *store.messages(),
            *_fate_of(coarse_only, config.method, data),
        ),
        DataRecord.of(source.class_table, roles, loaded),
    )


def pixel_store(config: TrainConfig) -> PixelStore:
    """Return an empty store for the pixels of a run; its file would be next to the run's own."""
    import torch  # It takes seconds, and the widgets that list runs start without it.

    free = free_memory(torch.device("cpu")) // processes_per_node(config)
    return PixelStore(int(free * SHARE_OF_MEMORY), existing_parent(config.run_folder / "pixels"))


def check_pair_names(names: Iterable[str]) -> None:
    """Check that the names of pairs can be recorded in JSON.

    Parameters
    ----------
    names : iterable of str
        Names of the pairs.

    Raises
    ------
    DataError
        If a name is not valid UTF-8.
    """
    for name in names:
        if not is_unicode(name):
            raise DataError(
                f"The name of the pair '{name}' is not valid UTF-8 and cannot be recorded; rename "
                "its files."
            )


def without_record(folder: RunFolder, data: TrainingData, accept_changes: bool) -> TrainingData:
    """Compare data with the last checkpoint of a run that recorded no pairs.

    Parameters
    ----------
    folder : RunFolder
        Folder of a run that an earlier version began.
    data : TrainingData
        Pairs of the resumed run.
    accept_changes : bool
        Whether to resume although the data have changed.

    Returns
    -------
    TrainingData
        The same pairs, with a message that changes may go unnoticed.

    Raises
    ------
    DataError
        If the number of classes has changed.
    ChangedDataError
        If the class table or the training pairs have changed, and this is not accepted.
    """
    if folder.last.exists():
        metadata = read_metadata(folder.last)
        check_same_classes(metadata.class_table, data.class_table, accept_changes)
        is_same = metadata.data_fingerprint in ("", data.fingerprint)
        if not is_same and not accept_changes:
            raise changed_data(["other training pairs"])
    message = (
        "This run was begun by an earlier version, which did not record its pairs: check that "
        "none has been added, removed or changed since."
    )
    return replace(data, messages=(message, *data.messages))


def check_something_drawn(pair: Pair, warning: str = "") -> None:
    """Check that the fine map of a pair, if there is one, has labelled pixels.

    Parameters
    ----------
    pair : Pair
        Pair that trains or validates.
    warning : str
        Sentence about colours in the fine map that are not those of its classes, if any.

    Raises
    ------
    DataError
        If the whole fine map is unlabelled: there is nothing to learn or to score.
    """
    if pair.fine is not None and not pair.has_labels:
        if warning:
            raise DataError(f"{pair.name}: no pixel of the fine map was read as a class; {warning}")
        raise DataError(
            f"{pair.name}: nothing is drawn in the fine map; draw it, or remove its file, so that "
            "the pair counts as one without a fine map."
        )


def check_coarse_only(coarse_only: Sequence[object]) -> None:
    """Check that stage 2 has pairs without fine maps.

    Parameters
    ----------
    coarse_only : sequence
        Coarse-only pairs, or their names.

    Raises
    ------
    DataError
        If there are none.
    """
    if not coarse_only:
        raise DataError(
            "Stage 2 learns from pairs without fine maps, and there are none; add images with "
            "coarse maps only, or set data.fine_maps."
        )


def simulated_message(count: int) -> list[str]:
    """Return a sentence on the pairs without a coarse map; none if there are no such pairs."""
    if not count:
        return []
    return [f"Pairs without a coarse map ({count}) are used with simulated coarse maps."]


def _fate_of(coarse_only: Sequence[Pair], method: str, data: DataConfig) -> list[str]:
    if not coarse_only:
        return []
    why = "without fine maps" if data.fine_maps is None else "whose fine maps are not used"
    fates = {"stage2": "used for training", "stage1": "left for stage 2"}
    fate = fates.get(method, "skipped")
    return [f"Pairs {why} ({len(coarse_only)}) are {fate}."]
