"""Scores of labels that were given to samples or donors: all re-run for each way of dealing them.

Donors are held out, labels are dealt anew among samples or donors, and donors are resampled. The probe is the
closed-form one. In a refit the means of labels are those of resampled training donors; the covariance, which
knows no label, stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.design import Design
from layerscope.tasks.label.distances import NeighbourShares
from layerscope.tasks.label.measures import Measures, auc_within, balanced_accuracy, macro_f1
from layerscope.tasks.label.readers import Reader, unit_reader
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.refits import Measure

BLOCK = 50
"""Labellings that are predicted at once."""
DIGITS = 9
"""Of a probability: what lies below is rounding, which must not part what is equal."""


def unit_measures(
    vectors: Floats,
    design: Design,
    settings: LabelSettings,
    draws: npt.NDArray[np.int32],
    family: str = "",
) -> tuple[dict[str, Measures], int]:
    """Per metric its score: as it is, under every dealing, and after every refit.

    Of the probe and of neighbours (``knn_``). Two labels of samples have ``auc`` within donors; labels of
    donors ``donor_auc`` and ``donor_balanced_accuracy``, from one prediction per donor. All have macro F1 of
    cells, and what random folds give.
    """
    readers: dict[str, Reader] = {
        "": unit_reader(family, vectors, design.folds, settings.penalty, design.types),
        "knn_": NeighbourShares(vectors, design.folds, settings.neighbours, settings.metric),
    }
    measures: dict[str, Measures] = {}
    for prefix, reader in readers.items():
        of_labels = _Predicted(design)
        true = of_labels(design.types, reader(design.types[None], design.n_types)[0])
        null: list[dict[str, Measure]] = []
        for start in range(0, len(design.shuffled), BLOCK):
            dealt = design.shuffled[start : start + BLOCK]
            probabilities = reader(dealt, design.n_types)
            null += [of_labels(*pair) for pair in zip(dealt, probabilities, strict=True)]
        refits = [
            of_labels(
                design.types,
                reader(design.types[None], design.n_types, weight=draw[design.unit].astype(float))[0],
            )
            for draw in draws
        ]
        for metric, measure in true.items():
            name = f"{prefix}{metric}" if prefix or metric != "macro_f1" else "probe_macro_f1"
            measures[name] = (measure, [each[metric] for each in null], [each[metric] for each in refits])
    assert design.random_folds is not None
    leaking = unit_reader(family, vectors, design.random_folds, settings.penalty, design.types)(
        design.types[None], design.n_types
    )[0]
    of_cells = _Predicted(design).of_cells(design.types, leaking)
    measures["probe_macro_f1_random_folds"] = (of_cells["macro_f1"], [], [])
    if "auc" in of_cells:
        measures["auc_random_folds"] = (of_cells["auc"], [], [])
    return measures, 0


class _Predicted:
    """Scores of predicted probabilities, as functions of how often each donor is counted."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._n_units = len(design.units)
        self._present = np.unique(design.unit)
        donor = np.searchsorted(self._present, design.unit)
        # types weigh alike in their donor, and cells alike in their type
        kind = donor * (int(design.cell_types.max()) + 1) + design.cell_types
        _, first, of_kind, sizes = np.unique(kind, return_index=True, return_inverse=True, return_counts=True)
        n_kinds = np.bincount(donor[first])
        self._weight = 1 / (sizes[of_kind] * n_kinds[donor])
        self._donor = donor

    def __call__(self, labels: Ints, probabilities: Floats) -> dict[str, Measure]:
        probabilities = probabilities.round(DIGITS)
        design = self._design
        of_cells = self.of_cells(labels, probabilities)
        if design.level == "sample":
            return of_cells
        return {**self._of_donors(labels, probabilities), "macro_f1": of_cells["macro_f1"]}

    def of_cells(self, labels: Ints, probabilities: Floats) -> dict[str, Measure]:
        """Of two labels the AUC, within donors if labels differ there; macro F1."""
        design = self._design
        named = probabilities.argmax(axis=1)
        measures = {"macro_f1": macro_f1(labels, named, design.unit, self._n_units, design.n_types)}
        if design.n_types > 2:
            return measures
        group = design.group if design.level == "sample" else np.zeros_like(labels)
        scores, positive = probabilities[:, design.positive], labels == design.positive
        return {"auc": auc_within(scores, positive, group, design.unit, self._n_units), **measures}

    def _of_donors(self, labels: Ints, probabilities: Floats) -> dict[str, Measure]:
        """One prediction per donor, the mean over its cells: AUC of two labels, and balanced accuracy."""
        design, donors = self._design, self._present
        means = np.column_stack(
            [np.bincount(self._donor, self._weight * of_label, len(donors)) for of_label in probabilities.T]
        ).round(DIGITS)
        label = np.empty(len(donors), dtype=np.intp)
        label[self._donor] = labels
        named = means.argmax(axis=1)
        measures = {
            "donor_balanced_accuracy": balanced_accuracy(label, named, donors, self._n_units, design.n_types)
        }
        if design.n_types > 2:
            return measures
        scores = means[:, design.positive].astype(np.float64)
        positive = label == design.positive
        of_donors = auc_within(scores, positive, np.zeros_like(label), donors, self._n_units)
        return {"donor_auc": of_donors, **measures}
