"""What a referee would object to the paper, each with the function that looks for the answer in a study.

A function gives an :class:`~layerscope.report.outputs.Answer`; where nothing of the study answers, it gives
what to configure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from layerscope.report.controls import ablation, feature_scale, harder_task, training
from layerscope.report.formats import percent
from layerscope.report.outputs import Answer, Outputs
from layerscope.statistics.choice import SIGNIFICANT

PUBLISHED_PEAK = 0.6
VARIATION = re.compile(r".*?(_k\d+|_roots_q\d+|_centred|_unit_norm)$")
"""Metrics that vary another: other graphs, quartiles over roots, layers centred or of unit length."""
CEILINGS = ("split", "guide", "lane")


def error_bars(study: Outputs) -> Answer | str:
    """Do scores have intervals?"""
    primary = study.primary(study.of_layers("foundation"))
    if not _with_interval(primary):
        return "a foundation model, and resampling: resamples"
    rows = study.scores[study.scores["status"] == "ok"]
    without = rows[rows["ci_low"].isna() | rows["ci_high"].isna()]
    metrics = without["metric"].str.replace(VARIATION, r"...\1", regex=True)
    named = metrics.groupby([without["task"], without["protocol"]]).agg(
        lambda names: ", ".join(sorted(set(names)))
    )
    lacking = "; ".join(f"{task} {protocol}: {names}" for (task, protocol), names in named.items())
    return Answer(
        says=f"{_with_interval(primary)} of {len(primary)} scores of trained layers by the primary metrics "
        f"have a 95% interval, and {_with_interval(rows):,} of all {len(rows):,} scores that exist; without "
        f"one by design: {lacking or 'none'}; curves.tsv has intervals for all layers of a curve at once "
        "(simultaneous_low, simultaneous_high)",
        number=_with_interval(rows) / len(rows),
        file=study.paths["scores"],
        column="ci_low, ci_high",
    )


def _with_interval(rows: pd.DataFrame) -> int:
    return int((rows["ci_low"].notna() & rows["ci_high"].notna()).sum())


def peak(study: Outputs) -> Answer | str:
    """Is the peak along the trajectory more than chance?"""
    rows = study.layers[(study.layers["task"] == "trajectory") & study.layers["gain_p_family"].notna()]
    if rows.empty:
        return "a condition with task: trajectory, and a foundation model"
    above = (rows["gain_p_family"] < SIGNIFICANT) & (rows["gain"] > 0)
    surest = (rows["surest_p_family"] < SIGNIFICANT) & (rows["surest_gain"] > 0)
    there = (rows["best_depth_ci_low"] <= PUBLISHED_PEAK) & (rows["best_depth_ci_high"] >= PUBLISHED_PEAK)
    curves = [
        f"{row['condition']} {row['protocol']} {row['model']} {percent(row['best_depth'])} "
        f"({percent(row['best_depth_ci_low'])} to {percent(row['best_depth_ci_high'])}), p "
        f"{row['gain_p_family']:.3g}"
        for _, row in rows.iterrows()
    ]
    return Answer(
        says=f"in {above.sum()} of {len(rows)} curves the best layer is above the final one (max-T over "
        f"layers, Holm over models and conditions: p below {SIGNIFICANT}), in {surest.sum()} some layer is; "
        f"the interval of the best one's depth holds {percent(PUBLISHED_PEAK)} in {there.sum()}; depth of "
        "the best layer (95% interval), p of its gain: " + "; ".join(curves),
        number=float(rows["gain_p_family"].min()),
        file=study.paths["layers"],
        column="gain_p_family, surest_p_family, best_depth, best_depth_ci_low, best_depth_ci_high",
    )


def noise(study: Outputs) -> Answer | str:
    """How much could any layer reach, and what does nothing reach?"""
    ceilings = study.ceilings
    if not ceilings.empty:
        ceilings = ceilings[ceilings["status"] == "ok"]
    if ceilings.empty or not (ceilings["metric"] == "ceiling_by_split").any():
        return "study: protocols: perturbation: [paper, strict]"
    found = []
    for kind in CEILINGS:
        rows = ceilings[ceilings["metric"] == f"ceiling_by_{kind}"]
        if len(rows):
            found.append(
                f"by {kind} {rows['estimate'].min():.2f} to {rows['estimate'].max():.2f} (interval above 0 "
                f"in {(rows['ci_low'] > 0).sum()} of {len(rows)} conditions)"
            )
    shuffled = study.of_layers("foundation")
    null = shuffled.loc[shuffled["metric"] == "spearman_shuffled_labels", "estimate"]
    words = f"the reference agrees with itself in other cells, {', '.join(found)}; a score is divided by the "
    words += "first, where its interval is above 0 (share_of_ceiling)"
    if len(null):
        words += f"; with labels shuffled the mean score is {null.mean():.3f} "
        words += f"({null.min():.3f} to {null.max():.3f})"
    return Answer(
        says=words,
        number=float(ceilings.loc[ceilings["metric"] == "ceiling_by_split", "estimate"].min()),
        file=study.paths["ceilings"],
        column="estimate, ci_low, ci_high (metric ceiling_by_...)",
    )


def splits(study: Outputs) -> Answer | str:
    """Was a layer chosen on the data that it is scored on?"""
    rows = study.layers[study.layers["optimism"].notna()]
    if rows.empty:
        return "resampling: splits"
    by_task = rows.groupby("task")["optimism"].agg(["median", "max"])
    promised = ", ".join(
        f"{task} {row['median']:.3f} (median; at most {row['max']:.3f})" for task, row in by_task.iterrows()
    )
    return Answer(
        says="every layer was chosen on one half of the data and scored on the other (random halves, drawn "
        f"by the seed of resampling): the highest score of a half exceeds what it keeps by {promised}; "
        "that is the optimism of a choice from HALF of the data, not of the report's choice from all of them",
        number=float(rows["optimism"].median()),
        file=study.paths["layers"],
        column="optimism, heldout_estimate",
    )


def cell_numbers(study: Outputs) -> Answer | str:
    """How many cells of each state entered?"""
    rows = study.primary(study.of_layers("foundation"))
    if rows.empty or not study.summaries:
        return "a condition, and a foundation model"
    words = "cells scored (controls of a screen not counted): " + "; ".join(
        f"{condition} {_scored_cells(own)}" for condition, own in rows.groupby("condition", sort=True)
    )
    prepared = {
        name: int(table.loc[table["group"] == "all", "cells_after"].iloc[-1])
        for name, table in study.summaries.items()
    }
    words += "; prepared (controls counted): " + ", ".join(f"{name} {n:,}" for name, n in prepared.items())
    words += f"; after each filter, and by time, batch, lane or perturbation: {study.paths['summaries']}"
    if "cell_type" in set(rows["task"]):
        words += "; cells of each cell type: obs column cell_type of cells.h5ad beside it, in no table"
    return Answer(
        says=words,
        number=float(rows["n_cells"].min()),
        file=study.paths["scores"],
        column="n_cells",
    )


def _scored_cells(rows: pd.DataFrame) -> str:
    """Cells scored by each protocol, of how many perturbations."""
    found = []
    for protocol, own in rows.groupby("protocol", sort=True):
        numbers = [f"{n:,}" for n in sorted({own["n_cells"].min(), own["n_cells"].max()})]
        items = f" of {own['n_items'].max()} perturbations" if own["task"].iloc[0] == "perturbation" else ""
        found.append(f"{protocol} {' to '.join(numbers)}{items}")
    return ", ".join(found)


def settings_given(study: Outputs) -> Answer | str:
    """With which settings was it run?"""
    n_settings = _leaves(study.config)
    if not n_settings:
        return "nothing: the report prints the configuration that it is given"
    return Answer(
        says=f"the report prints the {n_settings} settings of the study's configuration with their values, "
        "defaults of its keys included (those of baselines without settings stand in config/README.md); "
        "seeds and versions stand beside them",
        number=float(n_settings),
        file=study.paths["report"],
        column="How it was run: Configuration of the study",
    )


def figures(study: Outputs) -> Answer | str:
    """Do figures show intervals?"""
    drawn = study.layers[["task", "protocol"]].drop_duplicates().itertuples(index=False)
    names = sorted(f"{task}_{protocol}.svg" for task, protocol in drawn)
    rows = study.primary(study.of_layers("foundation"))
    if not names or rows.empty:
        return "a foundation model"
    return Answer(
        says=f"{', '.join(names)} draw the columns ci_low and ci_high of scores.tsv around each score of a "
        f"layer, and {_with_interval(rows)} of {len(rows)} such scores have them; layer_choice.svg marks the "
        "confidence set of layers; geometry.svg and alignment.svg show no intervals, nor do their tables",
        number=_with_interval(rows) / len(rows),
        file=study.paths["scores"],
        column="ci_low, ci_high",
    )


def _leaves(value: Any) -> int:
    """Settings that a nested mapping holds."""
    if isinstance(value, Mapping):
        return sum(_leaves(inner) for inner in value.values())
    return 1


OBJECTIONS: Mapping[str, Callable[[Outputs], Answer | str]] = {
    "Scores have no error bars": error_bars,
    "The significance of the peak at 60% depth is not stated": peak,
    "No control for the scale of features": feature_scale,
    "No control for noise": noise,
    "No control for the pretraining objective": training,
    "The first layer's advantage in resting cells is not tested against a harder task": harder_task,
    "The first layer's advantage in resting cells is not tested against an ablation of the input": ablation,
    "Data splits are not given": splits,
    "Cell numbers per state are not given": cell_numbers,
    "Hyper-parameters are not given": settings_given,
    "Figures have no intervals": figures,
}
