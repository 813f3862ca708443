"""A model's whole curve over its layers: simultaneous intervals and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerscope.arrays import Floats, Ints
from layerscope.statistics.choice import Difference
from layerscope.statistics.evidence import Comparison, Measured, Model, controls_of, stacked
from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.statistics.multiple_testing import MaxT, max_t, p_best
from layerscope.tables import OFFICIAL

AGAINST = ("final", "first", "official", "untrained")
COLUMNS = (
    *("condition", "task", "protocol", "metric", "model", "layer", "depth", "estimate", "ci_low", "ci_high"),
    *("simultaneous_low", "simultaneous_high"),
    *(f"over_{name}{end}" for name in AGAINST for end in ("", "_low", "_high", "_p")),
    *("p_best", "in_confidence_set", "best_share"),
)


@dataclass(frozen=True)
class LayerCurve:
    """A model's numbered layers in one condition by one protocol, beside each other and controls."""

    comparison: Comparison
    model: Model
    layers: list[Measured]  # that have a score, in order
    untrained: Mapping[str, Measured | None]  # mean score of the untrained controls at each numbered layer
    over: Mapping[str, list[Difference]]  # for each of AGAINST, every layer's difference to it
    simultaneous: MaxT
    p_best: Floats  # of being the best layer, (n_layers,); NaN without resamples
    winners: Ints  # index of the highest layer in every usable resample

    @property
    def best_shares(self) -> Floats:
        """Share of the resamples in which each layer scores highest; NaN without resamples."""
        if not len(self.winners):
            return np.full(len(self.layers), np.nan)
        return np.asarray(np.bincount(self.winners, minlength=len(self.layers)) / len(self.winners))

    @property
    def best_depths(self) -> Floats:
        """Depth of the highest layer in every usable resample; empty without resamples."""
        return np.array([layer.depth for layer in self.layers], dtype=np.float64)[self.winners]


def layer_curve(comparison: Comparison, model: Model, models: Mapping[str, Model]) -> LayerCurve:
    """Compare the layers of a model; its untrained controls are taken from ``models``."""
    layers = comparison.layers(model)
    controls = controls_of(models, model, "untrained")
    untrained = {layer: mean_of(comparison, controls, layer) for layer in model.numbered()}
    single = {"final": model.numbered()[-1], "first": "01", "official": OFFICIAL}
    references: dict[str, list[Measured | None]] = {
        name: [comparison.get(model.name, layer)] * len(layers) for name, layer in single.items()
    }
    references["untrained"] = [untrained[layer.layer] for layer in layers]
    estimates, values = [layer.estimate for layer in layers], stacked(layers)
    usable = None if values is None else values[np.isfinite(values).all(axis=1)]
    return LayerCurve(
        comparison=comparison,
        model=model,
        layers=layers,
        untrained=untrained,
        over={name: differences(layers, references[name]) for name in AGAINST},
        simultaneous=_unknown(len(layers)) if values is None else max_t(estimates, values),
        p_best=np.full(len(layers), np.nan) if values is None else p_best(estimates, values),
        winners=np.empty(0, dtype=np.intp) if usable is None else usable.argmax(axis=1),
    )


def curve_table(curve: LayerCurve) -> pd.DataFrame:
    """A curve as rows of ``curves.tsv``; all but ``ci_low``, ``ci_high`` hold for all layers at once."""
    comparison, layers = curve.comparison, curve.layers
    own = pd.DataFrame(
        [(layer.layer, layer.depth, layer.estimate, layer.ci_low, layer.ci_high) for layer in layers],
        columns=["layer", "depth", "estimate", "ci_low", "ci_high"],
    )
    # max-T intervals are symmetric: where resamples are skewed, a layer's own interval may reach further
    own["simultaneous_low"] = np.fmin(curve.simultaneous.low, own["ci_low"])
    own["simultaneous_high"] = np.fmax(curve.simultaneous.high, own["ci_high"])
    for name, contrasts in curve.over.items():
        own[f"over_{name}"] = [contrast.estimate for contrast in contrasts]
        own[f"over_{name}_low"] = [contrast.low for contrast in contrasts]
        own[f"over_{name}_high"] = [contrast.high for contrast in contrasts]
        # the p-value of a difference to itself is no test
        own[f"over_{name}_p"] = [np.nan if np.isnan(contrast.low) else contrast.p for contrast in contrasts]
    return own.assign(
        **comparison.about,
        model=curve.model.name,
        p_best=curve.p_best,
        in_confidence_set=~(curve.p_best <= 1 - LEVEL),
        best_share=curve.best_shares,
    )[list(COLUMNS)]


def differences(layers: Sequence[Measured], references: Sequence[Measured | None]) -> list[Difference]:
    """Difference of each layer to its reference, with simultaneous intervals.

    NaN where there is no reference; 0 with p-value 1 where a layer is its own.
    """
    pairs = [
        (place, layer, reference)
        for place, (layer, reference) in enumerate(zip(layers, references, strict=True))
        if reference is not None and reference is not layer
    ]
    values = stacked([layer for _, layer, _ in pairs])
    reference_values = stacked([reference for _, _, reference in pairs])
    estimates = np.array([layer.estimate - reference.estimate for _, layer, reference in pairs])
    if values is None or reference_values is None:
        tests = _unknown(len(pairs))
    else:
        tests = max_t(estimates, values - reference_values)
    result = [
        Difference(0.0, p=1.0) if layer is reference else Difference()
        for layer, reference in zip(layers, references, strict=True)
    ]
    for (place, _, _), *numbers in zip(pairs, estimates, tests.low, tests.high, tests.p, strict=True):
        result[place] = Difference(*map(float, numbers))
    return result


def mean_of(comparison: Comparison, models: Sequence[Model], layer: str) -> Measured | None:
    """Mean score of several models (seeds of a control) at one layer, resample by resample."""
    scores = [score for model in models if (score := comparison.get(model.name, layer)) is not None]
    if not scores:
        return None
    estimate = float(np.mean([score.estimate for score in scores]))
    values = stacked(scores)
    resamples = None if values is None else values.mean(axis=1)
    low, high = (np.nan, np.nan) if resamples is None else percentile_interval(resamples)
    name = scores[0].model if len(scores) == 1 else f"mean of {len(scores)} seeds"
    return Measured(name, layer, estimate, low, high, scores[0].depth, resamples)


def _unknown(n: int) -> MaxT:
    return MaxT(*(np.full(n, np.nan) for _ in range(3)))
