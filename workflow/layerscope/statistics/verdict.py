"""The recommendation in one word."""

from __future__ import annotations

from typing import Literal

from layerscope.statistics.choice import SIGNIFICANT, Guard, LayerChoice, RepresentationChoice
from layerscope.statistics.evidence import Measured
from layerscope.statistics.recommendation import NEGLIGIBLE_GAIN

Verdict = Literal[
    "use_layer",
    "final_will_do",
    "no_difference_shown",
    "trade_off",
    "prefer_official",
    "prefer_baseline",
    "no_signal",
    "not_scored",
]


def verdict(choice: LayerChoice) -> Verdict:
    """What follows from a choice, in the order in which one objection outweighs the others.

    ``no_signal``: the best layer is not told from chance. ``prefer_baseline``, ``prefer_official``: that is
    shown to be better than the best layer. ``use_layer``: a layer is shown to be better than the final one,
    corrected for all conditions and models. ``final_will_do``: the final layer is the best, or no layer can
    gain more than a negligible amount. Else ``no_difference_shown``.

    Where a second metric must not be lost, "better" counts both, and ``trade_off`` says that layers are
    higher in one and lower in the other than the final layer, and none is better.
    """
    best, final = choice.best, choice.final
    if best is None:
        return "not_scored"
    if _may_be_chance(best):
        return "no_signal"
    if choice.guard is not None:
        return _of_two_metrics(choice, best, choice.guard)
    if choice.over_baseline.behind:
        return "prefer_baseline"
    if choice.gain_official.behind:
        return "prefer_official"
    if choice.gain_p_family < SIGNIFICANT or choice.surest_p_family < SIGNIFICANT:
        return "use_layer"
    return "final_will_do" if _final_will_do(choice, best, final) else "no_difference_shown"


def _of_two_metrics(choice: LayerChoice, best: Measured, guard: Guard) -> Verdict:
    if guard.baseline:
        return "prefer_baseline"
    if guard.official_better:
        return "prefer_official"
    if guard.better_p_family < SIGNIFICANT:
        return "use_layer"
    if guard.traded:
        return "trade_off"
    will_do = _final_will_do(choice, best, choice.final) and not guard.most_gain >= NEGLIGIBLE_GAIN
    return "final_will_do" if will_do else "no_difference_shown"


def _final_will_do(choice: LayerChoice, best: Measured, final: Measured | None) -> bool:
    return final is not None and (best.layer == final.layer or choice.gain.high < NEGLIGIBLE_GAIN)


def verdict_on_representations(choice: RepresentationChoice) -> Verdict:
    """What follows where no layer is chosen; ``use_layer`` if every other representation is worse.

    Where a second metric must not be lost, it is a ``trade_off`` if another has more of that; and of those
    that the primary one cannot tell apart, ``use_layer`` is for one that has more of it than every other.
    """
    if not choice.ranked:
        return "not_scored"
    if _may_be_chance(choice.ranked[0]):
        return "no_signal"
    guard = choice.guard
    if choice.p_alone_family < SIGNIFICANT:
        return "trade_off" if guard is not None and guard.higher else "use_layer"
    return "use_layer" if guard is not None and guard.p_family < SIGNIFICANT else "no_difference_shown"


def _may_be_chance(best: Measured) -> bool:
    return best.reaches_chance and not best.p_value < SIGNIFICANT
