"""The pairs of a run: which train with fine maps, which without, which validate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from c2f_core.classes import PRESETS, ClassTable
from c2f_core.config import DataConfig, TrainConfig
from c2f_core.data.folder import open_pairs
from c2f_core.data.pairs import FilePairs, Pair
from c2f_core.data.splits import draw_validation, read_groups, read_split
from c2f_core.errors import DataError


@dataclass(frozen=True)
class TrainingData:
    """Pairs in memory, and what the user should know about them.

    Attributes
    ----------
    class_table : ClassTable
    train, validation : list of Pair
        With fine maps.
    coarse_only : list of Pair
        Training pairs without fine maps.
    messages : tuple of str
        One sentence each.
    """

    class_table: ClassTable
    train: list[Pair]
    coarse_only: list[Pair]
    validation: list[Pair]
    messages: tuple[str, ...]


def load_class_table(name: str) -> ClassTable:
    """Return a preset, or read a TOML or JSON file.

    Raises
    ------
    ClassTableError
        It is neither, or the file is no valid class table.
    """
    return ClassTable.preset(name) if name in PRESETS else ClassTable.from_file(name)


def load_training_data(config: TrainConfig) -> TrainingData:
    """Read the pairs of a run.

    Raises
    ------
    DataError, ClassTableError
        Files, splits or classes do not fit.
    """
    data = config.data
    source = open_pairs(data.root, load_class_table(data.class_table))
    names = read_split(data.splits, data.train) if data.splits else source.names
    held_out = read_split(data.splits, data.validation) if data.splits and data.validation else []
    loaded = {pair.name: pair for pair in source.subset([*dict.fromkeys([*names, *held_out])])}
    with_fine = [name for name in names if loaded[name].fine is not None]
    if held_out:
        with_fine = [name for name in with_fine if name not in held_out]
    else:
        groups = read_groups(data.splits) if data.splits else []
        with_fine, held_out = draw_validation(with_fine, data.validation_share, config.seed, groups)
    if not with_fine or any(loaded[name].fine is None for name in held_out):
        raise DataError("Training and validation need pairs with fine maps; add fine maps.")
    train = with_fine[: data.fine_maps]
    unused = set(train) | set(held_out)
    coarse_only = [replace(loaded[name], fine=None) for name in names if name not in unused]
    return TrainingData(
        source.class_table,
        [loaded[name] for name in train],
        coarse_only,
        [loaded[name] for name in held_out],
        (*_doubts(source), *_fate_of(coarse_only, config.method, data)),
    )


def _doubts(source: FilePairs) -> list[str]:
    return [f"{path.name}: {report.message()}" for path, report in source.reports.items()]


def _fate_of(coarse_only: Sequence[Pair], method: str, data: DataConfig) -> list[str]:
    if not coarse_only:
        return []
    why = "without a fine map" if data.fine_maps is None else "whose fine maps are not used"
    fate = "train with their coarse maps" if method == "stage2" else "are left out"
    return [f"{len(coarse_only)} pairs {why} {fate}."]
