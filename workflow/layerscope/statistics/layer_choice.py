"""Which layer of a model to use for a condition, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.evidence import Comparison, Measured, Model, comparisons, controls_of, stacked
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.multiple_testing import confidence_set, max_t
from layerscope.statistics.recommendation import recommend
from layerscope.tables import OFFICIAL

NAN = float("nan")


@dataclass(frozen=True)
class Difference:
    """One score minus another, with its paired interval (NaN where the two are not paired)."""

    estimate: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class LayerChoice:
    """What is known about the layers of one model under one condition and protocol.

    Attributes
    ----------
    condition, task, protocol, metric, model, n_layers
        What was compared.
    status, reason
        ``ok``; else ``undefined`` or ``not_available``, with the reason.
    best, final, first, embedding_layer, official
        Scores of the best block, the last, the first, of what enters the first, and of the owners' embedding.
    gain, gain_official
        Best minus final, best minus official, paired.
    gain_p
        Smallest p-value of any layer being above the final one, adjusted for the number of layers (max-T).
    confidence_set
        Layers that cannot be told from the best.
    baseline, over_baseline
        The best baseline, and best layer minus it.
    untrained, over_untrained
        The best layer of any untrained control, and best layer minus it.
    untrained_same_layer
        The best of the untrained controls at the best layer.
    """

    condition: str
    task: str
    protocol: str
    metric: str
    model: str
    n_layers: int
    status: str = "ok"
    reason: str = ""
    best: Measured | None = None
    final: Measured | None = None
    first: Measured | None = None
    embedding_layer: Measured | None = None
    official: Measured | None = None
    gain: Difference = field(default_factory=Difference)
    gain_official: Difference = field(default_factory=Difference)
    gain_p: float = NAN
    confidence_set: tuple[str, ...] = ()
    baseline: Measured | None = None
    over_baseline: Difference = field(default_factory=Difference)
    untrained: Measured | None = None
    over_untrained: Difference = field(default_factory=Difference)
    untrained_same_layer: Measured | None = None


def choose_layers(
    scores: pd.DataFrame, resamples: Iterable[str | Path], models: Mapping[str, Model]
) -> pd.DataFrame:
    """Choose a layer for every foundation model, condition and protocol.

    Parameters
    ----------
    scores
        All rows of :class:`layerscope.tables.Score`.
    resamples
        Files of bootstrap values, ``.../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz``.
    models
        The study's models.

    Returns
    -------
    One row per condition, protocol and foundation model: see :func:`as_row`.
    """
    rows = [
        as_row(choice(comparison, model, models))
        for comparison in comparisons(scores, resamples, models)
        for model in models.values()
        if model.kind == "foundation" and (comparison.rows["model"] == model.name).any()
    ]
    table = pd.DataFrame(rows, columns=list(as_row(LayerChoice("", "", "", "", "", 0, status="undefined"))))
    return table.sort_values(["condition", "task", "protocol", "model"], kind="stable", ignore_index=True)


def choice(comparison: Comparison, model: Model, models: Mapping[str, Model]) -> LayerChoice:
    """Compare the layers of one model with each other, with its controls and with the baselines."""
    about = LayerChoice(
        condition=comparison.condition,
        task=comparison.task,
        protocol=comparison.protocol,
        metric=comparison.metric,
        model=model.name,
        n_layers=model.n_layers,
    )
    layers = comparison.layers(model)
    reasons = "; ".join(comparison.reasons(model.name))
    if not layers:
        statuses = set(comparison.rows.loc[comparison.rows["model"] == model.name, "status"])
        status = "undefined" if "undefined" in statuses else "not_available"
        return replace(about, status=status, reason=reasons)
    best = max(layers, key=lambda one: one.estimate)
    final = comparison.get(model.name, model.numbered()[-1])
    official = comparison.get(model.name, OFFICIAL)
    untrained = controls_of(models, model, "untrained")
    baseline = comparison.best_of(other for other in models.values() if other.kind == "baseline")
    best_untrained = comparison.best_of(untrained, model.numbered())
    return replace(
        about,
        reason=reasons,
        best=best,
        final=final,
        first=comparison.get(model.name, "01"),
        embedding_layer=comparison.get(model.name, "00"),
        official=official,
        gain=difference(best, final),
        gain_official=difference(best, official),
        gain_p=smallest_p(layers, final),
        confidence_set=layers_like_the_best(layers),
        baseline=baseline,
        over_baseline=difference(best, baseline),
        untrained=best_untrained,
        over_untrained=difference(best, best_untrained),
        untrained_same_layer=comparison.best_of(untrained, [best.layer]),
    )


def difference(one: Measured | None, other: Measured | None) -> Difference:
    """Paired difference of two scores, with its percentile interval."""
    if one is None or other is None:
        return Difference()
    values = stacked([one, other])
    interval = (NAN, NAN) if values is None else percentile_interval(values[:, 0] - values[:, 1])
    return Difference(one.estimate - other.estimate, *interval)


def smallest_p(layers: list[Measured], final: Measured | None) -> float:
    """Smallest max-T p-value of a layer being above the final one; 1 if no other layer was measured."""
    others = [layer for layer in layers if layer is not final]
    if final is None or not others:
        return NAN if final is None else 1.0
    values = stacked([*others, final])
    if values is None:
        return NAN
    ahead = np.array([layer.estimate - final.estimate for layer in others])
    return float(max_t(ahead, values[:, :-1] - values[:, [-1]]).p_greater.min())


def layers_like_the_best(layers: list[Measured]) -> tuple[str, ...]:
    """Names of the layers in the 95% confidence set of the best one; empty if they have no resamples."""
    values = stacked(layers)
    if values is None:
        return ()
    kept = confidence_set([layer.estimate for layer in layers], values)
    return tuple(layer.layer for layer, inside in zip(layers, kept, strict=True) if inside)


def as_row(found: LayerChoice) -> dict[str, Any]:
    """A choice as one row of ``layers.tsv``."""
    return {
        "condition": found.condition,
        "task": found.task,
        "protocol": found.protocol,
        "metric": found.metric,
        "model": found.model,
        "n_layers": found.n_layers,
        "status": found.status,
        "reason": found.reason,
        "best_layer": found.best.layer if found.best else "",
        "best_depth": found.best.depth if found.best else NAN,
        **_numbers("best", found.best),
        "final_layer": found.final.layer if found.final else "",
        **_numbers("final", found.final),
        **_numbers("first", found.first),
        **_numbers("embedding_layer", found.embedding_layer),
        **_numbers("official", found.official),
        **_difference("gain", found.gain),
        "gain_p": found.gain_p,
        **_difference("gain_official", found.gain_official),
        "confidence_set": ",".join(found.confidence_set),
        "best_baseline": found.baseline.model if found.baseline else "",
        **_numbers("best_baseline", found.baseline),
        **_difference("over_baseline", found.over_baseline),
        "best_untrained": found.untrained.model if found.untrained else "",
        "best_untrained_layer": found.untrained.layer if found.untrained else "",
        **_numbers("best_untrained", found.untrained),
        **_difference("over_untrained", found.over_untrained),
        "untrained_same_layer_estimate": (
            found.untrained_same_layer.estimate if found.untrained_same_layer else NAN
        ),
        "recommendation": recommend(found),
    }


def _numbers(name: str, one: Measured | None) -> dict[str, float]:
    return {
        f"{name}_estimate": one.estimate if one else NAN,
        f"{name}_ci_low": one.ci_low if one else NAN,
        f"{name}_ci_high": one.ci_high if one else NAN,
    }


def _difference(name: str, difference: Difference) -> dict[str, float]:
    return {name: difference.estimate, f"{name}_ci_low": difference.low, f"{name}_ci_high": difference.high}
