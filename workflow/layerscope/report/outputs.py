"""The tables of a study, as what is asked of them needs them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.figures.models import Model

RESTING = re.compile(r"(^|[_.+-])rest(ing)?$", re.IGNORECASE)
"""Names of conditions of resting cells: ``D1_Rest``, say."""
KEY = ["condition", "task", "protocol", "model", "layer"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What answers an objection.

    Attributes
    ----------
    says
        In words, with the numbers.
    number
        The number that the column gives.
    file, column
        Where it stands.
    configure
        What is missing, if the answer is one in part.
    """

    says: str
    number: float
    file: str
    column: str
    configure: str = ""


@dataclass(frozen=True)
class Outputs:
    """Tables of a study, and their paths.

    Attributes
    ----------
    scores, layers, curves
        All scores, the choice of layers, the curves.
    ceilings
        Noise ceilings; empty where protocol ``strict`` was not run.
    summaries
        Cells per filter, by condition.
    models
        The study's models.
    config
        What the study set, as the report prints it.
    paths
        Path of each table by name; ``report`` and ``figures`` (a folder) as well.
    resamples
        Files of bootstrap values, ``.../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz``.
    """

    scores: pd.DataFrame
    layers: pd.DataFrame
    curves: pd.DataFrame
    ceilings: pd.DataFrame
    summaries: Mapping[str, pd.DataFrame]
    models: Mapping[str, Model]
    config: Mapping[str, Any]
    paths: Mapping[str, str]
    resamples: Sequence[str] = ()

    def of_layers(self, kind: str, control: str = "") -> pd.DataFrame:
        """Scores that exist of the blocks of all models of a kind."""
        names = [
            model.name for model in self.models.values() if model.kind == kind and model.control == control
        ]
        rows = self.scores[self.scores["model"].isin(names) & (self.scores["status"] == "ok")]
        return rows[rows["layer"].str.fullmatch(r"\d+") & (rows["layer"] != "00")]

    def primary(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of the rows that are of the primary metric of their condition and protocol."""
        metrics = self.layers[["condition", "task", "protocol", "metric"]].drop_duplicates()
        return rows.merge(metrics)

    def is_resting(self, condition: str) -> bool:
        """Whether a condition is of resting cells, which its name says by ending in ``Rest``."""
        return bool(RESTING.search(condition))

    def resting(self, conditions: Iterable[str]) -> list[str]:
        """Those of the conditions that are of resting cells; all of them where no name says so."""
        names = list(dict.fromkeys(conditions))
        return [name for name in names if self.is_resting(name)] or names

    def lost_to(self, control: str) -> pd.DataFrame:
        """Primary scores of trained layers beside those of a control: ``lost`` is the one minus the other."""
        of = {model.name: model.of for model in self.models.values() if model.control == control}
        controls = self.primary(self.of_layers("control", control))
        controls = controls.assign(model=controls["model"].map(of).astype(object))
        trained = self.primary(self.of_layers("foundation"))
        both = trained.merge(controls, on=[*KEY, "metric"], suffixes=("", "_control"))
        return both.assign(lost=both["estimate"] - both["estimate_control"])
