"""The task "cell_type", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.cell_type.settings import CellTypeProtocols

TASK = Task(
    name="cell_type",
    title="How well each layer tells cell types apart",
    keeps="cell types apart",
    settings=CellTypeProtocols,
    columns=("cell_type",),
    keywords={"label": "cell_type", "group": "donor"},
    has_reference=False,
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
            zero_is_chance=False,
        ),
    },
)
