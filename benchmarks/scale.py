"""What refining OME-Zarr in shards costs: size, workers, engine, folder, scheduler, and kills.

    python benchmarks/scale.py --page docs/scale_benchmarks.md

measures everything and writes one section per question into the page; with names of sections,
such as `sizes --sizes 1 16`, only those, and the others stay. All figures of a section are of one
run on one machine; CPU seconds and ratios hold on a busy machine, too, and wall-clock seconds
only on a quiet one, so that each section has the load.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zarr

from c2f_core.refine.run import open_refiner
from c2f_core.refine.scope import Scope
from c2f_core.scale.cluster import local_cluster, run_on_cluster
from c2f_core.scale.coarse import CoarseMap
from c2f_core.scale.engine import run_job
from c2f_core.scale.ledger import Ledger, Task
from c2f_core.scale.multiscale import open_multiscale
from c2f_core.scale.plan import RefinerPlan
from c2f_core.scale.run import Execution, ledger_folder, refine_volume
from c2f_core.scale.shards import SHARD, level_count
from c2f_core.scale.volume import VolumeJob, VolumePlan

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from results import default_hardware, today

MEGAPIXEL = 1_000_000
TITLES = {
    "sizes": "Size of the image",
    "workers": "One and two workers",
    "images": "A folder of images",
    "scheduler": "The scheduler alone",
    "kills": "Runs that are killed",
}
HEADER = """# Benchmarks of volumes and many workers

