"""A second metric that must not be lost for the primary one: better, worse, or a trade-off between both.

A task may have two (``Task.guarded``): of two representations one is better only if it is shown to be higher
in either and lower in neither. Higher in one and lower in the other is a trade-off, for the user to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from layerscope.statistics.choice import NAN, Difference
from layerscope.statistics.evidence import Comparison, Measured, Model
from layerscope.statistics.layer_curves import LayerCurve, differences
from layerscope.tables import OFFICIAL

Weighed = Literal["better", "worse", "trade_off", "alike"]
NO_GUARD: Mapping[str, Any] = {
    "guard_metric": "",
    "guard_best_estimate": NAN,
    "guard_final_estimate": NAN,
    "better_layer": "",
    "better_metric": "",
    **Difference().columns("better_gain"),
    "better_p_family": NAN,
    "guard_most_gain": NAN,
    "guard_prefer": "",
    "layers_traded": "",
}


def weigh(gain: Difference, of_guard: Difference) -> Weighed:
    """What two differences of the same representations, one in each metric, say together."""
    ahead, behind = gain.ahead or of_guard.ahead, gain.behind or of_guard.behind
    if ahead and behind:
        return "trade_off"
    return "better" if ahead else "worse" if behind else "alike"


def guard(curve: LayerCurve, place: int | None, models: Mapping[str, Model]) -> Mapping[str, Any]:
    """Columns of ``layers.tsv``: layers by both metrics, ``place`` having the highest primary score."""
    comparison, model = curve.comparison.guard, curve.model
    if comparison is None or place is None:
        return NO_GUARD
    layers = [
        score for layer in curve.layers if (score := comparison.get(model.name, layer.layer)) is not None
    ]
    final = comparison.get(model.name, model.numbered()[-1])
    if final is None or len(layers) < len(curve.layers):
        return NO_GUARD
    over_final = curve.over["final"], differences(layers, [final] * len(layers))
    words = [weigh(*gains) for gains in zip(*over_final, strict=True)]
    metrics = curve.comparison.metric, comparison.metric
    better, better_metric, gain = _surest(layers, words, dict(zip(metrics, over_final, strict=True)))

    def beside(name: str, layer: str) -> Weighed:
        """What a layer of another model, or the official one, is beside the highest layer."""
        pair = curve.comparison.get(name, layer), comparison.get(name, layer)
        both = zip((curve.layers, layers), pair, strict=True)
        return weigh(*(differences(own, [other] * len(own))[place] for own, other in both))

    baselines = [entry for entry in models.values() if entry.kind == "baseline"]
    preferred = [entry.name for entry in baselines if beside(entry.name, OFFICIAL) == "worse"]
    official = OFFICIAL if beside(model.name, OFFICIAL) == "worse" else ""
    traded = [layer.layer for layer, word in zip(layers, words, strict=True) if word == "trade_off"]
    return {
        "guard_metric": comparison.metric,
        "guard_best_estimate": layers[place].estimate,
        "guard_final_estimate": final.estimate,
        "better_layer": better.layer if better else "",
        "better_metric": better_metric,
        **gain.columns("better_gain"),
        "better_p_family": gain.p,
        "guard_most_gain": max((gain.high for gain in over_final[1] if np.isfinite(gain.high)), default=NAN),
        "guard_prefer": max(preferred, key=lambda name: _estimate(curve, name), default=official),
        "layers_traded": ",".join(traded),
    }


def _surest(
    layers: Sequence[Measured], words: Sequence[Weighed], gains: Mapping[str, Sequence[Difference]]
) -> tuple[Measured | None, str, Difference]:
    """The better layer with the smallest p-value of all, its metric and gain; p-value 1 if none is better."""
    testable = {metric: of for metric, of in gains.items() if any(np.isfinite(gain.low) for gain in of)}
    tested = [
        (min(gain.p * len(testable), 1.0), -gain.estimate, place, metric)
        for metric, of_metric in testable.items()
        for place, gain in enumerate(of_metric)
    ]
    above = [each for each in tested if each[1] < 0 and words[each[2]] in ("better", "alike")]
    if not above:
        return None, "", Difference(p=1.0 if tested else NAN)
    p, _, place, metric = min(above)
    gain = gains[metric][place]
    return layers[place], metric, Difference(gain.estimate, gain.low, gain.high, p)


def _estimate(curve: LayerCurve, baseline: str) -> float:
    score = curve.comparison.get(baseline, OFFICIAL)
    return score.estimate if score else NAN


def guard_beside(
    ranked: Sequence[Measured], alike: Sequence[str], comparison: Comparison | None
) -> dict[str, Any]:
    """Weigh representations, the highest primary score first, by the second metric of a task too.

    Columns of a row of ``representations.tsv``. ``guard_higher`` are shown to have more of it than the first,
    and a primary score above chance. ``guard_preferred`` is that with most of it of the models whose primary
    scores are ``alike``; ``guard_p_family`` the p-value of its having more than each of the others, doubled
    since two metrics are looked at, and still to be corrected.
    """
    row = {"guard_metric": "", "guard_higher": "", "guard_preferred": "", "guard_p_family": NAN}
    if comparison is None or not ranked:
        return row
    scores = {score.model: comparison.get(score.model, score.layer) for score in ranked}
    measured = {name: score for name, score in scores.items() if score is not None}
    over_best = differences(list(measured.values()), [scores[ranked[0].model]] * len(measured))
    at_chance = {score.model for score in ranked if score.reaches_chance}
    higher = [
        name for name, gain in zip(measured, over_best, strict=True) if gain.ahead and name not in at_chance
    ]
    equals = [measured[name] for name in alike if name in measured]
    preferred = max(equals, key=lambda score: score.estimate, default=None)
    others = [score for score in equals if score is not preferred]
    ps = [gain.p for gain in differences(others, [preferred] * len(others))]
    return {
        "guard_metric": comparison.metric,
        "guard_higher": ",".join(higher),
        "guard_preferred": preferred.model if preferred else "",
        "guard_p_family": min(2 * max(ps), 1.0) if ps and np.isfinite(ps).all() else NAN,
    }
