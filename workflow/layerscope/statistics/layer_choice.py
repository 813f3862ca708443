"""Which layer of a model to use for a condition, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.cheapest import cheapest
from layerscope.statistics.choice import NAN, Difference, LayerChoice, families
from layerscope.statistics.evidence import Measured, Model, Resamples, comparisons, models_of
from layerscope.statistics.guard import guard, guard_row
from layerscope.statistics.held_out import HeldOut, held_out
from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.statistics.layer_curves import COLUMNS as CURVE_COLUMNS
from layerscope.statistics.layer_curves import LayerCurve, curve_table, differences, layer_curve
from layerscope.statistics.multiple_testing import holm
from layerscope.statistics.representations import choose_representations
from layerscope.statistics.settings import ChoiceSettings
from layerscope.statistics.shifts import shifts
from layerscope.statistics.travel import ranks as ranked
from layerscope.statistics.travel import travel as travelled
from layerscope.statistics.verdict import answer
from layerscope.tables import OFFICIAL, read_scores, write_table

ORDER = ["condition", "task", "protocol", "model"]
MARGIN = ChoiceSettings().margin


@dataclass(frozen=True)
class StudyChoice:
    """The three tables of a study's choice of layers.

    ``layers`` has a row per condition, protocol and foundation model, ``curves`` one per layer of each,
    ``shifts`` one per pair of conditions of each. ``choices`` are what ``layers`` has in its rows,
    ``layer_curves`` what all are made from.
    """

    layers: pd.DataFrame
    curves: pd.DataFrame
    shifts: pd.DataFrame
    choices: tuple[LayerChoice, ...] = ()
    layer_curves: tuple[LayerCurve, ...] = ()


def write_layer_choice(
    output: str | Path,
    *,
    scores: str | Path,
    models: Mapping[str, Any],
    resamples: Sequence[str | Path] = (),
    conditions: Sequence[str] = (),
    curves: str | Path | None = None,
    shifts: str | Path | None = None,
    representations: str | Path | None = None,
    margin: float = MARGIN,
    travel: str | Path | None = None,
    ranks: str | Path | None = None,
    cells_of: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Say which layer of each model to use for each condition, and how sure that is.

    Parameters
    ----------
    output
        ``layers.tsv``: the layer to use.
    scores
        All score rows of the study.
    models
        ``kind``, ``control``, ``of`` and ``layers`` of each model.
    resamples
        Bootstrap values, ``.../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz``.
    conditions
        Conditions in the study's order: shifts go from one to a later one.
    curves
        Every layer, with simultaneous intervals.
    shifts
        Whether the best layer moves between conditions.
    representations
        What each model gives of itself, compared: baselines, embeddings that the user brought, and the
        official ones of foundation models.
    margin
        How far below the final layer a layer may score and be as good, as a share of the metric's range.
    travel
        The layer chosen on all other conditions, scored on the one left out.
    ranks
        Ranks of each layer over conditions.
    cells_of
        The condition whose cells a condition is scored on, where those are not its own.

    Raises
    ------
    ConfigError
        If a model has no known kind or no number of layers.
    DataError
        If a file is no such table, or resamples are not paired.
    """
    table = read_scores(scores)
    if conditions:
        order = [*conditions, *sorted(set(table["condition"]) - set(conditions))]
        table["condition"] = pd.Categorical(table["condition"], order)
    described = models_of(models)
    chosen = choose_layers(table, resamples, described, margin)
    write_table(output, chosen.layers)
    if curves:
        write_table(curves, chosen.curves)
    if shifts:
        write_table(shifts, chosen.shifts)
    if travel:
        write_table(travel, travelled(chosen.layer_curves, cells_of))
    if ranks:
        write_table(ranks, ranked(chosen.layer_curves, cells_of))
    if representations:
        write_table(representations, choose_representations(table, resamples, described))


def choose_layers(
    scores: pd.DataFrame, resamples: Resamples, models: Mapping[str, Model], margin: float = MARGIN
) -> StudyChoice:
    """Choose a layer for every foundation model, condition and protocol.

    ``scores`` are all rows of :class:`layerscope.tables.Score`, ``resamples`` their bootstrap values,
    ``margin`` that of :class:`layerscope.statistics.settings.ChoiceSettings`.
    """
    curves = [
        layer_curve(comparison, model, models)
        for comparison in comparisons(scores, resamples, models)
        for model in models.values()
        if model.kind == "foundation" and (comparison.rows["model"] == model.name).any()
    ]
    choices = corrected([choice(curve, models, margin) for curve in curves])
    columns = list(as_row(LayerChoice("", "", "", "", "", 0, status="undefined")))
    layers = pd.DataFrame([as_row(chosen) for chosen in choices], columns=columns)
    tables = [curve_table(curve) for curve in curves if curve.layers]
    drawn = pd.concat(tables) if tables else pd.DataFrame(columns=list(CURVE_COLUMNS))
    return StudyChoice(
        layers.sort_values(ORDER, kind="stable", ignore_index=True),
        drawn.sort_values([*ORDER, "layer"], kind="stable", ignore_index=True),
        shifts(curves),
        tuple(choices),
        tuple(curves),
    )


