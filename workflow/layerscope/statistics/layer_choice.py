"""Which layer of a model to use for a condition, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.choice import NAN, Difference, LayerChoice
from layerscope.statistics.evidence import Comparison, Measured, Model, comparisons, controls_of, stacked
from layerscope.statistics.held_out import HeldOut, held_out
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.layer_curves import (
    best_depths,
    best_shares,
    curve,
    differences_between,
    mean_of,
)
from layerscope.statistics.multiple_testing import confidence_set, holm
from layerscope.statistics.recommendation import recommend
from layerscope.statistics.shifts import shifts
from layerscope.tables import OFFICIAL

ORDER = ["condition", "task", "protocol", "model"]


@dataclass(frozen=True)
class StudyChoice:
    """The three tables that a study's choice of layers comes in.

    Attributes
    ----------
    layers
        One row per condition, protocol and foundation model (:func:`as_row`).
    curves
        One row per layer of each (:func:`layerscope.statistics.layer_curves.curve`).
    shifts
        One row per pair of conditions of each (:func:`layerscope.statistics.shifts.shifts`).
    """

    layers: pd.DataFrame
    curves: pd.DataFrame
    shifts: pd.DataFrame


def choose_layers(
    scores: pd.DataFrame, resamples: Iterable[str | Path], models: Mapping[str, Model]
) -> StudyChoice:
    """Choose a layer for every foundation model, condition and protocol.

    Parameters
    ----------
    scores
        All rows of :class:`layerscope.tables.Score`.
    resamples
        Files of bootstrap values, ``.../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz``.
    models
        The study's models.
    """
    foundation = [model for model in models.values() if model.kind == "foundation"]
    compared = list(comparisons(scores, resamples, models))
    asked = [
        (comparison, model)
        for comparison in compared
        for model in foundation
        if (comparison.rows["model"] == model.name).any()
    ]
    found = corrected([choice(comparison, model, models) for comparison, model in asked])
    columns = list(as_row(LayerChoice("", "", "", "", "", 0, status="undefined")))
    layers = pd.DataFrame([as_row(one) for one in found], columns=columns)
    curves = [
        curve(comparison, model, controls_of(models, model, "untrained"))
        for comparison, model in asked
        if comparison.layers(model)
    ]
    return StudyChoice(
        layers.sort_values(ORDER, kind="stable", ignore_index=True),
        pd.concat(curves).sort_values([*ORDER, "layer"], kind="stable", ignore_index=True)
        if curves
        else pd.DataFrame(columns=[*ORDER, "layer"]),
        shifts(compared, foundation),
    )


def corrected(found: Sequence[LayerChoice]) -> list[LayerChoice]:
    """Correct the p-values of the gains for all conditions and models of a task and protocol (Holm)."""
    result = list(found)
    families: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(found):
        families.setdefault((one.task, one.protocol), []).append(place)
    for places in families.values():
        of_best = holm([found[place].gain.p for place in places])
        of_surest = holm([found[place].surest_gain.p for place in places])
        for place, best, surest in zip(places, of_best, of_surest, strict=True):
            result[place] = replace(found[place], gain_p_family=float(best), surest_p_family=float(surest))
    return result


def choice(comparison: Comparison, model: Model, models: Mapping[str, Model]) -> LayerChoice:
    """Compare the layers of one model with each other, with its controls and with the baselines."""
    about = LayerChoice(
        condition=comparison.condition,
        task=comparison.task,
        protocol=comparison.protocol,
        metric=comparison.metric,
        model=model.name,
        n_layers=model.n_layers,
    )
    layers = comparison.layers(model)
    reasons = "; ".join(comparison.reasons(model.name))
    if not layers:
        statuses = set(comparison.rows.loc[comparison.rows["model"] == model.name, "status"])
        status = "undefined" if "undefined" in statuses else "not_available"
        return replace(about, status=status, reason=reasons)
    place = max(range(len(layers)), key=lambda at: layers[at].estimate)
    best = layers[place]
    final = comparison.get(model.name, model.numbered()[-1])
    official = comparison.get(model.name, OFFICIAL)
    untrained = controls_of(models, model, "untrained")
    tried = try_out(layers, final)
    depth_low, depth_high = percentile_interval(best_depths(layers))
    baseline = comparison.best_of(other for other in models.values() if other.kind == "baseline")
    seeds = {layer: mean_of(comparison, untrained, layer) for layer in model.numbered()}
    best_untrained = max(filter(None, seeds.values()), key=lambda one: one.estimate, default=None)
    over_final = over(layers, [final] * len(layers))
    surest, surest_gain = surest_of(layers, over_final)
    twins = [seeds[layer.layer] for layer in layers]
    over_twins = over(layers, twins)
    return replace(
        about,
        reason=reasons,
        best=best,
        final=final,
        first=comparison.get(model.name, "01"),
        embedding_layer=comparison.get(model.name, "00"),
        official=official,
        gain=over_final[place],
        surest=surest,
        surest_gain=surest_gain,
        below_final=names_of(layers, [gain.behind for gain in over_final]),
        gain_official=over(layers, [official] * len(layers))[place],
        confidence_set=layers_like_the_best(layers),
        best_share=float(best_shares(layers)[place]),
        depth_low=depth_low,
        depth_high=depth_high,
        tried=tried,
        tried_layer=layers[tried.most_often].layer if tried.n_splits else "",
        baseline=baseline,
        over_baseline=over(layers, [baseline] * len(layers))[place],
        untrained=best_untrained,
        over_untrained=over(layers, [best_untrained] * len(layers))[place],
        above_untrained=names_of(layers, [gain.ahead for gain in over_twins]),
        below_untrained=names_of(layers, [gain.behind for gain in over_twins]),
        untrained_same_layer=twins[place],
        over_same_layer=over_twins[place],
    )


def over(layers: Sequence[Measured], others: Sequence[Measured | None]) -> list[Difference]:
    """Difference of each layer to another score; to itself 0 with p-value 1."""
    differences, found = differences_between(layers, others)
    p_values = [
        1.0 if layer is other else p for layer, other, p in zip(layers, others, found.p.tolist(), strict=True)
    ]
    columns = (differences.tolist(), found.low.tolist(), found.high.tolist(), p_values)
    return [Difference(*one) for one in zip(*columns, strict=True)]


def surest_of(
    layers: Sequence[Measured], over_final: Sequence[Difference]
) -> tuple[Measured | None, Difference]:
    """The layer above the final one with the smallest p-value, and its gain; p-value 1 if none is above."""
    if all(np.isnan(gain.p) for gain in over_final):
        return None, Difference()
    above = [at for at, gain in enumerate(over_final) if gain.estimate > 0 and not np.isnan(gain.p)]
    if not above:
        return None, Difference(p=1.0)
    place = min(above, key=lambda at: (over_final[at].p, -over_final[at].estimate))
    return layers[place], over_final[place]


def names_of(layers: Sequence[Measured], chosen: Sequence[bool]) -> tuple[str, ...]:
    """Names of the chosen layers."""
    return tuple(layer.layer for layer, taken in zip(layers, chosen, strict=True) if taken)


def try_out(layers: list[Measured], final: Measured | None) -> HeldOut:
    """Choose on one half, score on the other, where all layers have the values of the same splits."""
    first = [layer.chosen_on for layer in layers if layer.chosen_on is not None]
    second = [layer.scored_on for layer in layers if layer.scored_on is not None]
    if final is None or not len(first) == len(second) == len(layers) or len({*map(len, first + second)}) > 1:
        return HeldOut()
    return held_out(np.column_stack(first), np.column_stack(second), layers.index(final))


def layers_like_the_best(layers: list[Measured]) -> tuple[str, ...]:
    """Names of the layers in the 95% confidence set of the best one; empty if they have no resamples."""
    values = stacked(layers)
    if values is None:
        return ()
    return names_of(layers, confidence_set([layer.estimate for layer in layers], values).tolist())


def as_row(found: LayerChoice) -> dict[str, Any]:
    """A choice as one row of ``layers.tsv``."""
    return {
        "condition": found.condition,
        "task": found.task,
        "protocol": found.protocol,
        "metric": found.metric,
        "model": found.model,
        "n_layers": found.n_layers,
        "status": found.status,
        "reason": found.reason,
        "best_layer": found.best.layer if found.best else "",
        "best_depth": found.best.depth if found.best else NAN,
        **_numbers("best", found.best),
        "final_layer": found.final.layer if found.final else "",
        **_numbers("final", found.final),
        **_numbers("first", found.first),
        **_numbers("embedding_layer", found.embedding_layer),
        **_numbers("official", found.official),
        **_difference("gain", found.gain),
        "gain_p": found.gain.p,
        "gain_p_family": found.gain_p_family,
        "surest_layer": found.surest.layer if found.surest else "",
        **_difference("surest_gain", found.surest_gain),
        "surest_p": found.surest_gain.p,
        "surest_p_family": found.surest_p_family,
        "layers_below_final": ",".join(found.below_final),
        **_difference("gain_official", found.gain_official),
        "confidence_set": ",".join(found.confidence_set),
        "best_share": found.best_share,
        "best_depth_ci_low": found.depth_low,
        "best_depth_ci_high": found.depth_high,
        "heldout_estimate": found.tried.estimate,
        "heldout_gain": found.tried.gain,
        "optimism": found.tried.optimism,
        "heldout_layer": found.tried_layer,
        "heldout_layer_share": found.tried.share,
        "best_baseline": found.baseline.model if found.baseline else "",
        **_numbers("best_baseline", found.baseline),
        **_difference("over_baseline", found.over_baseline),
        "best_untrained": found.untrained.model if found.untrained else "",
        "best_untrained_layer": found.untrained.layer if found.untrained else "",
        **_numbers("best_untrained", found.untrained),
        **_difference("over_untrained", found.over_untrained),
        "layers_above_untrained": ",".join(found.above_untrained),
        "layers_below_untrained": ",".join(found.below_untrained),
        **_numbers("untrained_same_layer", found.untrained_same_layer),
        **_difference("over_untrained_same_layer", found.over_same_layer),
        "recommendation": recommend(found),
    }


def _numbers(name: str, one: Measured | None) -> dict[str, float]:
    return {
        f"{name}_estimate": one.estimate if one else NAN,
        f"{name}_ci_low": one.ci_low if one else NAN,
        f"{name}_ci_high": one.ci_high if one else NAN,
    }


def _difference(name: str, difference: Difference) -> dict[str, float]:
    return {name: difference.estimate, f"{name}_ci_low": difference.low, f"{name}_ci_high": difference.high}
