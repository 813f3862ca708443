"""Layers through Python are those that the workflow's script writes for the same cells and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from family_examples import EXAMPLES, ROUNDING, Study, study_of

import compute_baseline
import layerscope as ls
import prepare_cells
import score_layer
from layerscope.doors import models, terminal
from layerscope.doors.representations import representations
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_layer, read_layers
from layerscope.tables import read_scores


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """A small release of every family, and cells for it."""
    folder = tmp_path_factory.mktemp("families")
    return {name: study_of(example, folder / name) for name, example in EXAMPLES.items()}


def embedded(study: Study, cells: Any, **more: Any) -> ls.Layers:
    settings = dict(study.example.settings)
    return ls.embed(cells, study.example.family, weights=study.weights, settings=settings, **more)


def assert_agree(one: np.ndarray, other: np.ndarray, name: str = "") -> None:
    scale = float(np.sqrt(np.nanmean(other.astype(float) ** 2)))
    np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * scale, err_msg=name)


@pytest.mark.parametrize("family", EXAMPLES)
def test_every_layer_is_the_one_that_the_script_writes(studies: dict[str, Study], family: str) -> None:
    study = studies[family]
    expected = study.extract("expected.h5ad", seed=1)
    layers = embedded(study, anndata.read_h5ad(study.cells))
    assert list(layers) == read_layers(expected) and len(layers) == len(list(layers))
    for name in layers:
        assert_agree(layers[name], read_layer(expected, name).matrix, name)
    assert list(layers.refused) == [layers.cell_ids[-1]]  # it expresses nothing
    assert np.isnan(layers["official"][-1]).all()


@pytest.mark.parametrize("held", ["in memory", "a path"])
def test_rows_from_cells_to_scores_are_those_of_the_scripts(tmp_path: Path, held: str) -> None:
    study = study_of(EXAMPLES["scgpt"], tmp_path, n_cells=160)
    adata = anndata.read_h5ad(study.cells)
    adata.obs["kind"] = np.resize(["T", "B", "B", "NK"], 160)
    adata.obs["patient"] = np.repeat(["p1", "p2", "p3", "p4"], 40)
    adata.obs["tissue"] = np.resize(["blood"] * 9 + ["skin"], 160)
    adata.write_h5ad(tmp_path / "given.h5ad")
    chosen = {"subset": {"tissue": "blood"}, "quality": {"min_genes_per_cell": 2, "min_cells_per_gene": 3}}
    columns = {"cell_type": "kind", "donor": "patient"}
    scoring = {"resamples": 100, "splits": 10, "shuffles": 3, "refits": 2}

    settings = json.dumps({"task": "label", "columns": columns, **chosen})
    words = ["--input", f"{tmp_path}/given.h5ad", "--settings", settings, "--condition", "cells"]
    words += ["--summary", f"{tmp_path}/summary.tsv", "--obs", f"{tmp_path}/obs.parquet"]
    prepare_cells.main([*words, "--output", f"{tmp_path}/prepared.h5ad"])
    layers = study.extract("scgpt.h5ad", cells=tmp_path / "prepared.h5ad", seed=1)
    tables = []
    for layer in read_layers(layers):
        words = ["--task", "label", "--protocol", "strict", "--condition", "cells", "--model", "scgpt"]
        words += ["--layer", layer, "--embeddings", str(layers), "--cells", f"{tmp_path}/obs.parquet"]
        words += ["--settings", json.dumps(scoring), "--seed", "1", "--output", f"{tmp_path}/scores.tsv"]
        score_layer.main([*words, "--resamples", f"{tmp_path}/scores.npz"])
        tables.append(read_scores(tmp_path / "scores.tsv"))

    cells: Any = adata if held == "in memory" else tmp_path / "given.h5ad"
    ours = embedded(study, cells, **chosen)
    scores = ls.score(cells, ours, task="label", label="kind", group="patient", **chosen, **scoring)
    expected = pd.concat(tables, ignore_index=True)
    pd.testing.assert_frame_equal(scores.table, expected, check_dtype=False, rtol=0, atol=1e-4)
    assert set(scores.table["layer"]) == {"00", "01", "02", "official"}


@pytest.fixture
def scgpt(studies: dict[str, Study]) -> Study:
    return studies["scgpt"]


def test_chosen_layers_alone_are_kept(scgpt: Study) -> None:
    whole = embedded(scgpt, scgpt.cells)
    some = embedded(scgpt, scgpt.cells, layers=["02", "official"])
    assert list(some) == ["02", "official"]
    assert list(embedded(scgpt, scgpt.cells, layers="01")) == ["01"]
    assert_agree(some["02"], whole["02"])
    with pytest.raises(KeyError, match="no layer '07'"):
        some["07"]
    with pytest.raises(ConfigError, match="no layer '99'"):
        embedded(scgpt, scgpt.cells, layers=["99"])


def test_cells_change_only_if_obsm_is_asked_for(scgpt: Study) -> None:
    adata = anndata.read_h5ad(scgpt.cells)
    embedded(scgpt, adata)
    assert not adata.obsm
    layers = embedded(scgpt, adata, obsm=True, layers=["01", "official"])
    assert set(adata.obsm) == {"scgpt_layer_01", "scgpt_official"}
    np.testing.assert_array_equal(adata.obsm["scgpt_layer_01"], layers["01"])
    few = adata[::-3].copy()
    assert layers.to_obsm(few, ["01"]) == ["scgpt_layer_01"]
    np.testing.assert_array_equal(few.obsm["scgpt_layer_01"], layers["01"][::-3])
    models_given = representations(list(adata.obsm), adata, "name")
    assert [one.model.name for one in models_given] == ["scgpt"]
    with pytest.raises(ConfigError, match="obsm"):
        embedded(scgpt, scgpt.cells, obsm=True)


def test_layers_can_be_kept_and_read_again(scgpt: Study, tmp_path: Path) -> None:
    layers = embedded(scgpt, scgpt.cells, output=tmp_path / "kept.h5ad")
    again = ls.Layers(tmp_path / "kept.h5ad")
    np.testing.assert_array_equal(again["02"], layers["02"])
    assert "scgpt" in repr(again) and "30 cells" in again._repr_html_()
    with pytest.raises(ConfigError, match="output"):
        embedded(scgpt, scgpt.cells, output=scgpt.cells)


def test_progress_is_a_bar_where_no_log_is_kept(
    scgpt: Study, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="layerscope"):
        embedded(scgpt, scgpt.cells)
    assert "30/30" in capsys.readouterr().err
    with caplog.at_level("INFO", logger="layerscope"):
        embedded(scgpt, scgpt.cells)
    assert "30/30" not in capsys.readouterr().err
    assert "30 of 30 cells" in caplog.text


def test_an_interrupted_call_goes_on_where_it_was(
    scgpt: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    adata, output = anndata.read_h5ad(scgpt.cells), tmp_path / "kept.h5ad"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("layerscope.extraction.job.write_embeddings", interrupted)
        embedded(scgpt, adata, output=output)
    with caplog.at_level("INFO", logger="layerscope"):
        layers = embedded(scgpt, adata, output=output)
    assert "29 cells are done" in caplog.text
    assert_agree(layers["02"], embedded(scgpt, adata)["02"])
    assert [path.name for path in tmp_path.iterdir()] == ["kept.h5ad"]


def test_what_lay_in_a_temporary_file_goes_with_the_result(scgpt: Study) -> None:
    layers = embedded(scgpt, scgpt.cells)
    path = layers.path
    assert path.exists()
    del layers
    assert not path.parent.exists()


def test_a_baseline_is_that_of_the_workflow(scgpt: Study, tmp_path: Path) -> None:
    adata = anndata.read_h5ad(scgpt.cells)[:-1].copy()
    adata.write_h5ad(tmp_path / "given.h5ad")
    words = ["--input", f"{tmp_path}/given.h5ad", "--settings", "{}", "--condition", "cells"]
    words += ["--summary", f"{tmp_path}/summary.tsv"]
    prepare_cells.main([*words, "--output", f"{tmp_path}/cells.h5ad"])
    words = ["--baseline", "hvg_pca", "--cells", f"{tmp_path}/cells.h5ad", "--seed", "1"]
    settings = json.dumps({"n_components": 5})
    compute_baseline.main([*words, "--settings", settings, "--output", f"{tmp_path}/expected.h5ad"])
    layers = ls.embed(adata, "hvg_pca", settings={"n_components": 5})
    assert list(layers) == ["official"] and layers.model == "hvg_pca"
    assert_agree(layers["official"], read_layer(tmp_path / "expected.h5ad", "official").matrix)


def test_a_control_is_of_its_model(scgpt: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = models.entries() | {
        "tiny": models.entries()["scgpt"].model_copy(update={"layers": 2, "set": scgpt.example.settings}),
        "tiny_untrained": models.Control(control="untrained", of="tiny", seed=3),
    }
    monkeypatch.setattr(models, "entries", lambda: catalogue)
    trained = ls.embed(scgpt.cells, "tiny", weights=scgpt.weights)
    control = ls.embed(scgpt.cells, "tiny_untrained", weights=scgpt.weights)
    assert (control.model, control.of) == ("tiny_untrained", "tiny")
    assert not np.allclose(control["02"], trained["02"], equal_nan=True)
    kinds = {one.model.name: one.model for one in representations([trained, control], scgpt.cells, "")}
    assert kinds["tiny"].kind == "foundation" and kinds["tiny"].n_layers == len(trained) - 2
    assert (kinds["tiny_untrained"].control, kinds["tiny_untrained"].of) == ("untrained", "tiny")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "scgptt"}, ConfigError, "did you mean 'scgpt'"),
        ({"devise": "cpu"}, ConfigError, "did you mean 'device'"),
        ({"selection": {"min_cells": 3}}, ConfigError, "no keyword 'selection'"),
        ({"device": "tpu"}, ConfigError, "device"),
        ({"matrix": "layers/counts"}, ConfigError, "no matrix 'layers/counts'"),
        ({"settings": {"no_such": 1}}, ConfigError, "settings={'no_such': ...}"),
        ({"settings": {"max_length": "long"}}, ConfigError, "settings={'max_length': 'long'} is not a whole"),
        ({"model": "composition", "quality": {"min_genes_per_cell": 1}}, DataError, "cell_type="),
        ({"values": "log_normalised"}, DataError, "raw counts"),
        ({"model": "embedded_scfoundation", "weights": None}, ConfigError, "made by a study"),
    ],
)
def test_mistakes_are_named(
    scgpt: Study, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    adata = anndata.read_h5ad(scgpt.cells)
    given = {"model": "scgpt", "weights": scgpt.weights, **options}
    with pytest.raises(error, match=words) as raised:
        ls.embed(adata, given.pop("model"), **given)
    assert len(str(raised.value).splitlines()) <= 2 and "--set" not in str(raised.value)


def test_in_a_terminal_mistakes_are_told_as_options(scgpt: Study, tmp_path: Path) -> None:
    options = {"weights": scgpt.weights, "settings": {"no_such": 1}, "output": tmp_path / "layers.h5ad"}
    with pytest.raises(ConfigError, match="--set no_such="):
        terminal.embed(scgpt.cells, "scgpt", options, dry_run=False)
