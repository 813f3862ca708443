"""What holds for the scores of every task and protocol: order, refused cells, constant layers, pairing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from task_examples import RUNS, cells_of, settings, write_example

from layerscope.cells.obs import read_obs
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import Layer, read_layer
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score
from layerscope.tasks.catalogue import TASKS, primary_metrics
from layerscope.tasks.jobs import ScoringJob, make_reference, score
from layerscope.tasks.scored import Scored

NUMBERS = ("estimate", "ci_low", "ci_high", "ceiling", "null_mean", "p_value")


@dataclass
class Example:
    """Cells of a task, what they are compared with, and a layer of them."""

    task: str
    protocol: str
    obs: pd.DataFrame
    matrix: np.ndarray
    reference: Path | None

    def score(self, matrix: np.ndarray | None = None) -> Scored:
        ids = self.obs.index.tolist()
        layer = Layer(matrix=self.matrix if matrix is None else matrix, cell_ids=ids, provenance={})
        checked = TASKS[self.task].settings_of(self.protocol, settings(self.task, self.protocol))
        about = {"condition": "c", "model": "m", "layer": "official", "seed": 1}
        job = {"protocol": self.protocol, "settings": checked, "obs": self.obs, "reference": self.reference}
        return score(self.task, ScoringJob(**about, **job, embeddings=layer))

    def row(self, scored: Scored) -> Score:
        """The row of the primary metric."""
        rows = {row.metric: row for row in scored.rows}
        return next(rows[name] for name in primary_metrics(self.task, self.protocol) if name in rows)


def example(folder: Path, task: str, protocol: str, order: np.ndarray | None = None) -> Example:
    """Make a task's cells, their reference, and a layer."""
    if not (cells := folder / f"{task}.h5ad").exists():
        write_example(folder, task, order)
    reference = folder / f"{task}_{protocol}" if TASKS[task].has_reference else None
    if reference and not reference.exists():
        baseline = [folder / f"{task}_{TASKS[task].baseline}.h5ad"] if TASKS[task].baseline else []
        about = {"task": task, "protocol": protocol, "condition": "c", "seed": 1, "baseline": baseline}
        make_reference(**about, cells=cells, settings=settings(task, protocol), output=reference)
    layer = read_layer(folder / f"{task}_log_all_genes.h5ad", "official")
    return Example(task, protocol, read_obs(cells), layer.matrix.astype(np.float64), reference)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@pytest.fixture
def run(folder: Path, request: pytest.FixtureRequest) -> Example:
    return example(folder, *request.param)


every_run = pytest.mark.parametrize("run", RUNS, indirect=True, ids="-".join)


# protocol released takes the first cell of the file for the root of a trajectory
@pytest.mark.parametrize(("task", "protocol"), [run for run in RUNS if run != ("trajectory", "released")])
def test_the_order_of_cells_changes_nothing(folder: Path, tmp_path: Path, task: str, protocol: str) -> None:
    order = np.random.default_rng(1).permutation(cells_of(task).n_obs)
    runs = example(folder, task, protocol), example(tmp_path, task, protocol, order)
    first, second = (run.row(run.score()) for run in runs)
    # on halves of a trajectory's cells eigenvectors have four digits, from a start that has an order
    tolerance = 0.02 if task == "trajectory" else 1e-4
    for name in NUMBERS:
        assert getattr(first, name) == pytest.approx(getattr(second, name), abs=tolerance, nan_ok=True), name


@every_run
def test_a_constant_layer_has_no_score(run: Example) -> None:
    scored = run.score(np.ones_like(run.matrix))
    assert run.row(scored).status == "undefined" and "constant layer" in run.row(scored).reason
    assert run.row(scored).metric not in scored.resamples


@every_run
def test_refused_cells_are_left_out_and_layers_stay_paired(run: Example) -> None:
    matrix = run.matrix.copy()
    matrix[7::37] = np.nan
    whole, fewer = run.score(), run.score(matrix)
    metric, n_refused = run.row(whole).metric, len(matrix[7::37])
    assert run.row(fewer).status == "ok"
    assert run.row(whole).n_cells - n_refused <= run.row(fewer).n_cells < run.row(whole).n_cells
    assert np.corrcoef(whole.resamples[metric], fewer.resamples[metric])[0, 1] > 0.3


@pytest.mark.parametrize("run", [run for run in RUNS if run[0] != "integration"], indirect=True, ids="-".join)
def test_halves_choose_and_score_a_layer(run: Example) -> None:
    scored, metric = run.score(), run.row(run.score()).metric
    halves = [scored.resamples[metric + ending] for ending in (CHOSEN_ON, SCORED_ON)]
    assert [values.shape for values in halves] == [(settings(run.task, run.protocol)["splits"],)] * 2
    assert np.isfinite(halves).all()


@pytest.mark.parametrize(
    "run",
    [run for run in RUNS if run[1] == "strict" and TASKS[run[0]].has_reference],
    indirect=True,
    ids="-".join,
)
def test_a_reference_of_other_cells_is_refused(run: Example) -> None:
    run.obs = run.obs.rename(index=lambda name: f"other {name}")
    with pytest.raises(DataError, match="delete this reference"):
        run.score()
