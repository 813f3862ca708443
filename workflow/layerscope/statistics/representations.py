"""Which representation to use for a condition, and which cannot be told from it: no layer is chosen here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.choice import NAN, SIGNIFICANT, Difference, correct
from layerscope.statistics.evidence import Comparison, Model, Resamples, comparisons, controls_of, stacked
from layerscope.statistics.guard import guard_beside
from layerscope.statistics.layer_curves import differences, mean_of
from layerscope.statistics.multiple_testing import max_t, p_best
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
    compared = [rows_of(comparison, models) for comparison in comparisons(own, resamples, models)]
    first = [rows[0] for rows in compared if rows]
    correct(first, {"p_alone_family": "p_alone", "guard_p_family": "guard_p_family"})
    for row in first:
        row |= answer(row)
    table = pd.DataFrame([row for rows in compared for row in rows], columns=list(COLUMNS))
    return table.fillna(dict.fromkeys(TEXTS, ""))


def rows_of(comparison: Comparison, models: Mapping[str, Model]) -> list[dict[str, Any]]:
    """A row for each representation; equal ones keep the order of the study."""
    names = [name for name, model in models.items() if model.kind != "control"]
    own = [comparison.get(name, OFFICIAL) for name in names]
    scores = sorted(filter(None, own), key=lambda score: -score.estimate)
    values, estimates = stacked(scores), [score.estimate for score in scores]
    unknown = np.full(len(scores), NAN)
    together = None if values is None else max_t(estimates, values)
    ps = unknown if values is None else p_best(estimates, values)
    shares = unknown if values is None else _best_shares(values)
    untrained = [
        mean_of(comparison, controls_of(models, models[score.model], "untrained"), OFFICIAL)
        for score in scores
    ]
    over_untrained = differences(scores, untrained)
    behind = differences(scores, scores[:1] * len(scores))
    # the highest's difference to each
    ahead = [Difference(-of.estimate + 0.0, -of.high + 0.0, -of.low + 0.0, of.p) for of in behind]
    rows = []
    for at, score in enumerate(scores):
        low, high = (NAN, NAN) if together is None else (together.low[at], together.high[at])
        control, gain = untrained[at], over_untrained[at]
        rows.append(
            {
                **_about(comparison, score.model, "ok", ""),
                "rank": at + 1,
                "estimate": score.estimate,
                "ci_low": score.ci_low,
                "ci_high": score.ci_high,
                # max-T intervals are symmetric: a skewed score's own interval may reach further
                "simultaneous_low": np.fmin(low, score.ci_low),
                "simultaneous_high": np.fmax(high, score.ci_high),
                "behind_best": ahead[at].estimate,
                "behind_best_low": ahead[at].low,
                "behind_best_high": ahead[at].high,
                "behind_best_p": ahead[at].p if at else NAN,
                "p_best": float(ps[at]),
                "in_confidence_set": bool(ps[at] > SIGNIFICANT),
                "best_share": shares[at],
                "untrained": control.estimate if control else NAN,
                "over_untrained": gain.estimate,
                "over_untrained_low": gain.low,
                "over_untrained_high": gain.high,
                "over_untrained_p": gain.p,
            }
        )
    rows += _unscored(comparison, models)
    alike = [score.model for score, p in zip(scores, ps, strict=True) if p > SIGNIFICANT]
    lead = ahead[1] if len(scores) > 1 else Difference()
    for row in rows[:1]:  # what is known of all together
        row |= {
            "null_mean": scores[0].chance if scores else NAN,
            "p_value": scores[0].p_value if scores else NAN,
            "p_alone": float(np.max(ps[1:])) if len(ps) > 1 else NAN,
            "confidence_set": ",".join(alike),
            "runner_up": scores[1].model if len(scores) > 1 else "",
            "lead": lead.estimate,
            "lead_low": lead.low,
            "lead_high": lead.high,
            **guard_beside(scores, alike, comparison.guard),
        }
    return rows


def _unscored(comparison: Comparison, models: Mapping[str, Model]) -> list[dict[str, Any]]:
    """Rows of the representations that have no score, with the reason."""
    lost = comparison.rows[comparison.rows["status"] != "ok"]
    own = lost[[models[name].kind != "control" for name in lost["model"]]]
    return [
        _about(comparison, row["model"], row["status"], row["reason"]) | dict.fromkeys(NUMBERS, NAN)
        for row in own.drop_duplicates("model").to_dict("records")
    ]


def _about(comparison: Comparison, model: str, status: str, reason: str) -> dict[str, Any]:
    return {
        **comparison.about,
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