def corrected(choices: Sequence[LayerChoice]) -> list[LayerChoice]:
    """Correct the p-values of the gains for all of their family (Holm; see :func:`families`)."""
    result = list(choices)
    for places in families(choices):
        of_best = holm([choices[place].gain.p for place in places])
        of_surest = holm([choices[place].surest_gain.p for place in places])
        for place, best, surest in zip(places, of_best, of_surest, strict=True):
            result[place] = replace(choices[place], gain_p_family=float(best), surest_p_family=float(surest))
        guards = {place: known for place in places if (known := choices[place].guard) is not None}
        of_better = holm([known.better_gain.p for known in guards.values()])
        for (place, known), p in zip(guards.items(), of_better, strict=True):
            result[place] = replace(result[place], guard=replace(known, better_p_family=float(p)))
    return result


def choice(curve: LayerCurve, models: Mapping[str, Model], margin: float = MARGIN) -> LayerChoice:
    """Compare the best layer of a model with its other layers, its controls and the baselines."""
    comparison, model, layers = curve.comparison, curve.model, curve.layers
    about = LayerChoice(
        condition=comparison.condition,
        task=comparison.task,
        protocol=comparison.protocol,
        metric=comparison.metric,
        model=model.name,
        n_layers=model.n_layers,
        planted=model.is_planted,
        reason="; ".join(comparison.reasons(model.name)),
    )
    if not layers:
        statuses = set(comparison.rows.loc[comparison.rows["model"] == model.name, "status"])
        return replace(about, status="undefined" if "undefined" in statuses else "not_available")
    place = max(range(len(layers)), key=lambda at: layers[at].estimate)
    final = comparison.get(model.name, model.numbered()[-1])
    over_final, over_twins = curve.over["final"], curve.over["untrained"]
    surest, surest_gain = surest_of(layers, over_final)
    on_halves = choose_on_halves(layers, final)
    depth_low, depth_high = percentile_interval(curve.best_depths)
    baselines = [entry for entry in models.values() if entry.kind == "baseline"]
    baseline = comparison.best_of(baselines)
    pca = comparison.best_of(entry for entry in baselines if entry.is_pca)
    guarded = guard(curve, place, models)
    controls = filter(None, curve.untrained.values())
    best_untrained = max(controls, key=lambda control: control.estimate, default=None)
    return replace(
        about,
        best=layers[place],
        final=final,
        first=comparison.get(model.name, "01"),
        embedding_layer=comparison.get(model.name, "00"),
        official=comparison.get(model.name, OFFICIAL),
        gain=over_final[place],
        most_gain=max((gain.high for gain in over_final if np.isfinite(gain.high)), default=NAN),
        surest=surest,
        surest_gain=surest_gain,
        below_final=names_of(layers, [gain.behind for gain in over_final]),
        gain_official=curve.over["official"][place],
        confidence_set=names_of(layers, curve.p_best > 1 - LEVEL),
        best_share=float(curve.best_shares[place]),
        depth_low=depth_low,
        depth_high=depth_high,
        on_halves=on_halves,
        on_halves_layer=layers[on_halves.most_often].layer if on_halves.n_splits else "",
        baseline=baseline,
        over_baseline=differences(layers, [baseline] * len(layers))[place],
        pca=pca,
        over_pca=differences(layers, [pca] * len(layers))[place],
        reference_baseline=comparison.reference_baseline(),
        untrained=best_untrained,
        over_untrained=differences(layers, [best_untrained] * len(layers))[place],
        above_untrained=names_of(layers, [gain.ahead for gain in over_twins]),
        below_untrained=names_of(layers, [gain.behind for gain in over_twins]),
        untrained_same_layer=curve.untrained[layers[place].layer],
        over_same_layer=over_twins[place],
        cheapest=cheapest(curve, margin, guarded),
        guard=guarded,
    )


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


def names_of(layers: Sequence[Measured], chosen: Iterable[bool]) -> tuple[str, ...]:
    """Names of the chosen layers."""
    return tuple(layer.layer for layer, taken in zip(layers, chosen, strict=True) if taken)


