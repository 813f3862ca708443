"""The answer of a row of ``layers.tsv``: one word, one sentence, and what a reader asks next.

Everything here follows from the row's own numbers, and from nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from layerscope.statistics.choice import SIGNIFICANT
from layerscope.statistics.trust import TRUSTED
from layerscope.tables import OFFICIAL
from layerscope.tasks.catalogue import has_chance_of_zero, units_of

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
Row = Mapping[str, Any]

ANSWER = ("verdict", "use", "sentence", "sure", "beats_pca", "beats_baseline", "training_helped", "next")
"""Columns of the answer."""
NEGLIGIBLE_GAIN = 0.05
"""Where no layer can gain more than this, the final one will do."""

SENTENCES: Mapping[Verdict, Mapping[str, str]] = {
    "use_layer": {
        "": "Of this model's layers use {use}: it beats the final one by {gain}.",
        "second metric": "Of this model's layers use {use}: its {metric} beats the final one's by {gain}.",
    },
    "final_will_do": {
        "": f"Use the final layer: no other layer can gain more than {NEGLIGIBLE_GAIN:g}.",
        "highest": "Use the final layer: it scores highest, {score}.",
        "only": "Use the final layer: this model has one layer, which scores {score}.",
    },
    "no_difference_shown": {
        "": "The scores are too uncertain to name a best layer; the final one is a fair choice.",
        "untested": "Whether layer {best} beats the final one is untested; the final one is a fair choice.",
        "no final": "Layer {best} scores highest; the final layer has no score to compare it with.",
    },
    "trade_off": {
        "": "Against the final layer, some layers gain {metric} and lose {other}, or the reverse: you decide."
    },
    "prefer_official": {
        "": "Use the owners' embedding (official): it beats the best layer by {gain}.",
        "second metric": "Use the owners' embedding (official): {metric} or {other} higher, neither lower.",
    },
    "prefer_baseline": {
        "": "The baseline {use} scores {baseline}, the highest layer {layer}; the difference is {ahead}.",
        "second metric": "The baseline {use} does better: {metric} or {other} higher, neither lower.",
    },
    "no_signal": {"": "The highest score, {score}, could be chance: use none of these layers for this."},
    "not_scored": {"": "No layer has a score here, so none can be named."},
}
NEXT: Mapping[str, str] = {
    "not_scored": "Mend what the reason names, then score again.",
    "planted": "Nothing: this control, whose truth is known, checks the method and is no model to use.",
    "protocol": f"Score it by protocol {TRUSTED}, in which layer and reference share no cells.",
    "noise": "Score more {units}: the best baseline could be chance too.",
    "no_signal": "Score more {units}, or try another model.",
    "halves": "Repeat it on other data: chosen on one half, the layer gained nothing on the other.",
    "chance": "Score shuffled labels too, to know what chance gives.",
    "untrained": "Run untrained controls, to see what training adds.",
    "baseline": "Run the baseline hvg_pca, to see whether a model is needed.",
    "undecided": "Score more {units}: that narrows the interval.",
    "precision": "More {units} would narrow the interval.",
    "cheaper": "To save time stop at layer {cheapest}: it is as good within {margin}.",
    "trade_off": "Choose the layer by which of the two scores matters more to you.",
    "prefer_baseline": "Use the baseline, or try another model.",
    "use": "Check it on other cells before you rely on it.",
}


def answer(row: Row) -> dict[str, str]:
    """What a row of ``layers.tsv`` says, as its columns :data:`ANSWER`."""
    word = verdict(row)
    return {
        "verdict": word,
        "use": _use(row, word),
        "sentence": _sentence(row, word),
        "sure": "yes" if _is_sure(row, word) else "no",
        "beats_pca": _beats_pca(row),
        "beats_baseline": _beats_baseline(row),
        "training_helped": _training_helped(row),
        "next": _next(row, word),
    }


def verdict(row: Row) -> Verdict:
    """What follows from a row, in the order in which one objection outweighs the others.

    ``no_signal``: the best layer may be chance. ``prefer_baseline``, ``prefer_official``: that is better than
    the best layer. ``use_layer``: a layer is better than the final one, corrected for all conditions and
    models. ``final_will_do``: the final layer is the best, or no layer can gain more than a negligible
    amount. Else ``no_difference_shown``.

    Where a second metric must not be lost, "better" counts both, and ``trade_off`` says that layers are
    higher in one and lower in the other than the final layer, and none is better.
    """
    if not row["best_layer"]:
        return "not_scored"
    if may_be_chance(row, "best_"):
        return "no_signal"
    if row["guard_metric"]:
        return _of_two_metrics(row)
    if behind(row, "over_baseline"):
        return "prefer_baseline"
    if behind(row, "gain_official"):
        return "prefer_official"
    if row["gain_p_family"] < SIGNIFICANT or row["surest_p_family"] < SIGNIFICANT:
        return "use_layer"
    return "final_will_do" if _final_will_do(row) else "no_difference_shown"


def _of_two_metrics(row: Row) -> Verdict:
    if row["guard_prefer"]:
        return "prefer_official" if row["guard_prefer"] == OFFICIAL else "prefer_baseline"
    if row["better_p_family"] < SIGNIFICANT:
        return "use_layer"
    if row["layers_traded"]:
        return "trade_off"
    will_do = _final_will_do(row) and not row["guard_most_gain"] >= NEGLIGIBLE_GAIN
    return "final_will_do" if will_do else "no_difference_shown"


def _final_will_do(row: Row) -> bool:
    if not row["final_layer"]:
        return False
    return bool(row["best_layer"] == row["final_layer"] or row["most_gain"] < NEGLIGIBLE_GAIN)


def may_be_chance(row: Row, prefix: str = "") -> bool:
    """Whether a score's interval reaches chance, and its own p-value does not say otherwise."""
    return reaches_chance(row, prefix) and not row[f"{prefix}p_value"] < SIGNIFICANT


