"""How often is a layer taken for as good that is worse by the margin, and how often one that is as good?

    python benchmarks/cheapest_calibration.py --studies 1000

A layer's score is the mean of its values over items, skewed and within 0 and 1, and layers share what makes
an item hard; resamples draw items with replacement, as everywhere. For comparison: how often that layer is
merely not significantly worse (max-T p of 0.05 and more), which is not the question.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
import pandas as pd

from layerscope.statistics.cheapest import below_the_best, earliest
from layerscope.statistics.evidence import Measured
from layerscope.statistics.layer_curves import differences

MARGIN = 0.02
TOP = 0.75
# how far each layer is below the top, in margins; the last is the final layer
SCENARIOS = {
    "one layer worse by the margin": (1, 0, 0, 0),
    "all but the final layer worse by the margin": (1, 1, 1, 0),
    "all layers equal": (0, 0, 0, 0),
    "worse by half the margin": (0.5, 0, 0, 0),
    "final layer worse than the best by the margin": (1, 0, 0, 1),
}
ITEMS = (24, 100, 400)


def layers_of_study(below: Sequence[float], n_items: int, n_resamples: int, seed: int) -> list[Measured]:
    """Scores of one study with their resamples."""
    random = np.random.default_rng([seed, n_items])
    hard = random.beta(2, 6, n_items)[:, None] - 0.25
    own = random.beta(2, 6, (n_items, len(below))) - 0.25
    values = TOP - MARGIN * np.asarray(below) - hard - 0.3 * own
    drawn = random.multinomial(n_items, np.full(n_items, 1 / n_items), n_resamples) / n_items
    estimates, resamples = values.mean(axis=0), drawn @ values
    return [
        Measured("m", f"{place + 1:02d}", estimates[place], np.nan, np.nan, np.nan, resamples[:, place])
        for place in range(len(below))
    ]


def judge(below: Sequence[float], n_items: int, n_studies: int, n_resamples: int) -> dict[str, float]:
    """Shares of studies in which a layer is taken for as good, wrongly and rightly."""
    behind_final = np.array(below) - below[-1]
    behind_best = np.array(below) - min(below)
    rows = []
    for seed in range(n_studies):
        layers = layers_of_study(below, n_items, n_resamples, seed)
        over_final = differences(layers, [layers[-1]] * len(layers))
        final, best = (
            earliest(layers, contrasts, MARGIN) for contrasts in (over_final, below_the_best(layers))
        )
        rows.append(
            {
                "wrong, of final": final is not None and behind_final[final] >= 1,
                "wrong, of best": best is not None and behind_best[best] >= 1,
                "01 as good as final": final == 0,
                "01 as good as best": best == 0,
                "01 not significantly worse": over_final[0].p >= 0.05,
            }
        )
    shares: dict[str, float] = pd.DataFrame(rows).mean().to_dict()
    return shares


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args(argv)
    rows = [
        {"scenario": name, "items": n_items} | judge(below, n_items, args.studies, args.resamples)
        for name, below in SCENARIOS.items()
        for n_items in ITEMS
    ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
