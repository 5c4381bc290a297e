"""Run a plan: by this process, by the workers of a cluster, or one part of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from c2f_core.errors import ConfigError, DataError
from c2f_core.scale.cluster import local_cluster, remote_cluster, run_on_cluster
from c2f_core.scale.engine import Failure, Job, Runner, is_complete, run_here, run_job
from c2f_core.scale.ledger import Ledger, Share, Task
from c2f_core.scale.plan import Plan
from c2f_core.scale.volume import VolumeJob, VolumePlan, check_space
from c2f_core.scale.volume import perform as perform_volume

Progress = Callable[[int, int], None]
"""Function that is called with the number of finished shards, and of all shards of this process."""


@dataclass(frozen=True)
class Execution:
    """Who does the shards of a run; by default this process.

    Attributes
    ----------
    workers : int, optional
        Number of worker processes to start on this machine.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the shards, such as tcp://host:8786.
    share : Share
        Part of the run that this process does without any scheduler.

    Raises
    ------
    ConfigError
        If more than one of them is given, or a number is out of range.
    """

    workers: int | None = None
    scheduler: str | None = None
    share: Share = field(default_factory=Share)

    def __post_init__(self) -> None:
        given = [self.workers is not None, self.scheduler is not None, not self.share.is_all]
        if sum(given) > 1:
            raise ConfigError("Give one of --workers, --scheduler and --shard.")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"{self.workers} workers cannot do anything; give at least 1.")
        if not 1 <= self.share.index <= self.share.count:
            raise ConfigError(
                f"There is no part {self.share.index} of {self.share.count}; number the parts "
                f"from 1, such as --shard 1/{max(self.share.count, 1)}."
            )


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    shards : int
        Number of shards that this run finished.
    failures : list of Failure
        Shards that failed three times.
    is_complete : bool
        Whether the output is complete: no part is missing and nothing failed.
    """

    shards: int
    failures: list[Failure]
    is_complete: bool


class Output(Protocol):
    """What a run writes."""

    def exists(self) -> bool:
        """Return whether it was begun."""

    def create(self) -> None:
        """Create it empty."""

    def delete(self) -> None:
        """Delete it."""


class _VolumeOutput:
    def __init__(self, plan: VolumePlan, job: VolumeJob) -> None:
        self._plan, self._job = plan, job
        self.exists, self.delete = plan.group.exists, plan.group.delete

    def create(self) -> None:
        check_space(self._plan)
        self._job.create_output()


def refine_volume(
    plan: VolumePlan,
    execution: Execution | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunReport:
    """Refine an OME-Zarr image, or continue a run of the same plan.

    Parameters
    ----------
    plan : VolumePlan
        What to refine, and how.
    execution : Execution, optional
        Who does the work, by default this process.
    overwrite : bool
        Whether to delete an existing output, and start again.
    progress : callable, optional
        Function that is called after each shard.

    Returns
    -------
    RunReport

    Raises
    ------
    DataError
        If the output exists and is not to be overwritten, is being written, or was begun by
        another plan; or the scheduler is lost.
    WritingError
        If the output cannot be written.
    """
    plan.group.check_writable()
    job = VolumeJob(plan)
    return run_plan(
        plan,
        job,
        _VolumeOutput(plan, job),
        perform_volume,
        ledger_folder(plan.store, plan.name),
        execution or Execution(),
        overwrite=overwrite,
        progress=progress,
    )


def ledger_folder(output: Path, name: str) -> Path:
    """Return the folder of the ledger of an output, which is next to it."""
    return output.absolute().with_name(f"{output.stem}-{name}.ledger")


def run_plan(
    plan: Plan,
    job: Job,
    output: Output,
    perform: Callable[[str, str, Task], None],
    folder: Path,
    execution: Execution,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunReport:
    """Run a plan whose output and ledger may exist already; see `refine_volume`.

    Parameters
    ----------
    plan : Plan
        The plan.
    job : Job
        Its shards, done by this process if it does them.
    output : Output
        What is written.
    perform : callable
        Function by which workers do a shard, from the file of the plan, its fingerprint and
        the task.
    folder : Path
        Folder of the ledger.
    execution : Execution
        Who does the work.
    overwrite : bool
        Whether to delete an existing output, and start again.
    progress : callable, optional
        Function that is called after each shard.
    """
    if overwrite and not execution.share.is_all:
        raise ConfigError(
            "A part must not overwrite what other parts write; delete the output before the first "
            "part starts, and omit --overwrite."
        )
    plan.check()
    with Ledger(folder, execution.share) as ledger:
        with ledger.preparing():
            _prepare(plan, output, ledger, overwrite)
        before, total = len(ledger.finished()), sum(job.stages)
        if before >= total:
            return RunReport(0, [], is_complete=True)
        done = 0

        def finished_one() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, max(done, total // execution.share.count - before))

        arguments = str(ledger.plan), plan.fingerprint
        with _runner(job, perform, arguments, execution) as run:
            failures = run_job(job, ledger, run, finished_one)
        return RunReport(done - len(failures), failures, is_complete(job, ledger))


def _prepare(plan: Plan, output: Output, ledger: Ledger, overwrite: bool) -> None:
    """Begin the ledger and create the output, unless the run is continued."""
    if overwrite and output.exists():
        output.delete()
    elif output.exists():
        if not plan.is_begun(ledger):
            raise DataError(
                "The output exists already; add --overwrite to replace it, or choose another one."
            )
        if ledger.is_created():
            return
    plan.begin(ledger)
    output.create()
    ledger.mark_created()


@contextmanager
def _runner(
    job: Job,
    perform: Callable[[str, str, Task], None],
    arguments: tuple[Any, ...],
    execution: Execution,
) -> Iterator[Runner]:
    if execution.workers is not None:
        with local_cluster(execution.workers) as client:
            yield run_on_cluster(client, perform, *arguments)
    elif execution.scheduler is not None:
        with remote_cluster(execution.scheduler) as client:
            yield run_on_cluster(client, perform, *arguments)
    else:
        yield run_here(job)
