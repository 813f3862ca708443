"""Extraction stops after a layer: what comes after it is neither run nor missed in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from family_examples import EXAMPLES, assert_layers_agree, study_of
from model_examples import all_layers, counts, write_h5ad, write_scfoundation
from study_configs import default_config

import extract_layers
import layerscope.extraction.job as job_module
from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import read_provenance
from layerscope.models.entries import FoundationModel
from layerscope.statistics.evidence import models_of
from layerscope.statistics.gather import gather
from layerscope.statistics.layer_choice import choose_layers
from layerscope.study import gathering, jobs
from layerscope.study.runs import Study
from layerscope.tables import Score, depth, write_scores

SMALL = "embedded_scfoundation"


def blocks_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the blocks that run from now on, once for each batch."""
    run: list[int] = []
    load = job_module._model

    def watched(*args: Any) -> Any:
        model = load(*args)
        for number, block in enumerate(model.module.stack, start=1):
            block.register_forward_pre_hook(lambda *_, number=number: run.append(number))
        return model

    monkeypatch.setattr(job_module, "_model", watched)
    return run


@pytest.mark.parametrize("family", EXAMPLES)
def test_a_run_that_stops_gives_the_same_layers_and_runs_no_block_after_them(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(EXAMPLES[family], tmp_path)
    run = blocks_run(monkeypatch)
    whole = study.extract("whole.h5ad")
    assert set(run) == {1, 2}
    run.clear()
    part = study.extract("part.h5ad", up_to=1)
    assert set(run) == {1}
    # the owners of Geneformer publish the second to last layer, which is run
    names = ["00", "01", *(["official"] if family == "geneformer" else [])]
    assert list(all_layers(part)) == names
    expected = all_layers(whole)
    for name, matrix in all_layers(part).items():
        np.testing.assert_allclose(matrix, expected[name], rtol=1e-4, atol=1e-5)
    about = read_provenance(part)
    assert (about["n_layers"], about["up_to"]) == (2, 1)
    assert "up_to" not in read_provenance(whole)


def test_stopping_after_the_last_block_is_a_whole_run(tmp_path: Path) -> None:
    study = study_of(EXAMPLES["scgpt"], tmp_path)
    assert_layers_agree(study.extract("whole.h5ad"), study.extract("up_to.h5ad", up_to=2))


def test_the_script_takes_the_layer_as_it_is_named(tmp_path: Path) -> None:
    weights = write_scfoundation(tmp_path / "weights", 40, layers=3)
    cells = write_h5ad(tmp_path / "cells.h5ad", counts(10, 40), [f"G{i}" for i in range(40)])
    output = tmp_path / "out.h5ad"
    words = ["--family", "scfoundation", "--weights", weights, "--cells", cells, "--output", output]
    extract_layers.main([*map(str, words), "--device", "cpu", "--up-to", "02"])
    assert list(all_layers(output)) == ["00", "01", "02"]
    with pytest.raises(ConfigError, match=r"--up-to 4.* 3 layers"):
        extract_layers.main([*map(str, words), "--device", "cpu", "--up-to", "4"])


@pytest.fixture
def config() -> dict[str, Any]:
    return default_config()


@pytest.mark.parametrize("up_to", [3, "03", "08"])
def test_a_study_extracts_and_scores_up_to_the_layer_and_says_so_of_the_others(
    config: dict[str, Any], up_to: int | str
) -> None:
    config["models"][SMALL] |= {"layers": 9, "up_to": up_to}
    study, last = Study.read(config), int(up_to)
    names = [f"{layer:02d}" for layer in range(last + 1)]
    for model in (SMALL, f"{SMALL}_untrained_1"):
        assert study.layers(model) == names
        assert study.n_layers(model) == 9
        words = jobs.extraction_options(study, model)
        assert words[words.index("--up-to") + 1] == str(last)
    missing = [row for row in gathering.unavailable_scores(study) if row["model"] == SMALL]
    left_out = {row["layer"] for row in missing if row["condition"] == "simulated_Rest"}
    assert left_out == {*(f"{layer:02d}" for layer in range(last + 1, 10)), "official"}
    assert all(f"after layer {last:02d} of 9" in row["reason"] for row in missing)
    assert {row["protocol"] for row in missing} == {"paper", "strict"}


def test_a_study_that_stops_nowhere_says_nothing(config: dict[str, Any]) -> None:
    study = Study.read(config)
    assert gathering.unavailable_scores(study) == []
    assert "--up-to" not in jobs.extraction_options(study, SMALL)


def test_there_is_no_block_after_the_last(config: dict[str, Any]) -> None:
    config["models"][SMALL] |= {"layers": 6, "up_to": 7}
    with pytest.raises(ConfigError, match=r"up_to.*7.* 1 to 6"):
        Study.read(config)


@pytest.mark.parametrize(
    ("family", "up_to", "options", "official"),
    [
        ("geneformer", 5, {}, True),
        ("geneformer", 4, {}, False),
        ("geneformer", 4, {"official_layer": 4}, True),
        ("scgpt", 5, {}, False),
        ("scgpt", 6, {}, True),
        ("scgpt", None, {}, True),
    ],
)
def test_the_official_embedding_is_there_where_its_block_is_run(
    family: str, up_to: int | None, options: dict[str, Any], official: bool
) -> None:
    weights = {"pretrain": {"cells": "atlas"}}
    entry = FoundationModel(family=family, layers=6, up_to=up_to, set=options, weights=weights)
    assert ("official" in entry.layer_names) is official


def test_without_a_final_layer_nothing_is_compared_with_it(tmp_path: Path) -> None:
    about = {"condition": "blood", "model": "m", "task": "trajectory", "protocol": "strict"}
    rows, values, random = [], {}, np.random.default_rng(1)
    for layer, estimate in {"01": 0.4, "02": 0.6, "03": 0.59}.items():
        more = {"depth": depth(layer, 6), "estimate": estimate, "ci_low": estimate - 0.1}
        rows.append(Score(**about, layer=layer, metric="spearman", ci_high=0.9, **more))
        resamples = estimate + 0.01 * random.normal(size=300)
        values["trajectory", "blood", "strict", "m", layer] = {"spearman": resamples}
    write_scores(tmp_path / "scores.tsv", rows)
    reason = "extraction stops after layer 03 of 6"
    missing = [about | {"layer": layer, "reason": reason} for layer in ("04", "05", "06", "official")]
    scores = gather([tmp_path / "scores.tsv"], missing)
    row = choose_layers(scores, values, models_of({"m": {"kind": "foundation", "layers": 6}})).layers.iloc[0]
    assert (row["best_layer"], row["final_layer"], row["cheapest_layer"]) == ("02", "", "")
    assert row["reason"] == reason
    assert np.isnan([row["gain"], row["gain_p"], row["cheapest_over_final"], row["forward_pass_saved"]]).all()
    assert (row["verdict"], row["use"]) == ("no_difference_shown", "02")
    assert "final layer" in row["sentence"]
