"""The whole chain on simulated studies: no signal scores nothing, equal layers are not told apart.

A small version of benchmarks/calibration.py, with bounds that a correct chain breaks in less than one of a
hundred runs (seeds are fixed: it passes or fails for good).
"""

import numpy as np
import pytest
import trajectory_cells
from perturbation_cells import experiment

from layerscope.statistics.multiple_testing import max_t
from layerscope.tables import Subject
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.effects import count_effects
from layerscope.tasks.perturbation.settings import StrictSettings as ScreenSettings
from layerscope.tasks.perturbation.strict import strict_scores
from layerscope.tasks.perturbation.strict_reference import Expression, make_reference
from layerscope.tasks.screens.sums import sum_layer
from layerscope.tasks.trajectory.references import FROM_DATASET, Reference
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.strict import score_strict

TRAJECTORY = StrictSettings(neighbourhoods=(15,), halvings=6, resamples=200)
SCREEN = ScreenSettings.model_construct(
    cells_per_perturbation=40, buckets=4, cell_splits=3, shuffles=0, permutations=1, resamples=300, splits=2
)


def subject(task, seed):
    return Subject(condition="c", model="m", layer="01", depth=0.0, task=task, protocol="strict", seed=seed)


def shuffled_rows(obs, random):
    return obs.iloc[random.permutation(len(obs))].set_index(obs.index)


def trajectory(seed, noises, shuffled):
    """Scores of layers that follow a line with these noises."""
    obs, fate = trajectory_cells.cells(seed)
    matrices = [
        trajectory_cells.layer(obs, fate, noise=noise, seed=100 * seed + place)
        for place, noise in enumerate(noises)
    ]
    obs = shuffled_rows(obs, np.random.default_rng(seed)) if shuffled else obs
    obs = obs.drop(columns=["cell_type", "true_pseudotime"])
    known = Reference(list(obs.index), np.arange(len(obs), dtype=float), 0, FROM_DATASET, "")
    return [score_strict(matrix, known, obs, subject("trajectory", 1), TRAJECTORY) for matrix in matrices]


def perturbation(seed, noises, shuffled):
    """Scores of layers that see the expression of a screen's cells under these noises."""
    random = np.random.default_rng(seed)
    cells = experiment(seed, n_modules=4, per_module=4, cells_per_guide=22, effect=0.5)
    obs = shuffled_rows(cells.obs, random) if shuffled else cells.obs
    design = make_design(obs, SCREEN, seed)
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    reference = make_reference(Expression(cells.X.astype(float), totals, count_effects), design, SCREEN, seed)
    logged = np.log1p(1e3 * cells.X.toarray() / totals[:, None])
    matrices = (logged + noise * random.normal(size=logged.shape) for noise in noises)
    sums = (sum_layer(matrix, design.groups, design.n_groups) for matrix in matrices)
    return [strict_scores(of, None, reference, design, subject("t", seed), SCREEN) for of in sums]


TASKS = {
    trajectory: ("time_somers_d", (0.5, 0.5), (0.3, 1.5)),
    perturbation: ("spearman", (1.0, 1.0), (0.5, 6.0)),
}
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)


def studies(task, noises, n_studies, shuffled=False):
    """Estimates and resamples of the layers of each study."""
    metric = TASKS[task][0]
    for seed in range(n_studies):
        layers = task(seed, noises, shuffled)
        estimates = [next(row.estimate for row in layer.rows if row.metric == metric) for layer in layers]
        yield np.array(estimates), np.stack([layer.resamples[metric] for layer in layers], axis=1)


def claims(found):
    """In how many studies a layer is claimed to be above the last."""
    return sum(
        (max_t(estimates[:-1] - estimates[-1], values[:, :-1] - values[:, [-1]]).low > 0).any()
        for estimates, values in found
    )


@every_task
def test_shuffled_labels_score_0_and_claim_no_layer(task):
    found = list(studies(task, TASKS[task][1], 10, shuffled=True))
    distances = np.abs([estimates / values.std(axis=0) for estimates, values in found])
    assert (distances < 2).mean() > 0.8
    means = [estimates.mean() for estimates, _ in found]
    assert abs(np.mean(means)) < 3 * np.std(means) / np.sqrt(len(means))
    assert claims(found) <= 2


@every_task
def test_equal_layers_are_not_told_apart(task):
    assert claims(studies(task, (1.0, 1.0, 1.0), 8)) <= 2


@every_task
def test_a_better_layer_is_claimed(task):
    assert claims(studies(task, TASKS[task][2], 5)) >= 4
