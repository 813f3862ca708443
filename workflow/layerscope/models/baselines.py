"""Representations of cells that no network made: what a foundation model has to beat.

Each baseline is one function of canonical cells; it returns one row per cell and remarks for the provenance.
All are deterministic, and components have fixed signs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import erfinv

from layerscope import __version__
from layerscope.cells.canonical import provenance, read_cells
from layerscope.errors import ConfigError, DataError, ModelError, NotAvailableError
from layerscope.extraction.embeddings_file import NOT_AVAILABLE, write_official
from layerscope.files import refuse_overwriting
from layerscope.models.baselines_cell_cycle import G2M_PHASE, RENAMED, S_PHASE
from layerscope.models.baselines_components import Rows, principal_components
from layerscope.models.baselines_integration import harmony_pca, scvi
from layerscope.models.catalogue import FAMILIES
from layerscope.models.representation import Representation, log_normalised, variable_genes
from layerscope.statistics.ranks import average_ranks

if TYPE_CHECKING:
    from anndata import AnnData

log = logging.getLogger(__name__)

CLIP = 10.0
MIN_PHASE_GENES = 5
LIBRARY_BINS = 25


def compute_baseline(
    baseline: str, cells: str | Path, output: str | Path, settings: Mapping[str, Any], seed: int
) -> None:
    """Represent canonical cells by a baseline and write it as the ``official`` layer of a file of embeddings.

    Where the cells lack a column that is all the baseline knows, the file says so and its rows are NaN.

    Parameters
    ----------
    baseline
        One of :data:`BASELINES`.
    cells
        The canonical cells.
    output
        The file of embeddings to make.
    settings
        Keyword arguments of the baseline's function.
    seed
        Seed of whatever is drawn.

    Raises
    ------
    ConfigError
        If the baseline or a setting is unknown, or the output is the file of cells.
    DataError
        If the cells are not what the baseline needs: empty ones, or no counts where counts are needed.
    ModelError
        If it runs a package that is not installed.
    """
    if baseline not in BASELINES:
        raise ConfigError(f"baseline: expected one of {', '.join(BASELINES)}, found {baseline!r}")
    allowed = list(inspect.signature(BASELINES[baseline]).parameters)[2:]
    unknown = [key for key in settings if key not in allowed]
    if unknown:
        raise ConfigError(
            f"baseline {baseline}: unknown setting {unknown[0]!r}; "
            f"expected {', '.join(allowed) or 'no settings'}"
        )
    if lacking := FAMILIES[baseline].lacking:
        raise ModelError(f"baseline {baseline}: {lacking}")
    refuse_overwriting(output, cells)
    data = read_cells(cells)
    _demand_cells_with_counts(data, str(cells))
    missing = {}
    try:
        embedding = BASELINES[baseline](data, seed, **settings)
    except NotAvailableError as error:
        log.warning("%s: %s", cells, error)
        missing = {NOT_AVAILABLE: str(error)}
        embedding = Representation(np.full((data.n_obs, 1), np.nan, dtype=np.float32))
    except DataError as error:
        raise DataError(f"{cells}: {error}") from error
    of_cells = provenance(data)
    about = {
        "model": baseline,
        "family": baseline,
        "n_layers": 0,
        "hidden_size": embedding.matrix.shape[1],
        "dtype": "float32",
        "trained_on": f"the cells of {of_cells.get('condition')} themselves",
        "values": of_cells.get("values"),
        "n_refused": data.n_obs if missing else 0,
        "settings": dict(settings),
        "notes": embedding.notes,
        "seed": seed,
        "layerscope_version": __version__,
        **missing,
    }
    write_official(output, data.obs_names.tolist(), embedding.matrix, about)


def hvg_pca(cells: AnnData, seed: int, n_top_genes: int = 2000, n_components: int = 50) -> Representation:
    """Principal components of highly variable genes: counts per 10,000, log1p, scaled, clipped at 10.

    The genes are chosen by scanpy's ``seurat`` flavour. Log-normalised values are taken as they are.
    """
    genes, notes = variable_genes(cells, n_top_genes)
    values = log_normalised(cells)[:, genes].toarray()
    values -= values.mean(axis=0, dtype=np.float64)
    deviation = values.std(axis=0, ddof=1, dtype=np.float64)
    values /= np.where(deviation > 0, deviation, 1.0)
    values = np.clip(values, -CLIP, CLIP)
    values -= values.mean(axis=0, dtype=np.float64)
    rows = Rows.like(values, lambda start, end: values[start:end])
    return _components(rows, n_components, seed, notes=notes)


def rank_normal_pca(cells: AnnData, seed: int, n_components: int = 220) -> Representation:
    """Whitened principal components of each cell's normal scores (Souza and Mehta 2026, parameter-free).

    Per cell: average-tie ranks ``r`` over all ``G`` genes, zeros included, ``sqrt(2) * erfinv(2 r / (G + 1) -
    1)``, divided by their length; then every gene standardised, and whitened principal components. Ranks are
    the same for counts and for log-normalised values.
    """
    scores, of_zero = normal_scores(sparse.csr_matrix(cells.X))
    raw = Rows.like(scores, lambda start, end: scores[start:end].toarray() + of_zero[start:end, None])
    ones = np.ones((raw.n_rows, 1))
    mean = raw.transposed_times(ones)[:, 0] / raw.n_rows
    centred = Rows.like(scores, lambda start, end: (raw.block(start, end) - mean) ** 2)
    deviation = np.sqrt(centred.transposed_times(ones)[:, 0] / raw.n_rows)
    # a gene that no cell tells from another has a deviation of rounding errors alone
    inverse = np.where(deviation > 1e-12 * np.abs(mean).max(), 1.0 / np.maximum(deviation, 1e-300), 0.0)
    rows = Rows.like(scores, lambda start, end: (raw.block(start, end) - mean) * inverse)
    return _components(rows, n_components, seed, whiten=True)


def sctop(cells: AnnData, seed: int) -> Representation:
    """Normal scores of each cell's ranks over all genes, of unit length: what scTOP projects (2023).

    The task ``label`` reads them as scTOP does, by the mean profiles of its training cells.
    """
    scores, of_zero = normal_scores(sparse.csr_matrix(cells.X))
    return Representation((scores.toarray() + of_zero[:, None]).astype(np.float32))


def anova_pca(cells: AnnData, seed: int) -> Representation:
    """The same scores, which the task ``label`` reads as Souza and Mehta do (2026).

    In each fold the genes that part the training cells' labels best, whitened components, and a regression.
    """
    return sctop(cells, seed)


def composition(cells: AnnData, seed: int) -> Representation:
    """Shares of the cell types in each cell's sample, and nothing of the cell itself."""
    obs = cells.obs
    if "cell_type" not in obs:
        raise NotAvailableError("composition needs a column cell_type")
    by = [name for name in ("donor", "sample" if "sample" in obs else "batch") if name in obs]
    if not by:
        raise NotAvailableError("composition needs a column donor, sample or batch")
    sample = obs[by].astype(str).agg("\x1f".join, axis=1)
    shares = pd.crosstab(sample, obs["cell_type"].astype(str), normalize="index")
    notes = [f"shares of {', '.join(shares.columns)} by {' and '.join(by)}"]
    return Representation(shares.loc[sample].to_numpy(dtype=np.float32), notes)


