"""Every transformation that is met in practice is told from its values alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells.fingerprint import Kind, fingerprint


def counts(seed: int = 0, n_cells: int = 120, n_genes: int = 400) -> np.ndarray:
    """Negative-binomial counts with heavy-tailed depth and expression."""
    rng = np.random.default_rng(seed)
    mean = 0.4 * rng.lognormal(0, 0.8, (n_cells, 1)) * rng.lognormal(0, 1.5, (1, n_genes))
    return rng.negative_binomial(0.5, 0.5 / (0.5 + mean)).astype(np.float64)


def normalised(values: np.ndarray, per: float = 1e4) -> np.ndarray:
    return values / np.maximum(values.sum(axis=1, keepdims=True), 1) * per


TRANSFORMATIONS: dict[Kind, object] = {
    "counts": lambda c: c,
    "normalised": normalised,
    "log_normalised": lambda c: np.log1p(normalised(c)),
    "log2": lambda c: np.log2(1 + normalised(c)),
    "log10": lambda c: np.log10(1 + normalised(c)),
    "doubly_logged": lambda c: np.log1p(np.log1p(normalised(c))),
    "log_counts": np.log1p,
    "square_root": np.sqrt,
}


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("genes", [slice(None), slice(0, 90)], ids=["all genes", "some genes"])
@pytest.mark.parametrize("kind", TRANSFORMATIONS)
def test_a_transformation_is_told(kind, genes, precision):
    made = TRANSFORMATIONS[kind](counts())[:, genes].astype(precision)  # type: ignore[operator]
    assert fingerprint(sparse.csr_matrix(made)).kind == kind


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), per=st.sampled_from([1e3, 1e4, 1e5, 1e6]))
def test_natural_logarithms_are_told_whatever_the_target(seed, per):
    made = np.log1p(normalised(counts(seed, n_cells=40), per)).astype(np.float32)
    found = fingerprint(sparse.csr_matrix(made))
    assert found.kind == "log_normalised"
    assert found.total == pytest.approx(per, rel=1e-4)


def scaled() -> np.ndarray:
    logged = np.log1p(normalised(counts()))
    return (logged - logged.mean(axis=0)) / np.where(logged.std(axis=0) > 0, logged.std(axis=0), 1)


def corrected() -> np.ndarray:
    return counts() * np.random.default_rng(1).uniform(0.5, 1.5, counts().shape)


def with_value(value: float) -> np.ndarray:
    values = counts()
    values[5, 7] = value
    return values


def downsampled() -> np.ndarray:
    """Counts that add up to the same total in every cell."""
    rng = np.random.default_rng(1)
    return rng.multinomial(1000, rng.dirichlet(np.full(400, 0.3)), size=60).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (counts().astype(np.int32), "counts"),
        (np.ones((5, 3)), "counts"),
        (downsampled(), "counts"),
        (scaled(), "scaled"),
        (np.clip(scaled(), -10, 10), "scaled"),
        (counts() - 3, "negative"),
        (corrected(), "fractional"),
        (np.log1p(corrected())[:, :90], "perhaps_logged"),
        (with_value(np.nan), "not_finite"),
        (with_value(-np.inf), "not_finite"),
        (counts() > 0, "binary"),
        (np.rint(normalised(counts())), "rounded"),
        (counts() * (1 + 1e-7), "nearly_whole"),
        (np.zeros((5, 5)), "empty"),
        (np.zeros((0, 5)), "empty"),
    ],
)
def test_other_values_are_told(values, kind):
    assert fingerprint(sparse.csr_matrix(values)).kind == kind


def test_what_was_seen_is_told_in_numbers():
    seen = fingerprint(sparse.csr_matrix(with_value(0.5)))
    assert (seen.n_fractional, seen.examples, seen.smallest) == (1, (0.5,), 0)
    assert (seen.n_values, seen.largest) == ((with_value(0.5) != 0).sum(), counts().max())
