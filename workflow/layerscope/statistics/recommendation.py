"""The recommendation in words: what a biologist reads instead of a table."""

from __future__ import annotations

import numpy as np

from layerscope.statistics.choice import Difference, LayerChoice
from layerscope.statistics.evidence import Measured
from layerscope.tasks import TASKS

SIGNIFICANT = 0.05
LITTLE = 0.05
"""A gain below this is little: where no more can be expected of another layer, the final one will do."""


def recommend(found: LayerChoice) -> str:
    """Say in plain sentences which layer to use and whether that matters.

    The first sentence names the layer, or says that the choice cannot be told to matter; the others say
    whether a baseline, untrained weights or what enters the first block do as well.
    """
    if found.best is None:
        why = f": {found.reason}" if found.reason else ""
        return f"No layer of {found.model} can be recommended for {found.condition}{why}."
    sentences = [_which(found, found.best), *_weak(found.best, found.task)]
    sentences += [_tried(found), _against_baseline(found), _against_untrained(found), _against_input(found)]
    return " ".join(sentence for sentence in sentences if sentence)


def _which(found: LayerChoice, best: Measured) -> str:
    score = f"{_number(best.estimate)}{_interval(best.ci_low, best.ci_high)}"
    place = f"layer {best.layer} of {found.n_layers}"
    deep = f"{place}{_depth(best.depth)}"
    if found.n_layers == 1:
        return f"{found.model} has one layer; on {found.condition} it scores {score}."
    if found.final is None:
        return (
            f"For {found.condition}, the best layer of {found.model} is {deep}, with {score}; "
            "its final layer has no score to compare with."
        )
    if best.layer == found.final.layer:
        return (
            f"For {found.condition}, use the final layer of {found.model} ({place}): it scores highest, "
            f"{score}{_also_possible(found)}."
        )
    gain = f"{_number(found.gain.estimate, signed=True)}{_interval(found.gain.low, found.gain.high)}"
    if np.isnan(found.gain_p_family):
        return (
            f"For {found.condition}, {deep} of {found.model} scores highest, {score}; "
            "whether that differs from the final layer could not be tested."
        )
    if found.gain_p_family < SIGNIFICANT:
        return (
            f"For {found.condition}, use {deep} of {found.model}: it scores {score}, "
            f"{gain} against the final layer{_also_possible(found)}."
        )
    will_do = ", which will do" if found.gain.high < LITTLE else ""
    return (
        f"For {found.condition}, no layer of {found.model} is distinguishable from the final one{will_do} "
        f"({_number(found.final.estimate)}): "
        f"the highest, {deep}, scores {score}, {gain} against it{_not_excluded(found.gain)}."
    )


def _not_excluded(gain: Difference) -> str:
    """What the interval of a gain that could not be shown leaves possible, where that is not little."""
    return f"; a gain of up to {_number(gain.high)} cannot be excluded" if gain.high >= LITTLE else ""


def _also_possible(found: LayerChoice) -> str:
    others = [layer for layer in found.confidence_set if found.best and layer != found.best.layer]
    if not others:
        return ""
    word = "layer" if len(others) == 1 else "layers"
    return f"; {word} {_listed(others)} cannot be told from it"


def _tried(found: LayerChoice) -> str:
    """What the choice of a layer brought on data that did not choose it, where it denies the claim."""
    if not found.tried.n_splits or not found.gain_p_family < SIGNIFICANT or found.tried.gain > 0:
        return ""
    return (
        "Chosen on one half of the data and scored on the other, it brings nothing "
        f"({_number(found.tried.gain, signed=True)} against the final layer)."
    )


def _weak(best: Measured, task: str) -> list[str]:
    if best.ci_low > np.fmax(best.chance, 0) or np.isnan(best.ci_low):
        return []
    keeps = TASKS[task].keeps if task in TASKS else "the signal"
    nothing = f"what shuffled labels give ({_number(best.chance)})" if best.chance > 0 else "0"
    return [f"That is not distinguishable from {nothing}: no layer is shown to keep {keeps}."]


def _against_baseline(found: LayerChoice) -> str:
    baseline, ahead = found.baseline, found.over_baseline
    if baseline is None:
        return ""
    score = _number(baseline.estimate)
    if _below(ahead):
        return f"The baseline {baseline.model} is better ({score}): prefer it to any of these layers."
    if _open(ahead):
        return f"The baseline {baseline.model} does as well ({score})."
    if ahead.low > 0:
        return f"The best baseline, {baseline.model}, reaches {score}."
    return f"The best baseline, {baseline.model}, has {score}; the difference could not be tested."


def _against_untrained(found: LayerChoice) -> str:
    control, ahead = found.untrained, found.over_untrained
    if control is None:
        return "No untrained control was run, so what training adds is not known."
    score = f"{_number(control.estimate)} at layer {control.layer}"
    if found.over_same_layer.low <= 0 and not found.above_untrained:
        return (
            f"No layer is above the same layer of the untrained network, which reaches {score}: "
            "training does not explain these scores."
        )
    if _below(ahead):
        return f"Untrained weights do better ({score}): training does not explain this score."
    if _open(ahead):
        return f"Untrained weights do as well ({score}): training does not explain this score."
    if ahead.low > 0:
        return f"Untrained weights reach {score}."
    return f"Untrained weights have {score}; the difference could not be tested."


def _against_input(found: LayerChoice) -> str:
    entering = found.embedding_layer
    if entering is None or found.best is None or entering.estimate < found.best.estimate:
        return ""
    return f"What enters the first block (layer 00) scores no less, {_number(entering.estimate)}."


def _below(difference: Difference) -> bool:
    return difference.high < 0


def _open(difference: Difference) -> bool:
    return difference.low <= 0 <= difference.high


def _number(value: float, signed: bool = False) -> str:
    if np.isnan(value):
        return "unknown"
    digits = 2 if abs(value) >= 0.01 or value == 0 else 4
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" (95% interval {_number(low)} to {_number(high)})"


def _depth(depth: float) -> str:
    return "" if np.isnan(depth) else f" ({depth:.0%} depth)"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
