"""Do scores of labels of samples and of donors keep their promises? Simulated cohorts whose truth is known.

Each study draws donors anew: every donor and every sample has an offset of its own, a label moves all cells
of its donors or samples by ``signal``, and two layers see the same cells with noise of their own. Printed for
each number of donors: without signal the mean score beside the mean under dealt labels, and how often p is at
most 0.05; with signal how often the 95% interval holds the true score (the mean over further studies), and
how often one of two equally good layers is claimed to be better.

    python benchmarks/label_levels_calibration.py --studies 200 --processes 2
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from calibration import subject

from layerscope.statistics.intervals import percentile_interval
from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.scores import score_layer
from layerscope.tasks.label.settings import LabelSettings

WIDTH, CELLS_PER_SAMPLE = 6, 12
OF_DONOR, OF_SAMPLE = 0.6, 0.4
SIGNALS = {"donor": 1.0, "sample": 0.8}
METRICS = {"donor": "donor_auc", "sample": "auc"}
DONORS = {"donor": (6, 10, 16, 24), "sample": (6, 8, 12)}
"""Donors in all; of level donor one half of them has each label."""
SETTINGS = LabelSettings(column="label", resamples=400, splits=2, dealings=0)
NULL = SETTINGS.model_copy(update={"dealings": 200, "resamples": 2, "refits": 0})
TRUTH = SETTINGS.model_copy(update={"resamples": 2, "refits": 0})


def simulate(
    level: str, n_donors: int, signal: float, settings: LabelSettings, n_layers: int, seed: int
) -> list[dict[str, Any]]:
    """Estimate, interval, null and resampled values of the layers of one study."""
    random = np.random.default_rng([seed, n_donors, int(10 * signal), len(level)])
    donor = np.repeat(np.arange(n_donors), 2 * CELLS_PER_SAMPLE)
    sample = np.arange(len(donor)) // CELLS_PER_SAMPLE
    label = donor % 2 if level == "donor" else sample % 2
    state = OF_DONOR * random.normal(size=(n_donors, WIDTH))[donor]
    state += OF_SAMPLE * random.normal(size=(2 * n_donors, WIDTH))[sample]
    state += random.normal(size=(len(donor), WIDTH))
    state[:, 0] += signal * label
    obs = pd.DataFrame(
        {
            "label": np.array(["a", "b"])[label],
            "donor": [f"study{seed}donor{one:02d}" for one in donor],
            "sample": [f"sample{one:02d}" for one in sample],
        },
        index=[f"study{seed}cell{cell}" for cell in range(len(donor))],
    )
    design = design_of(obs, settings, seed)
    layers = []
    for _ in range(n_layers):
        matrix = state + 0.7 * random.normal(size=state.shape)
        scored = score_layer(matrix, design, settings, subject("label", seed))
        row = next(row for row in scored.rows if row.metric == METRICS[level])
        layers.append(
            {
                "estimate": row.estimate,
                "low": row.ci_low,
                "high": row.ci_high,
                "null": row.null_mean,
                "p": row.p_value,
                "values": scored.resamples[METRICS[level]],
            }
        )
    return layers


def judge(level: str, n_donors: int, n_studies: int, n_truth: int, pool: ProcessPoolExecutor) -> str:
    """One line of the table."""
    nothing = list(pool.map(partial(simulate, level, n_donors, 0.0, NULL, 1), range(n_studies)))
    first = pd.DataFrame([layers[0] for layers in nothing])
    away = first["estimate"] - first["null"]
    error = away.std(ddof=1) / np.sqrt(len(away))
    signal = SIGNALS[level]
    found = list(pool.map(partial(simulate, level, n_donors, signal, SETTINGS, 2), range(n_studies)))
    others = pool.map(partial(simulate, level, n_donors, signal, TRUTH, 2), range(10_000, 10_000 + n_truth))
    truth = float(np.mean([layer["estimate"] for layers in others for layer in layers]))
    holds = [layer["low"] <= truth <= layer["high"] for layers in found for layer in layers]
    has_interval = np.isfinite(found[0][0]["low"])
    claims = []
    for one, other in found:
        low, high = percentile_interval(one["values"] - other["values"])
        claims.append(low > 0 or high < 0)
    held = f"{np.mean(holds):.3f}" if has_interval else "none"
    means = f"{first['estimate'].mean():.3f}\t{first['null'].mean():.3f}\t{away.mean() / error:+.1f}"
    shares = f"{(first['p'] <= 0.05).mean():.3f}\t{truth:.3f}\t{held}\t{np.mean(claims):.3f}"
    return f"{level}\t{n_donors}\t{means}\t{shares}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument(
        "--truth", type=int, default=400, help="further studies that the true score is the mean of"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--levels", nargs="+", choices=list(DONORS), default=list(DONORS))
    chosen = parser.parse_args()
    print("level\tdonors\tmean\tnull\taway\tp<=0.05\ttruth\tholds\tclaims", flush=True)
    with ProcessPoolExecutor(chosen.processes) as pool:
        for level in chosen.levels:
            for n_donors in DONORS[level]:
                print(judge(level, n_donors, chosen.studies, chosen.truth, pool), flush=True)


if __name__ == "__main__":
    main()
