"""Are cells of a label that the probe has never seen known to be of none that it has?

Each label is left out of training in turn. The probe should be unsure of its cells, and the nearest training
cells far. AUC against cells of known labels within held-out donors, averaged over labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.design import Design
from layerscope.tasks.label.distances import distance_blocks
from layerscope.tasks.label.measures import Labellings, Measures, auc_within
from layerscope.tasks.label.probe import probe_scores
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.refits import Measure

NOVEL, NOVEL_KNN = "novel_type_auc", "novel_type_knn_auc"
MIN_LABELS = 3
"""With two labels nothing but one is left to train on, and every cell is as sure."""


def novel_measures(vectors: Floats, design: Design, settings: LabelSettings) -> dict[str, Measures]:
    """AUC of the probe's doubt and of nearest distances; shuffles deal the left-out label anew."""
    unseen = design.types != np.arange(design.n_types)[:, None]
    types = np.tile(design.types, (design.n_types, 1))
    labellings = Labellings(types, unseen.astype(np.float64), design.n_types)
    scores, _ = probe_scores(vectors, labellings, design.folds, settings.penalty)
    doubt = 1 - softmax(scores, axis=2).max(axis=2)
    far = distances_to_others(vectors, design.types, design.n_types, design.folds, settings)
    return {name: _measures(novelty, design) for name, novelty in ((NOVEL, doubt), (NOVEL_KNN, far))}


def distances_to_others(
    vectors: Floats, types: Ints, n_types: int, folds: Ints, settings: LabelSettings
) -> Floats:
    """Mean distance of cells to the nearest of other folds that lack each label, ``(n_types, n_cells)``."""
    means = np.empty((n_types, len(vectors)))
    for rows, distances in distance_blocks(vectors, settings.metric):
        distances[folds[rows, None] == folds] = np.inf
        for label in range(n_types):
            others = distances[:, types != label]
            n = min(settings.neighbours, int(np.isfinite(others).sum(axis=1).min()))
            means[label, rows] = np.partition(others, n - 1, axis=1)[:, :n].mean(axis=1)
    return means


def _measures(novelty: Floats, design: Design) -> Measures:
    """Mean AUC over the labels that are left out, as it is and with the labels shuffled."""

    def mean_auc(types: Ints) -> Measure:
        each = [
            auc_within(of_label, types == label, design.group, design.unit, len(design.units))
            for label, of_label in enumerate(novelty)
        ]

        def measure(counts: npt.ArrayLike) -> Floats:
            values = np.array([auc(counts) for auc in each])
            defined = np.isfinite(values)
            total = np.where(defined, values, 0).sum(axis=0)
            return np.asarray(
                np.where(defined.any(axis=0), total / np.maximum(defined.sum(axis=0), 1), np.nan)
            )

        return measure

    return mean_auc(design.types), [mean_auc(shuffled) for shuffled in design.shuffled], []
