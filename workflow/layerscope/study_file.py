"""A study's file as text: what is wrong with it before anyone asks what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from layerscope.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"


def read_study(path: str | Path) -> dict[str, Any]:
    """Read a study's file.

    Parameters
    ----------
    path
        YAML or JSON: keys and values.

    Raises
    ------
    ConfigError
        If the file is missing, empty, not text, not YAML, no mapping, or names a key twice (of which YAML and
        JSON would silently take the last).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        found = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({_place(error)}); mend it there") from error
    except _TwiceError as error:
        raise ConfigError(f"{path}: {error}; the second would replace the first: join them") from error
    if found is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least the key 'study'")
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(found).__name__}")
    return found


class _TwiceError(Exception):
    """A mapping has a key twice."""


def _json(text: str) -> Any:
    """JSON, or what only begins like it."""

    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _TwiceError(f"the key {key!r} stands twice")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        return _yaml(text)


def _yaml(text: str) -> Any:
    for node in _mappings(yaml.compose(text, yaml.SafeLoader), set()):
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == MERGE or not isinstance(key.value, str):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise _TwiceError(
                    f"the key {key.value!r} stands twice, in lines {seen[key.value]} and {line}"
                )
            seen[key.value] = line
    return yaml.safe_load(text)


def _mappings(node: Any, seen: set[int]) -> Iterator[Any]:
    """Every mapping of a YAML text, each once though anchors may lead to it often."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
        for pair in node.value:
            for part in pair:
                yield from _mappings(part, seen)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _mappings(part, seen)


def _place(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)
