"""The recommendation in words: what a biologist reads instead of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.statistics.choice import SIGNIFICANT, Difference, Guard, LayerChoice, RepresentationChoice
from layerscope.statistics.evidence import Measured
from layerscope.tasks.catalogue import TASKS

NEGLIGIBLE_GAIN = 0.05
"""Where no layer can gain more than this, the final one will do."""


def recommend(choice: LayerChoice) -> str:
    """Say in plain sentences which layer to use and whether that matters.

    The first sentence names the layer, or says that the choice cannot be told to matter; the others say
    whether the owners' embedding, a baseline, untrained weights or what enters the first block do as well.
    """
    best = choice.best
    if best is None:
        why = f": {choice.reason}" if choice.reason else ""
        return f"No layer of {choice.model} can be recommended for {choice.condition}{why}."
    sentences = [_which(choice, best), _weak(best, choice.task, choice.metric), _held_out(choice)]
    if choice.guard is None:
        sentences += [_cheapest(choice, best), _against_official(choice), _against_baseline(choice)]
    else:
        sentences += [_of_two_metrics(choice, choice.guard)]
    sentences.append(_against_untrained(choice))
    entering = choice.embedding_layer
    if entering is not None and not entering.estimate < best.estimate:
        sentences.append(
            f"What enters the first block (layer 00) scores no less, {_number(entering.estimate)}."
        )
    return " ".join(filter(None, sentences))


def recommend_representation(choice: RepresentationChoice) -> str:
    """Say in plain sentences which representation to use, and which cannot be told from it."""
    if not choice.ranked:
        why = f": {choice.reason}" if choice.reason else ""
        return f"No representation can be recommended for {choice.condition}{why}."
    best, others = choice.ranked[0], choice.ranked[1:]
    sentences = [f"For {choice.condition}, {_highest(choice)}."]
    if others and not np.isnan(choice.ahead[1].p):
        sentences.append(
            f"The next, {others[0].model}, scores {_number(others[0].estimate)}; the difference is "
            f"{_gain(choice.ahead[1])}."
        )
    sentences += [_weak(best, choice.task, choice.metric), _beside_untrained(choice)]
    return " ".join(filter(None, sentences))


def _highest(choice: RepresentationChoice) -> str:
    best, n_scores = choice.ranked[0], len(choice.ranked)
    if n_scores == 1:
        return f"{best.model} is the only representation with a score, {_score(best)}"
    highest = f"of {n_scores} representations {best.model} scores highest, {_score(best)}"
    alike = [model for model in choice.alike if model != best.model]
    guard = choice.guard
    if guard is not None and guard.best is not None:
        highest += f", with {guard.metric} {_number(guard.best.estimate)}"
    if guard is not None and guard.p_family < SIGNIFICANT:
        words = (
            f"use {guard.preferred}: it has more {guard.metric} than all whose {choice.metric} cannot be told"
        )
        return f"{words} from the highest; {highest}"
    if guard is not None and guard.higher and choice.p_alone_family < SIGNIFICANT:
        return (
            f"{highest}, and every other is lower; more {guard.metric} has {_and(guard.higher)}: a trade-off"
        )
    if np.isnan(choice.p_alone):
        return f"{highest}; whether the others differ from it could not be tested"
    if alike:
        return f"{highest}; {_and(alike)} cannot be told from it"
    if choice.p_alone_family < SIGNIFICANT:
        return f"use {best.model}: {highest}, and every other is worse"
    chance = f"could be chance among all conditions (p = {choice.p_alone_family:.2g})"
    return f"{highest}; that every other is worse {chance}"


def _beside_untrained(choice: RepresentationChoice) -> str:
    control, gain = choice.untrained[0], choice.over_untrained[0]
    if control is None:
        return ""
    score = _number(control.estimate)
    if np.isnan(gain.p):
        return f"Untrained weights have {score}; the difference could not be tested."
    if gain.ahead:
        return f"Untrained weights reach {score}."
    if gain.behind:
        return f"Untrained weights do better ({score}): training does not explain this score."
    return f"Untrained weights ({score}) cannot be told from it: {_gain(gain)} for the trained one."


def _which(choice: LayerChoice, best: Measured) -> str:
    """The layer to use, and what is known of the others."""
    score = _score(best)
    model, final, highest = choice.model, choice.final, _place(choice, best)
    also = [layer for layer in choice.confidence_set if layer != best.layer]
    several = "s" if len(also) > 1 else ""
    alike = f"; layer{several} {_listed(also)} cannot be told from the highest" if also else ""
    if choice.guard is not None:
        words = _by_two_metrics(choice, choice.guard, highest, score)
    elif choice.n_layers == 1:
        return f"{model} has one layer; on {choice.condition} it scores {score}."
    elif final is None:
        words = f"the best layer of {model} is {highest}, with {score}"
        words += "; its final layer has no score to compare with"
        words += f" ({choice.reason})" if choice.reason else ""
    elif best.layer == final.layer:
        words = f"use the final layer of {model} (layer {best.layer} of {choice.n_layers})"
        words += f": it scores highest of the blocks, {score}{alike}"
    elif np.isnan(choice.gain_p_family):
        words = f"{highest} of {model} scores highest, {score}"
        words += "; whether that differs from the final layer could not be tested"
    elif choice.gain_p_family < SIGNIFICANT:
        words = f"use {highest} of {model}: it scores {score}, "
        words += f"{_gain(choice.gain)} against the final layer{alike}"
    elif choice.surest is not None and choice.surest_p_family < SIGNIFICANT:
        words = f"{_place(choice, choice.surest)} of {model} is better than the final one, "
        words += f"by {_gain(choice.surest_gain)}; the highest, {highest}, scores {score}, "
        words += f"{_gain(choice.gain)} against it, which could be chance{alike}"
    else:
        words = f"no layer of {model} {_not_better(choice, final)}: the highest, {highest}, scores {score}, "
        words += f"{_gain(choice.gain)} against it{_reservations(choice)}{alike}"
    return f"For {choice.condition}, {words}."


def _by_two_metrics(choice: LayerChoice, guard: Guard, highest: str, score: str) -> str:
    """What is better counting both metrics, and what they are at the highest layer and the final one."""
    model, first, second = choice.model, choice.metric, guard.metric
    final = _number(choice.final.estimate) if choice.final else "unknown"
    scores = f"{highest} has the highest {first}, {score}, with {second} {_number(guard.best.estimate)}; "
    scores += f"the final one has {final} and {_number(guard.final.estimate)}"
    if guard.better is not None and guard.better_p_family < SIGNIFICANT:
        words = f"use {_place(choice, guard.better)} of {model}: its {guard.better_metric} is "
        words += f"{_gain(guard.better_gain)} against the final layer, at no shown loss of "
        words += second if guard.better_metric == first else first
    elif guard.traded:
        words = f"layers of {model} trade {first} for {second}, or the reverse: beside the final one "
        words += f"{_layers(guard.traded)} higher in one and lower in the other"
    else:
        words = f"no layer of {model} is shown to be better than the final one in {first} or {second}"
    return f"{words}; {scores}"


def _of_two_metrics(choice: LayerChoice, guard: Guard) -> str:
    """What is better than the highest layer, counting both metrics."""
    either = f"higher in {choice.metric} or {guard.metric} than the highest layer and lower in neither"
    sentences = [f"The baseline {guard.baseline} is better, {either}: prefer it."] if guard.baseline else []
    sentences += [f"The owners' embedding, official, is better, {either}."] if guard.official_better else []
    return " ".join(sentences)


def _not_better(choice: LayerChoice, final: Measured) -> str:
    # a one-sided test may leave the final layer out of the confidence set without naming one that is better
    told_apart = choice.below_final or choice.gain.ahead or choice.surest_gain.ahead
    alike = final.layer in choice.confidence_set and not told_apart
    verb = "is distinguishable from" if alike else "is shown to be better than"
    will_do = ", which will do" if choice.gain.high < NEGLIGIBLE_GAIN else ""
    return f"{verb} the final one{will_do} ({_number(final.estimate)})"


def _reservations(choice: LayerChoice) -> str:
    """What is still to be said of a gain that is not significant after Holm's correction."""
    gain, parts = choice.gain, ""
    if gain.ahead:
        parts += f", which could be chance among all conditions and models (p = {choice.gain_p_family:.2g})"
    if gain.high >= NEGLIGIBLE_GAIN:
        parts += f"; a gain of up to {_number(gain.high)} cannot be excluded"
    if choice.below_final:
        parts += f"; {_layers(choice.below_final)} worse"
    return parts


