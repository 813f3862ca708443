"""Which layer of a model to use for a condition, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.cheapest import cheapest
from layerscope.statistics.choice import NAN, Difference, correct
from layerscope.statistics.evidence import Comparison, Measured, Model, Resamples, comparisons, models_of
from layerscope.statistics.guard import guard
from layerscope.statistics.held_out import HeldOut, held_out
from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.statistics.layer_curves import COLUMNS as CURVE_COLUMNS
from layerscope.statistics.layer_curves import LayerCurve, curve_table, differences, layer_curve
from layerscope.statistics.representations import choose_representations
from layerscope.statistics.settings import ChoiceSettings
from layerscope.statistics.shifts import shifts
from layerscope.statistics.travel import ranks as ranked
from layerscope.statistics.travel import travel as travelled
from layerscope.statistics.verdict import answer
from layerscope.tables import OFFICIAL, read_scores, write_table

ORDER = ["condition", "task", "protocol", "model"]
MARGIN = ChoiceSettings().margin
CORRECTED = {"gain_p_family": "gain_p", "surest_p_family": "surest_p", "better_p_family": "better_p_family"}


@dataclass(frozen=True)
class StudyChoice:
    """The three tables of a study's choice of layers, and what all are made from."""

    layers: pd.DataFrame  # a row per condition, protocol and foundation model
    curves: pd.DataFrame  # a row per layer of each
    shifts: pd.DataFrame  # a row per pair of conditions of each
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
    rows = [choice(curve, models, margin) for curve in curves]
    correct(rows, CORRECTED)
    nothing = Comparison("", "", "", "", {}, pd.DataFrame(columns=["model", "status", "reason"]))
    columns = choice(layer_curve(nothing, Model("", "foundation", 1), {}), {}, margin)
    layers = pd.DataFrame([row | answer(row) for row in rows], columns=list(columns | answer(columns)))
    tables = [curve_table(curve) for curve in curves if curve.layers]
    drawn = pd.concat(tables) if tables else pd.DataFrame(columns=list(CURVE_COLUMNS))
    return StudyChoice(
        layers.sort_values(ORDER, kind="stable", ignore_index=True),
        drawn.sort_values([*ORDER, "layer"], kind="stable", ignore_index=True),
        shifts(curves),
        tuple(curves),
    )


def choice(curve: LayerCurve, models: Mapping[str, Model], margin: float = MARGIN) -> dict[str, Any]:
    """A row of ``layers.tsv``, p-values of families still to be corrected; no numbers without a score."""
    comparison, model, layers = curve.comparison, curve.model, curve.layers
    place = max(range(len(layers)), key=lambda at: layers[at].estimate, default=None)
    best = None if place is None else layers[place]

    def get(layer: str) -> Measured | None:
        return comparison.get(model.name, layer) if best else None

    def at_best(contrasts: Sequence[Difference]) -> Difference:
        return Difference() if place is None else contrasts[place]

    final, over_final = get(model.numbered()[-1]), curve.over["final"]
    surest, surest_gain = surest_of(layers, over_final)
    on_halves = choose_on_halves(layers, final)
    depth_low, depth_high = percentile_interval(curve.best_depths)
    guarded = guard(curve, place, models)
    lost = set(comparison.rows.loc[comparison.rows["model"] == model.name, "status"])
    return {
        **comparison.about,
        "model": model.name,
        "n_layers": model.n_layers,
        "planted": model.is_planted,
        "status": "ok" if best else "undefined" if "undefined" in lost else "not_available",
        "reason": "; ".join(comparison.reasons(model.name)),
        "best_layer": best.layer if best else "",
        "best_depth": best.depth if best else NAN,
        **_numbers("best", best),
        "best_null_mean": best.chance if best else NAN,
        "best_p_value": best.p_value if best else NAN,
        "final_layer": final.layer if final else "",
        **_numbers("final", final),
        **_numbers("first", get("01")),
        **_numbers("embedding_layer", get("00")),
        **_numbers("official", get(OFFICIAL)),
        **at_best(over_final).columns("gain"),
        "gain_p": at_best(over_final).p,
        "gain_p_family": NAN,
        "most_gain": max((gain.high for gain in over_final if np.isfinite(gain.high)), default=NAN),
        "surest_layer": surest.layer if surest else "",
        **surest_gain.columns("surest_gain"),
        "surest_p": surest_gain.p,
        "surest_p_family": NAN,
        "layers_below_final": names_of(layers, [gain.behind for gain in over_final]),
        **at_best(curve.over["official"]).columns("gain_official"),
        "gain_official_p": at_best(curve.over["official"]).p,
        "confidence_set": names_of(layers, curve.p_best > 1 - LEVEL),
        "best_share": NAN if place is None else float(curve.best_shares[place]),
        "best_depth_ci_low": depth_low,
        "best_depth_ci_high": depth_high,
        "heldout_estimate": on_halves.estimate,
        "heldout_gain": on_halves.gain,
        "optimism": on_halves.optimism,
        "heldout_layer": layers[on_halves.most_often].layer if on_halves.n_splits else "",
        "heldout_layer_share": on_halves.share,
        **_beside(curve, place, models),
        **cheapest(curve, margin, guarded),
        **guarded,
    }


