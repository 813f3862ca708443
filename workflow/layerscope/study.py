"""A study: what its configuration may say, and what follows from it.

The configuration is a plain mapping (read from YAML by whoever runs the study). :func:`complete` checks it
against the schema and against itself and fills in the defaults; the other functions answer questions about a
complete configuration.
"""

from __future__ import annotations

import copy
import math
import posixpath
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from layerscope.errors import ConfigError
from layerscope.models.catalogue import FAMILIES
from layerscope.tables import layer_names

Config = Mapping[str, Any]
NAMED = 30


def _is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# 15.0 is no whole number to the steps that get it, and NaN and infinity are no thresholds
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_whole, "number": _is_number}
    ),
)


def complete(config: Config, schema: str | Path) -> dict[str, Any]:
    """Check a configuration and fill in its defaults.

    Parameters
    ----------
    config
        The configuration as read.
    schema
        Path of the JSON schema (YAML).

    Returns
    -------
    A copy with every default in its place.

    Raises
    ------
    ConfigError
        If a key is unknown, a value is not allowed, or a name stands for nothing. The message names the key,
        the value and what is allowed.
    """
    rules = yaml.safe_load(Path(schema).read_text(encoding="utf-8"))
    completed: dict[str, Any] = copy.deepcopy(dict(config))
    error = best_match(_Validator(rules).iter_errors(completed))
    if error is not None:
        raise ConfigError(_explain(error))
    _fill_defaults(completed, rules, rules)
    _share_cells(completed["conditions"])
    _check_names(completed)
    return completed


def layers(config: Config, model: str) -> list[str]:
    """Names of a model's layers in order; a baseline has ``official`` only."""
    return layer_names(int(config["models"][trained_model(config, model)].get("layers", 0)))


def trained_model(config: Config, model: str) -> str:
    """The model whose weights (and tokens, and layers) a model uses: itself, but for a control."""
    return str(config["models"][model].get("of", model))


def family(config: Config, model: str) -> str:
    """The architecture of a model."""
    return str(config["models"][trained_model(config, model)]["family"])


def is_baseline(config: Config, model: str) -> bool:
    """Whether a model is a baseline, which has no numbered layers."""
    return not config["models"][trained_model(config, model)].get("layers")


def cells_of(config: Config, condition: str) -> str:
    """The condition whose cells, and whose models' layers, a condition is scored on: itself mostly."""
    return str(config["conditions"][condition].get("cells_of", condition))


def is_repetition(config: Config, model: str) -> bool:
    """Whether a model is a control of which the study has another, of a lower seed."""
    own = config["models"][model]
    others = [config["models"][name] for name in config["study"]["models"]]
    return "control" in own and any(
        (other.get("control"), other.get("of")) == (own["control"], own["of"]) and other["seed"] < own["seed"]
        for other in others
    )


def task(config: Config, condition: str) -> str:
    """The task of a condition."""
    return str(config["conditions"][condition]["task"])


def keeps_sums(config: Config, condition: str, model: str) -> bool:
    """Whether of a model's layers only sums over groups of cells are kept for a condition."""
    wanted = config["extraction"]["keep"] == "sums"
    return wanted and task(config, condition) == "perturbation" and not is_baseline(config, model)


def dataset(config: Config, condition: str) -> dict[str, Any]:
    """The dataset's entry behind a condition."""
    return dict(config["datasets"][config["conditions"][condition]["dataset"]])


def is_simulated(config: Config, condition: str) -> bool:
    """Whether the cells of a condition are simulated."""
    return "simulate" in dataset(config, condition)["source"]


def unavailable(config: Config) -> list[dict[str, str]]:
    """Pairs of condition and model that cannot be run, each with the reason.

    A model that needs counts cannot take cells of which only normalised values exist.
    """
    rows = []
    for condition in config["study"]["conditions"]:
        values = "counts" if dataset(config, condition)["values"] == "counts" else "log_normalised"
        rows += [
            {
                "condition": condition,
                "model": model,
                "task": task(config, condition),
                "reason": f"{family(config, model)} needs counts; the dataset holds {values} values only",
            }
            for model in config["study"]["models"]
            if values not in FAMILIES[family(config, model)].values
        ]
    return rows


def runs(config: Config) -> list[tuple[str, str]]:
    """Every pair of condition and model that is run, in the order of the study."""
    excluded = {(row["condition"], row["model"]) for row in unavailable(config)}
    study = config["study"]
    pairs = [(condition, model) for condition in study["conditions"] for model in study["models"]]
    return [pair for pair in pairs if pair not in excluded]


