"""Do the statistics keep their promises? Simulated studies whose truth is known, scored by protocol strict.

``trajectory_calibration.py``, ``perturbation_calibration.py`` and ``label_calibration.py`` draw and score
the studies; the last only if asked for (``--tasks label``). Printed, and written if asked: how often an
interval holds the true value, how often a layer is claimed to beat the final one where none does, and how
often where one does.

    python benchmarks/calibration.py --studies 200 --processes 4 --output calibration.tsv

The true value of a score is its mean over many further studies (``--truth``). It is the value for as many
cells as a study has, since a diffusion pseudotime of more cells is a better one. Shares of studies stand with
their 95% interval (Clopper and Pearson 1934), since 200 studies are not all there could be.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "workflow"), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.stats import binomtest  # noqa: E402

from layerscope.arrays import Floats  # noqa: E402
from layerscope.statistics.choice import SIGNIFICANT  # noqa: E402
from layerscope.statistics.held_out import held_out  # noqa: E402
from layerscope.statistics.intervals import percentile_interval  # noqa: E402
from layerscope.statistics.multiple_testing import max_t, p_best  # noqa: E402
from layerscope.tables import CHOSEN_ON, SCORED_ON, Subject, write_table  # noqa: E402
from layerscope.tasks.scored import Scored  # noqa: E402

TASKS = ("perturbation", "trajectory", "label", "response", "time")


@dataclass(frozen=True)
class Scenario:
    """How much each layer has of the truth, and whether the labels have been shuffled."""

    name: str
    signal: tuple[float, ...]
    shuffled: bool = False

    @property
    def null(self) -> bool:
        """Whether no layer is truly above the final one."""
        return self.shuffled or max(self.signal) == self.signal[-1]


def scenarios(labels: str) -> tuple[Scenario, ...]:
    """The same for every task, whose ``labels`` are shuffled in one of them."""
    nothing, equal, middle = (0.0,) * 5, (0.6,) * 5, (0.3, 0.6, 1.0, 0.8, 0.5)
    return (
        Scenario("no signal in any layer", nothing),
        Scenario(f"{labels} shuffled", middle, shuffled=True),
        Scenario("all layers equally good", equal),
        Scenario("a middle layer best", middle),
    )


@dataclass(frozen=True)
class Study:
    """Scores of one simulated study: estimates, resamples and values on halves, layer by layer."""

    estimates: Floats
    resamples: Floats
    chosen_on: Floats
    scored_on: Floats


def study_of(layers: Iterable[Scored], metric: str) -> Study:
    """The scores of one study's layers by this metric."""
    scored = []
    for layer in layers:
        estimate = next(row.estimate for row in layer.rows if row.metric == metric)
        scored.append(
            (np.array([estimate]), *(layer.resamples[metric + end] for end in ("", CHOSEN_ON, SCORED_ON)))
        )
    return Study(*(np.stack(parts, axis=-1) for parts in zip(*scored, strict=True)))


def subject(task: str, seed: int) -> Subject:
    """What the rows of a simulated study are about."""
    return Subject(condition="c", model="m", layer="01", depth=0.0, task=task, protocol="strict", seed=seed)


