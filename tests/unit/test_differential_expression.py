import json
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment, write

from layerscope.errors import DataError
from layerscope.tasks.perturbation.differential_expression import differential_expression, fit
from layerscope.tasks.perturbation.inference import OneWayInference
from layerscope.tasks.perturbation.one_way import OneWay
from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk


@pytest.fixture(scope="module")
def samples():
    """Negative-binomial samples of seven perturbations and a control, with counts from 0 to thousands."""
    random = np.random.default_rng(1)
    group = np.concatenate([np.zeros(8, dtype=np.int64), np.repeat(np.arange(1, 8), 2)])
    n_genes = 150
    base = np.exp(random.normal(3, 2, n_genes))
    dispersion = 0.05 + 0.5 / base
    change = random.normal(0, 0.7, (8, n_genes)) * (random.random((8, n_genes)) < 0.3)
    change[0] = 0
    size = np.exp(random.normal(0, 0.5, len(group)))
    mean = size[:, None] * base * np.exp(change[group])
    counts = random.poisson(mean * random.gamma(1 / dispersion, dispersion, size=mean.shape))
    # a gene that one perturbation silences, and one with a wild control sample
    counts[group == 3, 5] = 0
    counts[0, np.argmax(base)] *= 50
    kept = counts.sum(axis=0) >= 10
    return counts[:, kept], group, change[:, kept]


