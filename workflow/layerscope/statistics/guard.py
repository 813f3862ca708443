"""A second metric that must not be lost for the primary one: better, worse, or a trade-off between both.

A task may have two (``Task.guarded``): of two representations one is better only if it is shown to be higher
in either and lower in neither. Higher in one and lower in the other is a trade-off, for the user to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from layerscope.statistics.choice import NAN, Difference, Guard, GuardBeside, RepresentationChoice
from layerscope.statistics.evidence import Comparison, Measured, Model
from layerscope.statistics.layer_curves import LayerCurve, differences
from layerscope.tables import OFFICIAL

Weighed = Literal["better", "worse", "trade_off", "alike"]


def weigh(gain: Difference, of_guard: Difference) -> Weighed:
    """What two differences of the same representations, one in each metric, say together."""
    ahead, behind = gain.ahead or of_guard.ahead, gain.behind or of_guard.behind
    if ahead and behind:
        return "trade_off"
    return "better" if ahead else "worse" if behind else "alike"


def guard(curve: LayerCurve, place: int, models: Mapping[str, Model]) -> Guard | None:
    """Weigh a curve's layers by both metrics, ``place`` being that with the highest primary score.

    None where the task has no second metric, or a layer of the curve lacks it.
    """
    comparison, model = curve.comparison.guard, curve.model
    if comparison is None or not curve.layers:
        return None
    layers = [
        score for layer in curve.layers if (score := comparison.get(model.name, layer.layer)) is not None
    ]
    final = comparison.get(model.name, model.numbered()[-1])
    if final is None or len(layers) < len(curve.layers):
        return None
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
    return Guard(
        metric=comparison.metric,
        best=layers[place],
        final=final,
        most_gain=max((gain.high for gain in over_final[1] if np.isfinite(gain.high)), default=NAN),
        better=better,
        better_metric=better_metric,
        better_gain=gain,
        traded=tuple(layer.layer for layer, word in zip(layers, words, strict=True) if word == "trade_off"),
        official_better=beside(model.name, OFFICIAL) == "worse",
        baseline=max(preferred, key=lambda name: _estimate(curve, name), default=""),
    )


def _surest(
    layers: Sequence[Measured], words: Sequence[Weighed], gains: Mapping[str, Sequence[Difference]]
) -> tuple[Measured | None, str, Difference]:
    """The better layer with the smallest p-value of all, its metric and gain; p-value 1 if none is better.

    The p-value is doubled where both metrics could be tested; NaN if neither could.
    """
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


def guard_beside(chosen: RepresentationChoice, comparison: Comparison | None) -> GuardBeside | None:
    """Weigh representations by the second metric of a task too; None where it has none."""
    if comparison is None or not chosen.ranked:
        return None
    scores = {score.model: comparison.get(score.model, score.layer) for score in chosen.ranked}
    measured = {name: score for name, score in scores.items() if score is not None}
    best = scores[chosen.ranked[0].model]
    over_best = differences(list(measured.values()), [best] * len(measured))
    at_chance = {score.model for score in chosen.ranked if score.reaches_chance}
    higher = [
        name for name, gain in zip(measured, over_best, strict=True) if gain.ahead and name not in at_chance
    ]
    alike = [measured[name] for name in chosen.alike if name in measured]
    preferred = max(alike, key=lambda score: score.estimate, default=None)
    others = [score for score in alike if score is not preferred]
    ps = [gain.p for gain in differences(others, [preferred] * len(others))]
    return GuardBeside(
        metric=comparison.metric,
        best=best,
        higher=tuple(higher),
        preferred=preferred.model if preferred else "",
        p=min(2 * max(ps), 1.0) if ps and np.isfinite(ps).all() else NAN,
    )


def guard_row(known: Guard | None) -> dict[str, Any]:
    """The guard's part of a row of ``layers.tsv``."""
    return {
        "guard_metric": known.metric if known else "",
        "guard_best_estimate": known.best.estimate if known else NAN,
        "guard_final_estimate": known.final.estimate if known else NAN,
        "better_layer": known.better.layer if known and known.better else "",
        "better_metric": known.better_metric if known else "",
        "better_gain": known.better_gain.estimate if known else NAN,
        "better_gain_ci_low": known.better_gain.low if known else NAN,
        "better_gain_ci_high": known.better_gain.high if known else NAN,
        "better_p_family": known.better_p_family if known else NAN,
        "guard_most_gain": known.most_gain if known else NAN,
        "guard_prefer": (known.baseline or OFFICIAL * known.official_better) if known else "",
        "layers_traded": ",".join(known.traded) if known else "",
    }
