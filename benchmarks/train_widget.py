"""Largest stall of the window while the Train widget trains, and throughput against `c2f-train`.

    python benchmarks/train_widget.py [--steps 60] [--threads 2] [--data FASSEG --splits SPLITS]

Both train the same config from the same seed, one after the other, each in a
separate process. A timer in the event loop of the window fires every 10 ms; a
stall is how much later than that it comes. Needs a screen; xvfb-run gives one
where there is none. To be run on an idle machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from c2f_core.config.settings import TrainConfig
from c2f_core.data.synthetic import SHAPES, synthetic_pair
from c2f_core.data.writing import write_pairs
from c2f_core.training.curves import Curves

TICK = 10
"""Milliseconds between ticks of the timer."""
SIZE = (1500, 950)
WARM_UP = 3
SETTLING = 5000
"""Milliseconds after which the window is drawn and still, if torch is loaded by then."""


def main() -> None:
    """Train by the command, then in the widget; compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, help="CPU threads; torch decides without it")
    parser.add_argument("--data", type=Path, help="synthetic pairs of 512 x 512 without it")
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--train", default="report:train_fine")
    parser.add_argument("--widget", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.widget is not None:
        run_widget(options.widget)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Run both and print a table."""
    files = {}
    for name in ("c2f-train", "widget"):
        config = make_config(folder, name, options)
        files[name] = folder / f"{name}.json"
        files[name].write_text(config.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "c2f_core.cli.train", "--config", str(files["c2f-train"])]
    subprocess.run(command, check=True, capture_output=True)
    script = [sys.executable, __file__, "--widget", str(files["widget"])]
    done = subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True)
    stalls = json.loads(done.stdout.splitlines()[-1])
    seconds = {name: median_step(folder / name / "log.csv") for name in files}
    print("| run | median step | throughput |\n| --- | ---: | ---: |")
    for name, median in seconds.items():
        share = 100 * seconds["c2f-train"] / median
        print(f"| {name} | {1000 * median:.0f} ms | {share:.1f} % |")
    print("\n| phase | stall, largest | 99 % of the ticks below |\n| --- | ---: | ---: |")
    for phase, values in stalls.items():
        late = sorted(values)
        print(f"| {phase} | {late[-1]:.0f} ms | {late[int(0.99 * (len(late) - 1))]:.0f} ms |")


def make_config(folder: Path, name: str, options: argparse.Namespace) -> TrainConfig:
    """Return the config of a run on the given or on synthetic data."""
    settings = {
        "run_folder": folder / name,
        "steps": options.steps,
        "validate_every": max(1, options.steps // 3),
        "threads": options.threads,
    }
    if options.data is not None:
        data = {"root": options.data, "splits": options.splits, "train": options.train}
        return TrainConfig.model_validate(settings | {"data": data})
    root = folder / "data"
    if not root.exists():
        pairs = (replace(synthetic_pair(512, seed), name=str(seed)) for seed in range(8))
        write_pairs(root, pairs, SHAPES)
    data = {"root": root, "class_table": str(root / "classes.json")}
    return TrainConfig.model_validate(settings | {"data": data})


def median_step(log: Path) -> float:
    """Return the median of the wall time from step to step, in seconds, from the log."""
    return statistics.median(Curves.read(log)["seconds"].values[WARM_UP:])


def run_widget(config_file: Path) -> None:
    """Train in the widget and print the stalls (ms) by phase as JSON."""
    import napari
    from qtpy.QtCore import QEventLoop, QSettings, QTimer

    from napari_c2f.base.imports import IMPORTING
    from napari_c2f.train.model import Phase

    # What the widgets remember stays out of the user's own settings.
    scope, folder = QSettings.Scope.UserScope, str(config_file.parent)
    QSettings.setPath(QSettings.Format.NativeFormat, scope, folder)
    config = TrainConfig.model_validate_json(config_file.read_text(encoding="utf-8"))
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget("napari-c2f", "Train")
    widget.data.setValue(config.data.model_dump())
    widget.setup.setValue(config)
    model = widget.model
    stalls: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    last = time.perf_counter()
    loop = QEventLoop()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        stalls.setdefault(str(model.phase), []).append(1000 * (now - last) - TICK)
        spent.setdefault(str(model.phase), []).append(time.thread_time())
        last = now
        if model.phase in (Phase.DONE, Phase.FAILED):
            loop.quit()

    def begin() -> None:
        nonlocal last
        if any(thread.name == IMPORTING for thread in threading.enumerate()):
            QTimer.singleShot(SETTLING, begin)
            return
        last = time.perf_counter()
        timer.start()
        widget.train_button.click()

    timer = QTimer()
    timer.setInterval(TICK)
    timer.timeout.connect(tick)
    QTimer.singleShot(SETTLING, begin)
    loop.exec()
    timer.stop()
    print(widget.status.text(), file=sys.stderr)
    viewer.close()
    taken = spent["training"][-1] - spent["training"][0]
    during = sum(stalls["training"]) / 1000 + TICK / 1000 * len(stalls["training"])
    print(f"The window took {100 * taken / during:.0f} % of a core.", file=sys.stderr)
    print(json.dumps(stalls))


if __name__ == "__main__":
    main()
