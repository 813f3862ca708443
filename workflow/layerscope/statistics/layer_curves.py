"""A model's whole curve over its layers: simultaneous intervals and differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.statistics.evidence import Comparison, Measured, Model, stacked
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.multiple_testing import MaxT, max_t, p_best
from layerscope.tables import OFFICIAL

Floats = npt.NDArray[np.float64]
AGAINST = ("final", "first", "official", "untrained")


def best_shares(layers: Sequence[Measured]) -> Floats:
    """Share of the resamples in which each layer scores highest, shape ``(n_layers,)``; NaN without any."""
    values = stacked(layers)
    usable = None if values is None else values[np.isfinite(values).all(axis=1)]
    if usable is None or not len(usable):
        return np.full(len(layers), np.nan)
    highest = np.bincount(usable.argmax(axis=1), minlength=len(layers))
    return np.asarray(highest / highest.sum())


def best_depths(layers: Sequence[Measured]) -> Floats:
    """Depth of the highest layer in every usable resample; empty without resamples."""
    values = stacked(layers)
    if values is None:
        return np.empty(0)
    usable = values[np.isfinite(values).all(axis=1)]
    depths: Floats = np.array([layer.depth for layer in layers])[usable.argmax(axis=1)]
    return depths


def curve(comparison: Comparison, model: Model, untrained: Sequence[Model] = ()) -> pd.DataFrame:
    """The curve of a model under one condition and protocol, one row per numbered layer.

    Parameters
    ----------
    comparison
        All scores of the condition.
    model
        Whose layers.
    untrained
        Its untrained controls; each layer is compared with their mean at the same layer.

    Returns
    -------
    Columns ``condition``, ``task``, ``protocol``, ``metric``, ``model``, ``layer``, ``depth``, ``estimate``,
    ``ci_low``, ``ci_high`` (of the layer alone), ``simultaneous_low``, ``simultaneous_high`` (of all layers
    at once: max-T), and for each of :data:`AGAINST` the difference to that layer ``over_final`` with its
    simultaneous interval ``..._low``, ``..._high`` and two-sided max-T p-value ``..._p``; ``p_best`` (of
    being the best layer), ``in_confidence_set`` and ``best_share`` (of resamples in which it is highest).
    """
    layers = comparison.layers(model)
    table = pd.DataFrame(
        {
            "condition": comparison.condition,
            "task": comparison.task,
            "protocol": comparison.protocol,
            "metric": comparison.metric,
            "model": model.name,
            "layer": [layer.layer for layer in layers],
            "depth": [layer.depth for layer in layers],
            "estimate": [layer.estimate for layer in layers],
            "ci_low": [layer.ci_low for layer in layers],
            "ci_high": [layer.ci_high for layer in layers],
        }
    )
    if not layers:
        return table
    estimates = table["estimate"].to_numpy()
    values = stacked(layers)
    together = _nothing(len(layers)) if values is None else max_t(estimates, values)
    # max-T intervals are symmetric: where resamples are skewed, a layer's own interval may reach further
    table["simultaneous_low"] = np.fmin(together.low, table["ci_low"])
    table["simultaneous_high"] = np.fmax(together.high, table["ci_high"])
    others: dict[str, list[Measured | None]] = {
        "final": [comparison.get(model.name, model.numbered()[-1])] * len(layers),
        "first": [comparison.get(model.name, "01")] * len(layers),
        "official": [comparison.get(model.name, OFFICIAL)] * len(layers),
        "untrained": [mean_of(comparison, untrained, layer.layer) for layer in layers],
    }
    for name in AGAINST:
        differences, found = differences_between(layers, others[name])
        table[f"over_{name}"] = differences
        table[f"over_{name}_low"], table[f"over_{name}_high"] = found.low, found.high
        table[f"over_{name}_p"] = found.p
    p_values = np.full(len(layers), np.nan) if values is None else p_best(estimates, values)
    table["p_best"] = p_values
    table["in_confidence_set"] = ~(p_values <= 0.05)
    table["best_share"] = best_shares(layers)
    return table


def differences_between(layers: Sequence[Measured], others: Sequence[Measured | None]) -> tuple[Floats, MaxT]:
    """Differences of layers to one score each, with simultaneous intervals.

    Parameters
    ----------
    layers, others
        What is compared with what, of the same length; None where there is nothing to compare with.

    Returns
    -------
    Differences, shape ``(n_layers,)``: NaN where there is no other, 0 to itself; and their inference,
    NaN in both cases.
    """
    result = _nothing(len(layers))
    differences = np.full(len(layers), np.nan)
    places, these, those = [], [], []
    for place, (layer, other) in enumerate(zip(layers, others, strict=True)):
        if other is None:
            continue
        differences[place] = layer.estimate - other.estimate
        if other is not layer:
            places.append(place)
            these.append(layer)
            those.append(other)
    values, other_values = stacked(these), stacked(those)
    if values is not None and other_values is not None:
        found = max_t(differences[places], values - other_values)
        result.low[places], result.high[places] = found.low, found.high
        result.p[places] = found.p
    return differences, result


def mean_of(comparison: Comparison, models: Sequence[Model], layer: str) -> Measured | None:
    """Mean score of several models (seeds of a control) at one layer, resample by resample.

    It carries the model's name where there is one, else says of how many it is the mean.
    """
    found = [one for model in models if (one := comparison.get(model.name, layer)) is not None]
    if not found:
        return None
    estimate = float(np.mean([one.estimate for one in found]))
    values = stacked(found)
    resamples = None if values is None else values.mean(axis=1)
    low, high = (np.nan, np.nan) if resamples is None else percentile_interval(resamples)
    name = found[0].model if len(found) == 1 else f"mean of {len(found)} seeds"
    return Measured(name, layer, estimate, low, high, found[0].depth, resamples)


def _nothing(n_layers: int) -> MaxT:
    return MaxT(*(np.full(n_layers, np.nan) for _ in range(3)))
