"""The task "integration", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.integration.settings import IntegrationProtocols

TASK = Task(
    name="integration",
    title="How well each layer keeps cell types and mixes batches",
    keeps="cell types apart in other batches",
    settings=IntegrationProtocols,
    column_settings=("batch", "cell_type"),
    keywords={"label": "cell_type"},
    has_reference=False,
    guarded={"biology": "mixing"},
    units="batches",
    intervals={
        "strict": "leaving out parts of the batches in turn, of fewer than ten parts of their cells (then "
        "for these batches alone), the rest scored anew",
    },
    metrics={
        "biology": Metric(
            "Macro F1 in held-out batches",
            "The score says how well a linear probe, fitted to that layer in some batches, names the types "
            "of cells of other batches: F1 averaged over cell types, 1 is every cell right; chance is what "
            "shuffled types give, not 0.",
            zero_is_chance=False,
        ),
        "mixing": Metric(
            "Mixing of batches within types",
            "The score says how far batches lie mixed among the cells of one type: 0 if every neighbourhood "
            "is of one batch, 1 if batches lie as if dealt at random. It says nothing of the types.",
        ),
    },
)
