"""Protocol strict on simulated screens: no signal scores nothing, and equal layers are not told apart.

A small version of benchmarks/perturbation_calibration.py, with bounds that a correct chain breaks in less
than one of a hundred runs (seeds are fixed: it passes or fails for good).
"""

import numpy as np
import pytest
from perturbation_cells import experiment

from layerscope.statistics.multiple_testing import max_t
from layerscope.tables import Subject
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.effects import count_effects
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict import strict_scores
from layerscope.tasks.perturbation.strict_reference import Expression, make_reference
from layerscope.tasks.screens.sums import sum_layer

SETTINGS = StrictSettings.model_construct(
    cells_per_perturbation=40, buckets=4, cell_splits=3, shuffles=0, permutations=1, resamples=300, splits=2
)


def study(seed, noises, shuffled=False):
    """Estimates and resamples of layers that see the cells' expression under these noises."""
    random = np.random.default_rng(seed)
    cells = experiment(seed, n_modules=4, per_module=4, cells_per_guide=22, effect=0.5)
    obs = (
        cells.obs.iloc[random.permutation(cells.n_obs)].set_index(cells.obs.index) if shuffled else cells.obs
    )
    design = make_design(obs, SETTINGS, seed)
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    expression = Expression(cells.X.astype(float), totals, count_effects)
    reference = make_reference(expression, design, SETTINGS, seed)
    logged = np.log1p(1e3 * cells.X.toarray() / totals[:, None])
    subject = Subject(condition="c", model="m", layer="01", depth=0.0, task="t", protocol="strict", seed=seed)
    estimates, values = [], []
    for noise in noises:
        layer = logged + noise * random.normal(size=logged.shape)
        layer_sums = sum_layer(layer, design.groups, design.n_groups)
        scored = strict_scores(layer_sums, None, reference, design, subject, SETTINGS)
        estimates.append(scored.rows[0].estimate)
        values.append(scored.resamples["spearman"])
    return np.array(estimates), np.stack(values, axis=1)


def claims(studies):
    """In how many studies a layer is claimed to be above the last."""
    return sum(
        (max_t(estimates[:-1] - estimates[-1], values[:, :-1] - values[:, [-1]]).low > 0).any()
        for estimates, values in studies
    )


@pytest.fixture(scope="module")
def shuffled():
    return [study(seed, (1.0, 1.0), shuffled=True) for seed in range(10)]


def test_shuffled_labels_score_0_within_2_standard_errors(shuffled):
    distances = np.abs([estimates / values.std(axis=0) for estimates, values in shuffled])
    assert (distances < 2).mean() > 0.8
    means = [estimates.mean() for estimates, _ in shuffled]
    assert abs(np.mean(means)) < 3 * np.std(means) / np.sqrt(len(means))


def test_shuffled_labels_claim_no_layer(shuffled):
    assert claims(shuffled) <= 2


def test_equal_layers_are_not_told_apart():
    assert claims([study(seed, (1.5, 1.5, 1.5)) for seed in range(10)]) <= 2


def test_a_better_layer_is_claimed():
    assert claims([study(seed, (0.5, 6.0)) for seed in range(6)]) >= 4
