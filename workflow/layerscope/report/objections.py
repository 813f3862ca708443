"""What a referee would object to the paper, each with the function that looks for the answer in a study.

A function gives an :class:`~layerscope.report.outputs.Answer`; where nothing of the study answers, it gives
what to configure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerscope.report.outputs import KEY, Answer, Outputs

SEEDS = 5
"""Untrained networks that make a band."""
SIGNIFICANT = 0.05


def error_bars(study: Outputs) -> Answer | str:
    """Do scores have intervals?"""
    rows = study.primary(study.of_layers("foundation"))
    with_interval = int((rows["ci_low"].notna() & rows["ci_high"].notna()).sum())
    if not with_interval:
        return "a foundation model, and resampling: resamples"
    return Answer(
        says=f"{with_interval} of {len(rows)} scores of layers have a 95% interval; curves.tsv has intervals "
        "for all layers of a curve at once (simultaneous_low, simultaneous_high)",
        number=with_interval / len(rows),
        file=study.paths["scores"],
        column="ci_low, ci_high",
    )


def peak(study: Outputs) -> Answer | str:
    """Is the peak along the trajectory more than chance?"""
    rows = study.layers[(study.layers["task"] == "trajectory") & study.layers["gain_p_family"].notna()]
    if rows.empty:
        return "a condition with task: trajectory, and a foundation model"
    smallest, sizes = rows["gain_p_family"].min(), rows["confidence_set"].str.split(",").str.len()
    return Answer(
        says=f"{(rows['gain_p_family'] < SIGNIFICANT).sum()} of {len(rows)} curves have a layer above the "
        f"final one (max-T over layers, Holm over models and conditions); smallest p {smallest:.3g}; "
        f"{sizes.min()} to {sizes.max()} layers cannot be told from the peak (confidence_set)",
        number=float(smallest),
        file=study.paths["layers"],
        column="gain_p_family",
    )


def feature_scale(study: Outputs) -> Answer | str:
    """Do scores hang on the scale or the offset of a layer?"""
    rows = study.of_layers("foundation")
    changes = {}
    for ending in ("_unit_norm", "_centred"):
        varied = rows[rows["metric"].str.endswith(ending)]
        varied = varied.assign(metric=varied["metric"].str.removesuffix(ending))
        both = varied.merge(rows, on=[*KEY, "metric"], suffixes=("", "_plain"))
        changes[ending] = (both["estimate"] - both["estimate_plain"]).abs()
    if changes["_unit_norm"].empty:
        return "a foundation model; every protocol scores cells of unit length"
    centring = changes["_centred"]
    return Answer(
        says="with cells of unit length a score changes by "
        f"{changes['_unit_norm'].median():.3f} (median; at most {changes['_unit_norm'].max():.3f})"
        + (
            f", with centred layers by {centring.median():.3f} (median; at most {centring.max():.3f})"
            if len(centring)
            else ""
        )
        + "; variance, norm and anisotropy of every layer stand in geometry.tsv",
        number=float(changes["_unit_norm"].max()),
        file=study.paths["scores"],
        column="estimate of the metrics ..._unit_norm, ..._centred",
    )


def noise(study: Outputs) -> Answer | str:
    """How much could any layer reach, and what does nothing reach?"""
    ceilings = study.ceilings
    if not ceilings.empty:
        ceilings = ceilings[(ceilings["metric"] == "ceiling_by_split") & (ceilings["status"] == "ok")]
    if ceilings.empty:
        return "study: protocols: perturbation: [paper, strict]"
    shuffled = study.of_layers("foundation")
    null = shuffled.loc[shuffled["metric"] == "spearman_shuffled_labels", "estimate"]
    above = int((ceilings["ci_low"] > 0).sum())
    lowest, highest = ceilings["estimate"].min(), ceilings["estimate"].max()
    return Answer(
        says=f"the reference agrees with itself in other cells at {lowest:.2f} to {highest:.2f}; that "
        f"ceiling is above 0 in {above} of {len(ceilings)} conditions; only there is a score divided by it"
        + (
            f"; with labels shuffled the mean score is {null.mean():.3f} (from {null.min():.3f} to "
            f"{null.max():.3f})"
            if len(null)
            else ""
        ),
        number=float(lowest),
        file=study.paths["ceilings"],
        column="estimate",
    )


def training(study: Outputs) -> Answer | str:
    """Does training explain the scores, or would any weights do?"""
    seeds: dict[str, int] = {}
    for model in study.models.values():
        if model.control == "untrained":
            seeds[model.of] = seeds.get(model.of, 0) + 1
    rows = study.layers[study.layers["untrained_same_layer_estimate"].notna()]
    if not seeds or rows.empty:
        return "models: MODEL_untrained_1 to MODEL_untrained_5"
    above = int((rows["layers_above_untrained"].fillna("") != "").sum())
    fewest = min(seeds.values())
    permuted = study.lost_to("gene_permuted")["lost"]
    missing = [] if fewest >= SEEDS else [f"models: MODEL_untrained_{fewest + 1} to MODEL_untrained_{SEEDS}"]
    missing += [] if len(permuted) else ["models: MODEL_gene_permuted"]
    words = (
        f"; genes given the wrong identity change the score of a layer by {-permuted.median():+.3f} (median)"
        if len(permuted)
        else ""
    )
    return Answer(
        says=f"in {above} of {len(rows)} curves some layer is above the mean of the untrained networks "
        f"({fewest} seed{'s' if fewest > 1 else ''}) at the same layer, corrected for the number of layers"
        + words,
        number=above / len(rows),
        file=study.paths["layers"],
        column="layers_above_untrained",
        configure=", ".join(missing),
    )


def harder_task(study: Outputs) -> Answer | str:
    """Does the first layer keep its place where layer and reference share no cell?"""
    if study.curves.empty:
        return "a foundation model; study: protocols: perturbation: [paper, strict]"
    rows = study.curves[
        (study.curves["task"] == "perturbation")
        & (study.curves["layer"] == "01")
        & study.curves["over_final_low"].notna()
    ]
    strict, paper = rows[rows["protocol"] == "strict"], rows[rows["protocol"] == "paper"]
    if strict.empty:
        return "study: protocols: perturbation: [paper, strict]"
    ahead = int((strict["over_final_low"] > 0).sum())
    beside = f" (protocol paper: {(paper['over_final_low'] > 0).sum()} of {len(paper)})" if len(paper) else ""
    return Answer(
        says="under protocol strict, where layer and reference share no cell, layer 01 is above the final "
        f"one in {ahead} of {len(strict)} curves{beside}, by {strict['over_final'].min():+.3f} to "
        f"{strict['over_final'].max():+.3f}",
        number=float(strict["over_final"].max()),
        file=study.paths["curves"],
        column="over_final, over_final_low (layer 01, protocol strict)",
    )


def ablation(study: Outputs) -> Answer | str:
    """What is left of the first layer's score where values are dealt out among the expressed genes?"""
    rows = study.lost_to("values_permuted")
    lost = rows.loc[rows["layer"] == "01", "lost"]
    if lost.empty:
        return "models: MODEL_values_permuted"
    return Answer(
        says="with each cell's values dealt out among the genes that it expresses, layer 01 loses "
        f"{_plain(lost.median())} (median of {len(lost)}; {_plain(lost.min())} to {_plain(lost.max())}): "
        "what it keeps comes from which genes are expressed, not from how strongly",
        number=float(lost.median()),
        file=study.paths["scores"],
        column="estimate of the models ..._values_permuted (layer 01)",
    )


