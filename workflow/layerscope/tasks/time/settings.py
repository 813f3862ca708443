"""What a study may set for the order of sampling times."""

from __future__ import annotations

from pydantic import Field

from layerscope.settings import Resampled, Settings

MIN_TIMES = 3
"""Times that there must be."""


class TimeSettings(Resampled):
    """Settings of protocol ``strict``, the only one of this task: the paper does not ask for times."""

    folds: int = Field(default=10, ge=2)
    """Parts of the cross-validation, of whole donors (else samples, else batches); at most one for each."""
    penalty: float = Field(default=0.01, gt=0)
    """Ridge penalty, as a share of the mean variance of the layer's axes."""
    axes: int = Field(default=256, ge=2)
    """Principal axes of the standardised layer on which times are regressed."""
    most_cells: int = Field(default=10_000, ge=20)
    """Cells scored; of more, so many are drawn by the seed."""
    least_units: int = Field(default=6, ge=4)
    """Donors, samples or batches that there must be."""
    refits: int = Field(default=50, ge=0)
    """Bootstrap resamples of what is trained on, each with everything re-run, for the interval."""
    dealings: int = Field(default=1000, ge=0)
    """Ways of dealing the times anew among samples, each with everything re-run: all ways where there are no
    more than these."""
    shuffles: int = Field(default=20, ge=0)
    """The same where every way needs fits of its own: times of single cells, and of a time left out."""


class TimeProtocols(Settings):
    """Settings of the task ``time``, by protocol."""

    strict: TimeSettings = TimeSettings()
    """A ridge regression on the rank of time, tested on whole donors or samples."""
