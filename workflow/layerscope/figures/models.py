"""What the figures and the report must know of each model that was scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layerscope.errors import ConfigError
from layerscope.statistics import evidence
from layerscope.statistics.evidence import KINDS


@dataclass(frozen=True, kw_only=True)
class Model(evidence.Model):
    """A scored model, as the settings describe it.

    Attributes
    ----------
    title
        The name to print.
    family
        Family of architectures; models of one family share a panel where there are many.
    about
        Everything that the settings say of the model (``trained_on``, ``licence``, ``citation``...).
    """

    title: str
    family: str
    about: Mapping[str, Any]


def read_models(settings: Mapping[str, Any]) -> dict[str, Model]:
    """Read the ``models`` of the settings, in their order.

    Raises
    ------
    ConfigError
        If there are none, a kind is unknown, or a control names no foundation model of the settings.
    """
    entries = settings.get("models")
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError("settings: key 'models' is missing or empty; give one entry for each scored model")
    models = {name: _model(name, entry) for name, entry in entries.items()}
    for model in models.values():
        if model.kind == "control" and model.of not in models:
            raise ConfigError(
                f"settings: model {model.name!r} is a control of {model.of!r}, which is not among "
                "the models: "
                f"{', '.join(models)}"
            )
    return models


def _model(name: str, entry: Any) -> Model:
    if not isinstance(entry, Mapping) or entry.get("kind") not in KINDS:
        found = entry.get("kind") if isinstance(entry, Mapping) else entry
        raise ConfigError(f"settings: model {name!r} has kind {found!r}; expected one of {', '.join(KINDS)}")
    return Model(
        name=name,
        title=str(entry.get("title") or name),
        kind=entry["kind"],
        family=str(entry.get("family") or entry.get("of") or name),
        n_layers=int(entry.get("layers") or 0),
        control=str(entry.get("control") or ""),
        of=str(entry.get("of") or ""),
        about={key: value for key, value in entry.items() if value not in (None, "")},
    )
