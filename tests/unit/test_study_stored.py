"""What a study may say of embeddings that the user brings, and what follows from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator
from study_configs import ROOT, read

from layerscope.errors import ConfigError
from layerscope.report.description import study_description
from layerscope.study import configuration_docs, gathering, jobs
from layerscope.study.runs import Study

CONDITIONS = ["simulated_differentiation", "simulated_cell_types", "simulated_Rest"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of embeddings, in which a study is read."""
    monkeypatch.chdir(tmp_path)
    cells = anndata.AnnData(obs=pd.DataFrame(index=["a", "b"]))
    names = ("X_scVI", "layer_00", "layer_01", "layer_02", "twin_0", "twin_1", "twin_2")
    for name in names:
        cells.obsm[name] = np.ones((2, 3))
    cells.write_h5ad("mine.h5ad")
    return tmp_path


def config(models: dict[str, Any], named: list[str], conditions: list[str] = CONDITIONS) -> dict[str, Any]:
    entries = read("models.yaml", "datasets.yaml")
    entries["models"] |= models
    return entries | {"study": {"title": "Mine", "conditions": conditions, "models": named}}


def stored(**entry: Any) -> dict[str, Any]:
    return {"family": "stored", "source": {"path": "mine.h5ad"}, "layers": "obsm/X_scVI"} | entry


LAYERED = {
    "mine": stored(layers="obsm/layer_*"),
    "mine_untrained": stored(layers="obsm/twin_*", control="untrained", of="mine"),
    "scvi": stored(title="scVI", citation="Lopez et al. 2018"),
}


def test_one_array_stands_where_baselines_do_and_several_where_models_do(folder: Path) -> None:
    study = Study.read(config(LAYERED, [*LAYERED, "hvg_pca"]))
    assert study.layers("mine") == study.layers("mine_untrained") == ["00", "01", "02"]
    assert study.layers("scvi") == ["official"]
    described = study_description(study)["models"]
    assert [model["kind"] for model in described.values()] == [
        *["foundation", "control", "baseline", "baseline"]
    ]
    assert [model["layers"] for model in described.values()] == [2, 2, 0, 0]
    assert (described["mine_untrained"]["of"], described["scvi"]["citation"]) == ("mine", "Lopez et al. 2018")
    assert {model for _, model in gathering.described_runs(study)} == {"mine", "mine_untrained"}
    beside = gathering.baselines_beside(study)
    assert "results/embeddings/simulated_Rest/scvi.h5ad" in beside
    logs = gathering.logs_of_numbers(study)
    assert "import_embeddings/simulated_differentiation/mine.log" in logs
    assert not any(log.startswith(("extract", "import_embeddings/simulated_cell_types")) for log in logs)


def test_what_the_user_brings_is_neither_run_nor_summed(folder: Path) -> None:
    entries = config(LAYERED, ["mine"], ["simulated_Rest"]) | {"extraction": {"keep": "sums"}}
    study = Study.read(entries)
    assert not study.keeps_sums("simulated_Rest", "mine")
    assert set(LAYERED) == set(study.models_of_kind("stored"))
    assert study.unavailable() == []


def test_files_are_those_of_the_condition_whose_cells_are_scored(folder: Path) -> None:
    (folder / "embeddings").mkdir()
    for condition in ("simulated_differentiation", "simulated_Rest"):
        (folder / f"embeddings/{condition}.h5ad").write_bytes((folder / "mine.h5ad").read_bytes())
    entry = stored(source={"path": "embeddings/{condition}.h5ad", "column": "barcode"}, max_surplus=0.5)
    study = Study.read(config({"mine": entry}, ["mine"]))
    assert jobs.stored_files(study, "simulated_Rest", "mine") == ["embeddings/simulated_Rest.h5ad"]
    assert study.stored_source("simulated_Rest", "mine")["column"] == "barcode"
    assert study.stored_layers("mine", "simulated_Rest") == {"official": "obsm/X_scVI"}
    assert jobs.stored_limits(study, "mine") == ["--max-missing", "0.05", "--max-surplus", "0.5"]


