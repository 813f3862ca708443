"""The neighbour search is exact, breaks ties by index, and does not depend on threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from layerscope.errors import DataError
from layerscope.tasks.trajectory import candidates, neighbours_gpu
from layerscope.tasks.trajectory.neighbours import METRICS, Wanted, nearest_neighbours, search_neighbours


def distances(matrix, metric):
    """All distances in float64, one pair at a time."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if metric == "euclidean":
        return np.sqrt(((matrix[:, None] - matrix[None]) ** 2).sum(axis=2))
    norm = np.linalg.norm(matrix, axis=1)
    unit = matrix / np.where(norm > 0, norm, 1)[:, None]
    apart = ((unit[:, None] - unit[None]) ** 2).sum(axis=2) / 2
    apart[(norm == 0)[:, None] ^ (norm == 0)] = 1
    return apart


def expected(matrix, k, metric):
    apart = distances(matrix, metric)
    np.fill_diagonal(apart, -1)
    order = np.lexsort((np.broadcast_to(np.arange(len(apart)), apart.shape), apart), axis=1)[:, :k]
    return order, np.maximum(np.take_along_axis(apart, order, axis=1), 0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("offset", [0.0, 30.0], ids=["around 0", "all pointing one way"])
def test_the_search_is_exact(metric, offset):
    matrix = (np.random.default_rng(1).normal(size=(300, 40)) + offset).astype(np.float32)
    found = nearest_neighbours(matrix, 15, metric)
    indices, apart = expected(matrix, 15, metric)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, apart, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_closer_than_single_precision_resolves_are_told_apart(metric):
    """Cells that differ in the fifth digit of a large common vector: float32 products cannot rank them."""
    random = np.random.default_rng(2)
    matrix = (100 + 1e-3 * random.normal(size=(200, 64))).astype(np.float32)
    found = nearest_neighbours(matrix, 5, metric)
    agreement = (found.indices == expected(matrix, 5, metric)[0]).mean()
    assert agreement > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_duplicates_come_first_and_ties_go_by_index(metric):
    random = np.random.default_rng(3)
    matrix = np.repeat(random.normal(size=(12, 6)), 5, axis=0)[random.permutation(60)]
    found = nearest_neighbours(matrix, 8, metric)
    indices, apart = expected(matrix, 8, metric)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, apart, atol=1e-6)
    assert (found.distances[:, :5] == 0).all()


def test_ties_between_different_cells_go_by_index():
    """On a grid most neighbours are tied with cells beyond the k-th."""
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    found = nearest_neighbours(grid, 4, "euclidean")
    np.testing.assert_array_equal(found.indices, expected(grid, 4, "euclidean")[0])


def test_a_cell_without_direction_is_at_distance_1_from_all_others():
    matrix = np.random.default_rng(4).normal(size=(30, 5)).astype(np.float32)
    matrix[[3, 7]] = 0
    found = nearest_neighbours(matrix, 6, "cosine")
    np.testing.assert_array_equal(found.indices[3, :2], [3, 7])
    np.testing.assert_allclose(found.distances[3], [0, 0, 1, 1, 1, 1], atol=1e-6)


@given(
    arrays.arrays(np.float32, (20, 3), elements=st.integers(-3, 3).map(float)),
    st.integers(2, 20),
    st.sampled_from(METRICS),
)
@settings(max_examples=40, deadline=None)
def test_every_cell_is_its_own_first_neighbour_and_distances_rise(matrix, k, metric):
    found = nearest_neighbours(matrix, k, metric)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(20))
    assert all(len(set(row)) == k for row in found.indices)
    assert (np.diff(found.distances[:, 1:], axis=1) >= 0).all()
    np.testing.assert_allclose(found.distances, expected(matrix, k, metric)[1], atol=1e-5)


@pytest.mark.parametrize(
    "case", ["all pointing one way", "of very different lengths", "one cell at the mean"]
)
def test_centred_cells_are_found_from_the_distances_of_the_cells_as_they_are(case):
    random = np.random.default_rng(8)
    matrix = random.normal(size=(700, 24)).astype(np.float32)
    if case == "all pointing one way":
        matrix += 40
    if case == "of very different lengths":
        matrix *= np.exp(2 * random.normal(size=(700, 1))).astype(np.float32)
    if case == "one cell at the mean":
        matrix[0] = matrix[1:].mean(axis=0, dtype=np.float64)
    everyone = np.arange(700)
    (found,) = search_neighbours(matrix, [Wanted(everyone, 15, centred=True)])
    indices, apart = expected(matrix - matrix.mean(axis=0, dtype=np.float64), 15, "cosine")
    agreement = (found.indices == indices).mean()
    assert agreement == 1 if case == "of very different lengths" else agreement > 0.995
    usual = slice(1, None)  # the direction of a cell at the mean is what float32 left of it
    np.testing.assert_allclose(found.distances[usual], apart[usual], rtol=1e-3, atol=1e-6)


