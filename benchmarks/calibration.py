"""Do the statistics keep their promises? Simulated studies whose truth is known, scored by protocol strict.

Each study draws cells along a branchless trajectory (three sampling times, two batches, sisters that sit
close together) and a model of several layers that follow it more or less well; nothing but noise differs
between studies. Printed, and written if asked: how often an interval holds the true value, how often a layer
is claimed to beat the final one where none does, and how often where one does.

    python benchmarks/calibration.py --studies 200 --processes 4 --output calibration.tsv

The true value of a score is its mean over many further studies (``--truth``). It is the value for as many
cells as a study has, since a diffusion pseudotime of more cells is a better one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from layerscope.statistics.held_out import held_out
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.multiple_testing import confidence_set, max_t
from layerscope.tables import write_table
from layerscope.trajectory.references import Reference
from layerscope.trajectory.scores import CHOSEN_ON, SCORED_ON, Subject
from layerscope.trajectory.settings import StrictSettings
from layerscope.trajectory.strict import SOMERS_D, score_strict

Floats = npt.NDArray[np.float64]

N_DIMENSIONS = 20
NOISE, SHARED_NOISE = 0.3, 0.4
SISTERS = 4
SETTINGS = StrictSettings(neighbourhoods=(15, 30), roots=20, resamples=500)


@dataclass(frozen=True)
class Scenario:
    """How well each layer follows the trajectory, and whether the labels have been shuffled."""

    name: str
    signal: tuple[float, ...]
    shuffled: bool = False

    @property
    def null(self) -> bool:
        """Whether no layer is truly above the final one."""
        return self.shuffled or max(self.signal) == self.signal[-1]


SCENARIOS = (
    Scenario("no signal in any layer", (0.0, 0.0, 0.0, 0.0, 0.0)),
    Scenario("time labels shuffled", (0.3, 0.6, 1.0, 0.8, 0.5), shuffled=True),
    Scenario("all layers equally good", (0.6, 0.6, 0.6, 0.6, 0.6)),
    Scenario("a middle layer best", (0.3, 0.6, 1.0, 0.8, 0.5)),
)


@dataclass(frozen=True)
class Study:
    """Scores of one simulated study: estimates, resamples and values on halves, layer by layer."""

    estimates: Floats
    resamples: Floats
    chosen_on: Floats
    scored_on: Floats


def simulate(scenario: Scenario, n_cells: int, settings: StrictSettings, seed: int) -> Study:
    """Draw one study and score every layer by protocol strict."""
    random = np.random.default_rng([7, SCENARIOS.index(scenario), seed])
    founder = np.repeat(random.random(-(-n_cells // SISTERS)), SISTERS)[:n_cells]
    position = np.clip(founder + 0.1 * random.normal(size=n_cells), 0, 1)
    labels = np.array(["early", "middle", "late"])
    time = np.clip((3 * (position + 0.15 * random.normal(size=n_cells))).astype(int), 0, 2)
    clones = np.array([f"clone{cell // SISTERS}" for cell in range(n_cells)])
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(labels[time], categories=labels, ordered=True),
            "batch": np.where(random.random(n_cells) < 0.5, "one", "two"),
            "is_root": position < 0.2,
            "clone": clones,
        },
        index=[f"study{seed}cell{cell}" for cell in range(n_cells)],
    )
    if scenario.shuffled:
        obs = obs.iloc[random.permutation(n_cells)].set_index(obs.index)
    path = np.cos(np.outer(position, np.linspace(1, 6, N_DIMENSIONS)) + np.arange(N_DIMENSIONS))
    shared = SHARED_NOISE * random.normal(size=path.shape)
    reference = Reference(list(obs.index), position, 0, "simulated", "simulated")
    subject = Subject(condition="c", model="m", layer="01", depth=0.0, seed=1, protocol="strict")
    scored = []
    for signal in scenario.signal:
        matrix = signal * path + shared + NOISE * random.normal(size=path.shape)
        found = score_strict(matrix.astype(np.float32), reference, obs, subject, settings)
        estimate = next(row.estimate for row in found.rows if row.metric == SOMERS_D)
        kept = [found.resamples[SOMERS_D + ending] for ending in ("", CHOSEN_ON, SCORED_ON)]
        scored.append((np.array([estimate]), *kept))
    return Study(*(np.stack(parts, axis=-1) for parts in zip(*scored, strict=True)))


def judge(scenario: Scenario, studies: Sequence[Study], truth: Floats) -> list[dict[str, object]]:
    """Compare what the statistics promise with what they kept over all studies of a scenario."""
    inside, together, gains, contains, claims, within, optimism = [], [], [], [], [], [], []
    best = int(np.argmax(truth))
    for study in studies:
        estimates, resamples = study.estimates[0], study.resamples
        intervals = np.array([percentile_interval(values) for values in resamples.T])
        inside.append((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
        simultaneous = max_t(estimates, resamples)
        together.append(((simultaneous.low <= truth) & (truth <= simultaneous.high)).all())
        ahead = resamples[:, :-1] - resamples[:, [-1]]
        low, high = np.transpose([percentile_interval(values) for values in ahead.T])
        true_gain = truth[:-1] - truth[-1]
        gains.append((low <= true_gain) & (true_gain <= high))
        claims.append(max_t(estimates[:-1] - estimates[-1], ahead).p_greater.min() < 0.05)
        contains.append(confidence_set(estimates, resamples)[best])
        within.append(np.abs(estimates) < 2 * resamples.std(axis=0))
        optimism.append(held_out(study.chosen_on, study.scored_on).optimism)
    rows: list[tuple[str, object, str]] = [
        ("95% interval of a layer holds its true score", np.mean(inside), "0.93 to 0.97"),
        ("simultaneous intervals hold all true scores", np.mean(together), "0.93 to 0.99"),
        ("95% interval of layer minus final holds the true gain", np.mean(gains), "0.93 to 0.97"),
        (
            "a layer is claimed to beat the final one",
            np.mean(claims),
            "<= 0.05" if scenario.null else "power",
        ),
        ("confidence set holds the truly best layer", np.mean(contains), ">= 0.95"),
        ("optimism of the highest of all layers", np.mean(optimism), "reported"),
    ]
    if np.abs(truth).max() < 0.02:
        rows.insert(0, ("estimate within 2 standard errors of 0", np.mean(within), ">= 0.95"))
    return [
        {
            "scenario": scenario.name,
            "statistic": name,
            "found": found,
            "promised": promised,
            "studies": len(studies),
        }
        for name, found, promised in rows
    ]


def calibrate(n_studies: int, n_truth: int, n_cells: int, processes: int) -> pd.DataFrame:
    """Simulate and judge all scenarios."""
    quick = replace(SETTINGS, halvings=0, resamples=0)
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(processes) as pool:
        for scenario in SCENARIOS:
            further = pool.map(partial(simulate, scenario, n_cells, quick), range(10**6, 10**6 + n_truth))
            truth = np.mean([study.estimates[0] for study in further], axis=0)
            studies = list(pool.map(partial(simulate, scenario, n_cells, SETTINGS), range(n_studies)))
            rows += judge(scenario, studies, truth)
            print(pd.DataFrame(rows[-7:]).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Read the arguments, simulate, print the table and write it if asked."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", type=int, default=200)
    arguments.add_argument(
        "--truth", type=int, default=1000, help="further studies that the true scores come from"
    )
    arguments.add_argument("--cells", type=int, default=400)
    arguments.add_argument("--processes", type=int, default=4)
    arguments.add_argument("--output", type=Path)
    args = arguments.parse_args()
    table = calibrate(args.studies, args.truth, args.cells, args.processes)
    print(table.to_string(index=False))
    if args.output:
        write_table(args.output, table)


if __name__ == "__main__":
    main()
