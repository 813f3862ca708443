"""The code that a script runs, and its digest: a parameter of rules, by which an edited room runs again."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from layerscope.installation import PACKAGE, repository

CATALOGUE = "layerscope.tasks.catalogue"
READ_BY_CODE = {".html", ".css", ".js", ".tsv"}


@cache
def code_digest(script: str, *chosen: str) -> str:
    """Digest of all code of the package that a script runs.

    ``chosen`` are modules that the script imports by name at run time, such as a model's.
    """
    return hashlib.sha256(b"".join(file.read_bytes() for file in code_of(script, *chosen))).hexdigest()[:12]


def code_of(script: str, *chosen: str) -> list[Path]:
    """The files of that code, and those beside them that it reads."""
    files: set[Path] = set()
    waiting = [repository() / "scripts" / script, *(PACKAGE / name for name in chosen)]
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            waiting += _imports(file)
    # the list of families grows with every model, and must re-run none of the others
    files.discard(PACKAGE / "models" / "catalogue.py")
    rooms = {file.parent for file in files if file.is_relative_to(PACKAGE)} - {PACKAGE}
    return sorted(files.union(*map(_data, rooms)))


@cache
def _imports(file: Path) -> set[Path]:
    """Files of the package that a Python file imports, without what these import in turn."""
    tasks, files = PACKAGE / "tasks", set[Path]()
    if file == tasks / "catalogue.py":
        files.update(tasks.glob("*/task.py"))  # imported by name
    # these ask for one task alone: a task more must re-run no preparation and no other score
    asks_for_one = file.is_relative_to(tasks) or file.is_relative_to(PACKAGE / "cells")
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layerscope"):
            if node.module == CATALOGUE and asks_for_one:
                continue
            place = PACKAGE.parent.joinpath(*str(node.module).split("."))
            files |= {place.with_suffix(".py"), *(place / f"{alias.name}.py" for alias in node.names)}
    return {file for file in files if file.is_file()}


@cache
def _data(folder: Path) -> set[Path]:
    """Files in a folder, and below it, that code reads."""
    return {file for file in folder.rglob("*") if file.suffix in READ_BY_CODE}
