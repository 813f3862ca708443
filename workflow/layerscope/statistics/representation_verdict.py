"""The answer where no layer is chosen: one word and one sentence on the representations of a condition.

It stands in the first row of a condition and protocol of ``representations.tsv``, and follows from that row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from layerscope.statistics.choice import SIGNIFICANT
from layerscope.statistics.trust import TRUSTED
from layerscope.statistics.verdict import NEXT as LAYER_NEXT
from layerscope.statistics.verdict import Row, Verdict, ahead, behind, may_be_chance, number, with_interval
from layerscope.tasks.catalogue import units_of

ANSWER = ("verdict", "use", "sentence", "sure", "training_helped", "next")
"""Columns of the answer."""

SENTENCES: Mapping[str, str] = {
    "use_layer": "Use {use}: it beats every other; the next, {next}, by {lead}.",
    "use_layer by the second metric": "Use {use}: of those alike in {metric} it has the highest {other}.",
    "no_difference_shown": "{use} scores highest, {score}; {alike} may be as good.",
    "no_difference_shown untested": "{use} scores highest, {score}; whether it beats the rest is not tested.",
    "no_difference_shown alone": "{use} is the only representation with a score, {score}.",
    "trade_off": "{best} has the highest {metric}, but less {other} than {higher}: you decide.",
    "no_signal": "The highest score, {score}, could be chance: use none of these for this question.",
    "not_scored": "No representation has a score here, so none can be named.",
}
NEXT: Mapping[str, str] = {
    "not_scored": LAYER_NEXT["not_scored"],
    "protocol": LAYER_NEXT["protocol"],
    "no_signal": "Score more {units}, or another representation.",
    "trade_off": "Choose by which of the two scores matters more to you.",
    "no_difference_shown alone": "Score a second one to compare it with, such as the baseline hvg_pca.",
    "no_difference_shown": LAYER_NEXT["precision"],
    "use_layer": LAYER_NEXT["use"],
}


def answer(row: Row) -> dict[str, str]:
    """What the first row of a condition and protocol says, as its columns :data:`ANSWER`."""
    word = verdict(row)
    case = _case(row, word)
    facts = {
        "use": _use(row, word) or row["model"],
        "best": row["model"],
        "metric": row["metric"].replace("_", " "),
        "other": row["guard_metric"].replace("_", " "),
        "higher": _named(row["guard_higher"].split(",")),
        "score": with_interval(row["estimate"], row["ci_low"], row["ci_high"]),
        "alike": _named(row["confidence_set"].split(",")[1:]) or "others",
        "next": row["runner_up"],
        "lead": with_interval(row["lead"], row["lead_low"], row["lead_high"]),
        "units": units_of(row["task"]),
    }
    sure = word == "use_layer" and row["protocol"] == TRUSTED
    untrusted = row["protocol"] != TRUSTED and word != "not_scored"
    following = "protocol" if untrusted else case if case in NEXT else word
    return {
        "verdict": word,
        "use": _use(row, word),
        "sentence": SENTENCES[case].format(**facts),
        "sure": "yes" if sure else "no",
        "training_helped": _training_helped(row),
        "next": NEXT[following].format(**facts),
    }


def verdict(row: Row) -> Verdict:
    """What follows where no layer is chosen; ``use_layer`` if every other representation is worse.

    Where a second metric must not be lost, it is a ``trade_off`` if another has more of that; and of those
    that the primary one cannot tell apart, ``use_layer`` is for one that has more of it than every other.
    """
    if math.isnan(row["estimate"]):
        return "not_scored"
    if may_be_chance(row):
        return "no_signal"
    if row["p_alone_family"] < SIGNIFICANT:
        return "trade_off" if row["guard_higher"] else "use_layer"
    return "use_layer" if row["guard_p_family"] < SIGNIFICANT else "no_difference_shown"


def _use(row: Row, word: Verdict) -> str:
    if word == "use_layer" and not row["p_alone_family"] < SIGNIFICANT:
        return str(row["guard_preferred"])
    return str(row["model"]) if word in ("use_layer", "no_difference_shown") else ""


def _case(row: Row, word: Verdict) -> str:
    """Which of a verdict's sentences holds."""
    if word == "use_layer" and not row["p_alone_family"] < SIGNIFICANT:
        return "use_layer by the second metric"
    if word == "no_difference_shown" and not row["runner_up"]:
        return "no_difference_shown alone"
    untested = word == "no_difference_shown" and math.isnan(row["p_alone_family"])
    return "no_difference_shown untested" if untested else word


def _named(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return "".join(names) if len(names) < 2 else f"{names[0]} and {len(names) - 1} more"


def _training_helped(row: Row) -> str:
    if math.isnan(row["untrained"]):
        return "unknown: there is no untrained control of it"
    scores = f"trained {number(row['estimate'])}, untrained {number(row['untrained'])}"
    if math.isnan(row["over_untrained_p"]):
        return f"unknown: {scores}; the difference could not be tested"
    if ahead(row, "over_untrained") or behind(row, "over_untrained"):
        return f"{'yes' if ahead(row, 'over_untrained') else 'no'}: {scores}"
    return f"unknown: {scores}; the difference could be chance"
