"""The recommendation in words: what a biologist reads instead of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.statistics.choice import SIGNIFICANT, Difference, LayerChoice
from layerscope.statistics.evidence import Measured
from layerscope.tasks.catalogue import TASKS

LITTLE = 0.05
"""A gain below this is little: where no more can be expected of another layer, the final one will do."""


def recommend(found: LayerChoice) -> str:
    """Say in plain sentences which layer to use and whether that matters.

    The first sentence names the layer, or says that the choice cannot be told to matter; the others say
    whether the owners' embedding, a baseline, untrained weights or what enters the first block do as well.
    All intervals of differences hold for all layers of the model at once.
    """
    if found.best is None:
        why = f": {found.reason}" if found.reason else ""
        return f"No layer of {found.model} can be recommended for {found.condition}{why}."
    sentences = [_which(found, found.best), *_weak(found.best, found.task), _tried(found)]
    sentences += [_against_official(found), _against_baseline(found), _against_untrained(found)]
    sentences += [_against_input(found)]
    return " ".join(sentence for sentence in sentences if sentence)


def _which(found: LayerChoice, best: Measured) -> str:
    score = f"{_number(best.estimate)}{_interval(best.ci_low, best.ci_high)}"
    deep = _place(found, best)
    if found.n_layers == 1:
        return f"{found.model} has one layer; on {found.condition} it scores {score}."
    if found.final is None:
        return (
            f"For {found.condition}, the best layer of {found.model} is {deep}, with {score}; "
            "its final layer has no score to compare with."
        )
    if best.layer == found.final.layer:
        return (
            f"For {found.condition}, use the final layer of {found.model} (layer {best.layer} of "
            f"{found.n_layers}): it scores highest of the blocks, {score}{_also_possible(found)}."
        )
    if np.isnan(found.gain_p_family):
        return (
            f"For {found.condition}, {deep} of {found.model} scores highest, {score}; "
            "whether that differs from the final layer could not be tested."
        )
    gain = _gain(found.gain)
    if found.gain_p_family < SIGNIFICANT:
        return (
            f"For {found.condition}, use {deep} of {found.model}: it scores {score}, "
            f"{gain} against the final layer{_also_possible(found)}."
        )
    if found.surest is not None and found.surest_p_family < SIGNIFICANT:
        return (
            f"For {found.condition}, {_place(found, found.surest)} of {found.model} is better than the final "
            f"one, by {_gain(found.surest_gain)}; the highest, {deep}, scores {score}, {gain} against it, "
            f"which could be chance{_also_possible(found)}."
        )
    will_do = ", which will do" if found.gain.high < LITTLE else ""
    # a one-sided test may leave the final layer out of the confidence set without naming one that is better
    may_be_best = found.final.layer in found.confidence_set
    alike = may_be_best and not (found.below_final or found.gain.ahead or found.surest_gain.ahead)
    return (
        f"For {found.condition}, no layer of {found.model} "
        f"{'is distinguishable from' if alike else 'is shown to be better than'} the final one{will_do} "
        f"({_number(found.final.estimate)}): the highest, {deep}, scores {score}, "
        f"{gain} against it{_corrected(found)}{_not_excluded(found.gain)}"
        f"{_worse(found)}{_also_possible(found)}."
    )


def _corrected(found: LayerChoice) -> str:
    """What becomes of a gain that would be shown if this condition and model were the only ones."""
    if not found.gain.ahead:
        return ""
    return f", which could be chance among all conditions and models (p = {found.gain_p_family:.2g})"


def _worse(found: LayerChoice) -> str:
    return f"; {_layers(found.below_final)} worse" if found.below_final else ""


def _place(found: LayerChoice, layer: Measured) -> str:
    return f"layer {layer.layer} of {found.n_layers}{_depth(layer.depth)}"


def _layers(names: Sequence[str]) -> str:
    return f"layer {names[0]} is" if len(names) == 1 else f"layers {_listed(names)} are"


def _not_excluded(gain: Difference) -> str:
    """What the interval of a gain that could not be shown leaves possible, where that is not little."""
    return f"; a gain of up to {_number(gain.high)} cannot be excluded" if gain.high >= LITTLE else ""


def _also_possible(found: LayerChoice) -> str:
    others = [layer for layer in found.confidence_set if found.best and layer != found.best.layer]
    if not others:
        return ""
    word = "layer" if len(others) == 1 else "layers"
    return f"; {word} {_listed(others)} cannot be told from the highest"


def _tried(found: LayerChoice) -> str:
    """What the choice of a layer brought on data that did not choose it, where it denies the claim."""
    if not found.tried.n_splits or not found.gain_p_family < SIGNIFICANT or found.tried.gain > 0:
        return ""
    return (
        "Chosen on one half of the data and scored on the other, it brings nothing "
        f"({_difference(found.tried.gain)} against the final layer)."
    )


def _weak(best: Measured, task: str) -> list[str]:
    if best.ci_low > np.fmax(best.chance, 0) or np.isnan(best.ci_low):
        return []
    keeps = TASKS[task].keeps if task in TASKS else "the signal"
    nothing = f"what shuffled labels give ({_number(best.chance)})" if best.chance > 0 else "0"
    if best.p_value < SIGNIFICANT:
        return [
            f"By its interval that is not distinguishable from {nothing}, though more than a random "
            f"re-arrangement of these very items gives (p = {best.p_value:.3g} for this layer alone): it may "
            f"keep {keeps} here, and is not shown to do so for others like them."
        ]
    return [f"That is not distinguishable from {nothing}: it is not shown to keep {keeps}."]


def _against_official(found: LayerChoice) -> str:
    if found.official is None or np.isnan(found.gain_official.p):
        return ""
    embedding = f"The owners' embedding, official ({_number(found.official.estimate)}),"
    if found.gain_official.behind:
        return f"{embedding} is better: prefer it."
    told = "is worse" if found.gain_official.ahead else "cannot be told from the highest layer"
    return f"{embedding} {told}."


def _against_baseline(found: LayerChoice) -> str:
    baseline, gain = found.baseline, found.over_baseline
    if baseline is None:
        return ""
    score = _number(baseline.estimate)
    if np.isnan(gain.p):
        return f"The best baseline, {baseline.model}, has {score}; the difference could not be tested."
    if gain.behind:
        return f"The baseline {baseline.model} is better ({score}): prefer it to any of these layers."
    if gain.ahead:
        return f"The best baseline, {baseline.model}, reaches {score}."
    return (
        f"The baseline {baseline.model} ({score}) cannot be told from the highest layer: "
        f"{_gain(gain)} for the layer."
    )


def _against_untrained(found: LayerChoice) -> str:
    control, gain, twin = found.untrained, found.over_untrained, found.untrained_same_layer
    if control is None:
        return "No untrained control was run, so what training adds is not known."
    seeds = f", {control.model}" if control.model.startswith("mean of") else ""
    score = f"{_number(control.estimate)} at layer {control.layer}{seeds}"
    if np.isnan(gain.p):
        return f"Untrained weights have {score}; the difference could not be tested."
    if found.below_untrained and not found.above_untrained:
        below = f"{_layers(found.below_untrained)} below the same layer of untrained weights"
        return f"Trained {below}: training does not explain these scores."
    if twin is not None and not found.above_untrained:
        return (
            "No layer is shown to be above the same layer of untrained weights "
            f"({_number(twin.estimate)} at this one, {_gain(found.over_same_layer)} for the trained): "
            "what training adds is not shown."
        )
    if gain.behind:
        return f"Untrained weights do better ({score}): training does not explain this score."
    if gain.ahead:
        return f"Untrained weights reach {score}."
    return (
        f"Untrained weights ({score}) cannot be told from the highest layer: "
        f"{_gain(gain)} for the trained one."
    )


def _against_input(found: LayerChoice) -> str:
    entering = found.embedding_layer
    if entering is None or found.best is None or entering.estimate < found.best.estimate:
        return ""
    return f"What enters the first block (layer 00) scores no less, {_number(entering.estimate)}."


def _number(value: float) -> str:
    # adding 0.0 turns -0.0 into 0.0
    return "unknown" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _difference(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"


def _gain(gain: Difference) -> str:
    low, high = round(gain.low, 3) + 0.0, round(gain.high, 3) + 0.0
    return f"{_difference(gain.estimate)} (95% interval {low:.3f} to {high:.3f})"


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" (95% interval {_number(low)} to {_number(high)})"


def _depth(depth: float) -> str:
    return "" if np.isnan(depth) else f" ({depth:.0%} depth)"


def _listed(names: Sequence[str]) -> str:
    """Names of layers in words; three and more in a row as ``01 to 03``."""
    runs: list[list[str]] = []
    for name in names:
        if runs and int(name) == int(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