def test_searches_made_together_are_the_searches_made_alone():
    """Some of the cells are copies of each other, whichever of them a part holds."""
    random = np.random.default_rng(9)
    matrix = random.normal(size=(400, 6)).astype(np.float32)
    matrix[200:] = matrix[random.permutation(200)]
    parts = [np.sort(random.choice(400, size, replace=False)) for size in (40, 150, 300)]
    together = search_neighbours(matrix, [Wanted(part, 12) for part in parts])
    for part, found in zip(parts, together, strict=True):
        alone = nearest_neighbours(matrix[part], 12)
        np.testing.assert_array_equal(found.indices, alone.indices)
        np.testing.assert_allclose(found.distances, alone.distances, atol=1e-6)


@pytest.mark.parametrize("centred", [False, True])
def test_pairs_that_cannot_matter_are_left_out_and_the_search_stays_exact(centred, monkeypatch):
    """Cells of six kinds, and some far from all: blocks of different kinds need not be compared."""
    random = np.random.default_rng(11)
    kinds = 5 * random.normal(size=(6, 60))
    matrix = kinds[random.integers(0, 6, 900)] + random.normal(size=(900, 60))
    matrix[::90] += 30 * random.normal(size=(10, 60))
    matrix = (matrix + 20).astype(np.float32)
    offered = []
    nearer = candidates.Candidates.nearer
    monkeypatch.setattr(candidates, "ROWS", 32)
    monkeypatch.setattr(
        candidates.Candidates,
        "nearer",
        lambda self, *block: offered.append(block[2].size) or nearer(self, *block),
    )
    (found,) = search_neighbours(matrix, [Wanted(np.arange(900), 15, centred)])
    assert 0 < sum(offered) < 0.7 * 900**2 / 2
    seen = matrix - matrix.mean(axis=0, dtype=np.float64) if centred else matrix
    indices, apart = expected(seen, 15, "cosine")
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, apart, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_a_rough_search_errs_by_no_more_than_float32(metric):
    matrix = np.random.default_rng(10).normal(size=(300, 40)).astype(np.float32) + 20
    matrix[150:160] = matrix[:10]
    part = np.arange(50, 250)
    (rough,) = search_neighbours(matrix, [Wanted(part, 12, rough=True)], metric)
    exact = nearest_neighbours(matrix[part], 12, metric)
    np.testing.assert_array_equal(rough.indices, exact.indices)
    np.testing.assert_allclose(rough.distances, exact.distances, rtol=1e-3)


def test_threads_change_nothing(monkeypatch):
    monkeypatch.setattr(candidates, "ROWS", 64)
    matrix = np.random.default_rng(5).normal(size=(500, 70)).astype(np.float32)
    everyone, part = np.arange(500), np.arange(100, 300)
    wanted = [Wanted(everyone, 15), Wanted(everyone, 15, centred=True), Wanted(part, 15, rough=True)]
    for one, two in zip(*(search_neighbours(matrix, wanted, "cosine", n) for n in (1, 2)), strict=True):
        np.testing.assert_array_equal(one.indices, two.indices)
        np.testing.assert_array_equal(one.distances, two.distances)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_candidates_by_torch_are_those_of_an_exact_search(device, monkeypatch):
    if device == "cuda" and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no CUDA device")
    matrix = np.random.default_rng(6).normal(size=(300, 40)).astype(np.float32)
    monkeypatch.setattr(neighbours_gpu, "BLOCK_BYTES", 4 * 300 * 70)
    squared, indices = neighbours_gpu.candidates(matrix, 12, device)
    order, apart = expected(matrix, 12, "euclidean")
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(squared, apart**2, atol=1e-4)


def test_a_search_through_torch_is_the_search_through_numpy(monkeypatch):
    matrix = np.random.default_rng(7).normal(size=(200, 30)).astype(np.float32)
    through_numpy = nearest_neighbours(matrix, 15)
    on_cpu = neighbours_gpu.candidates
    monkeypatch.setattr(neighbours_gpu, "worthwhile", lambda *shape: True)
    monkeypatch.setattr(neighbours_gpu, "candidates", lambda points, n: on_cpu(points, n, "cpu"))
    through_torch = nearest_neighbours(matrix, 15)
    np.testing.assert_array_equal(through_numpy.indices, through_torch.indices)
    np.testing.assert_array_equal(through_numpy.distances, through_torch.distances)


def test_small_searches_start_no_gpu():
    assert not neighbours_gpu.worthwhile(2000, 768)


def test_too_few_cells_and_missing_values_are_refused():
    with pytest.raises(DataError, match="15 neighbours asked for, but there are only 10 cells"):
        nearest_neighbours(np.eye(10), 15)
    with pytest.raises(DataError, match="finite"):
        nearest_neighbours(np.full((20, 2), np.nan), 5)