def test_conditions_with_other_layers_are_refused(folder: Path) -> None:
    cells = anndata.read_h5ad("mine.h5ad")
    cells.write_h5ad("simulated_Rest.h5ad")
    del cells.obsm["layer_02"]
    cells.write_h5ad("simulated_differentiation.h5ad")
    entry = stored(source={"path": "{condition}.h5ad"}, layers="obsm/layer_*")
    with pytest.raises(ConfigError, match="00, 01, of simulated_Rest"):
        Study.read(config({"mine": entry}, ["mine"]))


def test_a_study_without_layers_has_no_figure_of_the_choice_among_them(folder: Path) -> None:
    alone = Study.read(config(LAYERED, ["scvi", "hvg_pca"]))
    layered = Study.read(config(LAYERED, ["mine", "hvg_pca"]))
    figure = "results/figures/layer_choice.svg"
    assert figure not in gathering.figures(alone, "svg")
    assert figure in gathering.figures(layered, "svg")
    assert gathering.geometry_tables(alone) == []


def test_the_guide_is_a_study_that_can_be_read(folder: Path) -> None:
    text = (ROOT / "docs/guides/your_embeddings.md").read_text(encoding="utf-8")
    whole, twin = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)]
    cells = anndata.read_h5ad("mine.h5ad")
    cells.obsm["untrained_0"], cells.obsm["untrained_1"] = np.ones((2, 3)), np.ones((2, 3))
    cells.write_h5ad("my.h5ad")
    models = {"hvg_pca": {"family": "hvg_pca"}, "qc_only": {"family": "qc_only"}} | whole["models"]
    study = Study.read(whole | {"models": models})
    assert study.layers("scvi") == ["official"]
    named = {"models": [*study.study.models, *twin["models"]]}
    study = Study.read(whole | {"models": models | twin["models"], "study": whole["study"] | named})
    assert study.layers("mine_untrained") == ["00", "01"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (stored(source={"path": "absent.h5ad"}), "source: path: there is no file 'absent.h5ad'"),
        (stored(source={"path": "mine.h5ad", "cells": "ids.csv"}), "cells: there is no file 'ids.csv'"),
        (stored(layers="obsm/X_scvi"), "no array 'obsm/X_scvi'; .*obsm/X_scVI"),
        (stored(layers="obsm/X_*"), "'scVI' is neither a number"),
        (stored(layers={"final": "obsm/X_scVI"}), "'final' is no name of a layer"),
        (stored(layers={1: "obsm/X_scVI", "01": "obsm/X_scVI"}), "named twice"),
        (stored(layers={}), "layers: found {}"),
        (stored(layers={1: "obsm/layer_*"}), "write patterns as"),
        ({"family": "stored", "source": {"path": "mine.h5ad"}}, "which array\\? Name it under 'layers'"),
        (stored(source={}), "source: the key 'path' is missing"),
        (stored(max_missing=5), "max_missing: found 5; expected at most 1"),
        (stored(control="untrained"), "'control' needs 'of'"),
        (stored(of="scvi"), "'of' needs 'control'"),
        (stored(control="untrained", of="hvg_pca"), "of: 'hvg_pca' is a control or baseline"),
        (stored(control="untrained", of="embedded_tahoe_x1"), "of: unknown model of the study"),
        ({"control": "untrained", "of": "scvi", "seed": 1}, "'scvi' is not a foundation model; bring its"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(folder: Path, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        Study.read(config({"scvi": stored(), "new": entry}, ["scvi", "hvg_pca", "new"]))
    assert "models: new" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "mine.h5ad").write_bytes((folder / "mine.h5ad").read_bytes()[:500])
    with pytest.raises(ConfigError, match=r"scvi: source: mine\.h5ad"):
        Study.read(config({"scvi": stored()}, ["scvi"]))


def test_the_schema_knows_embeddings_of_ones_own(folder: Path) -> None:
    schema = yaml.safe_load((ROOT / configuration_docs.SCHEMA).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(config(LAYERED, ["scvi"]))
