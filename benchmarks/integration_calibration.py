"""Do the two columns of an integration keep their promises? Simulated batches whose truth is known.

Each study draws cells anew; nothing but noise differs between studies. Three batches are the same in all
studies, since the interval of so few is for these alone; twelve are drawn anew with the cells. A model has
three layers, each with so much of the types, and of what parts the batches.

    python benchmarks/integration_calibration.py --studies 200 --processes 2

Printed for both columns: how often intervals hold the true value (the mean over further studies), and how
often a layer is claimed to be better than the final one, of either column at no loss of the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from calibration import sure

from layerscope.arrays import Floats
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.multiple_testing import max_t
from layerscope.tasks.integration.design import design_of
from layerscope.tasks.integration.scores import BIOLOGY, MIXING, biology_of, layer_of, mixing_of, resamples_of
from layerscope.tasks.integration.settings import IntegrationSettings

SETTINGS = IntegrationSettings(resamples=500, shuffles=5, neighbours=45, cells_per_batch=10)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "parts": 2})
SHARES = (0.35, 0.25, 0.2, 0.2)
WIDTH = 12
CELLS = {3: 480, 12: 960}
"""Cells of a study of so many batches."""


@dataclass(frozen=True)
class Scenario:
    """How much each layer has of the types, and of what parts the batches."""

    name: str
    of_types: tuple[float, float, float]
    of_batches: tuple[float, float, float]
    truly_better: bool = False


SCENARIOS = (
    Scenario("no signal in any layer", (0, 0, 0), (0, 0, 0)),
    Scenario("all layers alike", (0.8, 0.8, 0.8), (0.5, 0.5, 0.5)),
    Scenario("the first mixes better, types as well", (0.8, 0.8, 0.8), (0.1, 0.5, 0.5), truly_better=True),
    Scenario("the first mixes better and loses types", (0.3, 0.8, 0.8), (0.1, 0.5, 0.5)),
)


def simulate(
    scenario: Scenario, n_batches: int, settings: IntegrationSettings, seed: int
) -> dict[str, Floats]:
    """Scores of one study: by column the estimate and then the resamples, one column for each layer."""
    random = np.random.default_rng([SCENARIOS.index(scenario), n_batches, seed])
    fixed = np.random.default_rng(3)
    centres = fixed.normal(size=(len(SHARES), WIDTH))
    shifts = (fixed if n_batches < settings.least_batches else random).normal(size=(n_batches, WIDTH))
    batch = np.repeat(np.arange(n_batches), CELLS[n_batches] // n_batches)
    kind = random.choice(len(SHARES), len(batch), p=SHARES)
    obs = pd.DataFrame(
        {"cell_type": kind.astype(str), "batch": [f"study{seed}batch{one}" for one in batch]},
        index=[f"study{seed}cell{cell}" for cell in range(len(batch))],
    )
    design = design_of(obs, settings, seed)
    scores: dict[str, list[Floats]] = {MIXING: [], BIOLOGY: []}
    for of_types, of_batches in zip(scenario.of_types, scenario.of_batches, strict=True):
        noise = random.normal(size=(len(batch), WIDTH))
        layer = layer_of(
            of_types * centres[kind] + of_batches * shifts[batch] + noise, design, settings, seed
        )
        measured = {MIXING: mixing_of(layer), BIOLOGY: biology_of(layer)[BIOLOGY]}
        for metric, one in measured.items():
            null = np.mean(one.null) if len(np.atleast_1d(one.null)) else np.nan
            scores[metric].append(np.r_[one.estimate, null, resamples_of(one, metric, layer)])
    return {metric: np.stack(values, axis=-1) for metric, values in scores.items()}


def judge(
    scenario: Scenario, studies: Sequence[dict[str, Floats]], truth: dict[str, Floats]
) -> list[tuple[object, ...]]:
    """What was promised and what was kept over all studies of a scenario."""
    rows: list[tuple[object, ...]] = []
    ahead, behind = {}, {}
    for metric, true in truth.items():
        values = np.stack([study[metric] for study in studies])
        estimates, null, resamples = values[:, 0], values[:, 1], values[:, 2:]
        intervals = np.array([[percentile_interval(one) for one in study.T] for study in resamples])
        inside = (intervals[..., 0] <= true) & (true <= intervals[..., 1])
        error = estimates.mean(axis=1).std(ddof=1) / np.sqrt(len(estimates))
        rows.append((metric, "true value of each layer", true.round(3).tolist(), ""))
        expected = null.mean() if metric == BIOLOGY else 1.0
        if not any(scenario.of_types) and not any(scenario.of_batches):
            away = (estimates.mean() - expected) / error
            rows.append((metric, f"mean minus {expected:.3f}, in standard errors", away, "-2 to 2"))
        rows.append((metric, "95% interval of a layer holds its true score", inside.mean(), "0.93 to 0.97"))
        over = resamples[..., :-1] - resamples[..., [-1]]
        gains = estimates[:, :-1] - estimates[:, [-1]]
        of_gain = np.array([[percentile_interval(one) for one in study.T] for study in over])
        true_gain = true[:-1] - true[-1]
        held = (of_gain[..., 0] <= true_gain) & (true_gain <= of_gain[..., 1])
        rows.append((metric, "95% interval of layer minus final holds the gain", held.mean(), "0.93 to 0.97"))
        tests = [max_t(gain, one) for gain, one in zip(gains, over, strict=True)]
        ahead[metric] = np.array([test.low > 0 for test in tests])
        behind[metric] = np.array([test.high < 0 for test in tests])
    better = (ahead[MIXING] & ~behind[BIOLOGY] | ahead[BIOLOGY] & ~behind[MIXING]).any(axis=1)
    traded = (ahead[MIXING] & behind[BIOLOGY] | ahead[BIOLOGY] & behind[MIXING]).any(axis=1)
    promised = "power" if scenario.truly_better else "<= 0.05"
    rows.append(
        ("both", "a layer is claimed to be better than the final one", better.mean(), promised, *sure(better))
    )
    rows.append(("both", "a layer is told to be a trade-off", traded.mean(), "", *sure(traded)))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, judge and print."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--scenarios", nargs="+", type=int, default=(1, 2, 3, 4), choices=(1, 2, 3, 4))
    arguments.add_argument("--batches", nargs="+", type=int, default=tuple(CELLS), choices=CELLS)
    arguments.add_argument("--studies", type=int, default=200)
    arguments.add_argument("--truth", type=int, default=300, help="further studies for the true scores")
    arguments.add_argument("--processes", type=int, default=2)
    args = arguments.parse_args(argv)
    with ProcessPoolExecutor(args.processes) as pool:
        for n_batches in args.batches:
            for scenario in (SCENARIOS[number - 1] for number in args.scenarios):
                draw = partial(simulate, scenario, n_batches)
                further = list(pool.map(partial(draw, QUICK), range(10**6, 10**6 + args.truth), chunksize=4))
                truth = {m: np.mean([study[m][0] for study in further], axis=0) for m in (MIXING, BIOLOGY)}
                studies = list(pool.map(partial(draw, SETTINGS), range(args.studies), chunksize=4))
                columns = ["column", "statistic", "found", "promised", "low", "high"]
                table = pd.DataFrame(judge(scenario, studies, truth), columns=columns)
                about = f"{scenario.name}, {n_batches} batches, {args.studies} studies"
                print(about, table.to_string(index=False), sep="\n", flush=True)


if __name__ == "__main__":
    main()
