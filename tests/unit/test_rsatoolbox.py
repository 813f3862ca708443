"""Scores and distances of perturbations beside rsatoolbox's, on small inputs."""

import numpy as np
import pytest

from layerscope.tasks.perturbation.crossnobis import crossnobis_similarities, within_variance
from layerscope.tasks.perturbation.design import Design
from layerscope.tasks.perturbation.influence import spearman_influence
from layerscope.tasks.perturbation.pairs import Pairs
from layerscope.tasks.perturbation.similarity import cosine_matrix, spearman_matrix
from layerscope.tasks.perturbation.strict_reference import StrictReference
from layerscope.tasks.perturbation.sums import sum_layer

rdm = pytest.importorskip("rsatoolbox.rdm", reason="rsatoolbox is not installed")

N_PERTURBATIONS, WIDTH, BUCKETS = 6, 5, 4


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_score_is_rsatoolboxs_spearman_of_dissimilarities(decimals):
    random = np.random.default_rng(0)
    centroids = random.normal(size=(8, WIDTH))
    profiles = np.hstack([centroids, random.normal(size=(8, 20))])
    pairs = Pairs(8)
    layer, reference = (
        np.round(pairs.of(matrix), decimals)
        for matrix in (cosine_matrix(centroids), spearman_matrix(profiles))
    )
    value, _ = spearman_influence(layer, reference, pairs)
    compared = rdm.compare(rdm.RDMs(1 - layer[None]), rdm.RDMs(1 - reference[None]), method="spearman")
    assert value == pytest.approx(compared.item())


def test_spearman_similarities_are_rsatoolboxs_correlation_distances_of_ranks():
    from rsatoolbox.data import Dataset

    profiles = np.random.default_rng(1).normal(size=(7, 30))
    ranks = profiles.argsort(axis=1).argsort(axis=1).astype(float)
    theirs = rdm.calc_rdm(Dataset(ranks), method="correlation").get_matrices()[0]
    np.testing.assert_allclose(1 - spearman_matrix(profiles), theirs, atol=1e-12)


def test_crossnobis_distances_are_products_of_differences_in_different_buckets():
    random = np.random.default_rng(2)
    groups = np.repeat(np.arange((N_PERTURBATIONS + 1) * BUCKETS), 5)[None].astype(np.int32)
    cells = random.normal(size=(groups.size, WIDTH)) * np.arange(1, WIDTH + 1) + groups[0, :, None] // BUCKETS
    names = [f"P{index}" for index in range(N_PERTURBATIONS)]
    design = Design(names, [str(cell) for cell in range(groups.size)], BUCKETS, 5 * BUCKETS, groups)
    first = np.array([[True, True, False, False]])
    nothing = np.zeros((1, 1, 2, N_PERTURBATIONS, N_PERTURBATIONS))
    reference = StrictReference(names, first, np.array([2]), nothing, nothing)
    sums = sum_layer(cells, design)
    found = crossnobis_similarities(sums, reference, design, 2)
    means = np.array([cells[groups[0] == group].mean(axis=0) for group in range(groups.max() + 1)])
    means = means.reshape(N_PERTURBATIONS + 1, BUCKETS, WIDTH)[1:]
    weight = 1 / within_variance(sums)
    for half, (one, other) in enumerate([(0, 1), (2, 3)]):
        for i in range(N_PERTURBATIONS):
            for j in range(i):
                product = (means[i, one] - means[j, one]) * (means[i, other] - means[j, other])
                assert found[0, half, i, j] == pytest.approx(-(product * weight).sum() / WIDTH)