def _fill_defaults(value: Any, rules: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Set missing keys of a mapping to the defaults that its schema names, and descend."""
    while "$ref" in rules:
        rules = root["$defs"][rules["$ref"].rsplit("/", 1)[-1]]
    if not isinstance(value, dict):
        return
    for key, inner in rules.get("properties", {}).items():
        if "default" in inner:
            value.setdefault(key, copy.deepcopy(inner["default"]))
        if key in value:
            _fill_defaults(value[key], inner, root)


def _share_cells(conditions: dict[str, dict[str, Any]]) -> None:
    """Give conditions that are scored on the cells of another that condition's dataset.

    Raises
    ------
    ConfigError
        If there is no such condition, it has no cells of its own, or something is said about other cells.
    """
    for name, entry in conditions.items():
        if "cells_of" not in entry:
            continue
        where, other = f"conditions: {name}: cells_of", entry["cells_of"]
        _known(other, conditions, where, "condition")
        if "cells_of" in conditions[other]:
            raise ConfigError(
                f"{where}: {other!r} has no cells of its own; name {conditions[other]['cells_of']!r}"
            )
        own = sorted(set(entry) - {"cells_of", "title", "task"})
        if own:
            raise ConfigError(
                f"conditions: {name}: {own[0]!r} belongs to {other!r}, whose cells it is scored on"
            )
        if entry.get("task") == "perturbation":
            raise ConfigError(
                f"{where}: a condition of task perturbation chooses its own cells: name its 'dataset'"
            )
        entry["dataset"] = conditions[other]["dataset"]


def _explain(error: ValidationError) -> str:
    """One line: the key, the value that was found, and what is allowed."""
    where = ": ".join(str(part) for part in error.absolute_path) or "the configuration"
    found = error.instance
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        allowed = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(found) - set(allowed), key=str)[0]
        return f"{where}: unknown key {unknown!r}{_hint(unknown, allowed)}; allowed: {', '.join(allowed)}"
    if error.validator == "enum":
        return (
            f"{where}: {found!r} is not allowed{_hint(str(found), error.validator_value)}; allowed: "
            + ", ".join(map(str, error.validator_value))
        )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in found]
        return f"{where}: the key {missing[0]!r} is missing"
    if error.validator == "uniqueItems":
        return f"{where}: an entry stands twice in {found!r}; name each once"
    if error.validator == "type":
        return f"{where}: found {found!r}, expected a value of type {error.validator_value}"
    if error.validator == "oneOf":
        keys = [key for choice in error.validator_value for key in choice.get("required", [])]
        stated = ", ".join(map(str, found)) or "none"
        return f"{where}: exactly one of these keys is needed: {', '.join(keys)}; found: {stated}"
    expected = error.schema.get("description") if isinstance(error.schema, dict) else None
    return f"{where}: found {found!r}, expected {expected}" if expected else f"{where}: {error.message}"


def _hint(found: object, allowed: Iterable[str]) -> str:
    near = get_close_matches(str(found), list(allowed), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _known(name: str, among: Iterable[str], where: str, kind: str) -> None:
    among = sorted(among)
    if name not in among:
        raise ConfigError(
            f"{where}: unknown {kind} {name!r}{_hint(name, among)}; defined: {', '.join(among[:NAMED])}"
            + (f" and {len(among) - NAMED} more" if len(among) > NAMED else "")
        )


def _check_names(config: Config) -> None:
    """Refuse names that stand for nothing, in the parts of the catalogues that the study uses."""
    for condition in config["study"]["conditions"]:
        _known(condition, config["conditions"], "study: conditions", "condition")
        if "task" not in config["conditions"][condition]:
            raise ConfigError(
                f"conditions: {condition}: has no task, so it cannot be studied; name its 'task'"
            )
        _check_source(config, condition)
    for model in config["study"]["models"]:
        _known(model, config["models"], "study: models", "model")
        _check_model(config, model)


def _check_model(config: Config, model: str) -> None:
    trained = trained_model(config, model)
    _known(trained, config["models"], f"models: {model}: of", "model")
    if trained != model and "weights" not in config["models"][trained]:
        raise ConfigError(f"models: {model}: of: {trained!r} is not a foundation model")
    _known(config["models"][trained]["family"], FAMILIES, f"models: {trained}: family", "family")
    pretraining = config["models"][trained].get("weights", {}).get("pretrain")
    if pretraining:
        where = f"models: {trained}: weights: pretrain: cells"
        _known(pretraining["cells"], config["conditions"], where, "condition")
        _check_source(config, pretraining["cells"])


def _check_source(config: Config, condition: str) -> None:
    name = config["conditions"][condition]["dataset"]
    _known(name, config["datasets"], f"conditions: {condition}: dataset", "dataset")
    dataset = config["datasets"][name]
    _demand_file(dataset["source"], f"datasets: {name}: source")
    if "gene_names" in dataset:
        table = dataset["gene_names"]
        _known(table, config["gene_names"], f"datasets: {name}: gene_names", "table")
        _demand_file(config["gene_names"][table], f"gene_names: {table}")


def _demand_file(source: Mapping[str, Any], where: str) -> None:
    path = source.get("path")
    if path and not Path(path).exists():
        raise ConfigError(f"{where}: path: there is no file {path!r}")
    place = source.get("huggingface") or source.get("geo") or {"file": source.get("url")}
    if place["file"] is not None and posixpath.basename(place["file"]) in ("", ".", ".."):
        raise ConfigError(f"{where}: {place['file']!r} does not end in the name of a file")
