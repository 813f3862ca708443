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
def test_a_transformation_is_told(kind: Kind, genes: slice, precision: type) -> None:
    made = TRANSFORMATIONS[kind](counts())[:, genes].astype(precision)  # type: ignore[operator]
    assert fingerprint(sparse.csr_matrix(made)).kind == kind


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), per=st.sampled_from([1e3, 1e4, 1e5, 1e6]))
def test_natural_logarithms_are_told_whatever_the_target(seed: int, per: float) -> None:
    made = np.log1p(normalised(counts(seed, n_cells=40), per)).astype(np.float32)
    found = fingerprint(sparse.csr_matrix(made))
    assert found.kind == "log_normalised"
    assert found.total == pytest.approx(per, rel=1e-4)


def test_counts_per_million_are_told_from_their_total() -> None:
    found = fingerprint(sparse.csr_matrix(normalised(counts(), 1e6).astype(np.float32)))
    assert (found.kind, round(found.total)) == ("normalised", 1_000_000)


def test_integers_stored_as_floats_are_counts_and_so_are_integers() -> None:
    for dtype in (np.float32, np.float64, np.int32, np.uint16):
        assert fingerprint(sparse.csr_matrix(counts().astype(dtype))).kind == "counts"


def test_scaled_values_are_told_from_other_negative_ones() -> None:
    logged = np.log1p(normalised(counts()))
    spread = np.where(logged.std(axis=0) > 0, logged.std(axis=0), 1)
    scaled = (logged - logged.mean(axis=0)) / spread
    assert fingerprint(sparse.csr_matrix(scaled)).kind == "scaled"
    assert fingerprint(sparse.csr_matrix(np.clip(scaled, -10, 10))).kind == "scaled"
    assert fingerprint(sparse.csr_matrix(counts() - 3)).kind == "negative"


def test_corrected_counts_are_no_counts() -> None:
    corrected = counts() * np.random.default_rng(1).uniform(0.5, 1.5, counts().shape)
    assert fingerprint(sparse.csr_matrix(corrected)).kind == "fractional"
    some_genes = np.log1p(corrected)[:, :90]
    assert fingerprint(sparse.csr_matrix(some_genes)).kind == "perhaps_logged"


def test_one_fraction_among_counts_is_enough() -> None:
    made = counts()
    made[5, 7] = 0.5
    found = fingerprint(sparse.csr_matrix(made))
    assert (found.kind, found.n_fractional, found.examples) == ("fractional", 1, (0.5,))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_told(bad: float) -> None:
    made = counts()
    made[3, 3] = bad
    assert fingerprint(sparse.csr_matrix(made)).kind == "not_finite"


def test_nothing_is_told_from_nothing() -> None:
    assert fingerprint(sparse.csr_matrix((5, 5))).kind == "empty"
    assert fingerprint(sparse.csr_matrix((0, 5))).kind == "empty"


def test_what_was_seen_is_said_in_numbers() -> None:
    seen = fingerprint(sparse.csr_matrix(np.log1p(normalised(counts())))).seen()
    assert seen.startswith("min 0, max ")
    assert "100% of" in seen
    assert "a few: " in seen


def test_presence_alone_is_no_count() -> None:
    assert fingerprint(sparse.csr_matrix(counts() > 0)).kind == "binary"
    assert fingerprint(sparse.csr_matrix(np.ones((5, 3)))).kind == "counts"


def test_rounded_normalised_values_are_told_from_counts_of_equal_totals() -> None:
    assert fingerprint(sparse.csr_matrix(np.rint(normalised(counts())))).kind == "rounded"
    rng = np.random.default_rng(1)
    share = rng.dirichlet(np.full(400, 0.3))
    downsampled = rng.multinomial(1000, share, size=60).astype(np.float32)
    assert fingerprint(sparse.csr_matrix(downsampled)).kind == "counts"


def test_counts_with_rounding_errors_are_told() -> None:
    off = counts() * (1 + 1e-7)
    assert fingerprint(sparse.csr_matrix(off)).kind == "nearly_whole"