def hellinger_svd(cells: AnnData, seed: int, n_components: int = 50) -> Representation:
    """Truncated singular value decomposition of ``sqrt(counts / total)``, all genes, uncentred."""
    _demand_counts(cells, "hellinger_svd")
    counts = sparse.csr_matrix(cells.X, dtype=np.float64)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    roots = sparse.csr_matrix(
        (np.sqrt(counts.data / np.repeat(totals, np.diff(counts.indptr))), counts.indices, counts.indptr),
        shape=counts.shape,
    )
    rows = Rows.like(roots, lambda start, end: roots[start:end].toarray())
    return _components(rows, n_components, seed)


def log_all_genes(cells: AnnData, seed: int) -> Representation:
    """Counts per 10,000, log1p, all genes; log-normalised values are taken as they are."""
    return Representation(log_normalised(cells).toarray())


def qc_only(cells: AnnData, seed: int) -> Representation:
    """What says nothing of a cell's type: a negative control.

    Log total counts, log genes detected, percentage of mitochondrial counts and two scores of the cell cycle,
    each standardised over the cells. What the genes do not allow is left out, and noted.
    """
    _demand_counts(cells, "qc_only")
    counts = sparse.csr_matrix(cells.X, dtype=np.float64)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    measures = {"log total counts": np.log(totals), "log genes detected": np.log(np.diff(counts.indptr))}
    of_genes, notes = _measures_by_symbol(cells, counts, totals)
    measures |= of_genes
    values = np.column_stack(list(measures.values()))
    deviation = values.std(axis=0)
    varies = deviation > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    if not varies.any():
        raise DataError("qc_only: no measure of quality varies between these cells")
    names = np.array(list(measures))
    standardised = (values[:, varies] - values[:, varies].mean(axis=0)) / deviation[varies]
    notes = [f"columns: {', '.join(names[varies])}", *notes]
    notes += [f"{name} is left out: the same in all cells" for name in names[~varies]]
    return Representation(standardised.astype(np.float32), notes)


