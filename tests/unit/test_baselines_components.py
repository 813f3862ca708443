import numpy as np
import pytest

from layerscope.models import baselines_components
from layerscope.models.baselines_components import Rows, principal_components


def rows(values):
    return Rows.like(values, lambda start, end: values[start:end])


@pytest.fixture
def spectrum():
    """A matrix whose singular values fall slowly, as those of cells do."""
    random = np.random.default_rng(0)
    left = np.linalg.qr(random.normal(size=(300, 120)))[0]
    right = np.linalg.qr(random.normal(size=(200, 120)))[0]
    return (left * (100 * np.arange(1, 121) ** -0.7)) @ right.T


@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_components_are_those_of_a_singular_value_decomposition(spectrum, shape):
    values = spectrum if shape == "tall" else np.ascontiguousarray(spectrum.T)
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    ours = principal_components(rows(values), 20)
    np.testing.assert_allclose(np.abs(ours), np.abs(left[:, :20] * singular[:20]), atol=1e-4)


def test_the_randomised_route_finds_the_same(spectrum, monkeypatch):
    exact = principal_components(rows(spectrum), 20)
    monkeypatch.setattr(baselines_components, "EXACT_UP_TO", 10)
    np.testing.assert_allclose(principal_components(rows(spectrum), 20, seed=5), exact, atol=1e-3)


def test_blocks_of_rows_do_not_matter(spectrum, monkeypatch):
    whole = principal_components(rows(spectrum), 20)
    monkeypatch.setattr(baselines_components, "ROWS_AT_ONCE", 17)
    np.testing.assert_allclose(principal_components(rows(spectrum), 20), whole, atol=1e-4)


def test_signs_do_not_depend_on_the_order_of_cells(spectrum):
    order = np.random.default_rng(1).permutation(len(spectrum))
    np.testing.assert_allclose(
        principal_components(rows(spectrum[order]), 10),
        principal_components(rows(spectrum), 10)[order],
        atol=1e-4,
    )


def test_there_are_no_more_components_than_the_rank():
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 3)) @ random.normal(size=(3, 30))
    assert principal_components(rows(values), 10).shape == (40, 3)


def test_whitened_components_have_unit_mean_square(spectrum):
    ours = principal_components(rows(spectrum), 10, whiten=True)
    np.testing.assert_allclose((ours**2).mean(axis=0), 1, rtol=1e-5)
