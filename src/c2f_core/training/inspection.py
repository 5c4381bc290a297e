"""Look at the data of a run before it starts: what is there, what does not fit, who validates."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.colours import encode_colours
from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.config.settings import TrainConfig
from c2f_core.data.layouts import list_pairs
from c2f_core.data.pairs import FilePairs, Pair
from c2f_core.data.splits import assign_roles, listed_names
from c2f_core.errors import C2FError
from c2f_core.metrics.scores import confusion_matrix, pixel_accuracy
from c2f_core.training.loading import ShouldStop, check_coarse_only, check_something_drawn

Role = Literal["trains", "validates", "coarse only", "unused"]
SAID: dict[Role, str] = {
    "trains": "train",
    "validates": "validate",
    "coarse only": "train with their coarse maps only",
    "unused": "are left out",
}
THUMBNAIL_SIDE = 64
THUMBNAIL_COUNT = 200
"""Pairs that get a picture; more would only fill the memory."""


@dataclass(frozen=True)
class PairReport:
    """What was found in one pair.

    Attributes
    ----------
    name : str
    role : {"trains", "validates", "coarse only", "unused"}
    has_fine : bool
    shape : (rows, columns) or None
        None where it cannot be read, or was not, as the run does not either.
    accuracy : float or None
        Share of the pixels with a fine label where the coarse map is right.
    problems : tuple of str
        What keeps it from training, one sentence each.
    doubts : tuple of str
        What the user should look at.
    thumbnail : (Y, X, 3) uint8 array or None
        Image, coarse map and, where there is one, fine map side by side.
    """

    name: str
    role: Role
    has_fine: bool
    shape: tuple[int, int] | None = None
    accuracy: float | None = None
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    thumbnail: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class InspectionProgress:
    """So many of the pairs that a run reads were looked at."""

    count: int
    total: int


@dataclass(frozen=True)
class Inspection:
    """What was found in a dataset.

    Attributes
    ----------
    class_table : ClassTable
    pairs : list of PairReport
    problems : list of str
        Of the dataset as a whole: files without a partner, too few fine maps.
    coarse_shares, fine_shares : dict
        Share of the pixels by class name, unlabelled ones under their own name.
    blending : str
        How many pixels at blended boundaries became the nearest class; empty if none.
    """

    class_table: ClassTable
    pairs: list[PairReport]
    problems: list[str]
    coarse_shares: dict[str, float] = field(default_factory=dict)
    fine_shares: dict[str, float] = field(default_factory=dict)
    blending: str = ""

    @property
    def all_problems(self) -> list[str]:
        """Everything that has to be mended before training, one sentence each."""
        return [*self.problems, *(each for pair in self.pairs for each in pair.problems)]

    @property
    def accuracy(self) -> float | None:
        """Mean accuracy of the coarse maps of the pairs with fine maps."""
        known = [pair.accuracy for pair in self.pairs if pair.accuracy is not None]
        return float(np.mean(known)) if known else None

    def count(self, role: Role) -> int:
        """Count the pairs of a role."""
        return sum(pair.role == role for pair in self.pairs)

    def lines(self) -> list[str]:
        """Say it to the user, one line each."""
        counts = ", ".join(
            f"{self.count(role)} {said}" for role, said in SAID.items() if self.count(role)
        )
        lines = [f"{len(self.pairs)} pairs: {counts or 'none'}."]
        if self.accuracy is not None:
            share = f"{100 * self.accuracy:.1f} %"
            lines.append(f"The coarse maps are right in {share} of the pixels with a fine label.")
        for kind, shares in (("coarse", self.coarse_shares), ("fine", self.fine_shares)):
            if shares:
                listed = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
                lines.append(f"Pixels of the {kind} maps: {listed}.")
        lines += [self.blending] if self.blending else []
        lines += [doubt for pair in self.pairs for doubt in pair.doubts]
        if self.all_problems:
            lines.append(f"To mend before training ({len(self.all_problems)}):")
            lines += [f"- {problem}" for problem in self.all_problems]
        return lines


def inspect_data(
    config: TrainConfig, should_stop: ShouldStop = lambda: False
) -> Iterator[InspectionProgress | Inspection]:
    """Read every pair that a run will read; what does not fit is told by file, not raised.

    Parameters
    ----------
    config : TrainConfig
        The pairs are split as training will split them. Those outside its lists of
        pairs count as unused, and their files are not read.
    should_stop : callable
        Asked between the pairs.

    Yields
    ------
    Looked or Inspection
        One count after each pair, and the whole at the end.

    Raises
    ------
    DataError, ClassTableError
        There is no dataset, or no class table.
    """
    data = config.data
    listing = list_pairs(data.root, ClassTable.named(data.class_table))
    with_fine = {files.name for files in listing.files if files.fine is not None}
    problems = [message for lonely in listing.unmatched for message in lonely.messages()]
    source = listing.pairs()
    listed, roles = set(source.names), dict[str, Role]()
    try:
        listed &= {name for names in listed_names(data, source.names) for name in names}
        roles = _roles(config, source.names, with_fine)
    except C2FError as error:
        problems.append(str(error))
    counts = {kind: np.zeros(256, dtype=np.int64) for kind in ("coarse", "fine")}
    reports: list[PairReport] = []
    read = 0
    for index, name in enumerate(source.names):
        if name not in listed:
            reports.append(PairReport(name, "unused", name in with_fine))
            continue
        if should_stop():
            return
        role, pictured = roles.get(name, "unused"), read < THUMBNAIL_COUNT
        reports.append(_inspect(source, index, role, name in with_fine, counts, pictured))
        read += 1
        yield InspectionProgress(read, len(listed))
    shares = {kind: _shares(count, listing.class_table) for kind, count in counts.items()}
    yield Inspection(
        listing.class_table,
        reports,
        problems,
        shares["coarse"],
        shares["fine"],
        source.blending_message(),
    )


def _roles(config: TrainConfig, names: Sequence[str], with_fine: Container[str]) -> dict[str, Role]:
    roles = assign_roles(config.data, config.seed, names, lambda name: name in with_fine)
    in_stage_2 = config.method in ("stage2", "model2")
    if in_stage_2:
        check_coarse_only(roles.coarse_only)
    left: Role = "coarse only" if in_stage_2 else "unused"
    return {
        **dict.fromkeys(roles.coarse_only, left),
        **dict.fromkeys(roles.train, "trains"),
        **dict.fromkeys(roles.validation, "validates"),
    }


def _inspect(
    source: FilePairs,
    index: int,
    role: Role,
    has_fine: bool,
    counts: dict[str, NDArray[np.int64]],
    pictured: bool,
) -> PairReport:
    source = source.only(index)
    (name,) = source.names
    try:
        (pair,) = source
        source.check_class_tables()
        if role in ("trains", "validates"):
            check_something_drawn(pair, source.fine_map_warning(name))
    except C2FError as error:
        message = str(error)
        told = message if message.startswith(name) else f"{name}: {message}"
        doubts = [doubt for doubt in source.warnings() if doubt not in told]
        return PairReport(name, role, has_fine, problems=(told,), doubts=tuple(doubts))
    accuracy = None
    counts["coarse"] += np.bincount(pair.coarse.ravel(), minlength=256)
    if pair.fine is not None:
        counts["fine"] += np.bincount(pair.fine.ravel(), minlength=256)
        confusion = confusion_matrix(pair.coarse, pair.fine, source.class_table.number_of_classes)
        accuracy = pixel_accuracy(confusion) if confusion.any() else None
    return PairReport(
        name,
        role,
        has_fine,
        shape=(pair.coarse.shape[0], pair.coarse.shape[1]),
        accuracy=accuracy,
        doubts=tuple(source.warnings()),
        thumbnail=thumbnail(pair, source.class_table) if pictured else None,
    )


def _shares(counts: NDArray[np.int64], table: ClassTable) -> dict[str, float]:
    """Shares of the pixels by class name; empty where there was no map."""
    total = int(counts.sum())
    if not total:
        return {}
    shares = {name: float(counts[place] / total) for place, name in enumerate(table.names)}
    unlabelled = float(counts[UNLABELLED_ID] / total)
    return shares | ({table.unlabelled.name: unlabelled} if unlabelled else {})


def thumbnail(pair: Pair, class_table: ClassTable) -> NDArray[np.uint8]:
    """Put small pictures of image, coarse and fine map side by side.

    Returns
    -------
    (Y, X, 3) uint8 array
        Y is at most `THUMBNAIL_SIDE`.
    """
    step = max(1, -(-max(pair.coarse.shape) // THUMBNAIL_SIDE))
    maps = [positions for positions in (pair.coarse, pair.fine) if positions is not None]
    pictures = [pair.image[::step, ::step]]
    for positions in maps:
        indices = class_table.to_labels(positions[::step, ::step])
        pictures.append(encode_colours(indices, class_table))
    return np.concatenate(pictures, axis=1)