def splits(study: Outputs) -> Answer | str:
    """Was a layer chosen on the data that it is scored on?"""
    rows = study.layers[study.layers["optimism"].notna()]
    if rows.empty:
        return "resampling: splits"
    n_splits = (study.config.get("resampling") or {}).get("splits", "")
    return Answer(
        says=f"every layer was chosen on one half and scored on the other ({n_splits} random halves, drawn "
        f"by the seed of resampling): the naive maximum promises {rows['optimism'].median():.3f} too much "
        f"(median; at most {rows['optimism'].max():.3f})",
        number=float(rows["optimism"].median()),
        file=study.paths["layers"],
        column="optimism, heldout_estimate",
    )


def cell_numbers(study: Outputs) -> Answer | str:
    """How many cells of each state entered?"""
    if not study.summaries:
        return "a condition"
    final = {
        name: int(table.loc[table["group"] == "all", "cells_after"].iloc[-1])
        for name, table in study.summaries.items()
    }
    return Answer(
        says="cells after all filters: " + ", ".join(f"{name} {n:,}" for name, n in final.items()),
        number=float(sum(final.values())),
        file=study.paths["summaries"],
        column="cells_after",
    )


def settings_given(study: Outputs) -> Answer | str:
    """With which settings was it run?"""
    n_settings = _leaves(study.config)
    if not n_settings:
        return "nothing: the report prints the configuration that it is given"
    return Answer(
        says=f"the report prints {n_settings} settings with their values, the seeds and the versions",
        number=float(n_settings),
        file=study.paths["report"],
        column="How it was run: Configuration of the study",
    )


def figures(study: Outputs) -> Answer | str:
    """Do figures show intervals?"""
    drawn = study.layers[["task", "protocol"]].drop_duplicates().itertuples(index=False)
    names = sorted(f"{task}_{protocol}.svg" for task, protocol in drawn)
    if not names:
        return "a foundation model"
    return Answer(
        says=f"all curves of {', '.join(names)} are drawn with intervals, the range of their controls, "
        "baselines and ceilings",
        number=float(len(names)),
        file=study.paths["figures"],
        column="",
    )


def _plain(value: float) -> str:
    """A number with three decimals, never ``-0.000``."""
    return f"{round(value, 3) + 0.0:.3f}"


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
