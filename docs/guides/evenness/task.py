"""The task, as everything outside this room sees it."""

from layerscope.tasks.base import Metric, Task
from layerscope.tasks.evenness.settings import EvennessProtocols

TASK = Task(
    name="evenness",
    title="How even each layer is",
    keeps="even values",
    settings=EvennessProtocols,
    has_reference=False,
    metrics={"evenness": Metric("Evenness", "The score is the mean of a power of the values.")},
)