@pytest.fixture(scope="module")
def by_default(samples):
    """PyDESeq2's own inference, gene by gene, and its own test of every contrast."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    counts, group, _ = samples
    inference = DefaultInference(n_cpus=1)
    design = pd.DataFrame(OneWay.of_groups(group).design())
    design.index = [f"s{i}" for i in range(len(group))]
    design.columns = [f"c{i}" for i in range(design.shape[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = DeseqDataSet(
            counts=pd.DataFrame(
                counts, index=design.index, columns=[f"g{i}" for i in range(counts.shape[1])]
            ),
            metadata=pd.DataFrame({"group": group.astype(str)}, index=design.index),
            design=design,
            inference=inference,
            quiet=True,
        )
        fitted.deseq2()
        tests = []
        for contrast in np.eye(design.shape[1])[1:]:
            test = DeseqStats(
                fitted, contrast=contrast, inference=inference, quiet=True, independent_filter=False
            )
            test.summary()
            tests.append(test.results_df)
    return fitted, tests


def test_the_fit_is_pydeseq2s_own(samples, by_default):
    counts, group, _ = samples
    fitted, tests = by_default
    found = fit(counts, group, [f"P{i}" for i in range(1, 8)], "ratio")
    converged = fitted.var["_genewise_converged"].to_numpy(bool) & fitted.var["_MAP_converged"].to_numpy(bool)
    assert converged.mean() > 0.95
    np.testing.assert_allclose(found.size_factors, fitted.obs["size_factors"], rtol=1e-12)
    np.testing.assert_allclose(
        found.dispersion[converged], fitted.var["dispersions"].to_numpy()[converged], rtol=0.01
    )
    for row, test in enumerate(tests):
        ours, theirs = found.log2_fold_change[row], test["log2FoldChange"].to_numpy()
        np.testing.assert_allclose(ours[converged], theirs[converged], atol=1e-3)
        np.testing.assert_allclose(found.z[row][converged], test["stat"].to_numpy()[converged], atol=0.02)
        assert (np.isnan(found.p_value[row]) == test["pvalue"].isna().to_numpy()).all()


def test_outlying_counts_are_replaced_as_pydeseq2_does(samples, by_default):
    counts, group, _ = samples
    fitted, _ = by_default
    found = fit(counts, group, [f"P{i}" for i in range(1, 8)], "ratio")
    assert fitted.var["replaced"].sum() > 0
    assert found.notes["n_genes_with_replaced_outliers"] == fitted.var["replaced"].sum()


def test_true_fold_changes_are_recovered(samples):
    counts, group, change = samples
    found = fit(counts, group, [f"P{i}" for i in range(1, 8)])
    strong = counts.mean(axis=0) > 100
    off = found.log2_fold_change[:, strong] - change[1:, strong] / np.log(2)
    assert np.abs(np.median(off)) < 0.1
    # z-scores have unit spread: standard errors say how far off the estimates are
    assert 0.8 < np.std(off / found.standard_error[:, strong]) < 1.25


def test_threads_do_not_change_the_result(samples):
    counts, group, _ = samples
    wide = np.tile(counts, (1, 5))
    names = [f"P{i}" for i in range(1, 8)]
    alone, together = fit(wide, group, names, threads=1), fit(wide, group, names, threads=3)
    assert (alone.log2_fold_change == together.log2_fold_change).all()
    assert (alone.dispersion == together.dispersion).all()


def test_genes_on_which_the_iteration_diverges_are_handed_over_and_counted(samples):
    counts, group, _ = samples
    inference = OneWayInference()
    design = OneWay.of_groups(group).design()
    size = np.ones(len(group))
    alpha = np.full(3, 0.1)
    _, _, _, converged = inference.irls(
        counts[:, :3], size, design, alpha, 0.5, 1e-8, max_beta=3.0, min_beta=-3.0
    )
    assert inference.n_handed_over > 0
    assert len(converged) == 3


def test_written_profiles_have_names_numbers_and_provenance(tmp_path):
    cells = write(tmp_path / "cells.h5ad", experiment())
    sum_pseudobulk(cells, tmp_path / "pseudobulk.h5ad", {})
    differential_expression(tmp_path / "pseudobulk.h5ad", tmp_path / "profiles.h5ad", {})
    differential_expression(tmp_path / "pseudobulk.h5ad", tmp_path / "again.h5ad", {}, threads=2)
    profiles = anndata.read_h5ad(tmp_path / "profiles.h5ad")
    assert profiles.obs_names.tolist() == [f"P{i:02d}" for i in range(9)]
    assert profiles.obs["n_cells"].tolist() == [60] * 9
    assert profiles.obs["n_samples"].tolist() == [2] * 9
    assert set(profiles.layers) == {"lfc_se", "z", "p_value"}
    assert json.loads(profiles.uns["layerscope"])["n_control_samples"] == 4
    np.testing.assert_allclose(profiles.X / profiles.layers["lfc_se"], profiles.layers["z"])
    assert (tmp_path / "profiles.h5ad").read_bytes() == (tmp_path / "again.h5ad").read_bytes()


def test_as_many_groups_as_samples_are_refused(tmp_path):
    lone = anndata.AnnData(
        X=np.full((3, 4), 20),
        obs=pd.DataFrame(
            {"perturbation": ["nt", "A", "B"], "is_control": [True, False, False], "n_cells": [9, 9, 9]},
            index=["nt", "A", "B"],
        ),
        uns={"layerscope": "{}"},
    )
    lone.write_h5ad(tmp_path / "pseudobulk.h5ad")
    with pytest.raises(DataError, match="leave none to estimate dispersions"):
        differential_expression(tmp_path / "pseudobulk.h5ad", tmp_path / "profiles.h5ad", {})


def test_no_gene_with_counts_is_refused(tmp_path):
    cells = write(tmp_path / "cells.h5ad", experiment())
    sum_pseudobulk(cells, tmp_path / "pseudobulk.h5ad", {})
    with pytest.raises(DataError, match="min_counts_per_gene"):
        differential_expression(
            tmp_path / "pseudobulk.h5ad", tmp_path / "profiles.h5ad", {"min_counts_per_gene": 10**9}
        )


def test_genes_that_start_without_dispersion_end_where_pydeseq2_does():
    """There rounding decides, in the last bit of the fitted means, whether the optimiser keeps its start."""
    from pydeseq2.default_inference import DefaultInference

    random = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 3)
    design, size = OneWay.of_groups(group).design(), np.exp(random.normal(0, 0.4, len(group)))
    rates = np.exp(random.normal(5, 1.5, 60))
    counts = random.poisson(size[:, None] * rates * np.exp(random.normal(0, 0.2, (12, 60)))[group])
    found = []
    for inference in (OneWayInference(), DefaultInference(n_cpus=1)):
        mu = inference.lin_reg_mu(counts, size, design, 0.5)
        found.append(inference.alpha_mle(counts, design, mu, np.full(60, 1e-8), 1e-8, 36.0))
    (ours, converged), (theirs, theirs_converged) = found
    assert (theirs > 1e-4).any()
    assert (theirs < 1e-7).any()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    np.testing.assert_array_equal(converged, theirs_converged)