Written by `benchmarks/scale.py`, section by section; no figure here was entered by hand. The load
is the number of processes that wanted a core: above the number of cores, wall-clock times are too
long, and the ratio of two of them means little. CPU times also grow a little then.
[Volumes and many workers](scale.md#what-it-costs) says what follows from the figures.

"""
SIDES = {1: 1000, 4: 2048, 16: 4096, 64: 8192, 400: 20480}
"""Side in pixels of an image, by its size in megapixels."""


def write_image(path: Path, side: int) -> None:
    """Write an RGB image of two noisy materials and a coarse map of it, part by part."""
    root = zarr.open_group(path, mode="w")
    image = _array(root, (3, side, side), ("c", "y", "x"))
    coarse = _array(root.create_group("labels").create_group("coarse"), (side, side), ("y", "x"))
    root["labels"].attrs.update({"ome": {"version": "0.5", "labels": ["coarse"]}})
    rng = np.random.default_rng(0)
    for top in range(0, side, 1024):
        for left in range(0, side, 1024):
            height, width = min(1024, side - top), min(1024, side - left)
            rows, columns = np.mgrid[top : top + height, left : left + width]
            near = (columns + 9 * np.sin(rows / 17)) % 256 < 128
            colours = np.where(near, *np.array([[190, 120, 60], [60, 110, 170]])[:, :, None, None])
            noisy = np.clip(colours + rng.normal(0, 12, colours.shape), 0, 255)
            image[:, top : top + height, left : left + width] = noisy.astype(np.uint8)
            coarse[top : top + height, left : left + width] = (columns % 256 < 128).astype(np.uint8)


def _array(group: zarr.Group, shape: tuple[int, ...], axes: tuple[str, ...]) -> zarr.Array:
    kinds = {"c": "channel"}
    multiscale = {
        "axes": [{"name": name, "type": kinds.get(name, "space")} for name in axes],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [1] * len(axes)}],
            }
        ],
    }
    label = {} if "c" in axes else {"image-label": {}}
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale], **label}})
    chunks = (*[1] * (len(axes) - 2), 512, 512)
    return group.create_array("0", shape=shape, dtype="u1", chunks=chunks, dimension_names=axes)


def plan_of(path: Path, store: Path, model: str, side: int = SHARD, **changes: int) -> VolumePlan:
    """Return the plan of refining an image."""
    image = open_multiscale(path)
    coarse = CoarseMap(path / "labels" / "coarse", image, 0)
    refiner = open_refiner(model, lambda: coarse.plain_table())
    return VolumePlan(
        refiner=RefinerPlan.of(refiner, model, Scope(), refiner.class_table),
        image=path,
        coarse=coarse.path,
        store=store,
        name="fine",
        level=0,
        channels=None,
        limits=None,
        tolerance=64.0,
        levels=level_count(coarse.shape, 1, changes.get("chunk", 512)),
        side=side,
        **changes,
    )


def refine_here(path: Path, store: Path, model: str) -> None:
    """Refine in this process, and print what it took."""
    job = VolumeJob(plan_of(path, store, model))
    in_shards, perform = 0.0, job.perform

    def timed(task: Task) -> None:
        nonlocal in_shards
        started = time.process_time()
        perform(task)
        in_shards += time.process_time() - started

    plan = plan_of(path, store, model)
    with Ledger(ledger_folder(store, "fine")) as ledger:
        plan.begin(ledger)
        job.create_output()
        job.perform = timed  # type: ignore[method-assign]
        open_refiner(model, lambda: plan.refiner.class_table)  # Imports what is imported lazily.
        wall, cpu = time.perf_counter(), time.process_time()

        def run(tasks):
            from c2f_core.scale.engine import run_here

            return run_here(job)(tasks)

        run_job(job, ledger, run)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "in_shards": in_shards, "peak": peak}))


def in_own_process(*arguments: object) -> dict[str, float]:
    """Call this script for one measurement, with one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(printed.stdout.splitlines()[-1])


def sizes(folder: Path, megapixels: list[int], model: str) -> None:
    """Measure seconds per megapixel, peak memory, and the share of the engine."""
    print(
        f"Model {model}, one process with one thread. The last column is the CPU time besides that"
    )
    print("of the shards, as a share of it: the overhead of the engine over the bare loop.\n")
    print("| Megapixels | Shards | CPU s per MP | Wall s per MP | Peak memory | Engine |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in megapixels:
        path, store = folder / f"{size}.zarr", folder / f"{size}-fine.zarr"
        write_image(path, SIDES[size])
        found = in_own_process("refine", "--folder", path, "--store", store, "--model", model)
        pixels = SIDES[size] ** 2 / MEGAPIXEL
        shards = sum(VolumeJob(plan_of(path, store, model)).stages)
        engine = found["cpu"] / found["in_shards"] - 1
        print(
            f"| {size} | {shards} | {found['cpu'] / pixels:.3f} | {found['wall'] / pixels:.3f} "
            f"| {found['peak']:.0f} MiB | {engine:.2%} |",
            flush=True,
        )


def workers(folder: Path, model: str, size: int) -> None:
    """Compare one and two workers with one thread each; the cluster is running already."""
    path = folder / f"{size}.zarr"
    if not path.exists():
        write_image(path, SIDES[size])
    seconds = {}
    os.environ["OMP_NUM_THREADS"] = "1"
    for count in (1, 2):
        plan = plan_of(path, folder / f"workers{count}.zarr", model)
        warm = plan_of(path, folder / f"warm{count}.zarr", model)
        job = VolumeJob(plan)
        from c2f_core.scale.volume import perform

        with local_cluster(count) as client, Ledger(folder / f"{count}.ledger") as ledger:
            client.run(_use_one_thread)
            for each in (warm, plan):
                each.begin(ledger)
                each_job = VolumeJob(each)
                each_job.create_output()
                started = time.perf_counter()
                run = run_on_cluster(client, perform, str(ledger.plan), each.fingerprint)
                assert run_job(each_job, ledger, run) == []
                seconds[count] = time.perf_counter() - started
        assert job.stages
    print(f"Model {model}, {size} megapixels, one thread each.\n")
    print("| Workers | Wall s | Speed |\n|---:|---:|---:|")
    for count, wall in seconds.items():
        print(f"| {count} | {wall:.1f} | {seconds[1] / wall:.2f} |", flush=True)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def simulate(tasks: int) -> None:
    """Run a number of empty tasks through the scheduler, and record them in a ledger."""
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(2) as client,
        Ledger(Path(folder) / "x.ledger") as ledger,
    ):
        run = run_on_cluster(client, _do_nothing)
        wall, cpu = time.perf_counter(), time.process_time()
        for outcome in run(Task(0, number) for number in range(tasks)):
            assert not outcome.error
            ledger.add(outcome.task)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert len(ledger.finished()) == tasks
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        "Tasks that only return, done by two workers and entered in the ledger one by one. CPU time"
    )
    print("is that of the process with client and scheduler.\n")
    print("| Tasks | CPU ms per task | Wall ms per task | Peak memory |")
    print("|---:|---:|---:|---:|")
    print(f"| {tasks} | {1000 * cpu / tasks:.2f} | {1000 * wall / tasks:.2f} | {peak:.0f} MiB |")


