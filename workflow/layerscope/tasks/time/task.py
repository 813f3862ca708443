"""The task "time", as everything outside this room sees it."""

from __future__ import annotations

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.time.settings import TimeProtocols

TASK = Task(
    name="time",
    title="How well each layer orders samples by time",
    keeps="the order of sampling times",
    settings=TimeProtocols,
    columns=("time",),
    keywords={"group": "donor"},
    strata=("time", "donor", "sample", "batch"),
    coloured_by=("time",),
    uses_time=True,
    has_reference=False,
    units="donors or samples",
    intervals={"strict": "bootstrap over donors, samples or batches whose times were predicted unseen"},
    metrics={
        "tau": Metric(
            "Kendall's tau-b with time",
            "The score says whether samples of donors (or batches) that a regression has not seen come out "
            "in the order of their times: 1 is the right order, -1 the reverse; chance is what times dealt "
            "anew give, which is below 0 for few samples.",
            zero_is_chance=False,
        ),
    },
)
