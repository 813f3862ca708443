"""How often intervals of the perturbation score cover the true score: bootstrap and infinitesimal jackknife.

Perturbations in modules, seen by a layer and by a reference with independent noise; the true score is that of
thousands of perturbations.

    python benchmarks/perturbation_intervals.py --studies 400
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman, spearman
from layerscope.tasks.perturbation.influence import (
    RankedPairs,
    interval,
    spearman_influence,
    standard_error,
)
from layerscope.tasks.perturbation.pairs import Draws, Pairs, resample
from layerscope.tasks.perturbation.similarity import cosine_matrix

DIMENSIONS = 6
MODULES = 4
RESAMPLES = 400
LARGE = 1500


def draw(random: np.random.Generator, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of ``n`` perturbations in a layer and in a reference."""
    fixed = np.random.default_rng(5)
    directions = fixed.normal(size=(MODULES, DIMENSIONS))
    view = 0.6 * fixed.normal(size=(DIMENSIONS, DIMENSIONS))
    strength = random.gamma(2.0, 0.5, (n, 1))
    effects = directions[random.integers(0, MODULES, n)] * strength
    layer = effects + noise * random.normal(size=effects.shape)
    reference = effects @ view + noise * random.normal(size=effects.shape)
    return cosine_matrix(layer), cosine_matrix(reference)


def simulate(n: int, noise: float, studies: int) -> dict[str, float]:
    """Coverage and spread over simulated studies of ``n`` perturbations."""
    random = np.random.default_rng([n, int(10 * noise)])
    large = Pairs(LARGE)
    truth = np.mean([spearman(*map(large.of, draw(random, LARGE, noise))) for _ in range(6)])
    pairs, items = Pairs(n), [f"P{index}" for index in range(n)]
    estimates, errors, spreads, covered = [], [], [], []
    for study in range(studies):
        x, y = map(pairs.of, draw(random, n, noise))
        score = spearman_influence(RankedPairs(x), RankedPairs(y), n)
        draws = Draws(items, items, study, RESAMPLES, 1)
        values = resample({"s": WeightedSpearman(x, y)}, draws)["s"]
        bounds = percentile_interval(values), interval(score)
        covered.append([low <= truth <= high for low, high in bounds])
        estimates.append(score.value)
        errors.append(standard_error(score.influence))
        spreads.append(values.std())
    bootstrap, jackknife = np.mean(covered, axis=0)
    return {
        "true": float(truth),
        "spread": float(np.std(estimates)),
        "bootstrap": float(np.mean(spreads)),
        "jackknife": float(np.mean(errors)),
        "covered_bootstrap": float(bootstrap),
        "covered_jackknife": float(jackknife),
    }


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--studies", type=int, default=400)
    arguments.add_argument("--perturbations", type=int, nargs="+", default=[24, 60, 100])
    arguments.add_argument("--noise", type=float, nargs="+", default=[0.7, 1.5])
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and print a table."""
    args = parser().parse_args(argv)
    for n in args.perturbations:
        for noise in args.noise:
            result = simulate(n, noise, args.studies)
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in result.items())
            print(f"n {n:4d}  noise {noise:.1f}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
