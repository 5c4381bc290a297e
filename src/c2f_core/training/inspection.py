"""Inspect the data of a run before it starts: what is there, what does not fit, what validates."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from c2f_core.classes.table import UNLABELLED_ID, ClassTable
from c2f_core.config.settings import TrainConfig
from c2f_core.data.layouts import list_pairs
from c2f_core.data.pairs import Pair
from c2f_core.data.simulation import simulation_of
from c2f_core.data.splits import Roles, assign_roles, listed_names
from c2f_core.errors import C2FError
from c2f_core.metrics.scores import confusion_matrix, pixel_accuracy
from c2f_core.training.data_record import DataRecord, KeptRoles, hash_of
from c2f_core.training.loading import (
    ShouldStop,
    check_coarse_only,
    check_pair_names,
    check_something_drawn,
    simulated_message,
)
from c2f_core.training.pictures import SimulatedExamples, coloured, simulated_examples
from c2f_core.training.run_folder import STAGES, RunFolder

Role = Literal["trains", "validates", "coarse only", "unused"]
ROLE_TEXTS: dict[Role, str] = {
    "trains": "for training",
    "validates": "for validation",
    "coarse only": "for training with the coarse map only",
    "unused": "skipped",
}
THUMBNAIL_SIDE = 64
THUMBNAIL_COUNT = 200
"""Maximum number of pairs with a thumbnail, to bound the memory."""


@dataclass(frozen=True)
class PairReport:
    """What was found in one pair.

    Attributes
    ----------
    name : str
        Name of the pair.
    role : {"trains", "validates", "coarse only", "unused"}
        What the run uses the pair for.
    has_fine : bool
        Whether there is a fine map.
    shape : (int, int) or None
        Rows and columns; None if the pair cannot be read, or the run does not read it.
    accuracy : float or None
        Share in [0, 1] of the pixels with a fine label whose coarse label is right; None
        without a fine or a coarse map.
    is_simulated : bool
        Whether the coarse map is missing, so that it is simulated.
    problems : tuple of str
        Why the pair cannot be used for training, one sentence each.
    warnings : tuple of str
        What the user should check, one sentence each.
    thumbnail : (Y, X, 3) uint8 array or None
        Image, coarse map and, if there is one, fine map side by side.
    """

    name: str
    role: Role
    has_fine: bool
    shape: tuple[int, int] | None = None
    accuracy: float | None = None
    is_simulated: bool = False
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    thumbnail: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class InspectionProgress:
    """`count` of the `total` pairs that a run reads have been inspected."""

    count: int
    total: int


@dataclass(frozen=True)
class Inspection:
    """What was found in a dataset.

    Attributes
    ----------
    class_table : ClassTable
        Class table of the maps.
    pairs : list of PairReport
        Reports of all pairs.
    problems : list of str
        Problems of the dataset as a whole, such as files without a partner or too
        few fine maps, one sentence each.
    coarse_shares, fine_shares : dict of str to float
        Share of the pixels in [0, 1] by class name, with one entry for unlabelled pixels.
    blending : str
        Sentence about the pixels at blended boundaries that became the nearest class;
        empty if there are none.
    one_class : str
        Sentence about maps that have one class only, or none; empty if there are none.
    examples : SimulatedExamples or None
        Coarse maps simulated for a training pair; None if the run simulates none.
    """

    class_table: ClassTable
    pairs: list[PairReport]
    problems: list[str]
    coarse_shares: dict[str, float] = field(default_factory=dict)
    fine_shares: dict[str, float] = field(default_factory=dict)
    blending: str = ""
    one_class: str = ""
    examples: SimulatedExamples | None = None

    @property
    def all_problems(self) -> list[str]:
        """All problems to fix before training, one sentence each."""
        return [*self.problems, *(each for pair in self.pairs for each in pair.problems)]

    @property
    def accuracy(self) -> float | None:
        """Mean accuracy of the coarse maps of pairs with fine maps; None without any."""
        known = [pair.accuracy for pair in self.pairs if pair.accuracy is not None]
        return float(np.mean(known)) if known else None

    def count(self, role: Role) -> int:
        """Return the number of pairs with a role."""
        return sum(pair.role == role for pair in self.pairs)

    def lines(self) -> list[str]:
        """Describe the dataset to the user in lines."""
        return [
            f"{len(self.pairs)} pairs: {self._role_counts() or 'none'}.",
            *self._pixel_lines(),
            *simulated_message(sum(pair.is_simulated for pair in self.pairs)),
            *([self.examples.message()] if self.examples else []),
            *(note for note in (self.blending, self.one_class) if note),
            *(warning for pair in self.pairs for warning in pair.warnings),
            *self._problem_lines(),
        ]

    def _role_counts(self) -> str:
        counts = {text: self.count(role) for role, text in ROLE_TEXTS.items()}
        return ", ".join(f"{count} {text}" for text, count in counts.items() if count)

    def _pixel_lines(self) -> Iterator[str]:
        if self.accuracy is not None:
            share = f"{100 * self.accuracy:.1f} %"
            yield f"The coarse maps are right in {share} of the pixels with a fine label."
        for kind, shares in (("coarse", self.coarse_shares), ("fine", self.fine_shares)):
            if shares:
                listed = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
                yield f"Pixels of the {kind} maps: {listed}."

    def _problem_lines(self) -> Iterator[str]:
        problems = self.all_problems
        if problems:
            yield f"To fix before training ({len(problems)}):"
            yield from (f"- {problem}" for problem in problems)


def inspect_data(
    config: TrainConfig, should_stop: ShouldStop = lambda: False, *, resume: bool = False
) -> Iterator[InspectionProgress | Inspection]:
    """Read every pair that a run will read; problems are reported by file, not raised.

    Parameters
    ----------
    config : TrainConfig
        Config of the run, which decides how the pairs are split. Pairs outside its
        lists count as unused, and their files are not read.
    should_stop : callable
        Function that is called before each pair; when it returns True, the inspection
        ends.
    resume : bool
        Whether the run in the run folder is resumed, if it has begun: its pairs keep their roles.

    Yields
    ------
    InspectionProgress or Inspection
        Progress after each pair, then the result.

    Raises
    ------
    DataError, ClassTableError
        If there is no dataset or no class table.
    """
    inspector = _Inspector(config, resume)
    total = len(inspector.indices)
    for count, index in enumerate(inspector.indices, start=1):
        if should_stop():
            return
        inspector.inspect(index, with_thumbnail=count <= THUMBNAIL_COUNT)
        yield InspectionProgress(count, total)
    yield inspector.result()


class _Inspector:
    """Reads the pairs of a run one by one and collects reports and pixel counts.

    Attributes
    ----------
    indices : list of int
        Places of the pairs to inspect in their order.
    """

    def __init__(self, config: TrainConfig, resume: bool) -> None:
        data = config.data
        self._config = config
        simulation = simulation_of(config.simulation)
        listing = list_pairs(data.root, ClassTable.named(data.class_table), simulation)
        self._table = listing.class_table
        self._source = listing.pairs()
        self._with_fine = {files.name for files in listing.files if files.fine is not None}
        self._problems = [message for files in listing.unmatched for message in files.messages()]
        self._roles: dict[str, Role] = {}
        listed = set(self._source.names)
        try:
            listed &= {name for names in listed_names(data, self._source.names) for name in names}
            self._roles = self._by_name(self._split(listed, resume))
            check_pair_names(self._roles)
        except C2FError as error:
            self._problems.append(str(error))
        self.indices = [place for place, name in enumerate(self._source.names) if name in listed]
        self._reports: dict[str, PairReport] = {}
        self._examples: SimulatedExamples | None = None
        self._coarse_counts, self._fine_counts = np.zeros((2, 256), dtype=np.int64)

    def _split(self, listed: Collection[str], resume: bool) -> Roles:
        """Return the names of the pairs by role, as the run will split them."""
        data, names = self._config.data, self._source.names
        earlier = _earlier_data(self._config) if resume else None
        if earlier is None:
            return assign_roles(data, self._config.seed, names, self._has_fine)
        present = [name for name in names if name in listed]
        return KeptRoles(earlier, data, present, self._has_fine, self._digest).roles()

    def _has_fine(self, name: str) -> bool:
        return name in self._with_fine

    def _digest(self, name: str) -> str:
        """Return the hash of a pair; empty if it cannot be read, as its report will say."""
        try:
            (pair,) = self._source.only(self._source.names.index(name))
        except C2FError:
            return ""
        return hash_of(pair, True)

    def _by_name(self, roles: Roles) -> dict[str, Role]:
        in_stage_2 = self._config.method in ("stage2", "model2")
        if in_stage_2:
            check_coarse_only(roles.coarse_only)
        left: Role = "coarse only" if in_stage_2 else "unused"
        return {
            **dict.fromkeys(roles.coarse_only, left),
            **dict.fromkeys(roles.train, "trains"),
            **dict.fromkeys(roles.validation, "validates"),
        }

    def inspect(self, index: int, with_thumbnail: bool) -> None:
        """Read one pair and report on it."""
        name = self._source.names[index]
        report = self._unread(name)
        source = self._source.only(index)
        try:
            (pair,) = source
            source.check_class_tables()
            if report.role in ("trains", "validates"):
                check_something_drawn(pair, source.fine_map_warning(name))
        except C2FError as error:
            self._reports[name] = _failed(report, str(error), source.warnings())
            return
        self._count(pair)
        if self._examples is None and report.role == "trains":
            settings, seed = self._config.simulation, self._config.seed
            self._examples = simulated_examples(pair, self._table, settings, seed)
        self._reports[name] = replace(
            report,
            shape=(pair.coarse.shape[0], pair.coarse.shape[1]),
            accuracy=None if pair.is_simulated else _accuracy(pair, self._table),
            is_simulated=pair.is_simulated,
            warnings=tuple(source.warnings()),
            thumbnail=thumbnail(pair, self._table) if with_thumbnail else None,
        )

    def _unread(self, name: str) -> PairReport:
        return PairReport(name, self._roles.get(name, "unused"), name in self._with_fine)

    def _count(self, pair: Pair) -> None:
        if not pair.is_simulated:
            self._coarse_counts += np.bincount(pair.coarse.ravel(), minlength=256)
        if pair.fine is not None:
            self._fine_counts += np.bincount(pair.fine.ravel(), minlength=256)

    def result(self) -> Inspection:
        """Return all reports; pairs that were not inspected are unused."""
        return Inspection(
            self._table,
            [self._reports.get(name, self._unread(name)) for name in self._source.names],
            self._problems,
            _shares(self._coarse_counts, self._table),
            _shares(self._fine_counts, self._table),
            self._source.blending_message(),
            self._source.one_class_message(),
            self._examples,
        )


def _earlier_data(config: TrainConfig) -> DataRecord | None:
    """Return the data with which the run in the run folder began; None if it has not begun."""
    stages = [config.run_folder / stage for stage in STAGES]
    folders = map(RunFolder, stages if config.method == "model2" else [config.run_folder])
    records = [folder.read_data_record() for folder in folders if folder.has_checkpoint]
    return records[-1] if records else None


def _failed(report: PairReport, problem: str, warnings: Sequence[str]) -> PairReport:
    """Add the problem that keeps a pair from training, named by the pair, to its report."""
    named = problem if problem.startswith(report.name) else f"{report.name}: {problem}"
    others = tuple(warning for warning in warnings if warning not in named)
    return replace(report, problems=(named,), warnings=others)


def _accuracy(pair: Pair, class_table: ClassTable) -> float | None:
    """Accuracy of the coarse map; None if there is no fine label."""
    if pair.fine is None:
        return None
    confusion = confusion_matrix(pair.coarse, pair.fine, class_table.number_of_classes)
    return pixel_accuracy(confusion) if confusion.any() else None


def _shares(counts: NDArray[np.int64], table: ClassTable) -> dict[str, float]:
    """Shares of the pixels by class name; empty if there was no map."""
    total = int(counts.sum())
    if not total:
        return {}
    shares = {name: float(counts[class_id] / total) for class_id, name in enumerate(table.names)}
    unlabelled = float(counts[UNLABELLED_ID] / total)
    return shares | ({table.unlabelled.name: unlabelled} if unlabelled else {})


def thumbnail(pair: Pair, class_table: ClassTable) -> NDArray[np.uint8]:
    """Put small pictures of image, coarse map and fine map side by side.

    Parameters
    ----------
    pair : Pair
        Pair to show, with or without a fine map.
    class_table : ClassTable
        Class table with the colours of its maps.

    Returns
    -------
    (Y, X, 3) uint8 array
        Picture of at most `THUMBNAIL_SIDE` rows.
    """
    step = max(1, -(-max(pair.coarse.shape) // THUMBNAIL_SIDE))
    maps = [class_ids for class_ids in (pair.coarse, pair.fine) if class_ids is not None]
    pictures = [pair.image[::step, ::step]]
    for class_ids in maps:
        pictures.append(coloured(class_ids[::step, ::step], class_table))
    return np.concatenate(pictures, axis=1)