def _cheapest(choice: LayerChoice, best: Measured) -> str:
    """The earliest layer that is as good as the final one; nothing where that says nothing."""
    early = choice.cheapest
    if not early.layer or choice.n_layers == 1 or best.reaches_chance:
        return ""
    if early.is_final:
        return f"No earlier layer is shown to be as good as the final one within {early.margin:.2g}."
    return (
        f"Layer {early.layer} is as good as the final one within {early.margin:.2g} "
        f"({_gain(early.over_final)}), and saves {early.saved:.0%} of the forward pass."
    )


def _held_out(choice: LayerChoice) -> str:
    """Remark on a significant gain that vanishes on the half of the data that did not choose the layer."""
    if not choice.on_halves.n_splits or not choice.gain_p_family < SIGNIFICANT or choice.on_halves.gain > 0:
        return ""
    gain = _signed(choice.on_halves.gain)
    return (
        f"Chosen on one half of the data and scored on the other, it brings nothing ({gain} against the "
        "final layer)."
    )


def _weak(best: Measured, task_name: str, metric_name: str) -> str:
    """Remark on a score that is no more than what shuffled labels give, or is not compared with that."""
    task = TASKS.get(task_name)
    metric = task.metrics.get(metric_name) if task else None
    if metric and not metric.zero_is_chance and np.isnan(best.chance):
        return "No score of shuffled labels stands beside it, so whether it is more than chance is unknown."
    if not best.reaches_chance:
        return ""
    keeps = task.keeps if task else "the signal"
    nothing = f"what shuffled labels give ({_number(best.chance)})" if best.chance > 0 else "0"
    if best.p_value < SIGNIFICANT:
        return (
            f"By its interval that is not distinguishable from {nothing}, though more than a random "
            f"re-arrangement of these very items gives (p = {best.p_value:.3g} for this layer alone): it may "
            f"keep {keeps} here, and is not shown to do so for others like them."
        )
    return f"That is not distinguishable from {nothing}: it is not shown to keep {keeps}."


