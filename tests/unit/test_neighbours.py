"""The neighbour search is exact up to rounding, and breaks ties by index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from layerscope.errors import DataError
from layerscope.tasks.trajectory import neighbours
from layerscope.tasks.trajectory.neighbours import METRICS, layer_neighbours, nearest_neighbours


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
    np.fill_diagonal(apart, 0)
    return np.sort(apart, axis=1)[:, :k]


def of_kinds(random):
    """Cells of two kinds so far apart that products in float32 cannot rank the cells of one kind."""
    matrix = random.normal(size=(400, 24))
    matrix[::2, 0] += 3000
    return matrix


LAYERS = {
    "around 0": lambda random: random.normal(size=(300, 40)),
    "all pointing one way": lambda random: random.normal(size=(300, 40)) + 30,
    "differing in the fifth digit": lambda random: 100 + 1e-2 * random.normal(size=(300, 40)),
    "of two kinds": of_kinds,
    "of very different lengths": lambda random: (
        random.normal(size=(300, 24)) * np.exp(2 * random.normal(size=(300, 1)))
    ),
    "with many copies": lambda random: np.repeat(random.normal(size=(12, 6)), 25, axis=0)[
        random.permutation(300)
    ],
    "on a grid": lambda random: np.indices((15, 15)).reshape(2, -1).T,
    "with cells of length 0": lambda random: random.normal(size=(300, 5)) * (np.arange(300) % 9 > 0)[:, None],
}


@pytest.mark.parametrize("block", [neighbours.BLOCK, 80])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("layer", LAYERS)
def test_the_search_is_exact(layer, metric, block, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    matrix = LAYERS[layer](np.random.default_rng(1)).astype(np.float32)
    nearest = nearest_neighbours(matrix, 15, metric)
    apart, length = expected(matrix, 15, metric), np.linalg.norm(matrix, axis=1).max()
    rounding = 2e-6 * (length if metric == "euclidean" else np.sqrt(2 * apart) + 1e-6)
    of_neighbours = np.take_along_axis(distances(matrix, metric), nearest.indices, axis=1)
    assert (np.abs(of_neighbours - apart) <= 1.1 * rounding + 1e-4 * apart).all()
    assert (np.abs(nearest.distances - apart) <= 1.1 * rounding + 1e-4 * apart).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("layer", ["with many copies", "on a grid", "around 0", "all pointing one way"])
def test_neighbours_that_rounding_could_part_go_by_index_and_copies_are_at_distance_0(layer, metric):
    random = np.random.default_rng(1)
    matrix = LAYERS[layer](random).astype(np.float64)
    exact = nearest_neighbours(matrix, 15, metric)
    rounded = matrix * (1 + 2e-7 * random.uniform(-1, 1, matrix.shape))
    nearest = nearest_neighbours(rounded, 15, metric)
    assert (nearest.indices == exact.indices).mean() > 0.99
    np.testing.assert_array_equal(nearest.distances == 0, exact.distances == 0)
    if layer == "with many copies":
        np.testing.assert_array_equal(nearest.indices, exact.indices)
        assert (np.diff(nearest.indices[:, 1:], axis=1) > 0).all()


@given(
    arrays.arrays(np.float32, (20, 3), elements=st.integers(-3, 3).map(float)),
    st.integers(2, 20),
    st.sampled_from(METRICS),
)
@settings(max_examples=40, deadline=None)
def test_every_cell_is_its_own_first_neighbour_and_distances_rise(matrix, k, metric):
    nearest = nearest_neighbours(matrix, k, metric)
    np.testing.assert_array_equal(nearest.indices[:, 0], np.arange(20))
    assert all(len(set(row)) == k for row in nearest.indices)
    assert (np.diff(nearest.distances[:, 1:], axis=1) >= 0).all()
    np.testing.assert_allclose(nearest.distances, expected(matrix, k, metric), atol=1e-5)


@pytest.mark.parametrize("layer", [*LAYERS, "with a cell at the mean"])
def test_the_variation_is_centred_for_cosine_and_of_unit_length_for_euclidean_distances(layer):
    random = np.random.default_rng(8)
    matrix = LAYERS.get(layer, LAYERS["around 0"])(random).astype(np.float32)
    if layer == "with a cell at the mean":
        matrix[0] = matrix[1:].mean(axis=0, dtype=np.float64)
    centred = layer_neighbours(matrix, 15, "cosine", [], 2).varied.distances
    variation = matrix - matrix.mean(axis=0, dtype=np.float64)
    if layer == "with a cell at the mean":
        variation[0] = 0  # rounding would decide its direction
    apart = expected(variation, 15, "cosine")
    largest = 3e-2 if layer == "differing in the fifth digit" else 1e-6  # the sixth is rounding
    np.testing.assert_allclose(centred, apart, rtol=1e-3, atol=largest)
    unit = layer_neighbours(matrix, 15, "euclidean", [], 2).varied.distances
    chord = np.sqrt(2 * expected(matrix, 15, "cosine"))
    np.testing.assert_allclose(unit, chord, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("metric", METRICS)
def test_parts_are_searched_as_if_they_were_alone(metric):
    random = np.random.default_rng(9)
    matrix = random.normal(size=(400, 6)).astype(np.float32)
    matrix[200:] = matrix[random.permutation(200)]
    parts = [np.sort(random.choice(400, size, replace=False)) for size in (40, 150, 300)]
    for part, nearest in zip(parts, layer_neighbours(matrix, 20, metric, parts, 12).parts, strict=True):
        alone = nearest_neighbours(matrix[part], 12, metric)
        np.testing.assert_array_equal(nearest.indices, alone.indices)
        np.testing.assert_allclose(nearest.distances, alone.distances, atol=1e-6)


def test_the_first_of_a_wider_search_are_a_search_of_their_own():
    matrix = np.random.default_rng(5).normal(size=(200, 30))
    narrow, wide = nearest_neighbours(matrix, 10), nearest_neighbours(matrix, 40).first(10)
    np.testing.assert_array_equal(narrow.indices, wide.indices)
    np.testing.assert_array_equal(narrow.distances, wide.distances)


def test_too_few_cells_and_missing_values_are_refused():
    with pytest.raises(DataError, match="15 neighbours"):
        nearest_neighbours(np.eye(10), 15)
    with pytest.raises(DataError, match="finite"):
        nearest_neighbours(np.full((20, 2), np.nan), 5)
