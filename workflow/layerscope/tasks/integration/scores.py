"""Scores of one layer in two columns, mixing and biology, with scIB's metrics beside them. There is no total.

Every metric stands beside what it is after shuffling: metrics of types after types were dealt anew within
batches (no biology), metrics of batches after batches were dealt anew within types (complete mixing).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floating, Floats, Ints
from layerscope.statistics.intervals import percentile_interval
from layerscope.tables import Score, Subject
from layerscope.tasks.integration.design import Design
from layerscope.tasks.integration.jackknife import Parts
from layerscope.tasks.integration.mixing import cells_by_type, mixing
from layerscope.tasks.integration.neighbours import nearest_neighbours
from layerscope.tasks.integration.probe import columns_of, predictions, votes
from layerscope.tasks.integration.scib import (
    BATCH_METRICS,
    NEIGHBOURS,
    TYPE_METRICS,
    batch_metrics,
    type_metrics,
)
from layerscope.tasks.integration.settings import IntegrationSettings
from layerscope.tasks.label.measures import macro_f1
from layerscope.tasks.scored import NoScoreError, Scored, embedded, share_as_high

BIOLOGY, MIXING = "biology", "mixing"
KNN, RANDOM_FOLDS, BATCH_PROBE = "biology_knn", "biology_random_folds", "batch_probe_accuracy"
METRICS = (MIXING, BIOLOGY, KNN, RANDOM_FOLDS, BATCH_PROBE, *BATCH_METRICS, *TYPE_METRICS)
TESTED = (BIOLOGY, KNN, RANDOM_FOLDS)
"""With a p-value: all shuffles are re-run."""
COMPLETE = 1.0
"""Mixing of batches that are dealt at random."""
SHUFFLES_BESIDE = 5
"""Shuffles of a metric beside the two columns: a level to compare with, and no test."""
SHUFFLED_BATCHES = "null: batches dealt anew within types, which is complete mixing"


@dataclass(frozen=True)
class Layer:
    """A layer of the cells that the model did not refuse, and all that it is scored by."""

    vectors: Floats
    columns: Floats
    """As the probe sees them."""
    design: Design
    settings: IntegrationSettings
    parts: Parts
    seed: int
    refused: str
    """Cells that were refused, in words."""


@dataclass(frozen=True)
class Measured:
    """What was measured: of all cells, without each part of them, and after every shuffle."""

    estimate: float
    n_cells: int
    without: Floats | None = None
    null: npt.ArrayLike = ()
    remark: str = ""


def score_layer(matrix: Floating, design: Design, settings: IntegrationSettings, subject: Subject) -> Scored:
    """Score a layer (cells x columns, cells as in the table that the design was made of): :data:`METRICS`."""
    layer = layer_of(matrix, design, settings, subject.seed)
    measured = {MIXING: mixing_of(layer), **biology_of(layer), **beside_of(layer)}
    scored = Scored()
    for metric in METRICS:
        of_metric = measured[metric]
        values = resamples_of(of_metric, metric, layer)
        scored.rows.append(_row(of_metric, metric, values, layer, subject))
        # mixing that is no virtue is a number to read, by which no layer is chosen
        if of_metric.without is not None and not (metric == MIXING and design.no_virtue):
            scored.resamples[metric] = values
    return scored


def layer_of(matrix: Floating, design: Design, settings: IntegrationSettings, seed: int) -> Layer:
    """The cells of a design that a layer has; rows of the matrix that are not finite are refused cells.

    Raises NoScoreError if the layer is constant, or so many cells were refused that one type is left.
    """
    vectors, finite, refused = embedded(matrix, design.cells)
    parts = Parts.of(design.units, seed, settings.parts)  # before cells are left out: the same for all models
    vectors, design = vectors[finite], design.among(finite)
    if len(np.unique(design.types[design.tested])) < 2:
        raise NoScoreError("undefined", f"{refused}, so that fewer than two types are left")
    parts = replace(parts, part=parts.part[finite])
    return Layer(vectors, columns_of(vectors), design, settings, parts, seed, refused)


def mixing_of(layer: Layer) -> Measured:
    """Mixing, of all balanced cells and without each part of them."""
    design, settings = layer.design, layer.settings
    k = settings.neighbours
    by_type = cells_by_type(
        layer.vectors, design.types, design.batches, design.shuffled_batches, design.balanced, k
    )
    without = layer.parts.without_each(lambda others: mixing(by_type, k, others))
    remark = f"no type has {settings.cells_per_batch} cells in each of two batches"
    if by_type:
        n_types = len(np.unique(design.types))
        remark = f"{COMPLETE:g} is complete mixing: batches dealt anew within types"
        remark += f"; in {len(by_type)} of {n_types} types"
        remark += f"; {design.no_virtue}" if design.no_virtue else ""
    return Measured(mixing(by_type, k), int(design.balanced.sum()), without, remark=remark)


def biology_of(layer: Layer) -> dict[str, Measured]:
    """Types named in held-out batches, by the probe and by neighbours; and what random folds give."""
    design, settings, tested = layer.design, layer.settings, layer.design.tested
    labellings = np.vstack([design.types, design.shuffled_types])[:, tested]
    held_out, random_folds = design.folds[tested], design.random_folds[tested]
    columns, vectors = layer.columns[tested], layer.vectors[tested]

    def of_others(others: Bools) -> float:
        inside = others[tested]
        folds, labels = held_out[inside], labellings[:1, inside]
        if len(np.unique(folds)) < 2:
            return float("nan")
        return _f1(labels, predictions(columns[inside], labels, folds, settings.penalty))[0]

    by_probe = predictions(columns, labellings, held_out, settings.penalty)
    by_votes = votes(vectors, labellings, held_out, settings.votes)
    leaking = predictions(columns, labellings, random_folds, settings.penalty)
    without = layer.parts.without_each(of_others)
    leak = "folds that ignore the batches: what leaks between cells of one batch"
    return {
        metric: Measured(values[0], int(tested.sum()), without_parts, values[1:], remark)
        for metric, values, without_parts, remark in (
            (BIOLOGY, _f1(labellings, by_probe), without, design.untested),
            (KNN, _f1(labellings, by_votes), None, ""),
            (RANDOM_FOLDS, _f1(labellings, leaking), None, leak),
        )
    }


def beside_of(layer: Layer) -> dict[str, Measured]:
    """scIB's metrics, and for how many cells a probe names the batch."""
    design, vectors = layer.design, layer.vectors
    near = nearest_neighbours(vectors, NEIGHBOURS)
    batches = np.vstack([design.batches, design.shuffled_batches[:SHUFFLES_BESIDE]])
    types = np.vstack([design.types, design.shuffled_types[:SHUFFLES_BESIDE]])
    named = predictions(layer.columns, batches, design.random_folds, layer.settings.penalty) == batches
    of_batches = {BATCH_PROBE: named.mean(axis=1)} | {
        metric: [of_labels(labels) for labels in batches]
        for metric, of_labels in batch_metrics(vectors, near, design.types).items()
    }
    of_types = {
        metric: [of_labels(labels) for labels in types]
        for metric, of_labels in type_metrics(vectors, near, design.batches, design.types, layer.seed).items()
    }
    n_cells = len(vectors)
    return {
        metric: Measured(float(values[0]), n_cells, null=values[1:], remark=remark)
        for scores, remark in ((of_batches, SHUFFLED_BATCHES), (of_types, ""))
        for metric, values in scores.items()
    }