def judge(scenario: Scenario, studies: Sequence[Study], truth: Floats) -> list[dict[str, object]]:
    """Compare what the statistics promise with what they kept over all studies of a scenario."""
    inside, together, gains, contains, within, optimism = [], [], [], [], [], []
    claims, false_claims = [], []
    best = int(np.argmax(truth))
    true_gain = np.zeros(len(truth) - 1) if scenario.null else truth[:-1] - truth[-1]
    for study in studies:
        estimates, resamples = study.estimates[0], study.resamples
        intervals = np.array([percentile_interval(values) for values in resamples.T])
        inside.append((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
        simultaneous = max_t(estimates, resamples)
        together.append(((simultaneous.low <= truth) & (truth <= simultaneous.high)).all())
        ahead = resamples[:, :-1] - resamples[:, [-1]]
        low, high = np.transpose([percentile_interval(values) for values in ahead.T])
        gains.append((low <= true_gain) & (true_gain <= high))
        claimed = max_t(estimates[:-1] - estimates[-1], ahead).low > 0
        claims.append(claimed.any())
        false_claims.append((claimed & (true_gain <= 0)).any())
        contains.append(p_best(estimates, resamples)[best] > SIGNIFICANT)
        within.append(np.abs(estimates) < 2 * resamples.std(axis=0))
        optimism.append(held_out(study.chosen_on, study.scored_on).optimism)
    rows: list[tuple[object, ...]] = [
        ("95% interval of a layer holds its true score", np.mean(inside), "0.93 to 0.97"),
        ("simultaneous intervals hold all true scores", np.mean(together), "0.93 to 0.99", *sure(together)),
        ("95% interval of layer minus final holds the true gain", np.mean(gains), "0.93 to 0.97"),
        (
            "a layer is wrongly claimed to beat the final one",
            np.mean(false_claims),
            "<= 0.05",
            *sure(false_claims),
        ),
        ("confidence set holds the truly best layer", np.mean(contains), ">= 0.95", *sure(contains)),
        ("optimism of the highest of all layers", np.mean(optimism), "reported"),
    ]
    if not scenario.null:
        rows.append(
            ("a layer is rightly claimed to beat the final one", np.mean(claims), "power", *sure(claims))
        )
    if np.abs(truth).max() < 0.02:
        means = np.array([study.estimates.mean() for study in studies])
        away = means.mean() / (means.std(ddof=1) / np.sqrt(len(means)))
        rows.insert(0, ("estimate within 2 standard errors of 0", np.mean(within), ">= 0.95"))
        rows.insert(1, ("mean of all studies, in its standard errors", away, "-2 to 2"))
    columns = ("statistic", "found", "promised", "low", "high")
    about = {"scenario": scenario.name, "studies": len(studies)}
    return [about | dict(zip(columns, row, strict=False)) for row in rows]


def sure(happened: Sequence[object]) -> tuple[float, float]:
    """95% interval of the share of studies in which something happened."""
    interval = binomtest(sum(map(bool, happened)), len(happened)).proportion_ci()
    return float(interval.low), float(interval.high)


def calibrate(
    task: str, numbers: Sequence[int], n_studies: int, n_truth: int, processes: int
) -> pd.DataFrame:
    """Simulate and judge scenarios of a task, given by their numbers from 1."""
    simulated = import_module(f"{task}_calibration")
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(processes) as pool:
        for scenario in [simulated.SCENARIOS[number - 1] for number in numbers]:
            draw = partial(simulated.simulate, scenario, simulated.SIZE)
            further = pool.map(partial(draw, simulated.QUICK), range(10**6, 10**6 + n_truth), chunksize=4)
            truth = np.mean([study.estimates[0] for study in further], axis=0)
            studies = list(pool.map(partial(draw, simulated.SETTINGS), range(n_studies)))
            found = judge(scenario, studies, truth)
            rows += [{"task": task, **row} for row in found]
            print(pd.DataFrame(rows[-len(found) :]).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--tasks", nargs="+", default=TASKS[:2], choices=TASKS)
    arguments.add_argument(
        "--scenarios",
        nargs="+",
        type=int,
        default=(1, 2, 3, 4),
        choices=(1, 2, 3, 4),
        help="1 no signal, 2 labels shuffled, 3 layers equally good, 4 a middle layer best",
    )
    arguments.add_argument("--studies", type=int, default=200)
    arguments.add_argument("--truth", type=int, default=400, help="further studies for the true scores")
    arguments.add_argument("--processes", type=int, default=4)
    arguments.add_argument("--output", type=Path, help="table to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, judge, print and write."""
    args = parser().parse_args(argv)
    tables = [
        calibrate(task, args.scenarios, args.studies, args.truth, args.processes) for task in args.tasks
    ]
    table = pd.concat(tables, ignore_index=True)
    if args.output:
        write_table(args.output, table)


if __name__ == "__main__":
    main()
