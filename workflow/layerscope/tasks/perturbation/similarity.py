"""Similarity matrices of perturbations: of expression profiles, and of centroids in a layer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from layerscope.arrays import Floating, Floats
from layerscope.cells.h5ad_file import open_h5ad, read_index
from layerscope.errors import DataError, NotAvailableError
from layerscope.statistics.ranks import average_ranks
from layerscope.tables import arrays_of, write_arrays
from layerscope.tasks.perturbation.genome_scale import GENOME_SCALE, row_blocks
from layerscope.tasks.screens.sums import all_alike

log = logging.getLogger(__name__)


class Similarity(NamedTuple):
    """Names of perturbations, and the similarity of every pair of them, shape ``(n, n)``."""

    names: list[str]
    matrix: Floating


def profile_similarity(profiles: str | Path, output: str | Path, threads: int = 1) -> None:
    """Correlate the log2 fold changes of every two perturbations (S_bio), over genes that all have one."""
    with open_h5ad(profiles) as file:
        changes, names = file["X"], read_index(file["obs"])
        complete = np.ones(changes.shape[1], dtype=bool)
        for rows in row_blocks(len(names)):
            complete &= np.isfinite(changes[rows]).all(axis=0)
        if not complete.all():
            missing = int((~complete).sum())
            log.info("%s: %d of %d genes have no fold change somewhere", profiles, missing, len(complete))
        precision = np.float32 if len(names) > GENOME_SCALE else np.float64
        ranks = np.empty((len(names), int(complete.sum())), dtype=precision)
        for rows in row_blocks(len(names)):
            ranks[rows] = centred_ranks(changes[rows][:, complete])
    flat = ~ranks.any(axis=1)
    if flat.any():
        which = f"the profile of {names[int(np.argmax(flat))]}"
        raise NotAvailableError(f"{profiles}: {which} does not vary over the {complete.sum()} genes")
    with threadpool_limits(threads):
        write_similarity(output, names, cosines_of_ranks(ranks))


def spearman_matrix(profiles: Floats) -> Floats:
    """Spearman correlation of every pair of rows, none constant; ties take their average rank."""
    return np.asarray(cosines_of_ranks(centred_ranks(profiles)), dtype=np.float64)


def why_undefined(centroids: Floats) -> str:
    """Why cosines between these (finite) centroids mean nothing; empty if they do."""
    n_zero = int((np.linalg.norm(centroids, axis=1) == 0).sum())
    if n_zero:
        return f"{n_zero} of {len(centroids)} centroids have length zero, so no direction"
    return "constant layer: the centroids of all perturbations are the same" if all_alike(centroids) else ""


def cosine_matrix(vectors: Floating) -> Floats:
    """Cosine of every pair of rows, none zero."""
    rows = np.asarray(vectors, dtype=np.float64)
    return np.asarray(products(rows / np.linalg.norm(rows, axis=1, keepdims=True)), dtype=np.float64)


def centred_ranks(profiles: Floating) -> Floats:
    """Average ranks within every row, minus the mean rank; zeros for a row that does not vary."""
    return np.asarray(average_ranks(profiles) - (profiles.shape[1] + 1) / 2)


def cosines_of_ranks(ranks: Floating) -> Floating:
    """Cosines of rows of ranks, no row zero.

    The ranks are scaled after the product and not before: products of ranks are exact in float64, so that
    pairs that are equally similar tie on every machine.
    """
    matrix: Floating = ranks @ ranks.T
    length = np.sqrt(np.diag(matrix))
    matrix /= length * length[:, None]
    return _as_similarity(matrix)


def products(unit: Floating) -> Floating:
    """Products of all pairs of rows of unit length, symmetric, ones on the diagonal."""
    return _as_similarity(unit @ unit.T)


def _as_similarity(matrix: Floating) -> Floating:
    np.clip(matrix, -1.0, 1.0, out=matrix)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def write_similarity(path: str | Path, names: list[str], matrix: Floating) -> None:
    """Write a similarity matrix and the names of its rows, always the same bytes for the same content."""
    write_arrays(path, names=np.array(names, dtype=np.str_), values=matrix)


def read_similarity(path: str | Path) -> Similarity:
    """Read what :func:`write_similarity` wrote; a DataError if the file is not such a matrix."""
    with arrays_of(path, "a similarity matrix") as arrays:
        names, matrix = arrays["names"].tolist(), arrays["values"]
    if matrix.shape != (len(names), len(names)):
        problem = f"{len(names)} names for a matrix of shape {matrix.shape}"
        raise DataError(f"{path}: {problem}; delete it, run again")
    if not np.isfinite(matrix).all():
        raise DataError(f"{path}: similarities that are not finite numbers; delete it and run again")
    return Similarity(names, matrix)
