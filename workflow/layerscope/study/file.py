"""A study's file as text: what is wrong with it before anyone asks what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from layerscope.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"


def read_study(path: str | Path) -> dict[str, Any]:
    """Read a study's file, YAML or JSON, a mapping; a ConfigError says what else it is.

    A key that stands twice is one too: YAML and JSON would silently take the last.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({_place(error)}); mend it there") from error
    except _TwiceError as error:
        raise ConfigError(f"{path}: {error}; the second would replace the first: join them") from error
    if content is None:
        raise ConfigError(f"{path}: the file is empty; expected keys and values, such as 'study'")
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


class _TwiceError(Exception):
    """A mapping has a key twice."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice in a mapping; a key may override a merged one (``<<``)."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == MERGE or not isinstance(key.value, str):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise _TwiceError(
                    f"the key {key.value!r} stands twice, in lines {lines[key.value]} and {line}"
                )
            lines[key.value] = line
        return node


def _yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _json(text: str) -> Any:
    """JSON, or what only begins like it."""

    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in pairs:
            if key in mapping:
                raise _TwiceError(f"the key {key!r} stands twice")
            mapping[key] = value
        return mapping

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        return _yaml(text)


def _place(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)