def reaches_chance(row: Row, prefix: str = "") -> bool:
    """Whether a score's interval goes down to the null's mean, or to 0 where that is lower or unknown."""
    return bool(row[f"{prefix}ci_low"] <= _chance(row, prefix))


def _chance(row: Row, prefix: str) -> float:
    return max(0.0, float(row[f"{prefix}null_mean"]))  # a missing one is NaN, and leaves 0


def names_another_baseline(row: Row) -> bool:
    """Whether the best baseline is one, and not the PCA, which every row is compared with anyway."""
    return row.get("best_baseline", "") not in ("", row.get("pca"))


def _use(row: Row, word: Verdict) -> str:
    if word == "use_layer" and row["guard_metric"]:
        return str(row["better_layer"])
    baseline = row["guard_prefer"] if row["guard_metric"] else row["best_baseline"]
    best_is_surer = row["gain_p_family"] < SIGNIFICANT
    chosen = {
        "use_layer": row["best_layer"] if best_is_surer else row["surest_layer"],
        "final_will_do": row["final_layer"],
        "no_difference_shown": row["final_layer"] or row["best_layer"],
        "prefer_official": OFFICIAL,
        "prefer_baseline": baseline,
    }
    return str(chosen.get(word, ""))


def _sentence(row: Row, word: Verdict) -> str:
    use = _use(row, word)
    metric = row["better_metric"] if word == "use_layer" else row["metric"]
    facts = {
        "use": use,
        "best": row["best_layer"],
        "metric": metric.replace("_", " "),
        "other": row["guard_metric"].replace("_", " "),
        "score": _interval(row, "best_estimate", "best"),
        "layer": number(row["best_estimate"]),
        "baseline": number(row["best_baseline_estimate"]),
        "gain": _gain(row, word, use),
        "ahead": span(-row["over_baseline_ci_high"], -row["over_baseline_ci_low"]),
    }
    return SENTENCES[word][_case(row, word)].format(**facts)


def _case(row: Row, word: Verdict) -> str:
    """Which of a verdict's sentences holds."""
    if word in ("use_layer", "prefer_official", "prefer_baseline"):
        return "second metric" if row["guard_metric"] else ""
    if word == "final_will_do" and not row["most_gain"] < NEGLIGIBLE_GAIN:
        return "only" if row["n_layers"] == 1 else "highest"
    if word == "no_difference_shown" and not row["final_layer"]:
        return "no final"
    untested = word == "no_difference_shown" and math.isnan(row["gain_p_family"])
    return "untested" if untested else ""


def _gain(row: Row, word: Verdict, use: str) -> str:
    """By how much what is to be used is ahead, with its interval."""
    if row["guard_metric"]:
        return _interval(row, "better_gain")
    if word in ("prefer_official", "prefer_baseline"):
        behind_by = "gain_official" if word == "prefer_official" else "over_baseline"
        return with_interval(-row[behind_by], -row[f"{behind_by}_ci_high"], -row[f"{behind_by}_ci_low"])
    return _interval(row, "gain" if use == row["best_layer"] else "surest_gain")


def _is_sure(row: Row, word: Verdict) -> bool:
    """Whether what to use was tested, and would be found again."""
    if row["protocol"] != TRUSTED:
        return False
    if word in ("prefer_official", "prefer_baseline"):
        return True
    if reaches_chance(row, "best_"):
        return False
    if word == "final_will_do":
        others = row["guard_most_gain"] if row["guard_metric"] else -math.inf
        return bool(max(row["most_gain"], others) < NEGLIGIBLE_GAIN)
    return word == "use_layer" and not _lost_on_halves(row)


