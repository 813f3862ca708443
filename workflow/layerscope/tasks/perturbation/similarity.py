"""Similarity matrices of perturbations: of expression profiles, and of centroids in a layer."""

from __future__ import annotations

import logging
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from layerscope.cells.h5ad_file import open_h5ad, read_index
from layerscope.errors import DataError
from layerscope.files import whole
from layerscope.statistics.ranks import average_ranks
from layerscope.tasks.perturbation.many import MANY, products, row_blocks, unit_ranks

log = logging.getLogger(__name__)

Array = NDArray[np.float64]


def profile_similarity(profiles: str | Path, output: str | Path, threads: int = 1) -> None:
    """Correlate the log2 fold changes of every pair of perturbations (S_bio) and write the matrix.

    Parameters
    ----------
    profiles
        What :func:`~layerscope.tasks.perturbation.differential_expression.differential_expression` wrote.
    output
        The ``.npz`` file to make: ``names`` (text) and ``values`` (symmetric; float64, or float32 for more
        than ``many.MANY`` perturbations, which are read and ranked in blocks).
    threads
        Of use for so many; the result does not depend on it.

    Raises
    ------
    DataError
        If a profile does not vary, or no gene is left.
    """
    with open_h5ad(profiles) as stored:
        matrix, names = stored["X"], read_index(stored["obs"])
        complete = np.ones(matrix.shape[1], dtype=bool)
        for rows in row_blocks(len(names)):
            complete &= np.isfinite(matrix[rows]).all(axis=0)
        if not complete.all():
            missing = int((~complete).sum())
            log.info("%s: %d of %d genes have no fold change somewhere", profiles, missing, len(complete))
        if len(names) > MANY:
            ranks = unit_ranks(lambda rows: matrix[rows], len(names), complete, threads)
            flat = np.isnan(ranks[:, 0]) if ranks.shape[1] else np.ones(len(names), dtype=bool)
        else:
            values = np.asarray(matrix[()], dtype=np.float64)[:, complete]
            flat = np.array([row.size < 2 or bool((row == row[0]).all()) for row in values])
    if flat.any():
        which = names[int(np.argmax(flat))]
        raise DataError(f"{profiles}: the profile of {which} does not vary over the {complete.sum()} genes")
    with threadpool_limits(1):  # the last bits must not depend on the number of threads
        similarity = products(ranks, threads) if len(names) > MANY else spearman_matrix(values)
    write_similarity(output, names, similarity)


def spearman_matrix(profiles: Array) -> Array:
    """Spearman correlation of every pair of rows; ties take their average rank.

    Parameters
    ----------
    profiles
        Shape ``(n_profiles, n_genes)``, no row constant.

    Returns
    -------
    Shape ``(n_profiles, n_profiles)``, symmetric, ones on the diagonal.
    """
    ranks = np.vstack([average_ranks(row) for row in profiles])
    ranks -= ranks.mean(axis=1, keepdims=True)
    ranks /= np.linalg.norm(ranks, axis=1, keepdims=True)
    return _symmetric(ranks)


def cosine_matrix(vectors: Array) -> Array:
    """Cosine of every pair of rows.

    Parameters
    ----------
    vectors
        Shape ``(n, n_dimensions)``, no row zero.

    Returns
    -------
    Shape ``(n, n)``, symmetric, ones on the diagonal.
    """
    unit = np.asarray(vectors, dtype=np.float64)
    return _symmetric(unit / np.linalg.norm(unit, axis=1, keepdims=True))


def write_similarity(path: str | Path, names: list[str], values: NDArray[np.floating]) -> None:
    """Write a similarity matrix and the names of its rows, always the same bytes for the same content."""
    with whole(path) as scratch, scratch.open("wb") as stream:
        np.savez(stream, allow_pickle=False, names=np.array(names, dtype=np.str_), values=values)


def read_similarity(path: str | Path) -> tuple[list[str], NDArray[np.floating]]:
    """Read the names and the matrix that :func:`write_similarity` wrote.

    Raises
    ------
    DataError
        If the file is not such a matrix.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with np.load(path) as stored:
            names, values = stored["names"].tolist(), stored["values"]
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: not a similarity matrix ({error}); delete it and run again") from error
    if values.shape != (len(names), len(names)):
        raise DataError(
            f"{path}: {len(names)} names for a matrix of shape {values.shape}; delete it, run again"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{path}: similarities that are not finite numbers; delete it and run again")
    return names, values


def _symmetric(unit_rows: Array) -> Array:
    product = np.clip(unit_rows @ unit_rows.T, -1.0, 1.0)
    product = np.triu(product, 1)
    product += product.T
    np.fill_diagonal(product, 1.0)
    return product
