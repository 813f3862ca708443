import anndata
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment, write
from scipy import sparse
from scipy.stats import norm, rankdata
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import StandardScaler

from layerscope.cells.canonical import read_cells
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.models.baselines import BASELINES, compute_baseline
from layerscope.models.baselines_cell_cycle import G2M_PHASE, S_PHASE
from layerscope.models.catalogue import FAMILIES


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cells") / "cells.h5ad", experiment())


@pytest.fixture(scope="module")
def log_normalised(tmp_path_factory):
    cells = experiment()
    totals = np.asarray(cells.X.sum(axis=1))
    cells.X = sparse.csr_matrix(np.log1p(1e4 * cells.X.toarray() / totals).astype(np.float32))
    return write(tmp_path_factory.mktemp("cells") / "cells.h5ad", cells, values="log_normalised")


def made(tmp_path, name, cells, **settings):
    compute_baseline(name, cells, tmp_path / f"{name}.h5ad", settings, seed=1)
    return read_layer(tmp_path / f"{name}.h5ad", "official")


def assert_same_up_to_signs(ours, expected, tolerance):
    signs = np.sign((ours * expected).sum(axis=0))
    np.testing.assert_allclose(ours, expected * signs, atol=tolerance)


def test_the_baselines_are_those_of_the_catalogue():
    assert set(BASELINES) == {name for name, family in FAMILIES.items() if not family.foundation}


@pytest.mark.parametrize(
    "name", [name for name in BASELINES if name != "composition" and not FAMILIES[name].imports]
)
def test_a_baseline_has_a_row_for_every_cell_and_is_always_the_same(tmp_path, counts, name):
    layer = made(tmp_path, name, counts)
    assert layer.cell_ids == read_cells(counts).obs_names.tolist()
    assert np.isfinite(layer.matrix).all()
    assert layer.provenance["n_layers"] == 0
    assert layer.provenance["hidden_size"] == layer.matrix.shape[1]
    first = (tmp_path / f"{name}.h5ad").read_bytes()
    made(tmp_path, name, counts)
    assert (tmp_path / f"{name}.h5ad").read_bytes() == first


def test_hvg_pca_is_scanpys(tmp_path, counts):
    import scanpy

    expected = read_cells(counts)
    scanpy.pp.normalize_total(expected, target_sum=1e4)
    scanpy.pp.log1p(expected)
    scanpy.pp.highly_variable_genes(expected, n_top_genes=60, flavor="seurat")
    expected = expected[:, expected.var["highly_variable"]].copy()
    scanpy.pp.scale(expected, max_value=10)
    scanpy.pp.pca(expected, n_comps=10)
    ours = made(tmp_path, "hvg_pca", counts, n_top_genes=60, n_components=10)
    assert_same_up_to_signs(ours.matrix, expected.obsm["X_pca"], 2e-3)


def test_rank_normal_pca_is_its_definition_written_out(tmp_path, counts):
    values = read_cells(counts).X.toarray()
    ranks = rankdata(values, axis=1)
    scores = norm.ppf(ranks / (values.shape[1] + 1))
    scores /= np.linalg.norm(scores, axis=1, keepdims=True)
    expected = PCA(20, whiten=True, svd_solver="full").fit_transform(StandardScaler().fit_transform(scores))
    ours = made(tmp_path, "rank_normal_pca", counts, n_components=20).matrix
    n = len(values)
    assert_same_up_to_signs(ours, expected * np.sqrt(n / (n - 1)), 1e-4)


def test_hellinger_svd_is_scikit_learns(tmp_path, counts):
    values = read_cells(counts).X.toarray().astype(float)
    roots = np.sqrt(values / values.sum(axis=1, keepdims=True))
    expected = TruncatedSVD(5, algorithm="arpack", random_state=0).fit_transform(roots)
    assert_same_up_to_signs(made(tmp_path, "hellinger_svd", counts, n_components=5).matrix, expected, 1e-5)


