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

log = logging.getLogger(__name__)

Array = NDArray[np.float64]


def profile_similarity(profiles: str | Path, output: str | Path) -> None:
    """Correlate the log2 fold changes of every pair of perturbations (S_bio) and write the matrix.

    Parameters
    ----------
    profiles
        What :func:`~layerscope.perturbation.differential_expression.differential_expression` wrote.
    output
        The ``.npz`` file to make: ``names`` (text) and ``values`` (float64, symmetric).

    Raises
    ------
    DataError
        If a profile does not vary, or no gene is left.
    """
    with open_h5ad(profiles) as stored:
        values = np.asarray(stored["X"][()], dtype=np.float64)
        names = read_index(stored["obs"])
    complete = np.asarray(np.isfinite(values).all(axis=0))
    if not complete.all():
        log.info("%s: %d of %d genes have no fold change for every perturbation", profiles,
                 int((~complete).sum()), len(complete))  # fmt: skip
    values = values[:, complete]
    flat = [name for name, row in zip(names, values, strict=True) if row.size < 2 or (row == row[0]).all()]
    if flat:
        raise DataError(
            f"{profiles}: the profile of {flat[0]} does not vary over the {values.shape[1]} genes"
        )
    write_similarity(output, names, spearman_matrix(values))


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


def write_similarity(path: str | Path, names: list[str], values: Array) -> None:
    """Write a similarity matrix and the names of its rows, always the same bytes for the same content."""
    with whole(path) as scratch, scratch.open("wb") as stream:
        np.savez(stream, allow_pickle=False, names=np.array(names, dtype=np.str_), values=values)


def read_similarity(path: str | Path) -> tuple[list[str], Array]:
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
    return names, values


def _symmetric(unit_rows: Array) -> Array:
    with threadpool_limits(1):  # the last bits must not depend on the number of threads
        product = np.clip(unit_rows @ unit_rows.T, -1.0, 1.0)
    product = np.triu(product, 1)
    product += product.T
    np.fill_diagonal(product, 1.0)
    return product
