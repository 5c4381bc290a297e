"""`c2f-refine` on OME-Zarr images: by this process, by workers, or one part of the work."""

import re
import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from c2f_core.classes.table import ClassTable
from c2f_core.cli.refine import open_chosen_refiner, scope_of
from c2f_core.errors import ConfigError, DataError
from c2f_core.refine.scope import ClassRules
from c2f_core.scale.coarse import CoarseMap
from c2f_core.scale.ledger import Share
from c2f_core.scale.multiscale import open_multiscale
from c2f_core.scale.output import OutputGroup
from c2f_core.scale.plan import RefinerPlan
from c2f_core.scale.planes import image_planes
from c2f_core.scale.run import Execution, RunReport, refine_volume
from c2f_core.scale.shards import level_count
from c2f_core.scale.volume import VolumePlan, stack_limits

if TYPE_CHECKING:
    from c2f_core.cli.refine import Options

SHOWN_FAILURES = 20


def refine_zarr(options: "Options") -> None:
    """Refine an OME-Zarr image into a label group, or continue that.

    Raises
    ------
    C2FError
        If an input does not exist or does not fit, or the output cannot be written, before
        the work starts; or if shards failed, at its end.
    """
    if options.confidence is not None:
        raise ConfigError("OME-Zarr outputs always have the confidence; omit --confidence.")
    execution = execution_of(options)
    plan = plan_of(options)
    with tqdm(desc="Refining", unit="shard", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = refine_volume(plan, execution, overwrite=options.overwrite, progress=show)
    _summarise(report, plan, execution)


def execution_of(options: "Options") -> Execution:
    """Return who does the work.

    Raises
    ------
    ConfigError
        If the options contradict each other.
    """
    return Execution(options.workers, options.scheduler, share_of(options.shard))


def share_of(text: str | None) -> Share:
    """Return the part that a text such as "3/8" means; without one, all.

    Raises
    ------
    ConfigError
        If it is not of this form.
    """
    if text is None:
        return Share()
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise ConfigError(
            f"'{text}' does not name a part; for the third of eight parts, give --shard 3/8."
        )
    return Share(int(match[1]), int(match[2]))


def plan_of(options: "Options") -> VolumePlan:
    """Return the plan of a run; image, coarse map and model are opened and checked.

    Raises
    ------
    C2FError
        If one of them does not exist or does not fit.
    """
    image = open_multiscale(options.image.absolute())
    planes = image_planes(image, options.level, options.channels)
    coarse = CoarseMap(options.coarse.absolute(), image, options.level)
    group = OutputGroup.of(options.output.absolute())
    if group.path == coarse.path:
        raise DataError(f"{group.path} is the coarse map; choose another output.")
    known = _known_table(options, coarse)
    refiner = open_chosen_refiner(options, lambda: known or _plain_table(coarse))
    table = known or refiner.class_table
    scope = scope_of(options)
    ClassRules.of(scope, table)  # Raises if a class does not exist.
    return VolumePlan(
        refiner=RefinerPlan.of(
            refiner,
            options.model,
            scope,
            table,
            device=options.device,
            average_flips=options.average_flips,
        ),
        image=image.path,
        coarse=coarse.path,
        store=group.store,
        name=group.name,
        level=options.level,
        channels=options.channels,
        limits=options.limits or stack_limits(planes),
        tolerance=options.tolerance,
        levels=level_count(coarse.shape, len(image.levels) - options.level),
    )


def _known_table(options: "Options", coarse: CoarseMap) -> ClassTable | None:
    if options.class_table is not None:
        return ClassTable.named(options.class_table)
    return coarse.class_table()


def _plain_table(coarse: CoarseMap) -> ClassTable:
    """Return a table of the labels of a map that names no classes."""
    table = coarse.plain_table()
    if table is None:
        raise DataError(
            f"The class table of {coarse.path} is unknown; give a preset, or a TOML or JSON file, "
            "with --class-table."
        )
    labels = ", ".join(str(entry.index) for entry in table.classes)
    print(
        f"note: The coarse map names no classes, so its labels {labels} count as classes (the "
        "label 255 as unlabelled). If this is wrong, give --class-table.",
        file=sys.stderr,
    )
    return table


def raise_failures(report: RunReport) -> None:
    """Print which shards failed, if any.

    Raises
    ------
    DataError
        If there are some.
    """
    for failure in report.failures[:SHOWN_FAILURES]:
        print(f"error: {failure.place}: {failure.error}", file=sys.stderr)
    if report.failures:
        count = len(report.failures)
        raise DataError(
            f"{count} {'shard' if count == 1 else 'shards'} failed three times, all others are "
            f"finished; remove the {'cause' if count == 1 else 'causes'}, then run the same "
            "command again."
        )


def _summarise(report: RunReport, plan: VolumePlan, execution: Execution) -> None:
    raise_failures(report)
    shards = "1 shard" if report.shards == 1 else f"{report.shards} shards"
    if report.shards == 0 and report.is_complete:
        print(f"Nothing to do: {plan.group.path} is finished.")
    elif report.is_complete:
        print(f"Wrote {plan.group.path} ({shards})")
    else:
        print(
            f"Finished part {execution.share.index} of {execution.share.count} "
            f"({shards}); {plan.group.path} is complete when all parts are."
        )