def test_log_all_genes_is_log1p_of_counts_per_ten_thousand(tmp_path, counts):
    values = read_cells(counts).X.toarray().astype(float)
    expected = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(made(tmp_path, "log_all_genes", counts).matrix, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "chosen"), [("hvg_pca", {}), ("log_all_genes", {}), ("rank_normal_pca", {"n_components": 10})]
)
def test_log_normalised_values_give_what_their_counts_give(tmp_path, counts, log_normalised, name, chosen):
    from_counts = made(tmp_path, name, counts, **chosen).matrix
    assert_same_up_to_signs(made(tmp_path, name, log_normalised, **chosen).matrix, from_counts, 1e-3)


@pytest.mark.parametrize("name", ["hellinger_svd", "qc_only"])
def test_what_needs_counts_refuses_other_values(tmp_path, log_normalised, name):
    with pytest.raises(DataError, match=f"{name} needs raw counts"):
        made(tmp_path, name, log_normalised)


def cells_of(symbols, seed=0, n=200):
    random = np.random.default_rng(seed)
    values = random.poisson(random.gamma(2, 1, len(symbols)), (n, len(symbols))).astype(np.float32)
    values[:, 0] += 1
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return anndata.AnnData(sparse.csr_matrix(values), obs, pd.DataFrame({"symbol": symbols}, index=symbols))


@pytest.mark.parametrize("species", [str, str.capitalize], ids=["human", "mouse"])
def test_quality_holds_mitochondrial_and_cell_cycle_genes_of_either_species(tmp_path, species):
    symbols = [f"GENE{i}" for i in range(100)] + [species(g) for g in (*S_PHASE, *G2M_PHASE)]
    mitochondrial = "MT-CO1" if species is str else "mt-Co1"
    cells = write(tmp_path / "cells.h5ad", cells_of([mitochondrial, *symbols]))
    layer = made(tmp_path, "qc_only", cells)
    named = "log total counts, log genes detected, % mitochondrial, S score, G2M score"
    assert layer.provenance["notes"][0] == f"columns: {named}"
    np.testing.assert_allclose(layer.matrix.std(axis=0), 1, rtol=1e-3)


def test_cells_in_a_phase_score_higher_on_it(tmp_path):
    cells = cells_of([*(f"GENE{i}" for i in range(200)), *S_PHASE])
    dividing = np.arange(cells.n_obs) < 50
    values = cells.X.toarray()
    values[np.ix_(dividing, np.isin(cells.var_names, S_PHASE))] *= 3
    cells.X = sparse.csr_matrix(values)
    layer = made(tmp_path, "qc_only", write(tmp_path / "cells.h5ad", cells))
    score = layer.matrix[:, 2]
    assert score[dividing].min() > np.median(score[~dividing])


def test_what_the_genes_do_not_allow_is_left_out_and_noted(tmp_path, counts):
    notes = " ".join(made(tmp_path, "qc_only", counts).provenance["notes"])
    assert "MT-" in notes
    assert "no S score" in notes


def test_fewer_components_than_asked_for_are_noted(tmp_path, counts):
    layer = made(tmp_path, "rank_normal_pca", counts)
    assert layer.matrix.shape[1] == 120
    assert "220 asked for" in layer.provenance["notes"][0]


def test_empty_cells_are_refused(tmp_path):
    cells = experiment()
    values = cells.X.toarray()
    values[3] = 0
    cells.X = sparse.csr_matrix(values)
    with pytest.raises(DataError, match=r"1 cells .*cell_3"):
        made(tmp_path, "hvg_pca", write(tmp_path / "cells.h5ad", cells))


def test_unknown_names_and_settings_are_refused(tmp_path, counts):
    with pytest.raises(ConfigError, match="rank_normal_pca"):
        made(tmp_path, "hvg_umap", counts)
    with pytest.raises(ConfigError, match="n_top_genes, n_components"):
        made(tmp_path, "hvg_pca", counts, genes=3)
    with pytest.raises(ConfigError, match="no settings"):
        made(tmp_path, "qc_only", counts, genes=3)
