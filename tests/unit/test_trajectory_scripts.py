"""The two trajectory scripts, by hand: files in, files out, one clear message where something is wrong."""

import anndata
import numpy as np
import pytest
from scipy import sparse
from trajectory_cells import N_CELLS, cells, layer

import make_reference
import score_layer
from layerscope.cells.canonical import write_cells
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import write_official
from layerscope.tables import read_scores
from layerscope.tasks.trajectory.references import read_reference

SETTINGS = '{"resamples": 100, "halvings": 6, "splits": 5}'


def arguments(options):
    return [part for key, value in options.items() for part in (f"--{key}", value)]


class Files:
    """One condition on disk."""

    def __init__(self, folder):
        self.folder = folder
        self.obs, self.fate = cells()

    def cells(self, obs=None, uns=None):
        obs = self.obs if obs is None else obs
        counts = np.random.default_rng(0).poisson(1, size=(len(obs), 12)).astype(np.float32)
        found = anndata.AnnData(sparse.csr_matrix(counts), obs=obs, uns=uns or {})
        found.var["symbol"] = found.var_names = [f"G{number}" for number in range(12)]
        provenance = {"condition": "blood", "dataset": "d", "task": "trajectory", "values": "counts"}
        write_cells(self.folder / "cells.h5ad", found, provenance)
        return self

    def embeddings(self, name="hvg_pca", seed=1):
        matrix = layer(self.obs, self.fate, seed=seed)
        write_official(self.folder / f"{name}.h5ad", list(self.obs.index), matrix, {"family": name})
        return self

    def refer(self, protocol="paper", settings=SETTINGS):
        options = {
            "task": "trajectory",
            "protocol": protocol,
            "condition": "blood",
            "cells": f"{self.folder}/cells.h5ad",
            "baseline": f"{self.folder}/hvg_pca.h5ad",
            "settings": settings,
            "output": f"{self.folder}/{protocol}",
        }
        make_reference.main(arguments(options))
        return read_reference(self.folder / protocol / "pseudotime.tsv")

    def score(self, name="other", protocol="paper", out="scores", **changes):
        options = {
            "task": "trajectory",
            "protocol": protocol,
            "embeddings": f"{self.folder}/{name}.h5ad",
            "layer": "official",
            "cells": f"{self.folder}/cells.h5ad",
            "reference": f"{self.folder}/{protocol}",
            "condition": "blood",
            "model": name,
            "settings": SETTINGS,
            "seed": "1",
            "output": f"{self.folder}/{out}.tsv",
            "resamples": f"{self.folder}/{out}.npz",
        }
        options |= changes
        score_layer.main(arguments(options))
        return read_scores(options["output"]).set_index("metric")


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path).cells().embeddings().embeddings("other", seed=2)


def test_cells_without_a_pseudotime_get_one_from_hvg_pca(files):
    found = files.refer()
    assert found.source == "computed on hvg_pca"
    assert found.pseudotime[found.root] == 0
    assert bool(files.obs["is_root"].iloc[found.root])
    assert np.corrcoef(found.pseudotime, files.obs["true_pseudotime"])[0, 1] > 0.9


def test_the_pseudotime_and_root_that_the_cells_carry_are_used(files):
    obs = files.obs.assign(reference_pseudotime=np.linspace(1, 0, N_CELLS))
    found = files.cells(obs, {"iroot_cell": "cell399"}).refer()
    assert (found.source, found.root) == ("dataset: reference_pseudotime", N_CELLS - 1)
    np.testing.assert_allclose(found.pseudotime, np.linspace(1, 0, N_CELLS), atol=1e-8)


def test_the_same_command_gives_the_same_bytes_and_two_threads_the_same_scores(files):
    files.refer()
    numbers = ["estimate", "ci_low", "ci_high"]
    alone, both = (files.score(out=name, threads=n)[numbers] for name, n in (("one", "1"), ("both", "2")))
    np.testing.assert_allclose(both, alone, atol=1e-4)
    files.score(out="two", threads="1")
    for suffix in ("tsv", "npz"):
        first, second = ((files.folder / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second


def test_another_seed_moves_the_interval_and_not_the_score(files):
    files.refer()
    first, second = files.score(), files.score(seed="2")
    assert first.loc["spearman", "estimate"] == second.loc["spearman", "estimate"]
    assert first.loc["spearman", "ci_low"] != second.loc["spearman", "ci_low"]


def test_hvg_pca_is_no_contender_where_it_made_the_reference(files):
    files.refer()
    rows = files.score("hvg_pca")
    assert rows.loc["spearman", "status"] == "undefined"
    assert rows.loc["spearman_true_pseudotime", "estimate"] > 0.9


def test_no_root_stops_protocol_paper_and_empties_the_others(files):
    files.cells(files.obs.drop(columns=["is_root", "time"]))
    with pytest.raises(DataError, match=r"no root: .* Give the dataset a `root`"):
        files.refer()
    for protocol in ("released", "strict"):
        assert files.refer(protocol).unavailable
        assert set(files.score(protocol=protocol)["status"]) == {"not_available"}


def test_embeddings_of_other_cells_are_refused(files):
    files.refer()
    files.cells(files.obs.iloc[:-1])
    with pytest.raises(DataError, match=r"paper: its 399 cells are not the 400 of the reference"):
        files.score()
    with pytest.raises(DataError, match=r"hvg_pca.h5ad: its cells are not those of"):
        files.refer()
