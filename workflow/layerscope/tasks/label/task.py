"""The task "label", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.label.settings import LabelProtocols

CHANCE = "chance is what labels dealt anew give"

TASK = Task(
    name="label",
    title="How well each layer tells labels apart",
    keeps="cells of different labels apart",
    settings=LabelProtocols,
    column_settings=("column", "transfer_column"),
    keywords={"label": "column", "group": "donor"},
    strata=("cell_type", "donor", "batch"),
    has_reference=False,
    primary={
        "strict": ("donor_auc", "donor_balanced_accuracy", "auc", "probe_macro_f1", "transfer_macro_f1")
    },
    units="donors or batches",
    intervals={
        "strict": "bootstrap over donors or batches, of fewer than ten over their cells (then for "
        "these donors or batches alone), with refits of the probe; over donors where labels were given to "
        "samples or donors",
    },
    metrics={
        "probe_macro_f1": Metric(
            "Macro F1 of a linear probe",
            "The score says how well a linear probe, fitted to that layer in some cells, names the labels "
            "of cells of other donors or batches (where there are any): F1 averaged over labels, 1 "
            "is every cell right; chance is what shuffled labels give, not 0.",
            zero_is_chance=False,
        ),
        "transfer_macro_f1": Metric(
            "Macro F1 of a linear probe on the other side",
            "The score says how well a linear probe, fitted to that layer in cells of one side (a state, a "
            "study, a species), names the labels of cells of the other: F1 averaged over labels, 1 is every "
            "cell right; chance is what shuffled labels give, not 0.",
            zero_is_chance=False,
        ),
        "auc": Metric(
            "AUC of a linear probe, within donors",
            "The score says how often a linear probe, fitted to that layer in other donors or batches, puts "
            "a cell of the positive label above one of the other label within the same donor or batch, "
            f"averaged over these: 1 is always; {CHANCE}, near one half.",
            zero_is_chance=False,
        ),
        "donor_auc": Metric(
            "AUC of a linear probe, over donors",
            "The score says how often a linear probe, fitted to that layer in other donors, puts a donor of "
            f"the positive label above a donor of the other label: 1 is always; {CHANCE}, often below one "
            "half.",
            zero_is_chance=False,
        ),
        "donor_balanced_accuracy": Metric(
            "Balanced accuracy of a linear probe, over donors",
            "The score says how many donors of each label a linear probe, fitted to that layer in other "
            f"donors, names rightly, averaged over labels: 1 is every donor; {CHANCE}.",
            zero_is_chance=False,
        ),
    },
)
