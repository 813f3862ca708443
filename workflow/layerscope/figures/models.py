"""What the figures and the report must know of each model that was scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.errors import ConfigError, DataError
from layerscope.statistics import evidence


@dataclass(frozen=True, kw_only=True)
class Model(evidence.Model):
    """A scored model, as the settings describe it.

    Models of one ``family`` share a panel where there are many. ``about`` is everything that the settings say
    of the model (``trained_on``, ``licence``, ``citation``...).
    """

    title: str
    about: Mapping[str, Any]


def read_models(settings: Mapping[str, Any]) -> dict[str, Model]:
    """Read the ``models`` of the settings, in their order.

    A ConfigError if there are none, a kind is unknown, or a control names no foundation model of the
    settings.
    """
    entries = settings.get("models")
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError("settings: key 'models' is missing or empty; give one entry for each scored model")
    models = {}
    for name, model in evidence.models_of(entries, "settings: models").items():
        if model.kind == "control" and model.of not in entries:
            raise ConfigError(
                f"settings: model {name!r} is a control of {model.of!r}, which is not among the models: "
                f"{', '.join(entries)}"
            )
        about = {key: value for key, value in entries[name].items() if value not in (None, "")}
        known = vars(model) | {"family": model.family or model.of or name}
        models[name] = Model(**known, title=about.get("title", name), about=about)
    return models


def refuse_unknown(table: pd.DataFrame, models: Mapping[str, Model], source: str | Path) -> None:
    """Raise a DataError if rows are of a model that the settings do not describe."""
    unknown = sorted(set(table["model"]) - set(models))
    if unknown:
        raise DataError(
            f"{source}: column 'model' has {', '.join(unknown)}, which the settings do not describe; "
            "add them under 'models'"
        )
