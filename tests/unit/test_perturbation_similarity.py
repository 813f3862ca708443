import anndata
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from layerscope.tasks.perturbation.similarity import (
    cosine_matrix,
    profile_similarity,
    read_similarity,
    spearman_matrix,
)


def profiles(tmp_path, values):
    names = [f"P{i}" for i in range(len(values))]
    anndata.AnnData(X=np.asarray(values, dtype=float), obs=pd.DataFrame(index=names)).write_h5ad(
        tmp_path / "profiles.h5ad"
    )
    return tmp_path / "profiles.h5ad"


def test_correlations_are_scipys_with_ties():
    values = np.random.default_rng(0).integers(0, 5, (6, 40)).astype(float)
    np.testing.assert_allclose(spearman_matrix(values), spearmanr(values, axis=1).statistic, atol=1e-12)


def test_pairs_that_are_equally_similar_tie_exactly():
    """Otherwise rounding, which differs between machines, would rank them."""
    values = np.random.default_rng(0).permuted(np.tile(np.arange(12.0), (40, 1)), axis=1)
    upper = np.triu_indices(40, 1)
    n_distinct = len(np.unique((values @ values.T)[upper]))
    assert n_distinct < len(upper[0]) / 4
    assert len(np.unique(spearman_matrix(values)[upper])) == n_distinct


def test_matrices_are_exactly_symmetric_with_ones_on_the_diagonal():
    values = np.random.default_rng(0).normal(size=(9, 33))
    for matrix in (spearman_matrix(values), cosine_matrix(values)):
        assert (matrix == matrix.T).all()
        assert (np.diag(matrix) == 1).all()


def test_a_gene_without_a_fold_change_for_some_perturbation_is_left_out(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 30))
    spoiled = values.copy()
    spoiled[1, 3] = np.nan
    profile_similarity(profiles(tmp_path, spoiled), tmp_path / "similarity.npz")
    names, matrix = read_similarity(tmp_path / "similarity.npz")
    assert names == ["P0", "P1", "P2", "P3"]
    np.testing.assert_allclose(matrix, spearman_matrix(np.delete(values, 3, axis=1)))
