"""What is known about the layers of one model: the record that the choice fills and the words are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerscope.statistics.evidence import Measured
from layerscope.statistics.held_out import HeldOut

NAN = float("nan")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """A layer's score minus another, paired; NaN where the two are not paired.

    The interval and the p-value hold for all layers of the model at once (max-T), so they may be read for
    the layer that scores highest.
    """

    estimate: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN

    @property
    def ahead(self) -> bool:
        """Whether the layer is shown to score higher."""
        return self.estimate > 0 and self.p < SIGNIFICANT

    @property
    def behind(self) -> bool:
        """Whether the layer is shown to score lower."""
        return self.estimate < 0 and self.p < SIGNIFICANT


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
    gain_p_family
        P-value of the gain, corrected for all conditions and models of the task and protocol as well (Holm);
        1 before the correction where the final layer is the best.
    surest, surest_gain, surest_p_family
        The layer above the final one with the smallest p-value (often, not always, the best), what it gains,
        and its p-value after Holm's correction: whether ANY layer is above the final one.
    below_final
        Layers that are shown to score lower than the final one.
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
        The best layer of the untrained controls (mean of their seeds), and best layer minus it.
    above_untrained
        Layers shown to be above the mean of the untrained controls at the same layer (max-T over layers).
    below_untrained
        Layers shown to be below it.
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
    gain_p_family: float = NAN
    surest: Measured | None = None
    surest_gain: Difference = field(default_factory=Difference)
    surest_p_family: float = NAN
    below_final: tuple[str, ...] = ()
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
    below_untrained: tuple[str, ...] = ()
    untrained_same_layer: Measured | None = None
    over_same_layer: Difference = field(default_factory=Difference)
