"""The root is the data's own, or the middle of the root set; the reference says where it comes from."""

import numpy as np
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.tasks.trajectory.references import (
    Reference,
    find_root,
    read_reference,
    root_cells,
    write_reference,
)

NAMES = [f"cell{number}" for number in range(6)]


def cells(**columns):
    table = pd.DataFrame(columns, index=NAMES)
    if "time" in table:
        table["time"] = pd.Categorical(table["time"], categories=["Day3", "Day10", "Day17"], ordered=True)
    return table


POINTS = np.array([[0.0], [1.0], [5.0], [50.0], [60.0], [100.0]])
ROOTS = [True, True, True, True, False, False]


TIMES = ["Day17", "Day10", "Day10", "Day10", "Day3", "Day3"]


@pytest.mark.parametrize(
    ("columns", "named", "root", "source"),
    [
        ({"is_root": ROOTS}, "cell4", 4, "dataset: iroot_cell"),
        ({"is_root": ROOTS}, None, 2, "nearest to the centroid of 4 is_root cells"),  # it is 14
        (
            {"is_root": ROOTS, "time": TIMES},
            None,
            2,  # the centroid is 19
            "nearest to the centroid of 3 is_root cells at the earliest time, Day10",
        ),
        ({"time": TIMES}, None, 4, "nearest to the centroid of 2 cells at the earliest time, Day3"),
    ],
    ids=["named", "marked", "marked, of the earliest time", "of the earliest time"],
)
def test_the_root_is_the_named_cell_or_the_one_nearest_to_the_centroid(columns, named, root, source):
    assert find_root(cells(**columns), named, POINTS, "cells.h5ad") == (root, source)


def test_cells_without_a_time_are_no_roots():
    obs = cells(time=["Day17", None, "Day17", "Day17", "Day10", "Day10"])
    assert root_cells(obs, "cells.h5ad")[0].tolist() == [4, 5]


def test_cells_without_an_embedding_are_no_root():
    points = POINTS.copy()
    points[2] = np.nan
    assert find_root(cells(is_root=ROOTS), None, points, "cells.h5ad")[0] == 1


def test_a_named_root_that_is_no_cell_is_refused():
    with pytest.raises(DataError, match=r"cells\.h5ad: .*'cell9'"):
        find_root(cells(), "cell9", POINTS, "cells.h5ad")


def test_a_reference_is_read_as_it_was_written(tmp_path):
    pseudotime = np.array([0, 0.25, 1, np.inf, np.nan, 0.5])
    written = Reference(NAMES, pseudotime, 0, "dataset: reference_pseudotime", "dataset: iroot_cell")
    write_reference(tmp_path / "pseudotime.tsv", written)
    read = read_reference(tmp_path / "pseudotime.tsv")
    np.testing.assert_array_equal(read.pseudotime, pseudotime)
    assert (read.cell_ids, read.root, read.source) == (NAMES, 0, written.source)
    assert read.root_source == written.root_source


def test_a_table_without_its_root_is_refused(tmp_path):
    written = Reference(NAMES, np.zeros(6), 0, "dataset: reference_pseudotime", "dataset: iroot_cell")
    write_reference(tmp_path / "pseudotime.tsv", written)
    text = (tmp_path / "pseudotime.tsv").read_text()
    (tmp_path / "pseudotime.tsv").write_text(text.replace("cell0\t0\t1", "cell0\t0\t0"))
    with pytest.raises(DataError, match=r"one root.* 0"):
        read_reference(tmp_path / "pseudotime.tsv")
