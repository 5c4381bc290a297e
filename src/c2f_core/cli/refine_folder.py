"""`c2f-refine` on folders in shards: by worker processes, a cluster, or one part of the work."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from c2f_core.cli.refine import Options, refine_checked, scope_of
from c2f_core.cli.refine_pair import RefineFiles
from c2f_core.cli.refine_zarr import execution_of, raise_failures
from c2f_core.errors import C2FError, Cancelled, ConfigError, WritingError
from c2f_core.io.maps import MapStyle
from c2f_core.refine.interface import RefinerInterface
from c2f_core.refine.scope import Scope
from c2f_core.scale.ledger import Task
from c2f_core.scale.plan import Plan, RefinerPlan
from c2f_core.scale.run import ledger_folder, run_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS = 16
"""Number of pairs of a shard: a few seconds of work for photographs."""


class PairPlan(BaseModel):
    """Files of one pair, absolute; `confidence` is None if it is not written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Path
    coarse: Path
    output: Path
    confidence: Path | None


class FolderPlan(Plan):
    """Plan of the refinement of a folder.

    Attributes
    ----------
    pairs : tuple of PairPlan
        The pairs in their order, which the shards share out.
    tolerance : float
        Maximum RGB distance from a class colour.
    style : {"palette", "colour", "index"}
        Format of the fine maps.
    """

    pairs: tuple[PairPlan, ...]
    tolerance: float
    style: MapStyle

    def options(self, pair: PairPlan) -> Options:
        """Return the options of the command that refines one pair."""
        return Options(
            pair.image, pair.coarse, pair.output, tolerance=self.tolerance, style=self.style
        )


class FolderJob:
    """Refinement of a folder in shards of some pairs.

    Parameters
    ----------
    plan : FolderPlan
        The plan. The refiner is opened when the first shard is done.
    """

    def __init__(self, plan: FolderPlan) -> None:
        self._plan = plan
        self._scope = Scope.from_record(plan.refiner.scope)
        self._refiner: RefinerInterface | None = None

    @property
    def stages(self) -> tuple[int, ...]:
        """Number of shards of the only stage."""
        return (-(-len(self._plan.pairs) // PAIRS),)

    def place(self, task: Task) -> str:
        """Describe for the user what a shard covers."""
        pairs = self._pairs(task)
        return f"{pairs[0].image.name} to {pairs[-1].image.name}"

    def perform(self, task: Task) -> None:
        """Check and refine the pairs of a shard; doing it again replaces them.

        If a pair cannot be refined, the others of the shard still are.
        """
        if self._refiner is None:
            self._refiner = self._plan.refiner.open()
        errors = [self._error_of(pair, self._refiner) for pair in self._pairs(task)]
        for error in filter(None, errors):
            raise error

    def _error_of(self, pair: PairPlan, refiner: RefinerInterface) -> C2FError | None:
        """Refine a pair; return why it cannot be refined, or None if it was."""
        job = RefineFiles(pair.image, pair.coarse, pair.output, pair.confidence)
        try:
            refine_checked(job, refiner, self._plan.options(pair), self._scope)
        except (Cancelled, WritingError):
            raise  # The next pair would fail for the same reason.
        except C2FError as error:
            return error
        return None

    def _pairs(self, task: Task) -> "Sequence[PairPlan]":
        return self._plan.pairs[task.number * PAIRS : (task.number + 1) * PAIRS]


class _FolderOutput:
    """Fine maps of a folder, of which those of a begun run count as its own."""

    def __init__(self, plan: FolderPlan, folder: Path, ledger: Path) -> None:
        self._plan, self._folder, self._ledger = plan, folder, ledger

    def exists(self) -> bool:
        if self._folder.is_dir() and (self._ledger / "plan.json").is_file():
            return True
        return any(pair.output.exists() for pair in self._plan.pairs)

    def create(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def delete(self) -> None:
        """Keep the files: each is replaced when its pair is refined."""


def refine_folder(
    options: Options, found: "Sequence[RefineFiles]", refiner: RefinerInterface
) -> None:
    """Refine a folder in shards, or continue that.

    Parameters
    ----------
    options : Options
        Options of the command.
    found : sequence of RefineFiles
        The pairs of the folders.
    refiner : RefinerInterface
        The opened refiner.

    Raises
    ------
    C2FError
        If the output exists or is being written, or if shards failed, at the end.
    """
    if options.resume:
        raise ConfigError(
            "With --workers, --scheduler and --shard, the same command continues by itself; omit "
            "--resume."
        )
    plan = _plan_of(options, found, refiner)
    folder = options.output.absolute()
    ledger = ledger_folder(folder, "maps")
    with tqdm(desc="Refining", unit="shard", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = run_plan(
            plan,
            FolderJob(plan),
            _FolderOutput(plan, folder, ledger),
            perform_folder,
            ledger,
            execution_of(options),
            overwrite=options.overwrite,
            progress=show,
        )
    raise_failures(report)
    if report.shards == 0 and report.is_complete:
        print(f"Nothing to do: all of {options.output} is finished.")
    elif report.is_complete:
        print(f"Wrote {len(plan.pairs)} fine maps to {options.output}")
    else:
        print(f"Finished part {options.shard} of {options.output}; the others are still missing.")


def _plan_of(
    options: Options, found: "Sequence[RefineFiles]", refiner: RefinerInterface
) -> FolderPlan:
    return FolderPlan(
        refiner=RefinerPlan.of(
            refiner,
            options.model,
            scope_of(options),
            refiner.class_table,
            device=options.device,
            average_flips=options.average_flips,
        ),
        pairs=tuple(
            PairPlan(
                image=job.image.absolute(),
                coarse=job.coarse.absolute(),
                output=job.output.absolute(),
                confidence=None if job.confidence is None else job.confidence.absolute(),
            )
            for job in found
        ),
        tolerance=options.tolerance,
        style=options.style,
    )


@lru_cache(maxsize=1)
def _job(path: Path, _fingerprint: str) -> FolderJob:
    return FolderJob(FolderPlan.model_validate_json(path.read_bytes()))


def perform_folder(path: str, fingerprint: str, task: Task) -> None:
    """Do one shard of the plan in a file; see `c2f_core.scale.volume.perform`."""
    _job(Path(path), fingerprint).perform(task)
