"""Settings of a model as a user gives them: converted, checked, and refused where the model has no such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from layerscope.errors import ConfigError
from layerscope.settings import suggest

T = TypeVar("T", str, int, float, bool)
STREAM_SETTINGS = ("matrix", "values", "gene_column")  # of every family: how the file of cells is read
KINDS = {int: "a whole number", float: "a float, such as 0.5", bool: "true or false", str: "text"}
LARGEST = 2**62  # beyond, numbers of cells and tokens cannot be computed with
YES_OR_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Settings:
    """What a user set of ``owner``, by name; values may be text, as they come from a command line.

    ``organism`` is that of the cells, ``human``, ``mouse`` or ``unknown``: some models know genes of several.
    """

    def __init__(self, given: Mapping[str, Any], owner: str, organism: str = "unknown") -> None:
        self._given = dict(given)
        self._asked: dict[str, Any] = {}
        self.owner, self.organism = owner, organism

    def take(self, name: str, default: T, choices: Sequence[T] = (), lowest: float | None = None) -> T:
        """The value of ``name``, of the type of ``default`` (which holds where nothing was given).

        A ConfigError if it is of another type, not among ``choices``, below ``lowest``, or not finite.
        """
        value = self._converted(name, self._given.get(name, default), type(default))
        if choices and value not in choices:
            named = ", ".join(str(choice) for choice in choices if choice != "")
            raise ConfigError(f"--set {name}={value!r}; choose one of {named}")
        if lowest is not None and name in self._given and float(value) < lowest:
            raise ConfigError(f"--set {name}={value}: expected {lowest:g} or more")
        self._asked[name] = value
        return value

    def _converted(self, name: str, value: Any, kind: type[T]) -> T:
        try:
            if kind is bool and not isinstance(value, bool):
                return YES_OR_NO[str(value).lower()]
            converted = kind(value)
            if isinstance(converted, int | float) and not abs(converted) < LARGEST:
                raise ValueError("too large, or not a number")
            return converted
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ConfigError(f"--set {name}={value!r} is not {KINDS[kind]}") from error

    def resolved(self, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """Every setting that was asked for, with its value; a ConfigError for one that nobody asked for."""
        unknown = [name for name in self._given if name not in self._asked]
        if unknown:
            allowed = sorted([*self._asked, *STREAM_SETTINGS])
            raise ConfigError(
                f"--set {unknown[0]}=...: {self.owner} has no setting {unknown[0]!r}"
                f"{suggest(unknown[0], allowed)}; there are {', '.join(allowed)}"
            )
        return {name: value for name, value in sorted(self._asked.items()) if name not in without}


def assignments(texts: Sequence[str], option: str = "--set") -> dict[str, str]:
    """Read settings written as ``key=value``; a ConfigError for one without ``=``, or twice."""
    settings: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} {text}: expected KEY=VALUE")
        if name in settings:
            raise ConfigError(f"{option} {text}: {name} is set twice")
        settings[name] = value
    return settings
