"""The recommendation in words: what a biologist reads instead of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.statistics.choice import SIGNIFICANT, Difference, LayerChoice
from layerscope.statistics.evidence import Measured
from layerscope.tasks.catalogue import TASKS

NEGLIGIBLE_GAIN = 0.05
"""Where no layer can gain more than this, the final one will do."""


def recommend(choice: LayerChoice) -> str:
    """Say in plain sentences which layer to use and whether that matters.

    The first sentence names the layer, or says that the choice cannot be told to matter; the others say
    whether the owners' embedding, a baseline, untrained weights or what enters the first block do as well.
    All intervals of differences hold for all layers of the model at once.
    """
    if choice.best is None:
        why = f": {choice.reason}" if choice.reason else ""
        return f"No layer of {choice.model} can be recommended for {choice.condition}{why}."
    sentences = [_which(choice, choice.best), *_weak(choice.best, choice.task), _tried(choice)]
    sentences += [_against_official(choice), _against_baseline(choice), _against_untrained(choice)]
    sentences += [_against_input(choice)]
    return " ".join(sentence for sentence in sentences if sentence)


def _which(choice: LayerChoice, best: Measured) -> str:
    score = f"{_number(best.estimate)}{_interval(best.ci_low, best.ci_high)}"
    deep = _place(choice, best)
    if choice.n_layers == 1:
        return f"{choice.model} has one layer; on {choice.condition} it scores {score}."
    if choice.final is None:
        return (
            f"For {choice.condition}, the best layer of {choice.model} is {deep}, with {score}; "
            "its final layer has no score to compare with."
        )
    if best.layer == choice.final.layer:
        return (
            f"For {choice.condition}, use the final layer of {choice.model} (layer {best.layer} of "
            f"{choice.n_layers}): it scores highest of the blocks, {score}{_also_possible(choice)}."
        )
    if np.isnan(choice.gain_p_family):
        return (
            f"For {choice.condition}, {deep} of {choice.model} scores highest, {score}; "
            "whether that differs from the final layer could not be tested."
        )
    gain = _gain(choice.gain)
    if choice.gain_p_family < SIGNIFICANT:
        return (
            f"For {choice.condition}, use {deep} of {choice.model}: it scores {score}, "
            f"{gain} against the final layer{_also_possible(choice)}."
        )
    if choice.surest is not None and choice.surest_p_family < SIGNIFICANT:
        return (
            f"For {choice.condition}, {_place(choice, choice.surest)} of {choice.model} is better than the "
            f"final one, by {_gain(choice.surest_gain)}; the highest, {deep}, scores {score}, {gain} against "
            f"it, which could be chance{_also_possible(choice)}."
        )
    will_do = ", which will do" if choice.gain.high < NEGLIGIBLE_GAIN else ""
    # a one-sided test may leave the final layer out of the confidence set without naming one that is better
    may_be_best = choice.final.layer in choice.confidence_set
    alike = may_be_best and not (choice.below_final or choice.gain.ahead or choice.surest_gain.ahead)
    return (
        f"For {choice.condition}, no layer of {choice.model} "
        f"{'is distinguishable from' if alike else 'is shown to be better than'} the final one{will_do} "
        f"({_number(choice.final.estimate)}): the highest, {deep}, scores {score}, "
        f"{gain} against it{_corrected(choice)}{_not_excluded(choice.gain)}"
        f"{_worse(choice)}{_also_possible(choice)}."
    )


def _corrected(choice: LayerChoice) -> str:
    """Remark on a gain that is significant alone, but not after Holm's correction."""
    if not choice.gain.ahead:
        return ""
    return f", which could be chance among all conditions and models (p = {choice.gain_p_family:.2g})"


def _worse(choice: LayerChoice) -> str:
    return f"; {_layers(choice.below_final)} worse" if choice.below_final else ""


def _place(choice: LayerChoice, layer: Measured) -> str:
    return f"layer {layer.layer} of {choice.n_layers}{_depth(layer.depth)}"


def _layers(names: Sequence[str]) -> str:
    return f"layer {names[0]} is" if len(names) == 1 else f"layers {_listed(names)} are"


def _not_excluded(gain: Difference) -> str:
    """Largest gain that the interval allows, where it is not negligible."""
    return (
        f"; a gain of up to {_number(gain.high)} cannot be excluded" if gain.high >= NEGLIGIBLE_GAIN else ""
    )


def _also_possible(choice: LayerChoice) -> str:
    others = [layer for layer in choice.confidence_set if choice.best and layer != choice.best.layer]
    if not others:
        return ""
    word = "layer" if len(others) == 1 else "layers"
    return f"; {word} {_listed(others)} cannot be told from the highest"


def _tried(choice: LayerChoice) -> str:
    """Remark on a significant gain that vanishes on the half of the data that did not choose the layer."""
    if not choice.tried.n_splits or not choice.gain_p_family < SIGNIFICANT or choice.tried.gain > 0:
        return ""
    return (
        "Chosen on one half of the data and scored on the other, it brings nothing "
        f"({_difference(choice.tried.gain)} against the final layer)."
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


def _against_official(choice: LayerChoice) -> str:
    if choice.official is None or np.isnan(choice.gain_official.p):
        return ""
    embedding = f"The owners' embedding, official ({_number(choice.official.estimate)}),"
    if choice.gain_official.behind:
        return f"{embedding} is better: prefer it."
    told = "is worse" if choice.gain_official.ahead else "cannot be told from the highest layer"
    return f"{embedding} {told}."


def _against_baseline(choice: LayerChoice) -> str:
    baseline, gain = choice.baseline, choice.over_baseline
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


def _against_untrained(choice: LayerChoice) -> str:
    control, gain, twin = choice.untrained, choice.over_untrained, choice.untrained_same_layer
    if control is None:
        return "No untrained control was run, so what training adds is not known."
    seeds = f", {control.model}" if control.model.startswith("mean of") else ""
    score = f"{_number(control.estimate)} at layer {control.layer}{seeds}"
    if np.isnan(gain.p):
        return f"Untrained weights have {score}; the difference could not be tested."
    if choice.below_untrained and not choice.above_untrained:
        below = f"{_layers(choice.below_untrained)} below the same layer of untrained weights"
        return f"Trained {below}: training does not explain these scores."
    if twin is not None and not choice.above_untrained:
        return (
            "No layer is shown to be above the same layer of untrained weights "
            f"({_number(twin.estimate)} at this one, {_gain(choice.over_same_layer)} for the trained): "
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


def _against_input(choice: LayerChoice) -> str:
    entering = choice.embedding_layer
    if entering is None or choice.best is None or entering.estimate < choice.best.estimate:
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
