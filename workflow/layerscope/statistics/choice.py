"""What is known about the layers of one model: the record that the choice fills and the words are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerscope.statistics.evidence import Measured
from layerscope.statistics.held_out import HeldOut

NAN = float("nan")


@dataclass(frozen=True)
class Difference:
    """One score minus another, with its paired interval (NaN where the two are not paired)."""

    estimate: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True)
class LayerChoice:
    """What is known about the layers of one model under one condition and protocol.

    Attributes
    ----------
    condition, task, protocol, metric, model, n_layers
        What was compared.
    status, reason
        ``ok``; else ``undefined`` or ``not_available``, with the reason.
    best, final, first, embedding_layer, official
        Scores of the best block, the last, the first, of what enters the first, and of the owners' embedding.
    gain, gain_official
        Best minus final, best minus official, paired.
    gain_p
        Smallest p-value of any layer being above the final one, adjusted for the number of layers (max-T).
    gain_p_family
        The same, corrected for all conditions and models of the task and protocol as well (Holm).
    confidence_set
        Layers that cannot be told from the best.
    best_share, depth_low, depth_high
        Share of the resamples in which the best layer is the best again, and the 95% interval of the depth of
        the best layer over resamples.
    tried
        The choice tried out: chosen on one half of the items, scored on the other.
    tried_layer
        The layer chosen most often in that.
    baseline, over_baseline
        The best baseline, and best layer minus it.
    untrained, over_untrained
        The best layer of any untrained control, and best layer minus it.
    above_untrained
        Layers above the mean of the untrained controls at the same layer (max-T over layers).
    untrained_same_layer, over_same_layer
        That mean at the best layer, and best layer minus it.
    """

    condition: str
    task: str
    protocol: str
    metric: str
    model: str
    n_layers: int
    status: str = "ok"
    reason: str = ""
    best: Measured | None = None
    final: Measured | None = None
    first: Measured | None = None
    embedding_layer: Measured | None = None
    official: Measured | None = None
    gain: Difference = field(default_factory=Difference)
    gain_official: Difference = field(default_factory=Difference)
    gain_p: float = NAN
    gain_p_family: float = NAN
    confidence_set: tuple[str, ...] = ()
    best_share: float = NAN
    depth_low: float = NAN
    depth_high: float = NAN
    tried: HeldOut = field(default_factory=HeldOut)
    tried_layer: str = ""
    baseline: Measured | None = None
    over_baseline: Difference = field(default_factory=Difference)
    untrained: Measured | None = None
    over_untrained: Difference = field(default_factory=Difference)
    above_untrained: tuple[str, ...] = ()
    untrained_same_layer: Measured | None = None
    over_same_layer: Difference = field(default_factory=Difference)