def _measures_by_symbol(
    cells: AnnData, counts: sparse.csr_matrix, totals: NDArray[np.float64]
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Measures of :func:`qc_only` that need to know certain genes, and why one is not there."""
    if "symbol" not in cells.var:
        return {}, [
            "no percentage of mitochondrial counts and no cell-cycle scores: the genes have no symbols"
        ]
    measures, notes = {}, []
    symbols = np.char.upper(cells.var["symbol"].to_numpy().astype(str))
    mitochondrial = np.flatnonzero(np.char.startswith(symbols, "MT-"))
    if len(mitochondrial):
        measures["% mitochondrial"] = 100 * (
            np.asarray(counts[:, mitochondrial].sum(axis=1)).ravel() / totals
        )
    else:
        notes.append("no percentage of mitochondrial counts: no symbol starts with MT- or mt-")
    logged = log_normalised(cells)
    for phase, genes in (("S", S_PHASE), ("G2M", G2M_PHASE)):
        in_phase = np.isin(symbols, [*genes, *(RENAMED[gene] for gene in genes if gene in RENAMED)])
        n_genes = int(in_phase.sum())
        if n_genes >= MIN_PHASE_GENES:
            measures[f"{phase} score"] = phase_score(logged, in_phase)
        else:
            needed = f"{MIN_PHASE_GENES} are needed"
            notes.append(f"no {phase} score: {n_genes} of its {len(genes)} genes are here, {needed}")
    return measures, notes


BASELINES: dict[str, Callable[..., Representation]] = {
    "hvg_pca": hvg_pca,
    "rank_normal_pca": rank_normal_pca,
    "hellinger_svd": hellinger_svd,
    "log_all_genes": log_all_genes,
    "qc_only": qc_only,
    "harmony_pca": harmony_pca,
    "scvi": scvi,
    "sctop": sctop,
    "anova_pca": anova_pca,
    "composition": composition,
}


def normal_scores(values: sparse.csr_matrix) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Normal scores of each cell's ranks, divided by their length.

    Returns by how much those of the entries above zero exceed the score of the cell's zeros, ``(n_cells,
    n_genes)``; and the score of its zeros, ``(n_cells,)``.
    """
    n_genes = values.shape[1]
    values = values.copy()
    values.eliminate_zeros()
    excess = np.empty(values.nnz)
    of_zero = np.empty(values.shape[0])
    for cell, (start, end) in enumerate(zip(values.indptr[:-1], values.indptr[1:], strict=True)):
        n_zero = n_genes - (end - start)
        ranks = n_zero + average_ranks(values.data[start:end])
        scores = _normal_quantile(ranks, n_genes)
        zero = float(_normal_quantile(np.array((n_zero + 1) / 2), n_genes)) if n_zero else 0.0
        length = np.sqrt((scores**2).sum() + n_zero * zero**2)
        excess[start:end] = (scores - zero) / length
        of_zero[cell] = zero / length
    return sparse.csr_matrix((excess, values.indices, values.indptr), shape=values.shape), of_zero


def phase_score(logged: sparse.csr_matrix, in_phase: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of a phase's genes minus that of the other genes of like mean expression, shape ``(n_cells,)``.

    The idea is Tirosh's; instead of drawing the other genes at random, all genes of the same expression bins
    are taken, each bin with the weight that the phase's genes give it.
    """
    mean = np.asarray(logged.mean(axis=0)).ravel()
    bins = (average_ranks(mean) - 1) * min(LIBRARY_BINS, len(mean)) // len(mean)
    weight = np.zeros(len(mean))
    weight[in_phase] = 1.0 / in_phase.sum()
    for number in np.unique(bins[in_phase]):
        others = (bins == number) & ~in_phase
        if others.any():
            weight[others] -= ((bins == number) & in_phase).sum() / in_phase.sum() / others.sum()
    return np.asarray(logged.astype(np.float64) @ weight)


def _normal_quantile(ranks: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(2.0) * erfinv(2.0 * ranks / (n + 1) - 1.0))


def _components(
    rows: Rows, n_components: int, seed: int, *, whiten: bool = False, notes: Sequence[str] = ()
) -> Representation:
    """Principal components, and a note where there are fewer than asked for."""
    matrix = principal_components(rows, n_components, seed, whiten=whiten)
    fewer = f"{matrix.shape[1]} components, as many as these cells have, of the {n_components} asked for"
    return Representation(matrix, [*notes, *([fewer] if matrix.shape[1] < n_components else [])])


def _demand_counts(cells: AnnData, name: str) -> None:
    values = provenance(cells).get("values")
    if values != "counts":
        raise DataError(
            f"{name} needs raw counts; these cells hold {values} values: leave it out of the models"
        )


def _demand_cells_with_counts(cells: AnnData, where: str) -> None:
    empty = np.diff(sparse.csr_matrix(cells.X).indptr) == 0
    if empty.any():
        raise DataError(
            f"{where}: {int(empty.sum())} cells have no counts, such as {cells.obs_names[empty][0]}; "
            "filter them (quality: min_genes_per_cell of at least 1)"
        )
