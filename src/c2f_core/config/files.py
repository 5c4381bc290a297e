"""Read settings from files, and change settings by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from c2f_core.config.settings import Settings, TrainConfig
from c2f_core.documents import read_document
from c2f_core.errors import ConfigError


def read_settings(path: Path) -> dict[str, Any]:
    """Read a table of settings from a TOML or JSON file without validating them.

    Parameters
    ----------
    path : Path
        File whose suffix .toml tells TOML from JSON.

    Returns
    -------
    dict
        Settings by name, tables as nested dicts.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not contain a table.
    """
    settings = read_document(path, "config", ConfigError, "give a TOML or JSON file")
    if not isinstance(settings, dict):
        raise ConfigError(f"The config {path} contains no settings; give a table of them.")
    return settings


def read_config(path: Path) -> TrainConfig:
    """Read a complete config from a TOML or JSON file.

    Parameters
    ----------
    path : Path
        File whose suffix .toml tells TOML from JSON.

    Returns
    -------
    TrainConfig
        Validated config.

    Raises
    ------
    ConfigError
        If the file cannot be read, or its settings are invalid or incomplete.
    """
    try:
        return TrainConfig.model_validate(read_settings(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {invalid_setting(error)}") from error


def invalid_setting(error: ValidationError) -> str:
    """Return one sentence that names the first invalid setting, or else the first missing one."""
    errors = error.errors()
    first = next((each for each in errors if each["type"] != "missing"), errors[0])
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"The setting {name} is missing; give it."
    if first["type"] == "extra_forbidden":
        return f"There is no setting {name} in this version; remove it."
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "model_type":
        reason = "it must be a table of settings"
    if not name:
        return f"The settings are invalid: {reason}."
    return f"The setting {name} is invalid: {reason}; correct it."


def with_settings(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a config with some settings changed.

    Parameters
    ----------
    config : TrainConfig
        Config to change; it is left unchanged itself.
    changes : mapping of str to value
        New values by dotted name, such as "optimiser.learning_rate".

    Returns
    -------
    TrainConfig
        Validated config.

    Raises
    ------
    ConfigError
        If there is no such setting, or the result is invalid.
    """
    tree = config.model_dump()
    for name, value in changes.items():
        field_of(name)
        *tables, last = name.split(".")
        node = tree
        for table in tables:
            node = node[table]
        node[last] = value
    try:
        return TrainConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(invalid_setting(error)) from error


def field_of(name: str) -> FieldInfo:
    """Return the field of a setting.

    Parameters
    ----------
    name : str
        Dotted name, such as "optimiser.learning_rate".

    Returns
    -------
    FieldInfo
        Field with its type, default and description.

    Raises
    ------
    ConfigError
        If there is no such setting, or it is a table of settings.
    """
    fields: Mapping[str, FieldInfo] = TrainConfig.model_fields
    for key in name.split("."):
        if key not in fields:
            options = f"choose among {', '.join(fields)}" if fields else "shorten the name"
            raise ConfigError(f"There is no setting '{name}'; at '{key}', {options}.")
        field, fields = fields[key], _fields_within(fields[key])
    if fields:
        raise ConfigError(f"'{name}' is a table; choose one of its settings {', '.join(fields)}.")
    return field


def _fields_within(field: FieldInfo) -> Mapping[str, FieldInfo]:
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Settings):
        return kind.model_fields
    return {}
