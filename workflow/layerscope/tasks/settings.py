"""How what a study may set for a task is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from layerscope.errors import ConfigError

Kind = TypeVar("Kind")


def checked(
    kind: type[Kind], given: Mapping[str, Any], task: str, expected: Callable[[str, Any], str]
) -> Kind:
    """Make a task's settings of what a config gives; what it does not name keeps its default.

    Parameters
    ----------
    kind
        The settings' dataclass.
    given
        Settings by name; lists become tuples.
    task
        Its name, for messages.
    expected
        Of a setting's name and value: what it must be, if it is not; else empty.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is not of its kind.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"{task} settings: unknown key {name!r}; known are {', '.join(known)}")
        wanted = expected(name, value)
        if wanted:
            raise ConfigError(f"{task} settings: {name} must be {wanted}, found {value!r}")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})


def is_whole(value: object, least: int) -> bool:
    """Whether a setting is a whole number from ``least`` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
