"""The metrics of scib-metrics on its own neighbours: the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import silhouette_samples

from layerscope.tasks.integration.clusters import (
    ari,
    batch_variance,
    clusters,
    nmi,
)
from layerscope.tasks.integration.neighbours import (
    gaussian_weights,
    graph_connectivity,
    kbet,
    kbet_per_label,
    lisi,
    nearest_neighbours,
    scaled_median_lisi,
)
from layerscope.tasks.integration.silhouettes import (
    all_distances,
    isolated_labels,
    silhouette_batch,
    silhouette_label,
    silhouettes,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "integration"
EXPECTED = {"pca20": "scib_metrics_0.6.1.json", "pca20_harmony": "scib_metrics_0.5.10_after_harmony.json"}
SINGLE = 2e-6
"""The reference computes in single precision."""


class Case:
    """An embedding with its types and batches, and what scib-metrics makes of them."""

    def __init__(self, name: str) -> None:
        cells = np.load(GOLDEN / "pbmc_three_chemistries_pca20.npz")
        embedding = np.load(GOLDEN / f"pbmc_three_chemistries_{name}.npz")["embedding"]
        self.vectors = embedding.astype(np.float64)
        self.types = np.unique(cells["cell_type"], return_inverse=True)[1]
        self.batches = np.unique(cells["technology"], return_inverse=True)[1]
        self.expected: dict[str, Any] = json.loads((GOLDEN / EXPECTED[name]).read_text())

    def within(self, metric: str) -> tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.intp]]]:
        """Distances and batches of the cells of each type."""
        distances = all_distances(self.vectors, metric)
        members = [np.flatnonzero(self.types == kind) for kind in np.unique(self.types)]
        return [distances[np.ix_(cells, cells)] for cells in members], [self.batches[c] for c in members]


@pytest.fixture(scope="module", params=EXPECTED)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_metrics_of_neighbours_are_the_references(case: Case) -> None:
    near = nearest_neighbours(case.vectors, 90)
    weights = gaussian_weights(near.distances, 30)
    ours = {
        "ilisi_knn": scaled_median_lisi(weights, case.batches[near.cells], 3),
        "clisi_knn": 1 - scaled_median_lisi(weights, case.types[near.cells], 9),
        "graph_connectivity_15": graph_connectivity(near.nearest(15), case.types),
        "kbet_50": kbet(near.nearest(50), case.batches),
    }
    for name in ours.keys() & case.expected.keys():
        assert ours[name] == pytest.approx(case.expected[name], abs=SINGLE), name
    if "lisi_batch_first_five" in case.expected:
        of_cells = lisi(weights, case.batches[near.cells], 3)
        assert of_cells[:5] == pytest.approx(case.expected["lisi_batch_first_five"], abs=1e-5)


def test_silhouettes_are_the_references(case: Case) -> None:
    distances = all_distances(case.vectors, "euclidean")
    euclidean, cosine = case.within("euclidean"), case.within("cosine")
    ours = {
        "silhouette_label": silhouette_label(distances, case.types),
        "silhouette_batch": silhouette_batch(*euclidean),
        "bras": silhouette_batch(*cosine, all_others=True),
        "bras_euclidean": silhouette_batch(*euclidean, all_others=True),
        "isolated_labels": isolated_labels(distances, case.types, case.batches),
    }
    for name in ours.keys() & case.expected.keys():
        assert ours[name] == pytest.approx(case.expected[name], abs=SINGLE), name


def test_what_batches_explain_is_the_references() -> None:
    before, after = Case("pca20"), Case("pca20_harmony")
    share = batch_variance(before.vectors, before.batches)
    assert share == pytest.approx(before.expected["pcr_batch"], abs=SINGLE)
    gone = 1 - batch_variance(after.vectors, before.batches) / share
    assert gone == pytest.approx(after.expected["pcr_comparison_with_pca20_as_pre"], abs=1e-5)


def test_clusters_and_kbet_per_label_are_near_the_references(case: Case) -> None:
    # k-means of the reference is one random start, its kBET per label looks at a diffusion map
    clustered = clusters(case.vectors, 9, seed=0)
    assert nmi(case.types, clustered) == pytest.approx(case.expected["nmi_ari_kmeans"]["nmi"], abs=0.12)
    assert ari(case.types, clustered) == pytest.approx(case.expected["nmi_ari_kmeans"]["ari"], abs=0.2)
    if "kbet_per_label_50" in case.expected:
        share = kbet_per_label(case.vectors, case.types, case.batches)
        assert share == pytest.approx(case.expected["kbet_per_label_50"], abs=0.1)


def test_silhouettes_are_scikit_learns() -> None:
    random = np.random.default_rng(4)
    vectors, labels = random.normal(size=(60, 5)), random.integers(0, 4, 60)
    labels[0] = 9  # alone
    expected = silhouette_samples(vectors, labels)
    np.testing.assert_allclose(silhouettes(all_distances(vectors, "euclidean"), labels), expected, atol=1e-9)


@pytest.mark.parametrize("perplexity", [2, 5, 20])
def test_neighbours_weigh_as_the_perplexity_says(perplexity: int) -> None:
    distances = np.sort(np.random.default_rng(0).gamma(3, size=(40, 60)), axis=1)
    weights = gaussian_weights(distances, perplexity)
    entropy = -(weights * np.log(weights)).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), perplexity, rtol=1e-4)
    np.testing.assert_allclose(gaussian_weights(distances * 1e6, perplexity), weights, rtol=1e-6)
    assert (gaussian_weights(np.ones((2, 8)), perplexity) == 1 / 8).all()


def test_batches_that_stand_apart_in_pairs_deceive_the_silhouette_and_not_bras() -> None:
    # two pairs of mixed batches, far from each other
    random = np.random.default_rng(1)
    batches = np.repeat(np.arange(4), 50)
    vectors = random.normal(size=(200, 5)) + 20 * (batches >= 2)[:, None]
    distances = [all_distances(vectors, "euclidean")]
    assert silhouette_batch(distances, [batches]) > 0.9
    assert silhouette_batch(distances, [batches], all_others=True) < 0.6


def test_no_type_in_two_batches_has_no_silhouette_of_batches() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, 3))
    kinds = np.repeat([0, 1], 10)
    assert np.isnan(silhouette_batch([all_distances(vectors, "cosine")], [np.zeros(20, dtype=np.intp)]))
    assert np.isnan(kbet_per_label(vectors, kinds, kinds))