def _beside(curve: LayerCurve, place: int | None, models: Mapping[str, Model]) -> dict[str, Any]:
    """Columns of baselines and untrained controls beside the layer at ``place``; empty without one."""
    comparison, layers, over_twins = curve.comparison, curve.layers, curve.over["untrained"]
    baseline = pca = untrained = twin = None
    over_baseline = over_pca = over_untrained = over_twin = Difference()
    if place is not None:
        baselines = [entry for entry in models.values() if entry.kind == "baseline"]
        baseline = comparison.best_of(baselines)
        pca = comparison.best_of(entry for entry in baselines if entry.is_pca)
        controls = filter(None, curve.untrained.values())
        untrained = max(controls, key=lambda control: control.estimate, default=None)
        twin, over_twin = curve.untrained[layers[place].layer], over_twins[place]
        over_baseline = differences(layers, [baseline] * len(layers))[place]
        over_pca = differences(layers, [pca] * len(layers))[place]
        over_untrained = differences(layers, [untrained] * len(layers))[place]
    return {
        "best_baseline": baseline.model if baseline else "",
        **_numbers("best_baseline", baseline),
        **over_baseline.columns("over_baseline"),
        "over_baseline_p": over_baseline.p,
        "pca": pca.model if pca else "",
        **_numbers("pca", pca),
        **over_pca.columns("over_pca"),
        "over_pca_p": over_pca.p,
        "reference_baseline": "" if place is None else comparison.reference_baseline(),
        "best_untrained": untrained.model if untrained else "",
        "best_untrained_layer": untrained.layer if untrained else "",
        **_numbers("best_untrained", untrained),
        **over_untrained.columns("over_untrained"),
        "over_untrained_p": over_untrained.p,
        "layers_above_untrained": names_of(layers, [gain.ahead for gain in over_twins]),
        "layers_below_untrained": names_of(layers, [gain.behind for gain in over_twins]),
        **_numbers("untrained_same_layer", twin),
        **over_twin.columns("over_untrained_same_layer"),
    }


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


def names_of(layers: Sequence[Measured], chosen: Iterable[bool]) -> str:
    """Names of the chosen layers."""
    return ",".join(layer.layer for layer, taken in zip(layers, chosen, strict=True) if taken)


def choose_on_halves(layers: list[Measured], final: Measured | None) -> HeldOut:
    """Choose on one half, score on the other, where all layers have the values of the same splits."""
    first = [layer.chosen_on for layer in layers if layer.chosen_on is not None]
    second = [layer.scored_on for layer in layers if layer.scored_on is not None]
    if final is None or not len(first) == len(second) == len(layers) or len({*map(len, first + second)}) > 1:
        return HeldOut()
    return held_out(np.column_stack(first), np.column_stack(second), layers.index(final))


def _numbers(name: str, score: Measured | None) -> dict[str, float]:
    return {
        f"{name}_estimate": score.estimate if score else NAN,
        f"{name}_ci_low": score.ci_low if score else NAN,
        f"{name}_ci_high": score.ci_high if score else NAN,
    }
