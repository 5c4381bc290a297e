"""`c2f-search`: search settings for the best validation score."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from c2f_core.cli.console import StopOnInterrupt, command_line, run_command
from c2f_core.config.files import read_config
from c2f_core.config.settings import TrainConfig
from c2f_core.experiments.plan import BEST
from c2f_core.experiments.ranges import Ranges, read_ranges

if TYPE_CHECKING:
    from c2f_core.experiments.search import TrialDone, TrialStarted


@dataclass(frozen=True)
class Options:
    """Search ranges of settings for the best validation score, with Optuna.

    Every trial is a run in the run folder of the config. The same command continues a
    search that was interrupted, by Ctrl-C or otherwise, or adds trials to it.
    """

    ranges: Annotated[Positional[Path], tyro.conf.arg(metavar="RANGES")]
    """TOML or JSON file of ranges or choices by name of the setting."""
    config: Path
    """Config file, TOML or JSON, with the settings that all trials have in common."""
    trials: int = 30
    """Total number of trials, including those of earlier calls."""
    objective: Literal["accuracy", "miou"] = "accuracy"
    """Validation score to maximise: pixel accuracy or mIoU."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Method that prunes trials which fall behind."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(lambda: _search(tyro.cli(Options, prog="c2f-search", args=arguments))))


def _search(options: Options) -> None:
    config, ranges = read_config(options.config), read_ranges(options.ranges)
    if not _run(config, ranges, options):
        print("Stopped. Continue with the same command.")
    best = config.run_folder / BEST
    if best.exists():
        print(f"Train with the best settings: {command_line('c2f-train', '--config', best)}")


def _run(config: TrainConfig, ranges: Ranges, options: Options) -> bool:
    """Run the missing trials; return False if stopped before the end."""
    # Imported lazily, as torch takes seconds to import.
    from tqdm import tqdm

    from c2f_core.experiments.search import TrialDone, TrialStarted, import_optuna, search
    from c2f_core.training.listeners import ProgressBar, RunLogs

    optuna = import_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    stop = StopOnInterrupt()
    events = search(
        config,
        ranges,
        options.trials,
        objective=options.objective,
        pruner=options.pruner,
        should_stop=stop,
    )
    with ProgressBar() as bar, RunLogs() as log, stop:
        for event in events:
            if isinstance(event, TrialStarted | TrialDone):
                tqdm.write(f"trial {event.number}: {_described(event)}")
            else:
                bar(event)
                log(event)
    return not stop()


def _described(event: "TrialStarted | TrialDone") -> str:
    from c2f_core.experiments.search import TrialStarted

    if isinstance(event, TrialStarted):
        return _listed(event.settings)
    if event.score is None:
        return f"{event.outcome}: {event.reason}"
    return f"{event.outcome} with {100 * event.score:.2f} %"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in settings.items()
    )


if __name__ == "__main__":
    main()