def _do_nothing(_task: Task) -> None:
    """Return at once."""


def refine_logged(path: Path, store: Path, log: Path) -> None:
    """Refine in small shards, and log each one before it begins."""
    perform = VolumeJob.perform

    def logged(self: VolumeJob, task: Task) -> None:
        with log.open("a") as file:
            file.write(f"{task.stage} {task.number}\n")
        perform(self, task)

    VolumeJob.perform = logged  # type: ignore[method-assign]
    refine_volume(_small(path, store), Execution())


def _small(path: Path, store: Path) -> VolumePlan:
    return plan_of(path, store, "watershed", 64, chunk=32, block=64)


def kills(folder: Path, count: int, seed: int) -> None:
    """Kill runs at random moments, continue them, and count what was done twice."""
    path, whole = folder / "small.zarr", folder / "whole.zarr"
    write_image(path, 400)
    refine_volume(_small(path, whole))
    chance, twice = random.Random(seed), []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "c2f_core.refine.gate"])
    for number in range(count):
        store, log = folder / f"killed{number}.zarr", folder / f"killed{number}.txt"
        process = context.Process(target=refine_logged, args=(path, store, log))
        process.start()
        entries = chance.randrange(1, 50)
        while process.is_alive() and not (
            log.exists() and log.read_bytes().count(b"\n") >= entries
        ):
            time.sleep(chance.random() / 100)
        process.kill()
        process.join()
        process = context.Process(target=refine_logged, args=(path, store, log))
        process.start()
        process.join()
        assert process.exitcode == 0
        lines = log.read_text().splitlines()
        twice.append(len(lines) - len(set(lines)))
        for level in ("0", "1", "confidence/0", "confidence/1"):
            one, other = (
                zarr.open_array(each / "labels" / "fine" / level, mode="r")[...]
                for each in (whole, store)
            )
            np.testing.assert_array_equal(one, other)
    print(
        f"{count} runs were killed with SIGKILL at random moments and continued. All {count} "
        "outputs are bit for bit that of a run without a kill. Shards done twice per kill: "
        f"{max(twice)} at most, {sum(twice) / count:.2f} on average."
    )


def folder_of_images(count: int, model: str) -> None:
    """Compare `c2f-refine` on a folder of photographs with the refiner alone."""
    script = Path(__file__).with_name("refine_folder.py")
    command = [sys.executable, script, "--count", str(count), "--model", model, "--threads", "1"]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextmanager
def section(page: Path | None, title: str) -> Iterator[None]:
    """Print what is printed in this block, and make it a section of the page."""
    printed, load = io.StringIO(), os.getloadavg()[0]
    with contextlib.redirect_stdout(printed):
        yield
    arguments = shlex.join(sys.argv[1:])
    text = (
        f"{printed.getvalue().strip()}\n\n`python benchmarks/scale.py {arguments}`, {today()}, "
        f"{default_hardware()}; load {load:.1f} before and {os.getloadavg()[0]:.1f} after it.\n"
    )
    print(f"## {title}\n\n{text}", flush=True)
    if page is not None:
        known = page.read_text() if page.exists() else HEADER
        header, *others = re.split(r"^## ", known, flags=re.MULTILINE)
        sections = dict(other.split("\n", 1) for other in others)
        sections[title] = text
        ordered = [
            f"## {each}\n\n{sections[each].strip()}\n"
            for each in TITLES.values()
            if each in sections
        ]
        page.write_text("\n".join([header.rstrip() + "\n", *ordered]))


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=[*TITLES, "refine"], default=[*TITLES])
    parser.add_argument("--page", type=Path, help="Markdown page to write the sections into")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--model", default="fasseg")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 16, 64], choices=SIDES)
    parser.add_argument("--megapixels", type=int, default=16, help="for the workers")
    parser.add_argument("--images", type=int, default=5000, help="for the folder")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.what == ["refine"]:
        refine_here(given.folder, given.store, given.model)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        measure: dict[str, Callable[[], None]] = {
            "sizes": lambda: sizes(folder, given.sizes, given.model),
            "workers": lambda: workers(folder, given.model, given.megapixels),
            "images": lambda: folder_of_images(given.images, given.model),
            "scheduler": lambda: simulate(given.tasks),
            "kills": lambda: kills(folder, given.kills, given.seed),
        }
        for what in given.what:
            with section(given.page, TITLES[what]):
                measure[what]()


if __name__ == "__main__":
    main()
