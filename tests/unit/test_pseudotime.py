"""Graph, diffusion map and pseudotime are scanpy's; a root reaches its own component alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layerscope
from layerscope.errors import DataError
from layerscope.tasks.trajectory.graph import neighbour_graph
from layerscope.tasks.trajectory.pseudotime import diffusion_map, diffusion_pseudotime


def curve(n_cells, seed=0, n_dimensions=30):
    """Cells along a bent line, and where on it they lie."""
    random = np.random.default_rng(seed)
    position = np.sort(random.random(n_cells))
    path = np.cos(np.outer(position, random.normal(size=n_dimensions)) * 3 + random.normal(size=n_dimensions))
    return path + 0.1 * random.normal(size=path.shape), position


def islands():
    """Two groups of cells, far apart."""
    near, _ = curve(150, seed=1)
    far, _ = curve(60, seed=2)
    return np.vstack([near, far + 100])


def with_duplicates():
    matrix, _ = curve(200, seed=3)
    matrix[20:40] = matrix[20]
    return matrix


CASES = {"one": curve(300)[0], "two": islands(), "copies": with_duplicates()}
METRICS = ("cosine", "euclidean")
ROOT = 7
SCANPY = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, scanpy
from scipy import sparse
from layerscope.tasks.trajectory.neighbours import nearest_neighbours

class OurNeighbours:
    def __init__(self, metric):
        self.metric = metric

    def get_params(self, deep=True):
        return {"n_neighbors": 15}

    def fit_transform(self, matrix):
        nearest = nearest_neighbours(matrix, 15, self.metric)
        start = np.arange(0, nearest.indices.size + 1, 15)
        values = (nearest.distances.ravel(), nearest.indices.ravel(), start)
        return sparse.csr_matrix(values, shape=(len(matrix), len(matrix)))

def results(matrix, transformer):
    cells = scanpy.AnnData(matrix)
    cells.uns["iroot"] = int(sys.argv[3])
    scanpy.pp.neighbors(cells, n_neighbors=15, use_rep="X", transformer=transformer)
    scanpy.tl.diffmap(cells)
    scanpy.tl.dpt(cells)
    return cells.obsp["connectivities"].toarray(), cells.uns["diffmap_evals"], cells.obs["dpt_pseudotime"]

theirs = {}
for name, matrix in np.load(sys.argv[1]).items():
    for metric in ("cosine", "euclidean"):
        for kind, values in zip(("graph", "values", "dpt"), results(matrix, OurNeighbours(metric))):
            theirs[f"{name} {metric} {kind}"] = np.asarray(values)
np.savez(sys.argv[2], **theirs)
"""


@pytest.fixture(scope="module")
def scanpys(tmp_path_factory):
    """What scanpy makes of the cases, where numba compiles nothing, which takes long."""
    folder = tmp_path_factory.mktemp("scanpy")
    np.savez(folder / "cases.npz", **CASES)
    packages = str(Path(layerscope.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", SCANPY, folder / "cases.npz", folder / "theirs.npz", str(ROOT)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": packages},
        check=True,
    )
    return np.load(folder / "theirs.npz")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_scanpys(scanpys, case, metric):
    graph = neighbour_graph(CASES[case], 15, metric)
    diffusion = diffusion_map(graph)
    pseudotime = diffusion_pseudotime(diffusion, [ROOT])[0]
    np.testing.assert_allclose(graph.connectivities.toarray(), scanpys[f"{case} {metric} graph"], atol=1e-5)
    np.testing.assert_allclose(diffusion.values, scanpys[f"{case} {metric} values"], atol=2e-6)
    np.testing.assert_allclose(pseudotime, scanpys[f"{case} {metric} dpt"], atol=1e-5)


def test_pseudotime_follows_a_known_order():
    matrix, position = curve(500)
    pseudotime = diffusion_pseudotime(diffusion_map(neighbour_graph(matrix)), [0])[0]
    assert np.corrcoef(pseudotime.argsort().argsort(), position.argsort().argsort())[0, 1] > 0.99
    assert pseudotime[0] == 0
    assert pseudotime.max() == 1


def test_cells_that_a_root_cannot_reach_are_infinite():
    diffusion = diffusion_map(neighbour_graph(islands()))
    from_near, from_far = diffusion_pseudotime(diffusion, [0, 200])
    np.testing.assert_array_equal(np.isinf(from_near), np.arange(210) >= 150)
    np.testing.assert_array_equal(np.isinf(from_far), np.arange(210) < 150)


def test_a_root_that_is_no_cell_is_refused():
    diffusion = diffusion_map(neighbour_graph(curve(100)[0]))
    with pytest.raises(DataError, match="root cell 100"):
        diffusion_pseudotime(diffusion, [100])