def _against_official(choice: LayerChoice) -> str:
    gain = choice.gain_official
    if choice.official is None or np.isnan(gain.p):
        return ""
    told = "is worse" if gain.ahead else "cannot be told from the highest layer"
    told = "is better: prefer it" if gain.behind else told
    return f"The owners' embedding, official ({_number(choice.official.estimate)}), {told}."


def _against_baseline(choice: LayerChoice) -> str:
    if choice.baseline is None:
        return ""
    name, score, gain = choice.baseline.model, _number(choice.baseline.estimate), choice.over_baseline
    if np.isnan(gain.p):
        return f"The best baseline, {name}, has {score}; the difference could not be tested."
    if gain.behind:
        return f"The baseline {name} is better ({score}): prefer it to any of these layers."
    if gain.ahead:
        return f"The best baseline, {name}, reaches {score}."
    told = f"{_gain(gain)} for the layer"
    return f"The baseline {name} ({score}) cannot be told from the highest layer: {told}."


def _against_untrained(choice: LayerChoice) -> str:
    control, gain, same_layer = choice.untrained, choice.over_untrained, choice.untrained_same_layer
    if control is None:
        return "No untrained control was run, so what training adds is not known."
    seeds = f", {control.model}" if control.model.startswith("mean of") else ""
    score = f"{_number(control.estimate)} at layer {control.layer}{seeds}"
    if np.isnan(gain.p):
        return f"Untrained weights have {score}; the difference could not be tested."
    if choice.below_untrained and not choice.above_untrained:
        below = f"{_layers(choice.below_untrained)} below the same layer of untrained weights"
        return f"Trained {below}: training does not explain these scores."
    if same_layer is not None and not choice.above_untrained:
        return (
            "No layer is shown to be above the same layer of untrained weights "
            f"({_number(same_layer.estimate)} at this one, {_gain(choice.over_same_layer)} for the trained): "
            "what training adds is not shown."
        )
    if gain.behind:
        return f"Untrained weights do better ({score}): training does not explain this score."
    if gain.ahead:
        return f"Untrained weights reach {score}."
    told = f"{_gain(gain)} for the trained one"
    return f"Untrained weights ({score}) cannot be told from the highest layer: {told}."


def _number(value: float) -> str:
    # adding 0.0 turns -0.0 into 0.0
    return "unknown" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _score(score: Measured) -> str:
    if np.isnan(score.ci_low):
        return _number(score.estimate)
    return f"{_number(score.estimate)} (95% interval {_number(score.ci_low)} to {_number(score.ci_high)})"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"


def _gain(gain: Difference) -> str:
    low, high = round(gain.low, 3) + 0.0, round(gain.high, 3) + 0.0
    return f"{_signed(gain.estimate)} (95% interval {low:.3f} to {high:.3f})"


def _place(choice: LayerChoice, layer: Measured) -> str:
    depth = "" if np.isnan(layer.depth) else f" ({layer.depth:.0%} depth)"
    return f"layer {layer.layer} of {choice.n_layers}{depth}"


def _layers(names: Sequence[str]) -> str:
    return f"layer {names[0]} is" if len(names) == 1 else f"layers {_listed(names)} are"


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
    return _and(parts)


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
