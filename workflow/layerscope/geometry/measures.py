"""The shape of a layer's cloud of cells, in single numbers.

All take cells x dimensions, float64, every entry finite, and return NaN where the number does not exist.
"""

from __future__ import annotations

import warnings

import numpy as np

from layerscope.arrays import Floats

ROUNDING_ERROR = 1e-6  # relative size of what rounding in float32 leaves of zero


def effective_rank(cells: Floats) -> float:
    """RankMe (Garrido et al. 2023): the exponential of the entropy of the singular values' shares.

    Of the matrix as it is, not centred: a layer whose cells all point one way has an effective rank near 1.
    """
    values = singular_values(cells)
    if values.size == 0 or values[0] == 0:
        return float("nan")
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(cells: Floats) -> float:
    """Dimensions that carry the variance: ``(sum l)^2 / sum l^2`` of the covariance's eigenvalues ``l``."""
    if not varies(cells):
        return float("nan")
    eigenvalues = singular_values(cells - cells.mean(axis=0)) ** 2
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def anisotropy(cells: Floats) -> float:
    """Mean cosine of two different cells (Ethayarajh 2019), over all pairs but those of zero vectors."""
    length = np.linalg.norm(cells, axis=1)
    unit = cells[length > 0] / length[length > 0, None]
    n = len(unit)
    if n < 2:
        return float("nan")
    return float(((unit.sum(axis=0) ** 2).sum() - n) / (n * (n - 1)))


def intrinsic_dimension(cells: Floats) -> float:
    """TwoNN (Facco et al. 2017) by scikit-dimension, over distinct cells, a tenth of the ratios discarded."""
    from skdim.id import TwoNN

    distinct = np.unique(cells, axis=0)
    if len(distinct) < 20 or not varies(cells):
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # points that rounding leaves at distance zero
        return float(TwoNN(discard_fraction=0.1).fit(distinct).dimension_)


def mean_norm(cells: Floats) -> float:
    """Mean length of a cell's vector."""
    return float(np.linalg.norm(cells, axis=1).mean())


def norm_variation(cells: Floats) -> float:
    """Standard deviation of the cells' lengths over their mean."""
    lengths = np.linalg.norm(cells, axis=1)
    return float(lengths.std() / lengths.mean()) if lengths.mean() > 0 else float("nan")


def total_variance(cells: Floats) -> float:
    """Sum over the dimensions of the variance over cells (divisor ``n - 1``)."""
    return float(cells.var(axis=0, ddof=1).sum()) if len(cells) > 1 else float("nan")


MEASURES = {
    "effective_rank": effective_rank,
    "participation_ratio": participation_ratio,
    "anisotropy": anisotropy,
    "intrinsic_dimension": intrinsic_dimension,
    "mean_norm": mean_norm,
    "norm_variation": norm_variation,
    "total_variance": total_variance,
}


def varies(cells: Floats) -> bool:
    """Whether cells differ by more than rounding."""
    spread = np.linalg.norm(cells - cells.mean(axis=0), axis=1).max(initial=0.0)
    return bool(spread > ROUNDING_ERROR * np.linalg.norm(cells, axis=1).max(initial=0.0))


def singular_values(cells: Floats) -> Floats:
    """Singular values, largest first, from the Gram matrix of the smaller side."""
    small = cells if cells.shape[0] <= cells.shape[1] else cells.T
    eigenvalues = np.linalg.eigvalsh(small @ small.T)[::-1]
    floor = eigenvalues[0] * len(small) * np.finfo(np.float64).eps if len(small) else 0.0
    return np.asarray(np.sqrt(np.where(eigenvalues > floor, eigenvalues, 0.0)))