def _f1(labellings: Ints, predicted: Ints) -> list[float]:
    """Macro F1 of every labelling's predictions."""
    everyone, n_labels = np.zeros(labellings.shape[1], dtype=np.intp), int(labellings.max()) + 1
    pairs = zip(labellings, predicted, strict=True)
    return [float(macro_f1(labels, guesses, everyone, 1, n_labels)([1.0])) for labels, guesses in pairs]


def resamples_of(measured: Measured, metric: str, layer: Layer) -> Floats:
    """Values that spread around a score as it would vary; NaN where it was not measured without parts."""
    if measured.without is None:
        return np.full(layer.settings.resamples, np.nan)
    values = layer.parts.resamples(measured.estimate, measured.without, layer.settings.resamples)
    return values if metric == MIXING else np.minimum(values, 1)


def _row(measured: Measured, metric: str, values: Floats, layer: Layer, subject: Subject) -> Score:
    """The row of one metric."""
    low, high = percentile_interval(values)
    null = np.asarray(measured.null, dtype=np.float64)
    column = measured.without is not None
    remarks = [measured.remark, layer.design.remark if column else "", layer.refused]
    if not np.isfinite(measured.estimate):
        why = measured.remark if column else "no type is large enough in two batches"
        return subject.row(metric, status="undefined", reason=why)
    return subject.row(
        metric,
        n_cells=measured.n_cells,
        n_items=len(layer.parts.units) if column else 0,
        estimate=measured.estimate,
        ci_low=low,
        ci_high=high,
        ceiling=COMPLETE if metric == MIXING else np.nan,
        null_mean=float(null.mean()) if len(null) else np.nan,
        p_value=share_as_high(null, measured.estimate) if metric in TESTED else np.nan,
        reason="; ".join(filter(None, remarks)),
    )
