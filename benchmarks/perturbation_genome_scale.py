"""Time and memory of the perturbation score at genome scale: 12,748 perturbations, 18,000 genes, one layer.

Profiles and centroids are simulated from one low-dimensional truth with noise. S_bio is the Spearman
correlation of all pairs of profiles; the score the Spearman correlation of 81 million pairs, with its
interval.

    python benchmarks/perturbation_genome_scale.py --threads 4
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
from threadpoolctl import threadpool_limits

from layerscope.tasks.perturbation.genome_scale import row_blocks, spearman_of_many, upper_triangle
from layerscope.tasks.perturbation.influence import interval
from layerscope.tasks.perturbation.similarity import centred_ranks, cosines_of_ranks, products

TRUTH = 20


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print wall and CPU seconds of a block."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what:40s} {wall:8.1f} s {cpu:8.1f} CPU-s", flush=True)


def noisy(truth: np.ndarray, width: int, random: np.random.Generator) -> np.ndarray:
    """A projection of the truth under noise of about its own size."""
    values = truth @ random.normal(size=(TRUTH, width)).astype(np.float32)
    for row in values:
        row += 4 * random.standard_normal(width, dtype=np.float32)
    return values


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--perturbations", type=int, default=12_748)
    arguments.add_argument("--genes", type=int, default=18_000)
    arguments.add_argument("--dimensions", type=int, default=2_048)
    arguments.add_argument("--threads", type=int, default=4)
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, score and print what it took."""
    args = parser().parse_args(argv)
    threadpool_limits(args.threads)
    n = args.perturbations
    random = np.random.default_rng(0)
    truth = random.normal(size=(n, TRUTH)).astype(np.float32)
    with timed("simulating profiles (no part of the task)"):
        profiles = noisy(truth, args.genes, random)
    layer = noisy(truth, args.dimensions, random)
    layer /= np.linalg.norm(layer, axis=1, keepdims=True)
    start = time.perf_counter()
    with timed("ranking profiles"):
        ranks = np.empty(profiles.shape, dtype=np.float32)
        for rows in row_blocks(n):
            ranks[rows] = centred_ranks(profiles[rows])
    del profiles
    with timed("S_bio"):
        reference = upper_triangle(cosines_of_ranks(ranks))
    del ranks
    with timed("similarity of the layer"):
        similarity = upper_triangle(products(layer))
    halves = random.random((100, n)) < 0.5
    with timed("score, interval, 100 halves"):
        score, _, _ = spearman_of_many(similarity, reference, halves)
    low, high = interval(score)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"score {score.value:.5f} ({low:.5f} to {high:.5f}); {seconds:.0f} s; peak {peak:.1f} GB")


if __name__ == "__main__":
    main()
