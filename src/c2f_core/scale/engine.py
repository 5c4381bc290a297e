"""Run the shards of a job, by this process or by the workers of a Dask cluster.

A shard is tried three times. If it fails, the others go on, and it is reported with its
place. What is finished is in the ledger, so that the same call continues a run that was
stopped, killed or lost its workers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from c2f_core.errors import Cancelled, WritingError
from c2f_core.scale.ledger import Ledger, Task

TRIES = 3
"""Number of times that a shard is tried."""


class Job(Protocol):
    """Work that is cut into shards, in stages of which each needs the one before."""

    @property
    def stages(self) -> tuple[int, ...]:
        """Number of shards of each stage."""

    def perform(self, task: Task) -> None:
        """Do one shard; doing it again gives the same output."""

    def place(self, task: Task) -> str:
        """Describe for the user what a shard covers."""


@dataclass(frozen=True)
class Outcome:
    """What became of a shard.

    Attributes
    ----------
    task : Task
        The shard.
    error : str
        Empty, or a sentence on why it failed the last time.
    """

    task: Task
    error: str = ""


@dataclass(frozen=True)
class Failure:
    """A shard that failed three times.

    Attributes
    ----------
    place : str
        What it covers.
    error : str
        Why it failed.
    """

    place: str
    error: str


Runner = Callable[[Iterable[Task]], Iterator[Outcome]]
"""Does tasks in any order; yields what became of each of them."""


def run_here(job: Job) -> Runner:
    """Return a runner that does the shards in this process, one after the other.

    Parameters
    ----------
    job : Job
        The job.
    """

    def run(tasks: Iterable[Task]) -> Iterator[Outcome]:
        for task in tasks:
            yield _tried(job, task)

    return run


def _tried(job: Job, task: Task) -> Outcome:
    error = ""
    for _ in range(TRIES):
        try:
            job.perform(task)
        except (Cancelled, WritingError):
            raise  # The next shard would fail for the same reason.
        except Exception as reason:  # noqa: BLE001 - Reported; it must not stop the other shards.
            error = sentence(reason)
        else:
            return Outcome(task)
    return Outcome(task, error)


def sentence(error: BaseException) -> str:
    """Describe an error of a shard; errors without a message have at least a type."""
    return str(error) or type(error).__name__


def run_job(
    job: Job, ledger: Ledger, run: Runner, finished_one: Callable[[], None] = lambda: None
) -> list[Failure]:
    """Do all shards of a job that are not in the ledger yet, stage by stage.

    With several parts, later stages are done by the process that finishes last.

    Parameters
    ----------
    job : Job
        The job.
    ledger : Ledger
        Opened ledger of the run.
    run : callable
        Runner, such as `run_here(job)`.
    finished_one : callable
        Function that is called after each shard.

    Returns
    -------
    list of Failure
        Shards that failed. Stages after them are not begun.

    Raises
    ------
    WritingError
        If the output cannot be written, for example if the disk is full.
    """
    for stage, count in enumerate(job.stages):
        done = {task.number for task in ledger.finished() if task.stage == stage}
        numbers = ledger.share.of(count) if stage == 0 else range(count)
        tasks = (Task(stage, number) for number in numbers if number not in done)
        failures = _run_stage(job, ledger, run(tasks), finished_one)
        if failures:
            return failures
        if len({task for task in ledger.finished() if task.stage == stage}) < count:
            return []  # Other parts are not finished yet.
    return []


def _run_stage(
    job: Job, ledger: Ledger, outcomes: Iterator[Outcome], finished_one: Callable[[], None]
) -> list[Failure]:
    failures = []
    for outcome in outcomes:
        if outcome.error:
            failures.append(Failure(job.place(outcome.task), outcome.error))
        else:
            ledger.add(outcome.task)
        finished_one()
    return failures


def is_complete(job: Job, ledger: Ledger) -> bool:
    """Return whether all shards of all stages are finished."""
    return len(ledger.finished()) >= sum(job.stages)
