"""The two trajectory jobs: files in, files out, one clear message where something is wrong."""

import numpy as np
import pytest
from cell_files import adata_of, write_canonical
from trajectory_cells import N_CELLS, cells, layer

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import write_official
from layerscope.tables import read_scores
from layerscope.tasks.jobs import make_reference, score_layer
from layerscope.tasks.trajectory.references import COMPUTED, read_reference

SETTINGS = {"resamples": 100, "halvings": 6, "splits": 5}


class Files:
    """One condition on disk."""

    def __init__(self, folder):
        self.folder = folder
        self.obs, fate = cells()
        self.write(self.obs)
        for seed, name in enumerate(("hvg_pca", "other"), 1):
            matrix = layer(self.obs, fate, seed=seed)
            write_official(folder / f"{name}.h5ad", list(self.obs.index), matrix, {"family": name})

    def write(self, obs, **uns):
        counts = np.random.default_rng(0).poisson(1, size=(len(obs), 12))
        expression = adata_of(counts, cell_ids=obs.index, obs=obs)
        expression.uns |= uns
        write_canonical(self.folder / "cells.h5ad", expression, task="trajectory")

    def job(self, protocol):
        job = {"task": "trajectory", "condition": "blood", "settings": SETTINGS, "protocol": protocol}
        return job | {"cells": self.folder / "cells.h5ad"}

    def refer(self, protocol="paper"):
        output = self.folder / protocol
        make_reference(**self.job(protocol), baseline=[self.folder / "hvg_pca.h5ad"], output=output)
        return read_reference(output / "pseudotime.tsv")

    def score(self, model="other", protocol="paper", seed=1, threads=1):
        score_layer(
            **self.job(protocol),
            model=model,
            layer="official",
            embeddings=self.folder / f"{model}.h5ad",
            reference=[self.folder / protocol],
            seed=seed,
            threads=threads,
            output=self.folder / "scores.tsv",
            resamples=self.folder / "scores.npz",
        )
        return read_scores(self.folder / "scores.tsv").set_index("metric")


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_cells_without_a_pseudotime_get_one_from_hvg_pca(files):
    reference = files.refer()
    assert reference.source == COMPUTED
    assert reference.pseudotime[reference.root] == 0
    assert bool(files.obs["is_root"].iloc[reference.root])
    assert np.corrcoef(reference.pseudotime, files.obs["true_pseudotime"])[0, 1] > 0.9


def test_the_pseudotime_and_root_that_the_cells_carry_are_used(files):
    files.write(files.obs.assign(reference_pseudotime=np.linspace(1, 0, N_CELLS)), iroot_cell="cell399")
    reference = files.refer()
    assert (reference.source, reference.root) == ("dataset: reference_pseudotime", N_CELLS - 1)
    np.testing.assert_allclose(reference.pseudotime, np.linspace(1, 0, N_CELLS), atol=1e-8)


def test_two_threads_give_the_same_scores_and_another_seed_moves_the_interval_alone(files):
    files.refer()
    numbers = ["estimate", "ci_low", "ci_high"]
    alone, both = (files.score(threads=n)[numbers] for n in (1, 2))
    np.testing.assert_allclose(both, alone, atol=1e-4)
    other = files.score(seed=2)
    assert other.loc["spearman", "estimate"] == alone.loc["spearman", "estimate"]
    assert other.loc["spearman", "ci_low"] != alone.loc["spearman", "ci_low"]


def test_hvg_pca_is_no_contender_where_it_made_the_reference(files):
    files.refer()
    rows = files.score("hvg_pca")
    assert rows.loc["spearman", "status"] == "undefined"
    assert rows.loc["spearman_true_pseudotime", "estimate"] > 0.9


def test_no_root_stops_protocol_paper_and_empties_the_others(files):
    files.write(files.obs.drop(columns=["is_root", "time"]))
    with pytest.raises(DataError, match=r"cells\.h5ad: no root: .*`root`"):
        files.refer()
    for protocol in ("released", "strict"):
        assert files.refer(protocol).unavailable
        assert set(files.score(protocol=protocol)["status"]) == {"not_available"}


def test_a_baseline_of_other_cells_is_refused(files):
    files.write(files.obs.iloc[:-1])
    with pytest.raises(DataError, match=r"hvg_pca\.h5ad: "):
        files.refer()
