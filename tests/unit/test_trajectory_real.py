"""On real cells: what one root, and agreement with another pseudotime, are worth.

781 mouse LARRY cells sampled on days 2, 4 and 6; read where the shared folder is.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from trajectory_cells import subject

from layerscope.statistics.ranks import spearman
from layerscope.tasks.trajectory.graph import neighbour_graph
from layerscope.tasks.trajectory.pseudotime import diffusion_map, diffusion_pseudotime
from layerscope.tasks.trajectory.references import FROM_DATASET, Reference
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.strict import score_strict

CELLS = Path(__file__).parents[3] / "shared" / "data" / "larry_mouse_781.h5ad"


@pytest.fixture(scope="module")
def larry():
    if not CELLS.is_file():
        pytest.skip(f"{CELLS.name} is not there: the shared data lie beside the repository")
    with h5py.File(CELLS) as file:
        table = file["obs"]
        days = table["__categories/time_info"].asstr()[()]
        time = pd.Categorical(days[table["time_info"][()]], categories=sorted(days), ordered=True)
        components = file["obsm/X_pca"][()].astype(np.float32)
    names = [f"cell{number}" for number in range(len(components))]
    return pd.DataFrame({"time": time}, index=names), components


def pseudotimes(matrix, roots):
    return diffusion_pseudotime(diffusion_map(neighbour_graph(matrix, 15, "cosine")), roots)


def test_two_cells_of_the_first_day_as_roots_may_give_opposite_pseudotimes(larry):
    obs, components = larry
    roots = np.flatnonzero(obs["time"] == "2")
    orders = pseudotimes(components, roots)
    agreement = [spearman(orders[i], orders[j]) for i in range(len(roots)) for j in range(i)]
    assert np.quantile(agreement, 0.1) < 0 < 0.9 < np.quantile(agreement, 0.9)


def test_an_untrained_projection_agrees_well_with_the_pseudotime_that_it_was_projected_from(larry):
    _, components = larry
    reference = pseudotimes(components, [0])[0]
    agreement = []
    for seed in range(5):
        weights = np.random.default_rng(seed).normal(size=(components.shape[1], 64))
        agreement.append(spearman(pseudotimes(components @ weights, [0])[0], reference))
    assert np.median(agreement) > 0.5


def test_strict_scores_the_order_of_days_and_shuffled_days_score_0(larry):
    obs, components = larry
    settings = StrictSettings(halvings=6, resamples=200, neighbourhoods=(15, 30))
    reference = Reference(list(obs.index), np.zeros(len(obs)), 0, FROM_DATASET, "")
    shuffled = obs.iloc[np.random.default_rng(0).permutation(len(obs))].set_index(obs.index)
    somers_d = {}
    for name, labels in (("true", obs), ("shuffled", shuffled)):
        rows = score_strict(components, reference, labels, subject("strict", seed=0), settings).rows
        somers_d[name] = next(row for row in rows if row.metric == "time_somers_d")
    assert somers_d["true"].ci_low > 0.05
    assert somers_d["shuffled"].ci_low < 0 < somers_d["shuffled"].ci_high
    assert abs(somers_d["shuffled"].estimate) < 0.1
