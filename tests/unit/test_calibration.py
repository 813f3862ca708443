"""The whole chain on simulated studies: cells, graphs, halves, intervals, claims.

A small version of benchmarks/calibration.py, with bounds that a correct chain breaks in less than one of a
hundred runs (seeds are fixed: it passes or fails for good).
"""

import numpy as np
import pytest
from trajectory_cells import cells, layer

from layerscope.statistics.multiple_testing import max_t
from layerscope.tables import Subject
from layerscope.tasks.trajectory.references import FROM_DATASET, Reference
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.strict import SOMERS_D, score_strict

SETTINGS = StrictSettings(neighbourhoods=(15,), halvings=6, resamples=200)
N_STUDIES = 12
SUBJECT = Subject(
    condition="c", model="m", layer="01", depth=0.0, task="trajectory", seed=1, protocol="strict"
)


def studies(noises, n_studies=N_STUDIES):
    """Estimates and resamples of layers that follow the line with these noises; labels shuffled for None."""
    for seed in range(n_studies):
        obs, fate = cells(seed)
        matrices = [
            layer(obs, fate, noise=noise or 0.5, seed=100 * seed + place)
            for place, noise in enumerate(noises)
        ]
        if None in noises:
            obs = obs.iloc[np.random.default_rng(seed).permutation(len(obs))].set_index(obs.index)
        obs = obs.drop(columns=["cell_type", "true_pseudotime"])
        known = Reference(list(obs.index), np.arange(len(obs), dtype=float), 0, FROM_DATASET, "")
        found = [score_strict(matrix, known, obs, SUBJECT, SETTINGS) for matrix in matrices]
        estimates = [next(row.estimate for row in one.rows if row.metric == SOMERS_D) for one in found]
        yield np.array(estimates), np.stack([one.resamples[SOMERS_D] for one in found], axis=1)


def claims(found):
    return [
        (max_t(estimates[:-1] - estimates[-1], values[:, :-1] - values[:, [-1]]).low > 0).any()
        for estimates, values in found
    ]


@pytest.fixture(scope="module")
def shuffled():
    return list(studies((None, None)))


def test_shuffled_labels_score_0_within_2_standard_errors(shuffled):
    distances = np.abs([estimates / values.std(axis=0) for estimates, values in shuffled])
    assert (distances < 2).mean() > 0.85
    assert abs(np.mean([estimates for estimates, _ in shuffled])) < 0.015


def test_shuffled_labels_claim_no_layer(shuffled):
    assert sum(claims(shuffled)) <= 3


def test_a_better_layer_is_claimed():
    assert sum(claims(studies((0.3, 1.5), n_studies=5))) >= 4
