"""What each job of a study is given: files, settings and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from study_configs import default_config, two_lists

from layerscope.cells.settings import CellSettings
from layerscope.demo.settings import Pretraining
from layerscope.errors import ConfigError
from layerscope.study import gathering, jobs
from layerscope.study.runs import Study
from layerscope.tasks.perturbation.settings import StrictSettings
from scanpy_cells import pbmc68k

TABLES = "resources/gene_names"
HGNC = [f"{TABLES}/hgnc/hgnc_complete_set.txt"]


@pytest.fixture
def config() -> dict[str, Any]:
    return default_config()


def test_a_source_may_be_a_file_of_an_installed_package(config: dict[str, Any]) -> None:
    config["study"]["conditions"] = ["pbmc68k"]
    source = config["datasets"]["pbmc68k"]["source"]["package"]
    source |= {"name": "yaml", "file": "loader.py"}
    assert jobs.source_file(Study.read(config), "pbmc68k") == str(Path(yaml.__file__).with_name("loader.py"))
    source |= {"file": "absent.h5ad"}
    with pytest.raises(ConfigError, match=r"pbmc68k: source: .*'absent.h5ad'"):
        Study.read(config)
    source |= {"name": "no_such_package"}
    with pytest.raises(ConfigError, match=r"'no_such_package'.*`pip install"):
        Study.read(config)


def test_gene_names_are_fetched_for_the_models_of_their_condition_alone() -> None:
    config = two_lists()
    path = pbmc68k()
    config["datasets"]["pbmc68k"]["source"] = {"path": str(path)}
    config["study"]["models"] = ["geneformer_v1_10m"]
    assert jobs.gene_names_file(Study.read(config), "pbmc68k") == []
    config["study"]["models_of"]["pbmc68k"] = ["geneformer_v1_10m"]
    assert jobs.gene_names_file(Study.read(config), "pbmc68k") != []


def test_a_model_may_be_pretrained_in_its_own_way() -> None:
    config = two_lists()
    config["pretraining"] = {"hidden": 32, "steps": 77}
    pretrain = config["models"]["embedded_pbmc"]["weights"]["pretrain"]
    pretrain["settings"] = {"steps": 5}
    study = Study.read(config)
    of_study = Pretraining(hidden=32, steps=77).as_config() | {"layers": 4}
    assert jobs.pretraining_settings(study, "embedded_tahoe_x1") == of_study
    own = jobs.pretraining_settings(study, "embedded_pbmc")
    assert (own["hidden"], own["steps"], own["layers"]) == (32, 5, 4)
    for wrong, words in (({"step": 5}, "did you mean 'steps'"), ({"heads": 5}, "5 heads do not divide")):
        pretrain["settings"] = wrong
        with pytest.raises(ConfigError, match=f"embedded_pbmc: weights: pretrain: settings.*{words}"):
            Study.read(config)


def test_the_same_defaults_hold_in_a_study_and_in_a_step(config: dict[str, Any]) -> None:
    study = Study.read(config)
    assert (study.geometry.cells, study.geometry.alignment_cells) == (2000, 1000)
    settings = jobs.score_settings(study, "simulated_Rest", "strict")
    assert StrictSettings.read(settings) == StrictSettings()
    assert "resamples" not in jobs.reference_settings(study, "simulated_Rest", "strict")


def test_a_token_budget_is_passed_on_only_where_one_is_set(config: dict[str, Any]) -> None:
    assert "--token-budget" not in jobs.extraction_options(Study.read(config), "embedded_tahoe_x1")
    config["extraction"] = {"token_budget": 999, "store": "float16"}
    options = jobs.extraction_options(Study.read(config), "embedded_tahoe_x1", "2", "3")
    assert " ".join(options[-9:]) == "--token-budget 999 --seed 1 --stored-dtype float16 --shard 2 3"


def test_a_condition_overrides_single_filters(config: dict[str, Any]) -> None:
    config["conditions"]["simulated_Rest"]["quality"] = {"min_genes_per_cell": 7}
    settings = jobs.cells_settings(Study.read(config), "simulated_Rest")
    assert settings["quality"] == config["quality"] | {"min_genes_per_cell": 7}
    assert CellSettings.read(settings).subset == {"activation": ("Rest",)}


def test_files_lie_where_rules_make_them(config: dict[str, Any]) -> None:
    model, cells, screen = "embedded_tahoe_x1_untrained_1", "simulated_differentiation", "simulated_Rest"
    types = "simulated_cell_types"
    config["study"] |= {"conditions": [types, screen], "models": [model, "hvg_pca"]}
    config["extraction"] = {"keep": "sums"}
    study = Study.read(config)
    sources = {
        screen: "resources/simulated/perturbation.h5ad",
        "cord_blood": "resources/cord_blood_larry/GSE276896_adata_meta.h5ad",
        "D1_Rest": "resources/cd4_perturbseq_D1_Rest/slice.h5ad",
    }
    assert {name: jobs.source_file(study, name) for name in sources} == sources
    assert jobs.gene_names_file(study, "D1_Rest") == []
    assert jobs.gene_names_file(study, "cord_blood") == HGNC
    assert jobs.weight_files(study, model)[0] == "resources/weights/embedded_tahoe_x1/model.safetensors"
    assert jobs.layers_file(study, types, model) == f"results/embeddings/{cells}/{model}.h5ad"
    assert jobs.layers_file(study, screen, model) == f"results/sums/{screen}/{model}.h5"
    assert jobs.reference_folder(study, screen, "strict") == [f"results/references/{screen}/strict"]
    assert jobs.reference_folder(study, types, "strict") == []
    assert jobs.reference_baseline(study, cells) == [f"results/embeddings/{cells}/hvg_pca.h5ad"]
    assert {condition for condition, _ in gathering.described_runs(study)} == {cells}
    assert len(study.score_files("tsv")) == len(set(study.score_files("tsv")))


SYMBOLS, MOUSE = ["TP53", "CD3E", "MS4A1"], ["Trp53", "Cd3e", "Ms4a1"]
IDS = ["ENSG00000141510", "ENSG00000198851", "ENSG00000156738"]
MODEL, TWIN = "geneformer_v1_10m", "geneformer_v1_10m_untrained_1"


@pytest.mark.parametrize(
    ("genes", "models", "dataset", "expected"),
    [
        (SYMBOLS, [MODEL], {}, HGNC),
        (SYMBOLS, [TWIN, "hvg_pca"], {}, HGNC),
        (IDS, ["scgpt"], {}, HGNC),
        (IDS, [MODEL], {}, []),
        (SYMBOLS, ["scgpt"], {}, []),
        (SYMBOLS, ["hvg_pca"], {}, []),
        (SYMBOLS, [MODEL], {"gene_names": None}, []),
        (MOUSE, [MODEL], {}, []),
        (MOUSE, [MODEL], {"orthologs": "human\tmouse\nTP53\tTrp53\nCD3E\tCd3e\n"}, HGNC),
        (MOUSE, [MODEL], {"orthologs": "human\tmouse\n"}, []),
    ],
)
def test_names_that_models_need_and_a_file_of_ones_own_lacks_are_from_hgnc(
    config: dict[str, Any],
    tmp_path: Path,
    genes: list[str],
    models: list[str],
    dataset: dict[str, Any],
    expected: list[str],
) -> None:
    cells, table = tmp_path / "own.h5ad", tmp_path / "orthologs.tsv"
    anndata.AnnData(np.ones((3, len(genes))), var=pd.DataFrame(index=genes)).write_h5ad(cells)
    if "orthologs" in dataset:
        table.write_text(dataset["orthologs"])
        dataset = {"orthologs": {"table": str(table)}}
    entry = {"kind": "h5ad", "source": {"path": str(cells)}, "values": "counts", **dataset}
    config["datasets"]["own"] = entry
    config["conditions"]["own"] = {"dataset": "own", "task": "trajectory"}
    config["study"] |= {"conditions": ["own"], "models": models}
    assert jobs.gene_names_file(Study.read(config), "own") == expected


def test_a_table_of_orthologs_is_a_table_of_the_study_or_a_file(
    config: dict[str, Any], tmp_path: Path
) -> None:
    dataset = config["datasets"]["simulated_differentiation"]
    mice = "simulated_differentiation"
    dataset["orthologs"] = {"table": "hcop_mouse", "policy": "sum"}
    study, fetched = Study.read(config), f"{TABLES}/hcop_mouse/human_mouse_hcop_fifteen_column.txt.gz"
    assert jobs.orthologs_file(study, mice) == [fetched]
    assert jobs.cells_settings(study, mice)["orthologs"] == {"table": fetched, "policy": "sum"}
    own = tmp_path / "own.tsv"
    dataset["orthologs"] = {"table": str(own)}
    with pytest.raises(ConfigError, match=r"own.tsv'.*hgnc, hcop"):
        Study.read(config)
    own.touch()
    assert jobs.orthologs_file(Study.read(config), mice) == [str(own)]
    del dataset["orthologs"]
    assert jobs.orthologs_file(Study.read(config), mice) == []
    assert "orthologs" not in jobs.cells_settings(Study.read(config), mice)


def test_a_cap_of_a_condition_comes_with_the_seed_of_the_choice(config: dict[str, Any]) -> None:
    config["conditions"]["simulated_Rest"]["max_cells"] = 500
    config["seeds"]["selection"] = 7
    settings = jobs.cells_settings(Study.read(config), "simulated_Rest")
    assert (settings["max_cells"], settings["selection"]) == (500, {"seed": 7})
    assert CellSettings.read(settings).max_cells == 500
    config["conditions"]["simulated_cell_types"]["max_cells"] = 500
    with pytest.raises(ConfigError, match=r"'max_cells' .*'simulated_differentiation'"):
        Study.read(config)
