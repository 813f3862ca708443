"""Write the JSON schema of a study's file, and the tables of keys in ``config/README.md``, from the models.

To be run in the root of the repository after a key has changed:
``PYTHONPATH=workflow python -m layerscope.study.configuration_docs``. A table stands in the README between
``<!-- keys of MODULE:CLASS -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from layerscope.settings import Settings
from layerscope.study.configuration import Configuration

SCHEMA = Path("workflow/schemas/config.schema.yaml")
README = Path("config/README.md")
TABLE = re.compile(r"(<!-- keys of ([\w.]+):(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
}
KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "keys and values",
    "null": "null",
}


def schema() -> str:
    """The JSON schema of a study's file, for editors that complete and check YAML by it."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    written = draft | Configuration.model_json_schema() | {"title": "layerscope study"}
    return str(yaml.safe_dump(written, sort_keys=False, width=110, default_flow_style=None))


def with_tables(text: str) -> str:
    """The README with every table of keys as the models have it."""

    def write(match: re.Match[str]) -> str:
        return match[1] + table(getattr(import_module(match[2]), match[3])) + match[4]

    return TABLE.sub(write, text)


def table(settings: type[Settings]) -> str:
    """A table of settings: key, meaning, default and what is allowed."""
    lines = ["| key | meaning | default | allowed |", "|---|---|---|---|"]
    schema = settings.model_json_schema()
    for name in settings.keys():  # noqa: SIM118
        field, entry = settings.model_fields[name], schema["properties"][name]
        row = [f"`{name}`", " ".join((field.description or "").split()), "required", _allowed(entry)]
        if not field.is_required():
            value = entry.get("default")
            row[2] = "" if value in (None, "", []) or isinstance(value, dict) else f"`{json.dumps(value)}`"
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _allowed(entry: dict[str, Any]) -> str:
    """What a value may be, in words; that an optional one may be null goes without saying."""
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{value}`" for value in entry.get("enum", [entry.get("const")]))
    if "anyOf" in entry or "oneOf" in entry:
        choices = [_allowed(choice) for choice in entry.get("anyOf") or entry["oneOf"]]
        return " or ".join(choice for choice in choices if choice != "null")
    if entry.get("type") == "array":
        return f"list of {_allowed(entry['items'])}"
    bounds = [words.format(f"{entry[key]:,}") for key, words in BOUNDS.items() if key in entry]
    return f"{KINDS[entry.get('type', 'object')]} {', '.join(bounds)}".strip()


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
