"""Search space of a hyperparameter search: ranges and choices of settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from c2f_core.config.files import field_of, invalid_setting, read_settings, with_settings
from c2f_core.config.settings import Settings, TrainConfig
from c2f_core.errors import ConfigError


class Range(Settings):
    """Numbers between two bounds, both included."""

    low: FiniteFloat
    """Smallest value."""
    high: FiniteFloat
    """Largest value."""
    log: bool = False
    """Sample on a logarithmic scale, as is best for learning rates and weights."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 if the range is logarithmic")
        return self

    @property
    def values(self) -> list[Any]:
        """Values that must be valid, which implies that all others are."""
        return [self.low, self.high]


class Choices(Settings):
    """One of several values, of any kind."""

    choices: list[Any] = Field(min_length=2)
    """Values to choose from."""

    @property
    def values(self) -> list[Any]:
        """Values that must be valid, which implies that all others are."""
        return self.choices


Ranges = Mapping[str, Range | Choices]
"""Ranges and choices by dotted name of the setting."""


def read_ranges(path: Path) -> dict[str, Range | Choices]:
    """Read ranges and choices of settings from a TOML or JSON file.

    Names may be dotted, such as "optimiser.learning_rate", or nested tables.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a range is not valid.
    """
    ranges = {}
    for name, value in _entries(read_settings(path)):
        kind = Choices if isinstance(value, dict) and "choices" in value else Range
        try:
            ranges[name] = kind.model_validate(value)
        except ValidationError as error:
            message = invalid_setting(error)
            raise ConfigError(
                f"'{name}' needs low and high, or choices, in {path}. {message}"
            ) from error
    return ranges


def _entries(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        nested = isinstance(value, dict) and not value.keys() & {"low", "high", "log", "choices"}
        if nested:
            yield from _entries(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def check_ranges(config: TrainConfig, ranges: Ranges) -> None:
    """Check every range against the setting that it changes.

    Parameters
    ----------
    config : TrainConfig
        Config whose settings are searched.
    ranges : mapping of str to Range or Choices
        Values to search by dotted name of the setting.

    Raises
    ------
    ConfigError
        If there are no ranges, a setting does not exist, cannot have such values, or
        determines the data that trials are scored on.
    """
    if not ranges:
        raise ConfigError("There is nothing to search; give ranges for settings.")
    for name, one in ranges.items():
        if name in ("run_folder", "seed") or name.startswith("data."):
            raise ConfigError(
                f"'{name}' determines where trials are stored or what they are scored on, and "
                "cannot be searched; remove it from the ranges."
            )
        if isinstance(one, Range) and number_kind(name) is None:
            raise ConfigError(
                f"'{name}' does not accept all numbers of a range; give choices for it."
            )
        for value in one.values:
            with_settings(config, {name: value})


def number_kind(name: str) -> type | None:
    """Return int or float if a setting is such a number, possibly optional."""
    annotation = field_of(name).annotation
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    if int in kinds:
        return int
    return float if float in kinds else None
