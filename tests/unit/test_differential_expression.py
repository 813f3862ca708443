import json
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment, write
from pydeseq2.default_inference import DefaultInference

from layerscope.errors import DataError
from layerscope.tasks.perturbation.differential_expression import differential_expression, fit
from layerscope.tasks.perturbation.inference import OneWayInference, one_way_design
from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk
from layerscope.tasks.perturbation.settings import PaperSettings


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
    counted = counts.sum(axis=0) >= 10
    return counts[:, counted], group, change[:, counted]


@pytest.fixture(scope="module")
def by_default(samples):
    """PyDESeq2's own inference, gene by gene."""
    from pydeseq2.dds import DeseqDataSet

    counts, group, _ = samples
    design = pd.DataFrame(one_way_design(group)).rename(index=str, columns=str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = DeseqDataSet(
            counts=pd.DataFrame(counts).rename(index=str, columns=str),
            metadata=pd.DataFrame({"group": group.astype(str)}, index=design.index),
            design=design,
            inference=DefaultInference(n_cpus=1),
            quiet=True,
        )
        fitted.deseq2()
    return fitted


def test_the_fit_is_pydeseq2s_own(samples, by_default):
    counts, group, _ = samples
    fitted = fit(counts, group, "ratio")
    converged = (by_default.var["_genewise_converged"] & by_default.var["_MAP_converged"]).to_numpy(bool)
    assert converged.mean() > 0.95
    np.testing.assert_allclose(fitted.size_factors, by_default.obs["size_factors"], rtol=1e-12)
    dispersions, expected = fitted.dispersion, by_default.var["dispersions"].to_numpy()
    np.testing.assert_allclose(dispersions[converged], expected[converged], rtol=0.01)
    expected = by_default.varm["LFC"].to_numpy().T[1:] / np.log(2)
    np.testing.assert_allclose(fitted.log2_fold_change[:, converged], expected[:, converged], atol=1e-3)
    assert by_default.var["replaced"].sum() > 0
    assert fitted.notes["n_genes_with_replaced_outliers"] == by_default.var["replaced"].sum()


def test_true_fold_changes_are_recovered(samples):
    counts, group, change = samples
    strong = counts.mean(axis=0) > 100
    off = fit(counts, group).log2_fold_change[:, strong] - change[1:, strong] / np.log(2)
    assert np.abs(np.median(off)) < 0.1
    assert np.std(off) < 0.6


def test_size_factors_are_total_counts_where_few_genes_are_in_every_sample(samples):
    counts, group, _ = samples
    counts = counts.copy()
    counts[0, np.argsort(counts.min(axis=0))[:-30]] = 0
    fitted = fit(counts[:, counts.sum(axis=0) > 0], group, "auto")
    total = counts.sum(axis=1)
    np.testing.assert_allclose(fitted.size_factors / fitted.size_factors[1], total / total[1])


def test_threads_do_not_change_the_result(samples):
    counts, group, _ = samples
    wide = np.tile(counts, (1, 5))
    alone, together = fit(wide, group, threads=1), fit(wide, group, threads=3)
    np.testing.assert_allclose(alone.log2_fold_change, together.log2_fold_change, rtol=1e-6)


def test_genes_on_which_the_iteration_diverges_are_handed_over_and_counted(samples):
    counts, group, _ = samples
    arguments = (counts[:, :3], np.ones(len(group)), one_way_design(group), np.full(3, 0.1), 0.5, 1e-8)
    ours = OneWayInference()
    fits = [inference.irls(*arguments, -3.0, 3.0) for inference in (ours, DefaultInference(n_cpus=1))]
    assert ours.n_handed_over > 0
    for own, by_default in zip(*fits, strict=True):
        np.testing.assert_allclose(own, by_default, rtol=1e-4)


def test_written_profiles_have_names_numbers_and_provenance(tmp_path):
    cells = write(tmp_path / "cells.h5ad", experiment())
    sum_pseudobulk(cells, tmp_path / "pseudobulk.h5ad", PaperSettings())
    differential_expression(tmp_path / "pseudobulk.h5ad", tmp_path / "profiles.h5ad", PaperSettings())
    differential_expression(tmp_path / "pseudobulk.h5ad", tmp_path / "again.h5ad", PaperSettings())
    profiles = anndata.read_h5ad(tmp_path / "profiles.h5ad")
    assert profiles.obs_names.tolist() == [f"P{i:02d}" for i in range(9)]
    assert profiles.obs["n_cells"].tolist() == [60] * 9
    assert profiles.obs["n_samples"].tolist() == [2] * 9
    assert json.loads(profiles.uns["layerscope"])["n_control_samples"] == 4
    assert (tmp_path / "profiles.h5ad").read_bytes() == (tmp_path / "again.h5ad").read_bytes()


def test_no_gene_with_counts_is_refused(tmp_path):
    cells = write(tmp_path / "cells.h5ad", experiment())
    sum_pseudobulk(cells, tmp_path / "pseudobulk.h5ad", PaperSettings())
    with pytest.raises(DataError, match="min_counts_per_gene"):
        differential_expression(
            tmp_path / "pseudobulk.h5ad", tmp_path / "profiles.h5ad", PaperSettings(min_counts_per_gene=10**9)
        )


@pytest.fixture(scope="module")
def without_dispersion():
    """Poisson samples of 12 groups: most genes start at the smallest dispersion."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 3)
    design, size = one_way_design(group), np.exp(random.normal(0, 0.4, len(group)))
    rates = np.exp(random.normal(5, 1.5, 60))
    counts = random.poisson(size[:, None] * rates * np.exp(random.normal(0, 0.2, (12, 60)))[group])
    inference = DefaultInference(n_cpus=1)
    start = inference.fit_rough_dispersions(counts / size[:, None], design).clip(1e-8)
    assert (start == 1e-8).sum() > 10
    return counts, design, inference.lin_reg_mu(counts, size, design, 0.5), start


def test_genes_without_dispersion_stay_at_the_smallest_as_where_pydeseq2_converges(without_dispersion):
    counts, design, mu, start = without_dispersion
    arguments = (counts, design, mu, start, 1e-8, 36.0)
    ours, _ = OneWayInference().alpha_mle(*arguments)
    theirs, converged = DefaultInference(n_cpus=1).alpha_mle(*arguments)
    assert converged.mean() > 0.5
    np.testing.assert_allclose(ours[converged], theirs[converged], rtol=0.01)
    np.testing.assert_allclose(ours[start == 1e-8], 1e-8)


def test_the_last_bits_of_fitted_means_do_not_move_a_dispersion(without_dispersion):
    counts, design, mu, start = without_dispersion
    other = mu * (1 + 1e-15 * np.random.default_rng(1).integers(-4, 5, mu.shape))
    first, second = (
        OneWayInference().alpha_mle(counts, design, means, start, 1e-8, 36.0)[0] for means in (mu, other)
    )
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_samples_that_vary_less_than_sampling_makes_them_are_fitted_without_a_trend():
    random = np.random.default_rng(3)
    group = np.repeat(np.arange(5), [6, 3, 3, 3, 3])
    mean = np.exp(random.normal(4, 1, (5, 80)))
    counts = np.maximum(np.rint(mean[group] * random.uniform(0.99, 1.01, (len(group), 80))), 1).astype(int)
    fitted = fit(counts, group, "library")
    size = fitted.size_factors[:, None]
    means = np.array([(counts / size)[group == one].mean(axis=0) for one in range(5)])
    np.testing.assert_allclose(fitted.log2_fold_change, np.log2(means[1:] / means[0]), atol=0.05)
    assert (fitted.dispersion < 1e-6).all() and fitted.notes["n_genes_unconverged"] == 0
    assert any("no trend" in warning for warning in fitted.notes["warnings"])
