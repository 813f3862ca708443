"""Time the exact neighbour search beside faiss's own exact search, in the same run on the same points.

python benchmarks/neighbours.py --cells 70000 --dimensions 2048 --threads 4
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from layerscope.tasks.trajectory.neighbours import nearest_neighbours

K = 15


def points(n_cells: int, n_dimensions: int) -> np.ndarray:
    """Points as a layer's are: many dimensions, few of them of weight, all pointing one way."""
    random = np.random.default_rng(0)
    inner = random.normal(size=(n_cells, 20)).astype(np.float32)
    found = inner @ random.normal(size=(20, n_dimensions)).astype(np.float32)
    found += random.normal(size=found.shape).astype(np.float32)
    found += 3 * np.sqrt(20)
    return found


def by_faiss(matrix: np.ndarray, threads: int) -> tuple[np.ndarray, float]:
    """Neighbours and seconds of faiss's exact search by inner product of unit vectors."""
    faiss.omp_set_num_threads(threads)
    start = time.perf_counter()
    unit = matrix.copy()
    faiss.normalize_L2(unit)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    _, found = index.search(unit, K)
    return found, time.perf_counter() - start


def main() -> None:
    """Time both searches and print the ratio, the agreement and the memory."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cells", type=int, default=20000)
    arguments.add_argument("--dimensions", type=int, default=768)
    arguments.add_argument("--threads", type=int, default=4)
    args = arguments.parse_args()
    matrix = points(args.cells, args.dimensions)
    nearest_neighbours(matrix[:200], K)
    start = time.perf_counter()
    with threadpool_limits(args.threads):
        ours = nearest_neighbours(matrix, K).indices
    own = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    theirs, other = by_faiss(matrix, args.threads)
    agreement = np.mean([len(set(a) & set(b)) / K for a, b in zip(ours, theirs, strict=True)])
    print(
        f"{args.cells} x {args.dimensions}, {args.threads} threads: "
        f"layerscope {own:.1f} s, faiss {other:.1f} s"
    )
    print(f"ratio {own / other:.2f}; {agreement:.4%} of neighbours agree; peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
