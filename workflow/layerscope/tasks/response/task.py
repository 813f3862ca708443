"""The task "response", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.response.settings import ResponseProtocols

TASK = Task(
    name="response",
    title="How well each layer decodes what perturbations do to genes",
    keeps="what perturbations do to genes",
    settings=ResponseProtocols,
    columns=("perturbation",),
    strata=("perturbation", "guide", "replicate", "batch"),
    coloured_by=("true_module", "perturbation"),
    drawn_references=("strict",),
    units="targets",
    intervals={"strict": "jackknife over targets, those that are tested and those that train"},
    metrics={
        "decoding_r2": Metric(
            "R2 of decoded effects over the mean effect",
            "The score says how much better effects on genes are decoded from that layer, in other cells "
            "and for targets that were held out, than by the mean effect of other targets: 1 is every "
            "effect, 0 no better than the mean. The layer has seen the cells: this is decoding, not "
            "prediction.",
        ),
    },
)
