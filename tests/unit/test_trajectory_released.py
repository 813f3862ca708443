"""Protocol released: the public code's arithmetic, oddities included."""

import numpy as np
import pytest
from cell_files import adata_of, write_canonical
from trajectory_cells import N_CELLS, cells, layer, subject

from layerscope.statistics.ranks import spearman
from layerscope.tasks.trajectory.released import (
    neighbourhoods,
    released_reference,
    score_released,
    twice_log_normalised_components,
)
from layerscope.tasks.trajectory.settings import ReleasedSettings

SETTINGS = ReleasedSettings(resamples=200, halvings=10)


def counts(obs, fate, n_genes=120):
    """Counts of genes that follow the cells' place on the line."""
    random = np.random.default_rng(4)
    programs = layer(obs, fate, noise=0.0) @ random.normal(size=(22, n_genes)) / 3
    expression = adata_of(random.poisson(np.exp(programs)), cell_ids=obs.index, obs=obs)
    expression.uns["layerscope"] = '{"values": "counts"}'
    return expression


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    obs, fate = cells()
    place = np.random.default_rng(0).permutation(N_CELLS)
    expression = counts(obs.iloc[place], fate[place])
    path = write_canonical(tmp_path_factory.mktemp("cells") / "cells.h5ad", expression, task="trajectory")
    return released_reference(path, SETTINGS), obs.iloc[place], fate[place]


def scores(reference, matrix, settings=SETTINGS):
    scored = score_released(matrix, reference, subject("released"), settings)
    return {row.metric: row for row in scored.rows}, scored.resamples


def test_the_root_is_the_first_cell_of_the_file_at_the_earliest_time(reference):
    known, obs, _ = reference
    assert known.root == np.flatnonzero(obs["time"] == "Day3")[0]
    assert known.pseudotime[known.root] == 0
    assert known.root_source.startswith("first cell") and known.root_source.endswith("Day3")


def test_expression_is_normalised_and_logged_twice():
    obs, fate = cells()
    expression = counts(obs, fate, n_genes=40)
    values = expression.X.toarray()
    once = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    twice = np.log1p(1e4 * once / once.sum(axis=1, keepdims=True))
    centred = twice - twice.mean(axis=0)
    expected = np.linalg.svd(centred, compute_uv=False)[:39]
    components = twice_log_normalised_components(expression)
    assert components.shape == (N_CELLS, 39)
    np.testing.assert_allclose(np.linalg.norm(components, axis=0), expected, rtol=1e-3)


def test_the_reference_measures_distance_from_a_root_that_may_lie_anywhere(reference):
    known, obs, _ = reference
    position = obs["true_pseudotime"].to_numpy()
    assert position[known.root] > 0.3
    assert spearman(known.pseudotime, np.abs(position - position[known.root])) > 0.8


def test_a_layer_is_scored_by_pseudotime_neighbourhoods_and_distances(reference):
    known, obs, fate = reference
    matrix = layer(obs, fate)
    rows, resamples = scores(known, matrix)
    for metric in ("spearman", "neighbourhood_overlap", "spearman_pair_distances"):
        row = rows[metric]
        assert (row.protocol, row.status) == ("released", "ok")
        assert row.ci_low < row.estimate < row.ci_high
        assert resamples[metric].shape == (200,)
    here = neighbourhoods(matrix, SETTINGS)
    assert here.shape == known.neighbours.shape == (N_CELLS, 30)
    assert (here != np.arange(N_CELLS)[:, None]).all()
    shared = [len(set(one) & set(other)) / 30 for one, other in zip(here, known.neighbours, strict=True)]
    assert rows["neighbourhood_overlap"].estimate == pytest.approx(np.mean(shared))


def test_the_layer_that_made_the_reference_overlaps_entirely(reference):
    known, obs, fate = reference
    rows, _ = scores(known, twice_log_normalised_components(counts(obs, fate)))
    assert rows["neighbourhood_overlap"].estimate == 1
    assert rows["spearman"].estimate == pytest.approx(1)


def test_pairs_are_the_same_for_every_layer(reference):
    known, obs, fate = reference
    few = ReleasedSettings.model_construct(resamples=0, halvings=0, pairs=60)
    row, shifted = (
        scores(known, layer(obs, fate) + shift, few)[0]["spearman_pair_distances"] for shift in (0, 5)
    )
    assert row.n_items <= 60
    assert shifted.estimate == pytest.approx(row.estimate, abs=0.01)


def test_uninformed_layers_score_low(reference):
    known, _, _ = reference
    rows, _ = scores(known, np.random.default_rng(0).normal(size=(N_CELLS, 20)))
    assert abs(rows["spearman_pair_distances"].estimate) < 0.1
    assert rows["neighbourhood_overlap"].estimate == pytest.approx(30 / N_CELLS, abs=0.03)


def test_cells_without_times_have_no_reference_and_say_so(tmp_path):
    obs, fate = cells()
    expression = counts(obs.drop(columns="time"), fate)
    path = write_canonical(tmp_path / "cells.h5ad", expression, task="trajectory")
    known = released_reference(path, SETTINGS)
    rows, _ = scores(known, layer(obs, fate))
    assert {row.status for row in rows.values()} == {"not_available"}
    assert "needs time labels" in rows["spearman"].reason
