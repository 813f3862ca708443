"""The task "perturbation", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.perturbation.settings import PerturbationProtocols

DRAWN_PERTURBATIONS = (
    "bootstrap over perturbations; of more than 1,000 perturbations, infinitesimal jackknife over them"
)

TASK = Task(
    name="perturbation",
    title="How well each layer keeps which perturbations act alike",
    keeps="perturbations that act alike together",
    settings=PerturbationProtocols,
    columns=("perturbation",),
    strata=("perturbation", "guide", "replicate", "batch"),
    coloured_by=("true_module", "perturbation"),
    drawn_references=("strict",),
    ceiling_protocols=("strict",),
    truth={"auc_same_module": "AUC of pairs that truly share a module against pairs that do not"},
    units="perturbations",
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
            range=2.0,
        ),
    },
)
