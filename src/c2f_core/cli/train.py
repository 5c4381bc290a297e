"""`c2f-train`: train a refiner from the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import tyro
from pydantic import ValidationError
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from c2f_core.cli.console import StopOnInterrupt, command_line, run_command
from c2f_core.config.files import invalid_setting, read_settings
from c2f_core.config.presets import preset_settings
from c2f_core.config.settings import Preset, Settings, TrainConfig
from c2f_core.errors import ConfigError, DataError
from c2f_core.training.events import Finished
from c2f_core.training.listeners import ProgressBar, RunLogs
from c2f_core.training.run_folder import RunFolder

DESCRIPTION = """Train the plain U-Net, Model 1, or stage 1, stage 2 or both stages of Model 2.

--config FILE     start from the settings of a TOML or JSON file
--preset NAME     start from a preset: quick, balanced, thorough, or report (as the report did it)
--resume FOLDER   go on with the run in FOLDER; Ctrl-C saves and stops a run
--check           look at the data and stop: what is there, what does not fit, who validates
Flags given beside them take precedence."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = _check if "--check" in arguments else _train
    sys.exit(run_command(lambda: command([each for each in arguments if each != "--check"])))


def _check(arguments: Sequence[str]) -> None:
    config, _ = parse(arguments)
    from c2f_core.training.inspection import Inspection, inspect_data

    *_, found = inspect_data(config)
    assert isinstance(found, Inspection)
    print("\n".join(found.lines()))
    if found.all_problems:
        raise DataError("These data cannot be trained on yet; mend what is listed above.")


def _train(arguments: Sequence[str]) -> None:
    config, resume = parse(arguments)
    # Torch takes seconds to import; --help and errors in flags do not wait for it.
    from c2f_core.training.trainer import train

    stop = StopOnInterrupt()
    with ProgressBar() as bar, RunLogs() as logs, stop:
        for event in train(config, resume=resume, should_stop=stop):
            bar(event)
            logs(event)
    assert isinstance(event, Finished)
    if event.stopped and not RunFolder(config.run_folder).has_checkpoint:
        print("Stopped before the first step; nothing was trained.")
    elif event.stopped:
        after = f" after step {event.step}" if event.step else ""
        again = command_line("c2f-train", "--resume", config.run_folder)
        print(f"Stopped{after}. Go on with: {again}")
    else:
        print(f"Done. The best model is {event.best_checkpoint}")


def parse(arguments: Sequence[str]) -> tuple[TrainConfig, bool]:
    """Turn flags, config file, preset or run folder into one validated config.

    Returns
    -------
    config : TrainConfig
    resume : bool

    Raises
    ------
    ConfigError
        The file cannot be read, or settings are invalid or contradict each other.
    """
    bases = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = bases.add_mutually_exclusive_group()
    group.add_argument("--config", type=Path)
    group.add_argument("--preset", choices=get_args(Preset))
    group.add_argument("--resume", type=Path)
    base, flags = bases.parse_known_args(arguments)
    settings: dict[str, Any] = {}
    if base.config is not None:
        settings = read_settings(base.config)
    elif base.preset is not None:
        settings = preset_settings(base.preset)
    elif base.resume is not None:
        # The folder may have been moved or copied since.
        run = RunFolder(base.resume).read_config()
        settings = run.model_dump() | {"run_folder": base.resume}
    try:
        default = _with_missing(settings)
        with _registry:
            tree = tyro.cli(
                TrainConfig, args=flags, default=default, prog="c2f-train", description=DESCRIPTION
            )
        return TrainConfig.model_validate(tree), base.resume is not None
    except ValidationError as error:
        raise ConfigError(invalid_setting(error)) from error


_registry = ConstructorRegistry()


@_registry.struct_rule
def _unchecked(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Have tyro make trees of settings unchecked, as it shows pydantic's errors as they are."""
    if not (isinstance(info.type, type) and issubclass(info.type, Settings)):
        return None

    def tree_of(**settings: Any) -> dict[str, Any]:
        return settings

    tree_of.__doc__ = info.type.__doc__  # Which tyro shows in the help.
    kinds = get_type_hints(info.type, include_extras=True)
    fields = tuple(
        StructFieldSpec(name, kinds[name], getattr(info.default, name), field.description)
        for name, field in info.type.model_fields.items()
    )
    return StructConstructorSpec(tree_of, fields)


def _with_missing(settings: dict[str, Any]) -> TrainConfig:
    """Fill the required settings that lack with tyro's mark, so that it asks for them."""
    missing: Any = tyro.MISSING
    data = settings.get("data", {})
    if not isinstance(data, dict):
        raise ConfigError("The setting data is no table; give data.root and the rest in one.")
    config = TrainConfig.model_validate(
        {"run_folder": "missing", **settings, "data": {"root": "missing", **data}}
    )
    if "root" not in data:
        rootless = config.data.model_copy(update={"root": missing})
        config = config.model_copy(update={"data": rootless})
    if "run_folder" not in settings:
        config = config.model_copy(update={"run_folder": missing})
    return config


if __name__ == "__main__":
    main()