def _lost_on_halves(row: Row) -> bool:
    return bool(row["heldout_gain"] <= 0)


def _beats_pca(row: Row) -> str:
    """Whether the highest layer is better than the PCA; "not tested" where that has no score."""
    if row["reference_baseline"] and not row["pca"]:
        return f"not tested: {row['reference_baseline']} made the reference, so it has no score of its own"
    return _beats(row, "pca", "over_pca")


def _beats_baseline(row: Row) -> str:
    """Whether the highest layer is better than the best of the baselines that have a score."""
    return _beats(row, "best_baseline", "over_baseline")


def _beats(row: Row, baseline: str, over: str) -> str:
    """Whether the highest layer is better than a baseline, by the difference between the two."""
    best, name = row["best_layer"], row[baseline]
    if not best:
        return "not tested: no layer has a score"
    if not name:
        return f"not tested: no {'PCA' if baseline == 'pca' else 'baseline'} was run that has a score"
    pair = row["best_estimate"], row[f"{baseline}_estimate"]
    digits = 2 if abs(pair[0] - pair[1]) >= 0.01 else 3
    scores = f"layer {best} scores {number(pair[0], digits)}, {name} {number(pair[1], digits)}"
    if math.isnan(row[f"{over}_p"]):
        return f"not tested: {scores}; there are no paired resamples"
    if behind(row, over) or row["guard_prefer"] == name:
        return f"no: {scores}"
    return f"yes: {scores}" if ahead(row, over) else f"unclear: {scores}; the difference could be chance"


def _training_helped(row: Row) -> str:
    """Whether trained layers are above those of untrained weights."""
    if not row["best_layer"]:
        return "unknown: no layer has a score"
    if row["planted"]:
        return "unknown: planted layers come from no training"
    if not row["best_untrained"]:
        return "unknown: no untrained control was run"
    scores = f"trained {number(row['best_estimate'])}, untrained {number(row['best_untrained_estimate'])}"
    above, below = row["layers_above_untrained"], row["layers_below_untrained"]
    if math.isnan(row["over_untrained_p"]):
        return f"unknown: {scores}; the difference could not be tested"
    if behind(row, "over_untrained") or (below and not above):
        return f"no: {scores}"
    if ahead(row, "over_untrained") and above:
        return f"yes: {scores}"
    return f"unknown: {scores}; the difference could be chance"


def _next(row: Row, word: Verdict) -> str:
    cheapest = row["cheapest_layer"]
    cheaper = word == "final_will_do" and cheapest not in ("", row["final_layer"])
    applies = {
        "not_scored": word == "not_scored",
        "planted": row["planted"],
        "protocol": row["protocol"] != TRUSTED,
        "noise": word == "no_signal" and row["best_baseline_ci_low"] <= _chance(row, "best_"),
        "no_signal": word == "no_signal",
        "halves": word == "use_layer" and _lost_on_halves(row),
        "chance": math.isnan(row["best_null_mean"]) and not has_chance_of_zero(row["task"], row["metric"]),
        "trade_off": word == "trade_off",
        "prefer_baseline": word == "prefer_baseline",
        "undecided": word == "no_difference_shown",
        "untrained": not row["best_untrained"],
        "baseline": not (row["best_baseline"] or row["reference_baseline"]),
        "cheaper": cheaper,
        "precision": not _is_sure(row, word),
        "use": True,
    }
    first = next(name for name, holds in applies.items() if holds)
    margin = f"{row['margin']:.2g}"
    return NEXT[first].format(units=units_of(row["task"]), cheapest=cheapest, margin=margin)


def ahead(row: Row, name: str) -> bool:
    return bool(row[name] > 0 and row[f"{name}_p"] < SIGNIFICANT)


def behind(row: Row, name: str) -> bool:
    return bool(row[name] < 0 and row[f"{name}_p"] < SIGNIFICANT)


def number(value: float, digits: int = 2) -> str:
    # adding 0.0 turns -0.0 into 0.0
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _interval(row: Row, estimate: str, name: str = "") -> str:
    ends = name or estimate
    return with_interval(row[estimate], row[f"{ends}_ci_low"], row[f"{ends}_ci_high"])


def with_interval(estimate: float, low: float, high: float) -> str:
    """A number with its interval, with a third decimal where two would print it as 0."""
    digits = 3 if min(map(abs, (estimate, low, high))) < 0.005 else 2
    if math.isnan(low):
        return number(estimate, digits)
    return f"{number(estimate, digits)} ({span(low, high, digits)})"


def span(low: float, high: float, digits: int = 0) -> str:
    """Two ends, with a third decimal where two would print one as 0."""
    digits = digits or (3 if min(abs(low), abs(high)) < 0.005 else 2)
    return f"{number(low, digits)} to {number(high, digits)}"
