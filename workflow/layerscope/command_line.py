"""How every script starts: messages to standard error, user errors without a traceback."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from layerscope.errors import ConfigError, LayerscopeError


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a :class:`LayerscopeError` becomes one message and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except LayerscopeError as error:
        sys.exit(f"error: {error}")


def settings(text: str) -> dict[str, Any]:
    """Read settings given on the command line: JSON text, or the path of a YAML or JSON file.

    Raises
    ------
    ConfigError
        If the text is neither, or does not hold a mapping.
    """
    if text.lstrip().startswith("{"):
        source, content = "the settings", text
    else:
        path = Path(text)
        if not path.is_file():
            raise ConfigError(f"settings: {text!r} is neither JSON text that starts with '{{' nor a file")
        source, content = str(path), path.read_text(encoding="utf-8")
    try:
        found = json.loads(content) if content.lstrip().startswith("{") else yaml.safe_load(content)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source}: not valid JSON or YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{source}: expected a mapping of settings, found {type(found).__name__}")
    return found
