"""Which representation to use for a condition, and which cannot be told from it: no layer is chosen here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.choice import NAN, Difference, RepresentationChoice, families
from layerscope.statistics.evidence import Comparison, Model, Resamples, comparisons, controls_of, stacked
from layerscope.statistics.guard import guard_beside
from layerscope.statistics.layer_curves import differences, mean_of
from layerscope.statistics.multiple_testing import holm, max_t, p_best
from layerscope.statistics.representation_verdict import ANSWER, answer
from layerscope.tables import OFFICIAL

COLUMNS = (
    *("condition", "task", "protocol", "metric", "model", "status", "reason", "rank"),
    *("estimate", "ci_low", "ci_high", "simultaneous_low", "simultaneous_high"),
    *("behind_best", "behind_best_low", "behind_best_high", "behind_best_p"),
    *("p_best", "in_confidence_set", "best_share", "p_alone", "p_alone_family"),
    *("untrained", "over_untrained", "over_untrained_low", "over_untrained_high", "over_untrained_p"),
    *("null_mean", "p_value", "confidence_set", "runner_up", "lead", "lead_low", "lead_high"),
    *("guard_metric", "guard_higher", "guard_preferred", "guard_p_family"),
    *ANSWER,
)
TEXTS = ("confidence_set", "runner_up", "guard_metric", "guard_higher", "guard_preferred", *ANSWER)
"""Columns of text that are empty but in the first row."""
NUMBERS = ("estimate", "ci_low", "ci_high", "untrained", "over_untrained_p")
"""What an answer asks of a representation, missing where it has no score."""


def choose_representations(
    scores: pd.DataFrame, resamples: Resamples, models: Mapping[str, Model]
) -> pd.DataFrame:
    """Compare the representations of every condition and protocol: each model's own, controls aside.

    Nothing is chosen among layers, so no score is too high by choice. ``scores`` and ``resamples`` are as for
    :func:`layerscope.statistics.layer_choice.choose_layers`.

    Returns a row per representation, highest first, columns :data:`COLUMNS`; those without a score come
    last. The answer stands in the first row of a condition and protocol.
    """
    own = scores[scores["layer"].isin([OFFICIAL, ""])]
    compared = list(comparisons(own, resamples, models))
    choices = corrected([choice(comparison, models) for comparison in compared])
    rows = []
    for comparison, chosen in zip(compared, choices, strict=True):
        of_condition = [*_scored(chosen), *_unscored(comparison, chosen, models)]
        for first in of_condition[:1]:
            first |= _of_all(chosen)
            first |= answer(first)
        rows += of_condition
    return pd.DataFrame(rows, columns=list(COLUMNS)).fillna(dict.fromkeys(TEXTS, ""))


def choice(comparison: Comparison, models: Mapping[str, Model]) -> RepresentationChoice:
    """Compare the representations that have a score; equal ones keep the order of the study."""
    names = [name for name, model in models.items() if model.kind != "control"]
    own = [comparison.get(name, OFFICIAL) for name in names]
    scores = sorted(filter(None, own), key=lambda score: -score.estimate)
    values = stacked(scores)
    estimates = [score.estimate for score in scores]
    ps = np.full(len(scores), NAN) if values is None else p_best(estimates, values)
    untrained = [
        mean_of(comparison, controls_of(models, models[score.model], "untrained"), OFFICIAL)
        for score in scores
    ]
    chosen = RepresentationChoice(
        condition=comparison.condition,
        task=comparison.task,
        protocol=comparison.protocol,
        metric=comparison.metric,
        ranked=tuple(scores),
        reason="; ".join(dict.fromkeys(reason for name in names for reason in comparison.reasons(name))),
        ahead=tuple(_negated(differences(scores, scores[:1] * len(scores)))),
        p_best=tuple(map(float, ps)),
        p_alone=float(np.max(ps[1:])) if len(ps) > 1 else NAN,
        untrained=tuple(untrained),
        over_untrained=tuple(differences(scores, untrained)),
    )
    return replace(chosen, guard=guard_beside(chosen, comparison.guard))


def corrected(choices: Sequence[RepresentationChoice]) -> list[RepresentationChoice]:
    """Correct, for all conditions of a task and protocol, the p-value of the highest being alone (Holm)."""
    result = list(choices)
    for places in families(choices):
        for place, p in zip(places, holm([choices[place].p_alone for place in places]), strict=True):
            result[place] = replace(choices[place], p_alone_family=float(p))
        guards = {place: known for place in places if (known := choices[place].guard) is not None}
        for (place, known), p in zip(guards.items(), holm([k.p for k in guards.values()]), strict=True):
            result[place] = replace(result[place], guard=replace(known, p_family=float(p)))
    return result


def _scored(chosen: RepresentationChoice) -> list[dict[str, Any]]:
    """Rows of the representations that have a score."""
    scores = chosen.ranked
    values, estimates = stacked(scores), [score.estimate for score in scores]
    together = None if values is None else max_t(estimates, values)
    shares = np.full(len(scores), NAN) if values is None else _best_shares(values)
    rows = []
    for at, score in enumerate(scores):
        low, high = (NAN, NAN) if together is None else (together.low[at], together.high[at])
        ahead, control, gain = chosen.ahead[at], chosen.untrained[at], chosen.over_untrained[at]
        rows.append(
            {
                **_about(chosen, score.model, "ok", ""),
                "rank": at + 1,
                "estimate": score.estimate,
                "ci_low": score.ci_low,
                "ci_high": score.ci_high,
                # max-T intervals are symmetric: a skewed score's own interval may reach further
                "simultaneous_low": np.fmin(low, score.ci_low),
                "simultaneous_high": np.fmax(high, score.ci_high),
                "behind_best": ahead.estimate,
                "behind_best_low": ahead.low,
                "behind_best_high": ahead.high,
                "behind_best_p": ahead.p if at else NAN,
                "p_best": chosen.p_best[at],
                "in_confidence_set": score.model in chosen.alike,
                "best_share": shares[at],
                "untrained": control.estimate if control else NAN,
                "over_untrained": gain.estimate,
                "over_untrained_low": gain.low,
                "over_untrained_high": gain.high,
                "over_untrained_p": gain.p,
            }
        )
    return rows


def _unscored(
    comparison: Comparison, chosen: RepresentationChoice, models: Mapping[str, Model]
) -> list[dict[str, Any]]:
    """Rows of the representations that have no score, with the reason."""
    lost = comparison.rows[comparison.rows["status"] != "ok"]
    own = lost[[models[name].kind != "control" for name in lost["model"]]]
    return [
        _about(chosen, row["model"], row["status"], row["reason"]) | dict.fromkeys(NUMBERS, NAN)
        for row in own.drop_duplicates("model").to_dict("records")
    ]


def _of_all(chosen: RepresentationChoice) -> dict[str, Any]:
    """What is known of all representations together: columns of the first row."""
    best, guard = next(iter(chosen.ranked), None), chosen.guard
    beaten = len(chosen.ranked) > 1
    lead = chosen.ahead[1] if beaten else Difference()
    return {
        "null_mean": best.chance if best else NAN,
        "p_value": best.p_value if best else NAN,
        "p_alone": chosen.p_alone,
        "p_alone_family": chosen.p_alone_family,
        "confidence_set": ",".join(chosen.alike),
        "runner_up": chosen.ranked[1].model if beaten else "",
        "lead": lead.estimate,
        "lead_low": lead.low,
        "lead_high": lead.high,
        "guard_metric": guard.metric if guard else "",
        "guard_higher": ",".join(guard.higher) if guard else "",
        "guard_preferred": guard.preferred if guard else "",
        "guard_p_family": guard.p_family if guard else NAN,
    }


def _about(chosen: RepresentationChoice, model: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "condition": chosen.condition,
        "task": chosen.task,
        "protocol": chosen.protocol,
        "metric": chosen.metric,
        "model": model,
        "status": status,
        "reason": reason,
        "in_confidence_set": False,
    }


def _best_shares(values: Any) -> Any:
    """Share of the resamples in which each representation scores highest; NaN without usable ones."""
    usable = values[np.isfinite(values).all(axis=1)]
    if not len(usable):
        return np.full(values.shape[1], NAN)
    return np.bincount(usable.argmax(axis=1), minlength=values.shape[1]) / len(usable)


def _negated(behind: Iterable[Difference]) -> list[Difference]:
    """The highest's difference to each, from each one's to the highest."""
    return [Difference(-of.estimate + 0.0, -of.high + 0.0, -of.low + 0.0, of.p) for of in behind]
