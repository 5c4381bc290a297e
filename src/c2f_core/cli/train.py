"""`c2f-train`: train a refiner from the command line."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

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
from c2f_core.errors import ChangedDataError, ConfigError, DataError

if TYPE_CHECKING:
    from c2f_core.training.events import Finished

DESCRIPTION = """Train the plain U-Net, Model 1, Model 2 (stage 1, stage 2 or both), or a model for
any classes.

--config FILE     start from the settings of a TOML or JSON file
--preset NAME     start from a preset: quick, balanced, thorough, or report (as the report did it)
--resume FOLDER   resume the run in FOLDER; Ctrl-C saves and stops a run
--accept-data-changes   with --resume: continue although the data have changed since the run began
--check           check the data and stop: what is there, what does not fit, which pairs validate

Other flags take precedence over these settings."""

ADVICE_ON_CHANGES = (
    "To continue with these data, add --accept-data-changes; no pair that trained will validate."
)
SomeSettings = TypeVar("SomeSettings", bound=Settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run_command(lambda: _run(parse(arguments))))


@dataclass(frozen=True)
class Command:
    """What the command line asks for.

    Attributes
    ----------
    config : TrainConfig
        Settings of the run.
    resume : bool
        Whether to resume the run in the run folder.
    accept_changes : bool
        Whether to resume although the data have changed.
    check : bool
        Whether to check the data and stop.
    """

    config: TrainConfig
    resume: bool
    accept_changes: bool
    check: bool


def _run(command: Command) -> None:
    if command.check:
        _check(command.config, command.resume)
    else:
        _train(command)


def _check(config: TrainConfig, resume: bool) -> None:
    from c2f_core.training.inspection import Inspection, inspect_data

    *_, found = inspect_data(config, resume=resume)
    assert isinstance(found, Inspection)
    print("\n".join(found.lines()))
    if found.all_problems:
        raise DataError("These data cannot train yet; fix the problems listed above.")


def _train(command: Command) -> None:
    # Imported lazily: torch takes seconds, and --help and errors in flags do not need it.
    from c2f_core.training.events import Finished
    from c2f_core.training.listeners import ProgressBar, RunLogs
    from c2f_core.training.processes import is_first_process
    from c2f_core.training.trainer import train

    stop = StopOnInterrupt()
    events = train(
        command.config,
        resume=command.resume,
        accept_changes=command.accept_changes,
        should_stop=stop,
    )
    if not is_first_process():  # Of several that torchrun or srun has started.
        with stop, _advice_on_changes():
            assert list(events)
        return
    with ProgressBar() as bar, RunLogs() as logs, stop, _advice_on_changes():
        for event in events:
            bar(event)
            logs(event)
    assert isinstance(event, Finished)
    print(_farewell(command.config, event))


@contextmanager
def _advice_on_changes() -> Iterator[None]:
    try:
        yield
    except ChangedDataError as error:
        raise ChangedDataError(f"{error} {ADVICE_ON_CHANGES}") from error


def _farewell(config: TrainConfig, event: "Finished") -> str:
    from c2f_core.training.run_folder import RunFolder

    if not event.stopped:
        return f"Done. The best model is {event.best_checkpoint}"
    if not RunFolder(config.run_folder).has_checkpoint:
        return "Stopped before the first step; nothing was trained."
    after = f" after step {event.step}" if event.step else ""
    again = command_line("c2f-train", "--resume", config.run_folder)
    return f"Stopped{after}. Resume with: {again}"


def parse(arguments: Sequence[str]) -> Command:
    """Turn flags, config file, preset or run folder into one validated config.

    Parameters
    ----------
    arguments : sequence of str
        Command line without the name of the program.

    Returns
    -------
    Command
        Validated config, and what to do with it.

    Raises
    ------
    ConfigError
        If the file cannot be read, or settings are invalid or contradict each other.
    """
    options, flags = _option_parser().parse_known_args(arguments)
    if options.accept_data_changes and options.resume is None:
        raise ConfigError("--accept-data-changes needs the run folder; give it with --resume.")
    settings = _initial_settings(options)
    try:
        config = TrainConfig.model_validate(_merged(settings, _changed(settings, flags)))
    except ValidationError as error:
        raise ConfigError(invalid_setting(error)) from error
    is_resumed, accept_changes = options.resume is not None, options.accept_data_changes
    return Command(config, is_resumed, accept_changes, options.check)


def _option_parser() -> argparse.ArgumentParser:
    """Parse the options that are not settings; tyro parses the rest."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--accept-data-changes", action="store_true")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", type=Path)
    group.add_argument("--preset", choices=get_args(Preset))
    group.add_argument("--resume", type=Path)
    return parser


def _initial_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the flags change, unchecked."""
    if options.config is not None:
        return read_settings(options.config)
    if options.preset is not None:
        return preset_settings(options.preset)
    if options.resume is not None:
        from c2f_core.training.run_folder import RunFolder

        # The folder may have been moved or copied since.
        settings = RunFolder(options.resume).read_config().model_dump()
        return settings | {"run_folder": options.resume}
    return {}


def _changed(settings: dict[str, Any], flags: Sequence[str]) -> Any:
    """Return the settings as flags change them, unchecked."""
    with _registry, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tyro warns of values that are refused below.
        return tyro.cli(
            TrainConfig,
            args=flags,
            default=_unchecked(TrainConfig, settings),
            prog="c2f-train",
            description=DESCRIPTION,
        )


def _unchecked(kind: type[SomeSettings], settings: dict[str, Any]) -> SomeSettings:
    """Build settings without checking them, for tyro to show and to change."""
    values = {name: settings[name] for name in kind.model_fields if name in settings}
    for name, field in kind.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, Settings):
            given = settings.get(name)
            values[name] = _unchecked(table, given if isinstance(given, dict) else {})
        elif field.is_required():
            values.setdefault(name, _MISSING)
    return kind.model_construct(**values)


def _merged(settings: Any, changes: dict[str, Any]) -> Any:
    """Return settings with changes, table by table; what is wrong stays, to be reported."""
    if not isinstance(settings, dict):
        return settings
    return settings | {
        name: _merged(settings.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }


_MISSING = Path("required")
"""Stands for required settings until all are checked; they are paths."""
_registry = ConstructorRegistry()
"""Rules of tyro, in force where this is used as a context manager."""


@_registry.struct_rule
def _settings_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Let tyro turn settings into trees of plain values.

    By its own rule tyro would check settings table by table, and show pydantic's
    errors as they are. Here all are checked at once, when the flags are known.
    """
    if not (isinstance(info.type, type) and issubclass(info.type, Settings)):
        return None

    def tree_of(**settings: Any) -> dict[str, Any]:
        return {name: value for name, value in settings.items() if value is not _MISSING}

    tree_of.__doc__ = info.type.__doc__  # Shown in the help.
    kinds = get_type_hints(info.type, include_extras=True)
    fields = tuple(
        _field(name, kinds[name], getattr(info.default, name), field.description)
        for name, field in info.type.model_fields.items()
    )
    return StructConstructorSpec(tree_of, fields)


def _field(name: str, kind: Any, default: Any, description: str | None) -> StructFieldSpec:
    if default is _MISSING:
        kind = Annotated[kind, tyro.conf.arg(help_behavior_hint="(required)")]
    return StructFieldSpec(name, kind, default, description)


if __name__ == "__main__":
    main()
