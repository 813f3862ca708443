"""Keywords of a call: sorted by the settings that they belong to, and shown by ``help``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from layerscope.cells.settings import STUDY_COLUMNS, CellSettings
from layerscope.errors import ConfigError, LayerscopeError
from layerscope.settings import Settings, suggest
from layerscope.tasks.base import Task
from layerscope.tasks.catalogue import TASKS

GENE_NAMES = "gene_names"
COLUMNS = (*STUDY_COLUMNS, "is_root", "is_control")
"""Standard columns, which a call names by themselves: ``donor="patient"``."""
OF_CELLS = tuple(
    name
    for name in CellSettings.model_fields
    if name not in ("dataset", "task", "needed", "about", "columns")
)
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
OPTION = re.compile(r"--set (\w+)=('[^']*'|[^\s,;:)]*)")
PLAIN_VALUE = re.compile(r"'.*'|[-+.\d]+|")


class Unset:
    """Default of a keyword in a signature: that of the settings that it belongs to."""

    def __repr__(self) -> str:
        return "..."


def plain(value: Any) -> Any:
    """NumPy's scalars and arrays as Python's own values, which settings demand."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise a ConfigError at the first keyword that there is not."""
    known = list(known)
    for name in given:
        if name not in known:
            raise ConfigError(
                f"{where}: no keyword {name!r}{suggest(name, known)}; there are {', '.join(known)}"
            )


@contextmanager
def options_as_keywords() -> Iterator[None]:
    """Models say what is wrong with an option ``--set``: in Python it is a keyword that was given."""
    try:
        yield
    except LayerscopeError as error:
        error.args = (OPTION.sub(_keyword, str(error)).replace("--set", "settings"),)
        raise


def _keyword(option: re.Match[str]) -> str:
    name, value = option.groups()
    if name in OF_CELLS:
        return f"{name}={value}"
    return f"settings={{{name!r}: {value if PLAIN_VALUE.fullmatch(value) else repr(value)}}}"


def of_cells(given: Mapping[str, Any], task: Task | None = None) -> dict[str, Any]:
    """Settings of the cells among keywords: those that are such, and columns that are named one by one."""
    settings = {name: plain(value) for name, value in given.items() if name in OF_CELLS}
    columns = dict(given.get("columns") or {})
    of_task = task.column_settings if task else ()  # these name a column themselves: it keeps its name
    columns |= {name: value for name, value in given.items() if name in COLUMNS and name not in of_task}
    if task is None:
        return settings | ({"columns": columns} if columns else {})
    names = {**{name: name for name in task.column_settings}, **task.keywords}
    named = {target: given[keyword] for keyword, target in names.items() if keyword in given}
    columns |= {column: name for column, name in named.items() if column not in task.column_settings}
    needed = needed_columns(task, {**given, **named}) if task.column_settings else []
    labels = [name for name in needed if name not in (*COLUMNS, *settings.get("labels", ()))]
    settings |= {"labels": [*settings.get("labels", ()), *labels]} if labels else {}
    settings |= {"needed": needed} if needed else {}
    return settings | ({"columns": columns} if columns else {}) | {"task": task.name}


def needed_columns(task: Task, given: Mapping[str, Any]) -> list[str]:
    """Columns that the settings of a task name among keywords, and by default."""
    protocol = task.protocols[0]
    names = _settings(task, protocol).model_fields
    settings = task.settings_of(protocol, {name: plain(given[name]) for name in names if name in given})
    columns = [getattr(settings, setting, None) for setting in task.column_settings]
    return list(dict.fromkeys(column for column in columns if column))


def of_task(task: Task, protocol: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a task's protocol among keywords; a ConfigError if one belongs to nothing."""
    names = _settings(task, protocol).keys(in_study=False)
    known = [*names, *task.keywords, *COLUMNS, "columns", GENE_NAMES, *OF_CELLS]
    refuse_unknown(given, known, f"{task.name}: {protocol}")
    renamed = {target: keyword for keyword, target in task.keywords.items() if target in names}
    given = {**given, **{target: given[keyword] for target, keyword in renamed.items() if keyword in given}}
    return {name: plain(given[name]) for name in names if name in given}


def _settings(task: Task, protocol: str) -> type[Settings]:
    return type(task.settings_of(protocol, {}))


def show(function: Callable[..., Any], words: Mapping[str, str]) -> None:
    """Put these keywords into the signature of a function that takes any, and their meaning into its help."""
    signature = inspect.signature(function)
    own = [entry for entry in signature.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
    more = [inspect.Parameter(name, KEYWORD_ONLY, default=Unset()) for name in words]
    function.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    text = "\n".join(f"{name}\n    {meaning}" for name, meaning in words.items())
    function.__doc__ = (
        f"{inspect.cleandoc(function.__doc__ or '')}\n\nOther Parameters\n----------------\n{text}"
    )


class Places(dict[str, dict[str, list[str]]]):
    """What is said of each keyword, and in which places."""

    def add(self, name: str, text: str, place: str) -> None:
        """Note what is said in one place."""
        places = self.setdefault(name, {}).setdefault(text, [])
        if place not in places:
            places.append(place)

    def of(self, name: str) -> str:
        """All that is said of a keyword, each with its places."""
        return "; ".join(f"{text} ({', '.join(places)})" for text, places in self[name].items())


def words_of_cells() -> dict[str, str]:
    """Keywords of the cells, and what each means."""
    fields = CellSettings.model_fields
    words = {name: _meaning(fields[name].description) for name in OF_CELLS}
    other = (
        "Table of symbols and Ensembl ids, where the cells have one of them and a model needs the other: a "
        "file, or 'hgnc', which is fetched."
    )
    return {**words, "columns": _meaning(fields["columns"].description), GENE_NAMES: other}


def words_of_tasks() -> dict[str, str]:
    """Keywords of all tasks: columns, and settings with their default by task and protocol."""
    columns, meanings, defaults = Places(), Places(), Places()
    for task in TASKS.values():
        for keyword, column in task.keywords.items():
            setting = _settings(task, task.protocols[0]).model_fields.get(column)
            meaning = _meaning(setting.description) if setting else f"Column of obs that is the {column}"
            columns.add(keyword, meaning.rstrip("."), task.name)
        for protocol in task.protocols:
            for name, entry in _settings(task, protocol).model_fields.items():
                meanings.add(name, _meaning(entry.description).rstrip("."), task.name)
                defaults.add(name, repr(entry.default), f"{task.name} {protocol}")
    words = {name: f"{columns.of(name)}." for name in columns}
    words |= {name: f"Column of obs that holds {name!r}, if it has another name." for name in COLUMNS}
    for name in defaults:
        meaning = meanings.of(name) if len(meanings[name]) > 1 else next(iter(meanings[name]))
        words[name] = f"{words.get(name, '')} {meaning}. Default: {defaults.of(name)}.".strip()
    return words


def words_of(settings: type[Settings], names: Iterable[str]) -> dict[str, str]:
    """Some keywords of one kind of settings, with their defaults."""
    fields = settings.model_fields
    return {
        name: f"{_meaning(fields[name].description)} Default: {fields[name].default!r}." for name in names
    }


def _meaning(description: str | None) -> str:
    return " ".join((description or "").split())
