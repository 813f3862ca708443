import numpy as np
import pytest
from scipy import sparse
from scipy.stats import ttest_ind

from layerscope.tasks.perturbation.effects import count_effects, expression_sums, value_effects

BUCKETS = 4


def counts(random, n_items=6, cells=200, n_genes=400, phi=0.4):
    """Over-dispersed counts without any effect, cells of unequal depth, item by item."""
    group = np.repeat(np.arange(n_items), cells) * BUCKETS + np.tile(np.arange(cells) % BUCKETS, n_items)
    rate = random.dirichlet(np.full(n_genes, 0.5))
    depth = random.lognormal(7, 0.5, len(group))
    mean = depth[:, None] * rate
    return sparse.csr_matrix(
        random.poisson(mean * random.gamma(1 / phi, phi, mean.shape)).astype(float)
    ), group


def summed(values, group, n_items):
    totals = np.asarray(values.sum(axis=1)).ravel()
    return expression_sums(values, totals, group, n_items * BUCKETS, BUCKETS)


def test_without_effects_z_scores_are_standard_normal():
    values, group = counts(np.random.default_rng(0))
    z = count_effects(summed(values, group, 6), np.arange(BUCKETS))
    expressed = np.asarray(values.mean(axis=0)).ravel() > 0.5
    assert abs(z[:, expressed].mean()) < 0.1
    assert z[:, expressed].std() == pytest.approx(1, abs=0.1)


def test_z_scores_do_not_see_depth():
    random = np.random.default_rng(1)
    values, group = counts(random)
    deep = values.toarray()
    # the cells of item 1 are three times as deep
    deep[group // BUCKETS == 1] = random.poisson(3 * deep[group // BUCKETS == 1])
    z = count_effects(summed(sparse.csr_matrix(deep), group, 6), np.arange(BUCKETS))
    assert abs(z[0].mean()) < 0.15


def test_effects_have_their_sign_and_grow_with_the_number_of_cells():
    random = np.random.default_rng(2)
    values, group = counts(random)
    changed = values.toarray()
    gene = int(np.argmax(values.sum(axis=0)))
    changed[group // BUCKETS == 2, gene] *= 2
    sums = summed(sparse.csr_matrix(changed), group, 6)
    half, whole = (count_effects(sums, np.arange(n))[1, gene] for n in (2, 4))
    assert 0 < half < whole
    assert whole == pytest.approx(half * np.sqrt(2), rel=0.25)


def test_buckets_that_are_left_out_do_not_matter():
    values, group = counts(np.random.default_rng(3))
    spoiled = values.toarray()
    spoiled[group % BUCKETS == 3] = 77
    expected = count_effects(summed(values, group, 6), np.array([0, 2]))
    z = count_effects(summed(sparse.csr_matrix(spoiled), group, 6), np.array([0, 2]))
    np.testing.assert_allclose(z, expected)


def test_for_two_groups_values_give_students_t():
    random = np.random.default_rng(4)
    values = random.gamma(2, 1, (90, 30))
    group = np.repeat([0, 1], [50, 40]) * BUCKETS + np.arange(90) % BUCKETS
    z = value_effects(summed(sparse.csr_matrix(values), group, 2), np.arange(BUCKETS))
    expected = ttest_ind(values[50:], values[:50]).statistic
    np.testing.assert_allclose(z[0], expected, rtol=1e-8)


def test_genes_that_no_cell_expresses_have_no_effect():
    values, group = counts(np.random.default_rng(5))
    silent = values.toarray()
    silent[:, 3] = 0
    sums = summed(sparse.csr_matrix(silent), group, 6)
    for effects in (count_effects, value_effects):
        z = effects(sums, np.arange(BUCKETS))
        assert (z[:, 3] == 0).all()
        assert np.isfinite(z).all()
