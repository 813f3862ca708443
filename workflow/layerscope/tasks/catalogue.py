"""What is asked of a layer: the tasks, their primary metrics, and the words for them.

Statistics, figures and report look here and know no task by name. What else a task consists of stands in
``docs/methods``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metric:
    """A primary metric: the label of its axis, and a sentence that says what it means."""

    label: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task.

    Attributes
    ----------
    title
        Headline of its figure.
    keeps
        What a good layer keeps: completes "no layer is shown to keep ...".
    metrics
        Metrics that can be primary, by name, the usual one first.
    primary
        Primary metrics of single protocols, the first that a condition has; of others it is the usual one.
    intervals
        By protocol, where the 95% intervals of its primary metrics come from.
    truth
        Metrics that compare with what simulated cells were made from, and their labels.
    """

    title: str
    keeps: str
    metrics: Mapping[str, Metric]
    primary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    intervals: Mapping[str, str] = field(default_factory=dict)
    truth: Mapping[str, str] = field(default_factory=dict)


ONE_ROOT = "delete-d jackknife on disjoint halves of the cells, each with its own graph, for the one root"
DRAWN_PERTURBATIONS = (
    "bootstrap over perturbations; of more than 1,000 perturbations, infinitesimal jackknife over them"
)

TASKS: Mapping[str, Task] = {
    "trajectory": Task(
        title="How well each layer keeps the order of development",
        keeps="the order of cells along the trajectory",
        primary={"strict": ("time_somers_d", "clone_order", "spearman")},
        truth={"spearman_true_pseudotime": "Spearman correlation with the true pseudotime"},
        intervals={
            "paper": ONE_ROOT,
            "released": ONE_ROOT,
            "strict": "delete-d jackknife on disjoint halves of the cells, each with its own graph and roots",
        },
        metrics={
            "spearman": Metric(
                "Spearman correlation with the reference pseudotime",
                "The score is the agreement between the order of the cells along development in that layer "
                "and the reference pseudotime: 1 is the same order, 0 is no relation.",
            ),
            "time_somers_d": Metric(
                "Somers' D with the sampling times",
                "The score is the agreement between the order of the cells along development in that layer "
                "and the times at which they were sampled: 1 is the same order, 0 is no relation.",
            ),
            "clone_order": Metric(
                "Order of sister cells, by clone",
                "The score says whether sister cells that were sampled later come later along development in "
                "that layer.",
            ),
        },
    ),
    "perturbation": Task(
        title="How well each layer keeps which perturbations act alike",
        keeps="which perturbations act alike",
        truth={"auc_same_module": "AUC of pairs that truly share a module against pairs that do not"},
        intervals={
            "paper": DRAWN_PERTURBATIONS,
            "released": DRAWN_PERTURBATIONS,
            "strict": "infinitesimal jackknife over perturbations",
        },
        metrics={
            "spearman": Metric(
                "Spearman correlation with the similarity of effects",
                "The score is the agreement between the similarity of perturbations in that layer and the "
                "similarity of their effects on gene expression: 1 is the same ranking of pairs, 0 is no "
                "relation.",
            ),
        },
    ),
    "cell_type": Task(
        title="How well each layer tells cell types apart",
        keeps="cell types apart",
        intervals={
            "strict": "bootstrap over donors or batches, of fewer than ten over their cells (then for "
            "these donors or batches alone), with refits of the probe",
        },
        metrics={
            "probe_macro_f1": Metric(
                "Macro F1 of a linear probe",
                "The score says how well a linear probe, fitted to that layer in some cells, names the types "
                "of cells of other donors or batches (where there are any): F1 averaged over cell types, 1 "
                "is every cell right; chance is what shuffled labels give, not 0.",
            ),
        },
    ),
}
USUAL = "spearman"
"""Primary metric of a task that is not described here."""


def primary_metrics(task: str, protocol: str) -> tuple[str, ...]:
    """Primary metrics of a task's protocol, the preferred one first."""
    if task not in TASKS:
        return (USUAL,)
    return TASKS[task].primary.get(protocol, tuple(TASKS[task].metrics)[:1])


def interval_method(task: str, protocol: str) -> str:
    """Where the 95% intervals of a task's protocol come from; nothing if it is not described here."""
    return TASKS[task].intervals.get(protocol, "") if task in TASKS else ""