def choose_on_halves(layers: list[Measured], final: Measured | None) -> HeldOut:
    """Choose on one half, score on the other, where all layers have the values of the same splits."""
    first = [layer.chosen_on for layer in layers if layer.chosen_on is not None]
    second = [layer.scored_on for layer in layers if layer.scored_on is not None]
    if final is None or not len(first) == len(second) == len(layers) or len({*map(len, first + second)}) > 1:
        return HeldOut()
    return held_out(np.column_stack(first), np.column_stack(second), layers.index(final))


def as_row(chosen: LayerChoice) -> dict[str, Any]:
    """A choice as one row of ``layers.tsv``."""
    row = {
        "condition": chosen.condition,
        "task": chosen.task,
        "protocol": chosen.protocol,
        "metric": chosen.metric,
        "model": chosen.model,
        "n_layers": chosen.n_layers,
        "planted": chosen.planted,
        "status": chosen.status,
        "reason": chosen.reason,
        "best_layer": chosen.best.layer if chosen.best else "",
        "best_depth": chosen.best.depth if chosen.best else NAN,
        **_numbers("best", chosen.best),
        "best_null_mean": chosen.best.chance if chosen.best else NAN,
        "best_p_value": chosen.best.p_value if chosen.best else NAN,
        "final_layer": chosen.final.layer if chosen.final else "",
        **_numbers("final", chosen.final),
        **_numbers("first", chosen.first),
        **_numbers("embedding_layer", chosen.embedding_layer),
        **_numbers("official", chosen.official),
        **_difference("gain", chosen.gain),
        "gain_p": chosen.gain.p,
        "gain_p_family": chosen.gain_p_family,
        "most_gain": chosen.most_gain,
        "surest_layer": chosen.surest.layer if chosen.surest else "",
        **_difference("surest_gain", chosen.surest_gain),
        "surest_p": chosen.surest_gain.p,
        "surest_p_family": chosen.surest_p_family,
        "layers_below_final": ",".join(chosen.below_final),
        **_difference("gain_official", chosen.gain_official),
        "gain_official_p": chosen.gain_official.p,
        "confidence_set": ",".join(chosen.confidence_set),
        "best_share": chosen.best_share,
        "best_depth_ci_low": chosen.depth_low,
        "best_depth_ci_high": chosen.depth_high,
        "heldout_estimate": chosen.on_halves.estimate,
        "heldout_gain": chosen.on_halves.gain,
        "optimism": chosen.on_halves.optimism,
        "heldout_layer": chosen.on_halves_layer,
        "heldout_layer_share": chosen.on_halves.share,
        "best_baseline": chosen.baseline.model if chosen.baseline else "",
        **_numbers("best_baseline", chosen.baseline),
        **_difference("over_baseline", chosen.over_baseline),
        "over_baseline_p": chosen.over_baseline.p,
        "pca": chosen.pca.model if chosen.pca else "",
        **_numbers("pca", chosen.pca),
        **_difference("over_pca", chosen.over_pca),
        "over_pca_p": chosen.over_pca.p,
        "reference_baseline": chosen.reference_baseline,
        "best_untrained": chosen.untrained.model if chosen.untrained else "",
        "best_untrained_layer": chosen.untrained.layer if chosen.untrained else "",
        **_numbers("best_untrained", chosen.untrained),
        **_difference("over_untrained", chosen.over_untrained),
        "over_untrained_p": chosen.over_untrained.p,
        "layers_above_untrained": ",".join(chosen.above_untrained),
        "layers_below_untrained": ",".join(chosen.below_untrained),
        **_numbers("untrained_same_layer", chosen.untrained_same_layer),
        **_difference("over_untrained_same_layer", chosen.over_same_layer),
        "margin": chosen.cheapest.margin,
        "cheapest_layer": chosen.cheapest.layer,
        **_difference("cheapest_over_final", chosen.cheapest.over_final),
        "forward_pass_saved": chosen.cheapest.saved,
        "cheapest_as_good_as_best": chosen.cheapest.as_best,
        **_difference("cheapest_behind_best", chosen.cheapest.behind_best),
        "forward_pass_saved_as_good_as_best": chosen.cheapest.saved_as_best,
        **guard_row(chosen.guard),
    }
    return row | answer(row)


def _numbers(name: str, score: Measured | None) -> dict[str, float]:
    return {
        f"{name}_estimate": score.estimate if score else NAN,
        f"{name}_ci_low": score.ci_low if score else NAN,
        f"{name}_ci_high": score.ci_high if score else NAN,
    }


def _difference(name: str, difference: Difference) -> dict[str, float]:
    return {name: difference.estimate, f"{name}_ci_low": difference.low, f"{name}_ci_high": difference.high}
