"""The task "trajectory", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.trajectory.settings import TrajectoryProtocols

ONE_ROOT = "delete-d jackknife on disjoint halves of the cells, each with its own graph, for the one root"

TASK = Task(
    name="trajectory",
    title="How well each layer keeps the order of development",
    keeps="the order of cells along the trajectory",
    settings=TrajectoryProtocols,
    strata=("is_root", "time", "cell_type"),
    coloured_by=("time", "cell_type"),
    uses_time=True,
    baseline="hvg_pca",
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
            range=2.0,
        ),
        "time_somers_d": Metric(
            "Somers' D with the sampling times",
            "The score is the agreement between the order of the cells along development in that layer "
            "and the times at which they were sampled: 1 is the same order, 0 is no relation.",
            range=2.0,
        ),
        "clone_order": Metric(
            "Order of sister cells, by clone",
            "The score says whether sister cells that were sampled later come later along development in "
            "that layer.",
            range=2.0,
        ),
    },
)
