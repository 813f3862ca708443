"""The tables that a referee's answers are selected from: those of a study, and a few joined from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerscope.figures.models import Model
from layerscope.statistics.evidence import comparisons, stacked
from layerscope.statistics.intervals import percentile_interval

RESTING = re.compile(r"(^|[_.+-])rest(ing)?$", re.IGNORECASE)
"""Names of conditions of resting cells: ``D1_Rest``, say."""
KEY = ["condition", "task", "protocol", "model", "layer", "metric"]
FIRST = "01"
VARIATIONS = {"_centred": "centring", "_unit_norm": "cells of unit length"}
UNSEEN = "do not see"  # what the reason of a varied score says that equals the score by construction
LOSSES = ["condition", "protocol", "model", "lost", "lost_low", "lost_high"]
LOSSES += ["share", "share_low", "share_high"]


@dataclass(frozen=True)
class StudyTables:
    """Tables of a study, its models and its settings."""

    scores: pd.DataFrame
    layers: pd.DataFrame
    curves: pd.DataFrame
    ceilings: pd.DataFrame
    summaries: Mapping[str, pd.DataFrame]  # cells per filter, by condition
    models: Mapping[str, Model]
    config: Mapping[str, Any]
    resamples: Sequence[str] = ()  # files .../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz

    def names(self, kind: str, control: str = "") -> list[str]:
        """Names of the models of a kind."""
        return [name for name, model in self.models.items() if (model.kind, model.control) == (kind, control)]


def views(study: StudyTables) -> dict[str, pd.DataFrame]:
    """Tables by the name under which queries ask for them; all have their columns, if not rows."""
    scores = study.scores[study.scores["status"] == "ok"]
    scores = scores.assign(has_interval=scores["ci_low"].notna() & scores["ci_high"].notna())
    ceilings = study.ceilings[study.ceilings["status"] == "ok"]
    controlled = study.layers[study.layers["untrained_same_layer_estimate"].notna()]
    prepared = [
        {"condition": name, "cells": table.loc[table["group"] == "all", "cells_after"].iloc[-1]}
        for name, table in study.summaries.items()
    ]
    return {
        "scores": scores,
        "layers": study.layers,
        "controlled": controlled.assign(above=controlled["layers_above_untrained"] != ""),
        "split": ceilings[ceilings["metric"] == "ceiling_by_split"],
        "ceilings": ceilings[ceilings["metric"].isin(["ceiling_by_guide", "ceiling_by_lane"])],
        "prepared": pd.DataFrame(prepared, columns=["condition", "cells"]),
        "settings": pd.DataFrame({"setting": list(_leaves(study.config))}, dtype=object),
        **_of_trained_layers(study, scores),
        **_of_resting_cells(study, scores),
    }


def _of_trained_layers(study: StudyTables, scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Scores of the blocks of foundation models: the primary ones, those that vary them, and controls."""
    blocks = scores[scores["layer"].str.fullmatch(r"\d+") & (scores["layer"] != "00")]
    trained = blocks[blocks["model"].isin(study.names("foundation"))]
    primary = trained.merge(study.layers[["condition", "task", "protocol", "metric"]].drop_duplicates())
    permuted = {name: study.models[name].of for name in study.names("control", "gene_permuted")}
    controls = blocks[blocks["model"].isin(list(permuted))]
    controls = controls.assign(model=controls["model"].map(permuted).astype(object))
    beside = primary.merge(controls, on=KEY, suffixes=("", "_control"))
    varied = varied_scores(trained)
    unseen = varied["reason"].str.contains(UNSEEN).astype(bool)
    return {
        "primary": primary,
        "screens": primary[primary["task"] == "perturbation"],
        "shuffled": trained[trained["metric"] == "spearman_shuffled_labels"],
        "varied": varied[~unseen],
        "unvaried": varied[unseen],
        "permuted": beside.assign(change=beside["estimate_control"] - beside["estimate"]),
    }


def _of_resting_cells(study: StudyTables, scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """First layers in screens of resting cells (of all screens where no name says so), and facts."""
    screens = set(scores.loc[scores["task"] == "perturbation", "condition"])
    resting = {name for name in screens if RESTING.search(name)}
    first = _first_layers(study.curves, resting or screens)
    losses = pd.DataFrame(_losses(study), columns=LOSSES)
    return {
        "strict_first": first[first["protocol"] == "strict"],
        "paper_first": first[first["protocol"] == "paper"],
        "ablated": losses.assign(resting=losses["condition"].isin(resting or screens)),
        "facts": pd.DataFrame({"fewest_untrained": [_fewest_untrained(study)], "resting": [bool(resting)]}),
    }


def _first_layers(curves: pd.DataFrame, conditions: set[str]) -> pd.DataFrame:
    """Layer 01 beside the final one in some screens; ``advantage`` where it is ahead by protocol paper."""
    rows = curves[(curves["task"] == "perturbation") & (curves["layer"] == FIRST)]
    rows = rows[rows["condition"].isin(conditions) & rows["over_final_low"].notna()]
    by_paper = rows[(rows["protocol"] == "paper") & (rows["over_final_low"] > 0)]
    curve_names, ahead = (pd.MultiIndex.from_frame(of[["condition", "model"]]) for of in (rows, by_paper))
    return rows.assign(advantage=curve_names.isin(ahead))


def varied_scores(trained: pd.DataFrame) -> pd.DataFrame:
    """Scores of centred layers and of cells of unit length beside the scores that they vary."""
    parts = []
    for ending, name in VARIATIONS.items():
        rows = trained[trained["metric"].str.endswith(ending)]
        rows = rows.assign(metric=rows["metric"].str.removesuffix(ending), variation=name)
        parts.append(rows.merge(trained, on=KEY, suffixes=("", "_plain")))
    both = pd.concat(parts, ignore_index=True)
    outside = (both["estimate"] < both["ci_low_plain"]) | (both["estimate"] > both["ci_high_plain"])
    return both.assign(change=(both["estimate"] - both["estimate_plain"]).abs(), outside=outside)


def _losses(study: StudyTables) -> Iterator[tuple[Any, ...]]:
    """What layer 01 loses in screens where values are permuted among expressed genes, paired: LOSSES."""
    names = study.names("control", "values_permuted")
    models = {name: study.models[name] for name in [*study.names("foundation"), *names]}
    rows = study.scores[(study.scores["task"] == "perturbation") & (study.scores["layer"] == FIRST)]
    for comparison in comparisons(rows, study.resamples, models):
        for name in names:
            trained, permuted = comparison.get(models[name].of, FIRST), comparison.get(name, FIRST)
            if trained is None or permuted is None or (values := stacked([trained, permuted])) is None:
                continue
            lost = trained.estimate - permuted.estimate
            lost_interval = percentile_interval(values[:, 0] - values[:, 1])
            share, share_interval = np.nan, (np.nan, np.nan)
            if trained.ci_low > 0:  # a share of a score that may be 0 has no meaning
                share = 1 - permuted.estimate / trained.estimate
                share_interval = percentile_interval(1 - values[:, 1] / values[:, 0])
            about = (comparison.condition, comparison.protocol, trained.model)
            yield (*about, lost, *lost_interval, share, *share_interval)


def _fewest_untrained(study: StudyTables) -> int:
    """Untrained networks of the foundation model that has the fewest."""
    of = [study.models[name].of for name in study.names("control", "untrained")]
    return min((of.count(name) for name in study.names("foundation")), default=0)


def _leaves(value: Any, key: str = "") -> Iterator[str]:
    """Names of the settings of a nested mapping."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key
