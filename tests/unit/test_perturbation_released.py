import numpy as np
import pytest
from perturbation_cells import experiment, write
from scipy.stats import rankdata, ttest_ind

from layerscope.errors import DataError
from layerscope.tasks.perturbation.released import released_reference, truncated_differences
from layerscope.tasks.perturbation.settings import ReleasedSettings
from layerscope.tasks.perturbation.similarity import read_similarity


def made(tmp_path, cells, values="counts", **settings):
    write(tmp_path / "cells.h5ad", cells, values)
    released_reference(tmp_path / "cells.h5ad", tmp_path / "similarity.npz", ReleasedSettings(**settings))
    return read_similarity(tmp_path / "similarity.npz")


def test_the_reference_is_the_released_arithmetic_written_out(tmp_path):
    cells = experiment()
    names, matrix = made(tmp_path, cells, top_genes=20)
    counts = cells.X.toarray().astype(float)
    logged = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    labels = cells.obs["perturbation"].to_numpy()
    control = logged[cells.obs["is_control"].to_numpy()]
    ranks = []
    for name in names:
        own = logged[labels == name]
        profile = own.mean(axis=0) - control.mean(axis=0)
        t = ttest_ind(own, control, equal_var=False).statistic
        profile[np.argsort(-np.abs(np.nan_to_num(t)), kind="stable")[20:]] = 0
        ranks.append(rankdata(profile))
    unit = np.array(ranks) / np.linalg.norm(ranks, axis=1, keepdims=True)
    np.testing.assert_allclose(matrix, unit @ unit.T, atol=1e-9)
    assert names == [f"P{i:02d}" for i in range(9)]


def test_unrelated_perturbations_look_alike_as_the_oddity_has_it(tmp_path):
    _, matrix = made(tmp_path, experiment(effect=0.0), top_genes=10)
    assert matrix[np.triu_indices(9, 1)].min() > 0.9


def test_log_normalised_values_are_taken_as_they_are(tmp_path):
    cells = experiment()
    _, from_counts = made(tmp_path, cells)
    counts = cells.X.toarray().astype(float)
    cells.X = type(cells.X)(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32))
    _, matrix = made(tmp_path, cells, values="log_normalised")
    np.testing.assert_allclose(matrix, from_counts, atol=2e-3)


def test_cells_without_controls_are_refused(tmp_path):
    cells = experiment()
    cells.obs["is_control"] = False
    with pytest.raises(DataError, match="0 control cells"):
        made(tmp_path, cells)


def test_among_genes_whose_t_differs_by_rounding_the_earlier_is_kept():
    means = np.array([np.zeros(4), [0.5, 1.0, 1.0, 1.0]])
    variances = np.array([np.zeros(4), 1 + np.array([0, 1e-15, 0, -1e-15])])
    truncated = truncated_differences(np.array([1, 1]), means, variances, 2)
    np.testing.assert_array_equal(truncated, [[0, 1, 1, 0]])
