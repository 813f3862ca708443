"""How every script starts: messages to standard error, user errors without a traceback."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from layerscope.errors import ConfigError, LayerscopeError

LONGEST_PATH = 1000
# what a disk or its owner refuses, with the remedy; any other failure of the system is a defect
REFUSALS = {
    errno.ENOSPC: "the disk is full: make room, and run again",
    errno.EDQUOT: "the quota of the disk is used up: make room, and run again",
    errno.EFBIG: "the file is larger than is allowed here (ulimit -f): raise the limit, and run again",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "no permission: change it, or choose another folder",
    errno.EPERM: "not permitted: choose another folder",
    errno.EIO: "the disk failed to read or write: look at it, and run again",
    errno.ESTALE: "the shared file system lost the file: run again",
}


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a :class:`LayerscopeError` becomes one message and exit status 1.

    So does what the disk refuses: it is full, read-only, not permitted or broken.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except LayerscopeError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        refusal = refused(error)
        if refusal is None:
            raise
        sys.exit(f"error: {refusal}")


def refused(error: OSError) -> str | None:
    """What the disk refused and what to do, in one line; None if that was not what happened.

    HDF5 names neither the file nor, always, the number of the error: it is found among the errors that led to
    this one, and in the words.
    """
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError):
            stated = re.search(r"errno = (\d+)", str(chain))
            number = chain.errno or (int(stated[1]) if stated else None)
            if number in REFUSALS:
                where = f"{chain.filename}: " if chain.filename else ""
                return f"{where}{REFUSALS[number]} ({os.strerror(number)})"
        chain = chain.__cause__ or chain.__context__
    return None


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
        if len(text) > LONGEST_PATH or not path.is_file():
            shown = text if len(text) < 200 else f"{text[:100]}..."
            raise ConfigError(f"settings: {shown!r} is neither JSON text that starts with '{{' nor a file")
        try:
            source, content = str(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from error
    try:
        found = json.loads(content) if content.lstrip().startswith("{") else yaml.safe_load(content)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source}: not valid JSON or YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{source}: expected a mapping of settings, found {type(found).__name__}")
    return found
