"""A study of representations alone: baselines and an embedding that the user brings, from file to report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from workflow_study import Checkout, copy_repository

from layerscope.extraction.embeddings_file import read_cells, read_layer, read_provenance
from layerscope.tables import read_scores, read_table

N_CELLS, N_GENES = 300, 80
CELLS, EMBEDDINGS = "my cells.h5ad", "it's mine.h5ad"


def write_files(folder: Path) -> None:
    """Cells of three types and six donors, and in another order embeddings of all but one of them."""
    random = np.random.default_rng(0)
    types = random.integers(0, 3, N_CELLS)
    rates = np.exp(random.normal(0, 0.2, (3, N_GENES)))[types]
    obs = pd.DataFrame(
        {
            "cell_type": [f"type {k}" for k in types],
            "donor": [f"donor {k}" for k in np.arange(N_CELLS) % 6],
        },
        index=[f"cell{k}" for k in range(N_CELLS)],
    )
    counts = sparse.csr_matrix(random.poisson(rates).astype(np.float32))
    cells = anndata.AnnData(counts, obs=obs)
    cells.var_names = [f"GENE{k}" for k in range(N_GENES)]
    cells.write_h5ad(folder / CELLS)
    signal = np.eye(3)[types] + random.normal(0, 0.2, (N_CELLS, 3))
    brought = anndata.AnnData(obs=obs[[]])
    brought.obsm["X_own"], brought.obsm["X_before"] = signal, random.normal(0, 1, (N_CELLS, 3))
    for layer in range(3):
        brought.obsm[f"layer_{layer}"] = signal + random.normal(0, 1.0 / (layer + 1), (N_CELLS, 3))
    order = random.permutation(np.arange(1, N_CELLS))
    brought[order].copy().write_h5ad(folder / EMBEDDINGS)


def study(*models: str) -> dict[str, Any]:
    source = {"family": "stored", "source": {"path": EMBEDDINGS}}
    twin = {"layers": {"official": "obsm/X_before"}, "control": "untrained", "of": "own"}
    return {
        "study": {"title": "Mine", "conditions": ["blood"], "models": list(models)},
        "models": {
            "hvg_pca": {"family": "hvg_pca", "settings": {"n_components": 5}},
            "qc_only": {"family": "qc_only"},
            "own": source | {"layers": "obsm/X_own", "title": "My own", "max_missing": 0.01},
            "own_untrained": source | twin,
            "network": source | {"layers": "obsm/layer_*"},
        },
        "datasets": {"blood": {"kind": "h5ad", "source": {"path": CELLS}, "values": "counts"}},
        "conditions": {"blood": {"dataset": "blood", "task": "label"}},
        "quality": {"min_genes_per_cell": 1},
        "resampling": {"resamples": 100, "splits": 10},
    }


ALONE = ("hvg_pca", "qc_only", "own", "own_untrained")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The study, run once."""
    checkout = copy_repository(tmp_path_factory.mktemp("own"))
    write_files(checkout.folder)
    checkout.write_config("study.yaml", study(*ALONE))
    ran = checkout.snakemake("--configfile", "study.yaml")
    assert ran.returncode == 0, ran.stdout[-8000:]
    return checkout


def test_cells_are_matched_by_name_and_the_missing_one_is_told(run: Checkout) -> None:
    path = run.folder / "results/embeddings/blood/own.h5ad"
    own, cells = read_layer(path, "official"), anndata.read_h5ad(run.folder / CELLS)
    brought = anndata.read_h5ad(run.folder / EMBEDDINGS)
    assert own.cell_ids == cells.obs_names.tolist()
    np.testing.assert_allclose(own.matrix[1:], brought[own.cell_ids[1:]].obsm["X_own"], rtol=1e-6)
    names, reasons = read_cells(path)
    assert [name for name, reason in zip(names, reasons, strict=True) if reason] == ["cell0"]
    assert read_provenance(path)["n_missing"] == 1
    warned = read_table(run.folder / "results/tables/warnings.tsv")
    assert warned.loc[warned["step"] == "import embeddings", "of"].tolist() == [
        "blood, own",
        "blood, own_untrained",
    ]


def test_it_is_scored_compared_drawn_and_reported_as_the_baselines_are(run: Checkout) -> None:
    tables = run.folder / "results/tables"
    scores = read_scores(tables / "scores.tsv")
    assert set(scores["model"]) == set(ALONE)
    assert (scores["status"] == "ok").all()
    assert set(scores.loc[scores["model"] == "own", "n_cells"]) == {N_CELLS - 1}
    compared = read_table(tables / "representations.tsv").set_index("model")
    assert compared.index[0] == "own"
    assert compared.loc["own", "over_untrained"] > 0.3
    assert not compared.loc["qc_only", "in_confidence_set"]
    assert read_table(tables / "layers.tsv").empty
    figures = {path.name for path in (run.folder / "results/figures").glob("*.svg")}
    assert figures == {"label_strict.svg"}
    svg = (run.folder / "results/figures/label_strict.svg").read_text(encoding="utf-8")
    assert ">My own<" in svg
    page = (run.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Which representation to use" in page
    assert "No foundation model was scored" not in page


def test_a_model_of_several_layers_runs_its_own_jobs_and_is_chosen_among(run: Checkout) -> None:
    name = run.write_config("layered.yaml", study(*ALONE, "network"))
    jobs = run.jobs("--configfile", name)
    own = {"import_embeddings": 1, "score_layer": 3, "describe_geometry": 1, "compare_layers": 1}
    assert {rule: count for rule, count in jobs.items() if rule in own} == own
    assert "prepare_cells" not in jobs
    assert jobs["plot_layer_choice"] == 1
    assert run.jobs("--configfile", "study.yaml") == {}
