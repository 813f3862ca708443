"""What a matrix of cells cannot hold is told from what it can."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from layerscope.cells.remote_rows import demand_sound, few_out_of_order
from layerscope.errors import DataError


def rows(*cells: dict[int, float]) -> sparse.csr_matrix:
    """Rows with their genes in the order in which they are given."""
    indices = [gene for cell in cells for gene in cell]
    data = [value for cell in cells for value in cell.values()]
    indptr = np.cumsum([0, *(len(cell) for cell in cells)])
    return sparse.csr_matrix((np.array(data, dtype=np.float32), indices, indptr), shape=(len(cells), 10))


def test_counts_are_sound_in_any_order() -> None:
    demand_sound(rows({1: 2, 4: 1}, {}, {4: 1, 1: 7}, {1: 1}), whole_numbers=True)
    demand_sound(rows(), whole_numbers=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "no matrix of cells"), (3e38, "no matrix of cells"), (-1, "no counts"), (1.5, "no counts")],
)
def test_impossible_values_are_refused(value: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        demand_sound(rows({1: 2, 4: value}), whole_numbers=True)


def test_logarithms_need_not_be_whole() -> None:
    demand_sound(rows({1: 2.5, 4: 1}), whole_numbers=False)


def test_a_gene_occurs_once_in_a_cell() -> None:
    twice = sparse.csr_matrix((np.ones(3), np.array([4, 1, 4]), np.array([0, 3])), shape=(1, 10))
    with pytest.raises(DataError, match="a gene that occurs twice in a cell"):
        demand_sound(twice, whole_numbers=True)


def test_few_cells_out_of_order_are_a_sign_and_many_are_a_habit() -> None:
    right, wrong = {1: 1.0, 4: 1.0}, {4: 1.0, 1: 1.0}
    assert not few_out_of_order(rows(right, right, {9: 1.0}, right))
    assert few_out_of_order(rows(right, wrong, right, right))
    assert not few_out_of_order(rows(wrong, wrong, wrong, right))
    assert not few_out_of_order(rows())
