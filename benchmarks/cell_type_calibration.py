"""Do the statistics of the cell-type task keep their promises? Simulated donors whose cells' types are known.

Each study draws donors anew, with cells of five types that every donor shows a little differently, and a
model of several layers that see the same cells more or less well. Printed as ``calibration.py`` prints the
trajectory's: how often an interval holds the true value, how often a layer is claimed to beat the final one
where none does, and how often where one does.

    python benchmarks/cell_type_calibration.py --studies 200 --processes 4 --output calibration.tsv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "workflow"), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from calibration import Scenario, Study, judge  # noqa: E402

from layerscope.cell_type.design import design_of  # noqa: E402
from layerscope.cell_type.scores import CHOSEN_ON, PROBE_MACRO_F1, SCORED_ON, score_layer  # noqa: E402
from layerscope.cell_type.settings import CellTypeSettings  # noqa: E402
from layerscope.tables import write_table  # noqa: E402

SCENARIOS = (
    Scenario("no signal in any layer", (0.0, 0.0, 0.0, 0.0, 0.0)),
    Scenario("cell labels shuffled", (0.3, 0.6, 1.0, 0.8, 0.5), shuffled=True),
    Scenario("all layers equally good", (0.6, 0.6, 0.6, 0.6, 0.6)),
    Scenario("a middle layer best", (0.3, 0.6, 1.0, 0.8, 0.5)),
)
SETTINGS = CellTypeSettings(shuffles=0, resamples=500, splits=20)
SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
WIDTH, CELLS_PER_DONOR, BETWEEN_DONORS = 12, 50, 0.4
ABOUT = {
    "condition": "c",
    "model": "m",
    "layer": "01",
    "depth": 0.0,
    "task": "cell_type",
    "protocol": "strict",
}


def simulate(scenario: Scenario, n_donors: int, settings: CellTypeSettings, seed: int) -> Study:
    """Draw one study and score every layer."""
    random = np.random.default_rng([13, SCENARIOS.index(scenario), seed])
    centres = np.random.default_rng(3).normal(size=(len(SHARES), WIDTH))
    donor = np.repeat(np.arange(n_donors), CELLS_PER_DONOR)
    kind = random.choice(len(SHARES), len(donor), p=SHARES)
    shown = centres + BETWEEN_DONORS * random.normal(size=(n_donors, *centres.shape))
    state = shown[donor, kind] + random.normal(size=(len(donor), WIDTH))
    label = random.permutation(kind) if scenario.shuffled else kind
    obs = pd.DataFrame(
        {"cell_type": label.astype(str), "donor": [f"study{seed}donor{one}" for one in donor]},
        index=[f"study{seed}cell{cell}" for cell in range(len(donor))],
    )
    design = design_of(obs, settings, seed)
    scored = []
    for signal in scenario.signal:
        matrix = signal * state + random.normal(size=state.shape)
        rows, found = score_layer(matrix, design, settings, ABOUT, seed)
        estimate = next(row.estimate for row in rows if row.metric == PROBE_MACRO_F1)
        values = [found[PROBE_MACRO_F1 + ending] for ending in ("", CHOSEN_ON, SCORED_ON)]
        scored.append((np.array([estimate]), *values))
    return Study(*(np.stack(parts, axis=-1) for parts in zip(*scored, strict=True)))


def calibrate(n_studies: int, n_truth: int, n_donors: int, processes: int) -> pd.DataFrame:
    """Simulate and judge all scenarios."""
    quick = replace(SETTINGS, refits=0, resamples=1, splits=1)
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(processes) as pool:
        for scenario in SCENARIOS:
            draw = partial(simulate, scenario, n_donors)
            further = pool.map(partial(draw, quick), range(10**6, 10**6 + n_truth), chunksize=4)
            truth = np.mean([study.estimates[0] for study in further], axis=0)
            studies = list(pool.map(partial(draw, SETTINGS), range(n_studies), chunksize=4))
            found = judge(scenario, studies, truth)
            rows += found
            print(pd.DataFrame(found).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--studies", type=int, default=200)
    arguments.add_argument("--truth", type=int, default=1000, help="further studies for the true scores")
    arguments.add_argument("--donors", type=int, default=12, help="of 50 cells each")
    arguments.add_argument("--processes", type=int, default=4)
    arguments.add_argument("--output", type=Path, help="table to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate, judge, print and write."""
    args = parser().parse_args(argv)
    table = calibrate(args.studies, args.truth, args.donors, args.processes)
    if args.output:
        write_table(args.output, table)


if __name__ == "__main__":
    main()
