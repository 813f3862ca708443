"""Crossnobis similarities of perturbations through rsatoolbox (Walther et al. 2016; Schuett et al. 2023)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ConfigError
from layerscope.tasks.perturbation.design import Design
from layerscope.tasks.perturbation.strict_reference import StrictReference, buckets_of
from layerscope.tasks.perturbation.sums import LayerSums

Array = NDArray[np.float64]


def crossnobis_similarities(layer: LayerSums, reference: StrictReference, design: Design, size: int) -> Array:
    """Minus the crossnobis distances between perturbations in both halves of each split.

    The buckets of a half are the partitions of the cross-validation; dimensions are weighted by the inverse
    of their variance within groups (diagonal noise precision), so that the distance is unbiased by noise.

    Returns
    -------
    Shape ``(n_splits, 2, n, n)``, the diagonal being zero.

    Raises
    ------
    ConfigError
        If rsatoolbox is not installed.
    """
    try:
        from rsatoolbox.data import Dataset  # type: ignore[attr-defined]
        from rsatoolbox.rdm import calc_rdm_crossnobis  # type: ignore[attr-defined]
    except ImportError as error:
        raise ConfigError("crossnobis: true needs rsatoolbox; install it or leave crossnobis out") from error
    sums = layer.sums[0].reshape(-1, design.n_buckets, layer.sums.shape[2])
    counts = layer.counts[0].reshape(-1, design.n_buckets)
    means = sums / counts[..., None]
    precision = np.diag(1.0 / np.maximum(within_variance(layer), 1e-12))
    n = len(design.names)
    found = []
    for first in reference.halves:
        both = []
        for half in (0, 1):
            kept = buckets_of(first, half, size)
            data = Dataset(  # type: ignore[no-untyped-call]
                means[1:, kept].reshape(n * len(kept), -1),
                obs_descriptors={
                    "perturbation": np.repeat(np.arange(n), len(kept)),
                    "bucket": np.tile(np.arange(len(kept)), n),
                },
            )
            distances = calc_rdm_crossnobis(
                data, descriptor="perturbation", noise=precision, cv_descriptor="bucket"
            )
            both.append(-distances.get_matrices()[0])
        found.append(both)
    return np.array(found)


def within_variance(layer: LayerSums) -> Array:
    """Variance of cells within their groups, pooled, shape ``(n_dimensions,)``."""
    counts = layer.counts[0][:, None]
    filled = counts[:, 0] > 0
    within = layer.squares[filled] - layer.sums[0][filled] ** 2 / counts[filled]
    return np.asarray(np.maximum(within.sum(axis=0), 0.0) / max(int(counts.sum() - filled.sum()), 1))
