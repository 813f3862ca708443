"""Diffusion map and diffusion pseudotime (Coifman & Lafon 2006; Haghverdi et al. 2016; Wolf et al. 2019).

The arithmetic, single precision where it is single, is that of scanpy's ``sc.tl.diffmap`` and ``sc.tl.dpt``,
so that the numbers are the same; many roots share one eigen-decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import eigsh

from layerscope.arrays import Floating
from layerscope.errors import DataError
from layerscope.tasks.trajectory.graph import NeighbourGraph

N_COMPONENTS = 15
N_COMPONENTS_DPT = 10
STATIONARY = 0.9994  # eigenvalues from here on count as 1 in single precision


@dataclass(frozen=True)
class DiffusionMap:
    """Leading eigenpairs of the symmetrised, density-normalised transition matrix."""

    values: npt.NDArray[np.float32]  # shape ``(n_components,)``, falling
    vectors: npt.NDArray[np.float32]  # cells x components
    component: npt.NDArray[np.int32]  # connected component of each cell


def transition_matrix(graph: NeighbourGraph) -> sparse.csr_matrix:
    """Symmetrised transition matrix, density-normalised with alpha = 1 (Coifman & Lafon 2006, section 3).

    ``Z^-1/2 Q^-1 W Q^-1 Z^-1/2``, Q the degrees of the connectivities W, Z those of ``Q^-1 W Q^-1``.
    """
    weights = graph.connectivities
    kernel = _scaled(weights, 1 / np.asarray(weights.sum(axis=0)).ravel())
    return _scaled(kernel, 1 / np.sqrt(np.asarray(kernel.sum(axis=0)).ravel()))


def _scaled(matrix: sparse.csr_matrix, by: Floating) -> sparse.csr_matrix:
    """Matrix whose row i and column i are multiplied by ``by[i]``."""
    row = np.repeat(by, np.diff(matrix.indptr))
    scaled = row * matrix.data * by[matrix.indices]
    return sparse.csr_matrix((scaled, matrix.indices, matrix.indptr), matrix.shape)


def diffusion_map(
    graph: NeighbourGraph, n_components: int = N_COMPONENTS, tolerance: float = 0.0
) -> DiffusionMap:
    """Diffusion components, the constant one included; 0 asks for machine precision, as scanpy does."""
    matrix = transition_matrix(graph).astype(np.float64)
    n_cells = matrix.shape[0]
    # the start of the iteration is scanpy's, so that degenerate components come out the same
    start = np.random.RandomState(0).standard_normal(n_cells)
    k, ncv = min(n_cells - 1, n_components), min(n_cells, 4 * n_components) if tolerance else None
    values, vectors = eigsh(matrix, k=k, which="LM", v0=start, tol=tolerance, ncv=ncv)
    return DiffusionMap(values[::-1].astype(np.float32), vectors[:, ::-1].astype(np.float32), graph.component)


def diffusion_pseudotime(
    diffusion: DiffusionMap, roots: npt.ArrayLike, n_components: int = N_COMPONENTS_DPT
) -> npt.NDArray[np.float32]:
    """Diffusion pseudotime of every cell from each root (Haghverdi et al. 2016, eq. 8).

    Each row is scaled so that its largest finite value is 1; ``inf`` for cells that a root cannot reach.
    """
    roots = np.atleast_1d(np.asarray(roots, dtype=np.int64))
    n_cells = len(diffusion.vectors)
    if roots.size and (roots.min() < 0 or roots.max() >= n_cells):
        raise DataError(
            f"root cell {roots[(roots < 0) | (roots >= n_cells)][0]} is not one of {n_cells} cells"
        )
    values, vectors = diffusion.values[:n_components], diffusion.vectors[:, :n_components]
    moving = values < np.float32(STATIONARY)
    weights = np.where(moving, values / np.where(moving, 1 - values, 1), 1).astype(np.float32)
    scaled = vectors * weights
    pseudotime = np.empty((len(roots), n_cells), dtype=np.float32)
    for row, root in zip(pseudotime, roots, strict=True):
        row[:] = np.sqrt(((scaled[root] - scaled) ** 2).sum(axis=1))
        row[diffusion.component != diffusion.component[root]] = np.inf
        farthest = row[np.isfinite(row)].max()
        row[np.isfinite(row)] /= farthest if farthest > 0 else 1
    return pseudotime
