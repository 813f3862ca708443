"""The cheapest layer that is as good: non-inferiority to the final layer and to the best, and what it saves.

As good means shown not to be worse by the margin: the lower end of a simultaneous interval lies above minus
the margin. A difference that is merely not significant shows nothing of the kind.

Where a task has a second metric that must not be lost, a layer is as good only if that is shown in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerscope.statistics.choice import Difference
from layerscope.statistics.evidence import Comparison, Measured, Model
from layerscope.statistics.layer_curves import LayerCurve, differences
from layerscope.tasks.catalogue import metric_range


def cheapest(curve: LayerCurve, margin: float, guard: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a row: the earliest layers of a curve that are as good as the final one, and as the best.

    ``margin`` is a share of the metric's range. With the columns of a second metric (``guard``) the best is
    the layer that is better in both metrics, if there is one.
    """
    layers, over_final = curve.layers, curve.over["final"]
    in_metric = margin * metric_range(curve.comparison.task, curve.comparison.metric)
    if guard["guard_metric"]:
        behind_best = _over(curve.comparison, curve, guard["better_layer"])
        as_final = _earliest_of_both(curve, curve.model.numbered()[-1], margin)
        as_best = _earliest_of_both(curve, guard["better_layer"], margin)
    else:
        behind_best = below_the_best(layers)
        as_final = earliest(layers, over_final, in_metric)
        as_best = earliest(layers, behind_best, in_metric)

    def saved(place: int | None) -> float:
        return np.nan if place is None else share_saved(curve.model, int(layers[place].layer))

    return {
        "margin": in_metric if layers else np.nan,
        "cheapest_layer": "" if as_final is None else layers[as_final].layer,
        **(Difference() if as_final is None else over_final[as_final]).columns("cheapest_over_final"),
        "forward_pass_saved": saved(as_final),
        "cheapest_as_good_as_best": "" if as_best is None else layers[as_best].layer,
        **(Difference() if as_best is None else behind_best[as_best]).columns("cheapest_behind_best"),
        "forward_pass_saved_as_good_as_best": saved(as_best),
    }


def _over(comparison: Comparison, curve: LayerCurve, layer: str) -> list[Difference]:
    """What every layer of a curve has more than one of them, in the metric of a comparison."""
    name = curve.model.name
    layers = [score for own in curve.layers if (score := comparison.get(name, own.layer))]
    return differences(layers, [comparison.get(name, layer)] * len(layers))


def _earliest_of_both(curve: LayerCurve, layer: str, margin: float) -> int | None:
    """Place of the first layer that is as good as another by the primary metric and by the guard's."""
    of_metrics = []
    for comparison in filter(None, (curve.comparison, curve.comparison.guard)):
        in_metric = margin * metric_range(comparison.task, comparison.metric)
        of_metrics.append(as_good(curve.layers, _over(comparison, curve, layer), in_metric))
    return next((place for place, good in enumerate(zip(*of_metrics, strict=True)) if all(good)), None)


def earliest(layers: Sequence[Measured], contrasts: Sequence[Difference], margin: float) -> int | None:
    """Place of the first layer that is shown to be less than ``margin`` behind; None if there is none."""
    return next((place for place, good in enumerate(as_good(layers, contrasts, margin)) if good), None)


def as_good(layers: Sequence[Measured], contrasts: Sequence[Difference], margin: float) -> list[bool]:
    """Whether each layer is shown to be less than ``margin`` behind.

    A layer that is itself the reference (difference 0, no interval) is as good; it counts only where the
    others could be tested.
    """
    tested = len(layers) == 1 or any(np.isfinite(contrast.low) for contrast in contrasts)
    return [tested and (contrast.is_reference or contrast.low > -margin) for contrast in contrasts]


def below_the_best(layers: Sequence[Measured]) -> list[Difference]:
    """Each layer's score minus that of the truly best layer, whichever that is (Hsu 1984).

    The highest estimate was picked from these very data. So each layer in turn is taken for the best, with
    max-T intervals of all differences to it. A layer's interval reaches from the lowest of its lower ends to
    the highest of its upper ends, or 0; all hold at once with 95%.
    """
    if len(layers) < 2:
        return [Difference(0.0, p=1.0)] * len(layers)
    against = [differences(layers, [best] * len(layers)) for best in layers]
    ends = np.array([[(one.low, one.high) for one in contrasts] for contrasts in against])
    itself = np.arange(len(layers))
    ends[itself, itself] = 0.0
    lows, highs = ends[..., 0].min(axis=0), np.minimum(ends[..., 1].max(axis=0), 0.0)
    top = max(layer.estimate for layer in layers)
    return [
        Difference(layer.estimate - top, float(low), float(high))
        for layer, low, high in zip(layers, lows, highs, strict=True)
    ]


def share_saved(model: Model, layer: int) -> float:
    """Share of the operations of a forward pass that are saved by stopping after a block."""
    if layer == model.n_layers:
        return 0.0
    whole = model.before_blocks + model.n_layers + model.after_blocks
    return (model.n_layers - layer + model.after_blocks) / whole
