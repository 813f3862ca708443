"""What is known about layers and representations: the records that a choice fills and tables are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from layerscope.statistics.evidence import Measured
from layerscope.statistics.held_out import HeldOut

NAN = float("nan")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """A layer's score minus another, paired; NaN where the two are not paired.

    Interval and p-value hold for all layers of the model at once (max-T): they may be read for the highest.
    """

    estimate: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN

    @property
    def is_reference(self) -> bool:
        """Whether the layer is itself what it is compared with."""
        return self.estimate == 0 and self.p == 1 and math.isnan(self.low)

    @property
    def ahead(self) -> bool:
        """Whether the layer is shown to score higher."""
        return self.estimate > 0 and self.p < SIGNIFICANT

    @property
    def behind(self) -> bool:
        """Whether the layer is shown to score lower."""
        return self.estimate < 0 and self.p < SIGNIFICANT


@dataclass(frozen=True)
class Cheapest:
    """The earliest layers that are shown to be less than a margin behind the final one, and behind the best.

    Names are empty where no layer is shown to be, or nothing could be tested. ``margin`` is in the metric's
    units, ``saved`` the share of a forward pass that is saved by stopping at ``layer``.
    """

    margin: float = NAN
    layer: str = ""
    is_final: bool = False
    over_final: Difference = Difference()
    saved: float = NAN
    as_best: str = ""
    behind_best: Difference = Difference()
    saved_as_best: float = NAN


@dataclass(frozen=True)
class Guard:
    """What is known of the metric that must not be lost for the primary one, at the layers of a model.

    Better is what is shown to be higher in one of the two metrics and lower in neither.
    """

    metric: str
    best: Measured  # at the layer whose primary score is highest
    final: Measured
    most_gain: float = NAN  # upper end of the largest gain that a layer may have over the final one
    # of the layers that may be better than the final one, that with the smallest p-value (of both metrics)
    better: Measured | None = None
    better_metric: str = ""
    better_gain: Difference = field(default_factory=Difference)
    better_p_family: float = NAN  # after Holm
    traded: tuple[
        str, ...
    ] = ()  # layers that are higher in one metric and lower in the other than the final one
    # whether the official embedding, and which baseline, is better than the highest layer
    official_better: bool = False
    baseline: str = ""


@dataclass(frozen=True)
class LayerChoice:
    """What is known about the layers of one model under one condition and protocol.

    ``best``, ``final``, ``first``, ``embedding_layer`` and ``official`` are the scores of the best block, the
    last, the first, of what enters the first, and of the owners' embedding; all differences are paired.
    """

    condition: str
    task: str
    protocol: str
    metric: str
    model: str
    n_layers: int
    planted: bool = False  # made from a simulation's truth, by no model
    status: str = "ok"
    reason: str = ""
    best: Measured | None = None
    final: Measured | None = None
    first: Measured | None = None
    embedding_layer: Measured | None = None
    official: Measured | None = None
    gain: Difference = field(default_factory=Difference)
    gain_official: Difference = field(default_factory=Difference)
    gain_p_family: float = NAN  # after Holm; NaN before the correction
    most_gain: float = NAN  # upper end of the largest gain that a layer may have over the final one
    # of the layers above the final one, that with the smallest p-value (often, not always, the best)
    surest: Measured | None = None
    surest_gain: Difference = field(default_factory=Difference)
    surest_p_family: float = NAN  # after Holm: whether ANY layer is above the final one
    below_final: tuple[str, ...] = ()
    confidence_set: tuple[str, ...] = ()  # layers that cannot be told from the best
    best_share: float = NAN  # of the resamples in which the best layer is the best again
    depth_low: float = NAN
    depth_high: float = NAN
    on_halves: HeldOut = field(default_factory=HeldOut)  # chosen on a half of the items, scored on the other
    on_halves_layer: str = ""
    baseline: Measured | None = None
    over_baseline: Difference = field(default_factory=Difference)
    pca: Measured | None = None
    over_pca: Difference = field(default_factory=Difference)
    reference_baseline: str = ""  # which the reference was computed from, so that it has no score
    # the best layer of the untrained controls (mean of their seeds)
    untrained: Measured | None = None
    over_untrained: Difference = field(default_factory=Difference)
    # shown to be above or below the mean of the untrained controls at the same layer (max-T over layers)
    above_untrained: tuple[str, ...] = ()
    below_untrained: tuple[str, ...] = ()
    untrained_same_layer: Measured | None = None
    over_same_layer: Difference = field(default_factory=Difference)
    cheapest: Cheapest = field(default_factory=Cheapest)
    guard: Guard | None = None  # where the task has a metric that must not be lost


@dataclass(frozen=True)
class GuardBeside:
    """What the metric that must not be lost says of representations side by side.

    Attributes
    ----------
    metric
        Its name.
    best
        Its score of the representation whose primary score is highest; None if there is none.
    higher
        Others that are shown to have more of it than that one, and a primary score above chance.
    preferred, p
        Of those whose primary scores cannot be told apart, that with most of it, and the p-value of its
        having more than each of the others; doubled, since two metrics are looked at.
    p_family
        After Holm; NaN before the correction.
    """

    metric: str
    best: Measured | None = None
    higher: tuple[str, ...] = ()
    preferred: str = ""
    p: float = NAN
    p_family: float = NAN


@dataclass(frozen=True)
class RepresentationChoice:
    """What is known about the representations of one condition, by one protocol.

    A representation is what a model gives of itself: its layer ``official``, be it of a baseline, an
    embedding that the user brought, or a foundation model's. ``ranked`` are those with a score, highest
    first; the differences are the highest's to each of them, and hold for all at once (max-T).
    """

    condition: str
    task: str
    protocol: str
    metric: str
    ranked: tuple[Measured, ...] = ()
    reason: str = ""
    ahead: tuple[Difference, ...] = ()
    p_best: tuple[float, ...] = ()  # of being the best; NaN without resamples
    p_alone: float = NAN  # that none of the others is the best
    p_alone_family: float = NAN  # after Holm; NaN before the correction
    untrained: tuple[Measured | None, ...] = ()  # mean of the untrained controls of each
    over_untrained: tuple[Difference, ...] = ()
    guard: GuardBeside | None = None  # where the task has a metric that must not be lost

    @property
    def alike(self) -> tuple[str, ...]:
        """The models that cannot be told from the highest, itself first; without resamples none."""
        return tuple(
            score.model for score, p in zip(self.ranked, self.p_best, strict=True) if p > SIGNIFICANT
        )


def families(choices: Sequence[LayerChoice | RepresentationChoice]) -> list[list[int]]:
    """Places of the choices of each task and protocol, whose p-values are corrected for each other.

    Planted layers are apart: a control whose truth is known must not cost the models any power.
    """
    places: dict[tuple[str, str, bool], list[int]] = {}
    for place, chosen in enumerate(choices):
        planted = isinstance(chosen, LayerChoice) and chosen.planted
        places.setdefault((chosen.task, chosen.protocol, planted), []).append(place)
    return list(places.values())
