"""Which representation to use, by the statistics of the choice among layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import write_layer_choice
from layerscope.statistics.representations import COLUMNS, choose_representations
from layerscope.tables import OFFICIAL, Score, read_scores, read_table, write_resamples, write_scores

MODELS: dict[str, dict[str, Any]] = {
    "hvg_pca": {"kind": "baseline", "layers": 0},
    "scvi": {"kind": "baseline", "family": "stored", "layers": 0},
    "scvi_twin": {"kind": "control", "control": "untrained", "of": "scvi", "layers": 0},
    "qc_only": {"kind": "baseline", "layers": 0},
    "big": {"kind": "foundation", "layers": 2},
    "big_twin": {"kind": "control", "control": "untrained", "of": "big", "layers": 2},
}


class Study:
    """Score files of a study: bootstrap values that share an error of 0.02, and 0.005 of each one's own."""

    def __init__(self, folder: Path, own_error: float = 0.005) -> None:
        self.folder, self.own_error = folder, own_error
        self.random = np.random.default_rng(0)
        self.shared = 0.02 * self.random.normal(size=500)
        self.rows: list[Score] = []
        self.files: list[Path] = []

    def add(self, model: str, value: float | str, layer: str = OFFICIAL, **about: Any) -> Study:
        of = {"condition": "blood", "task": "trajectory", "protocol": "strict"} | about
        row: dict[str, Any] = of | {"model": model, "layer": layer, "depth": np.nan, "metric": "spearman"}
        if isinstance(value, str):
            self.rows.append(Score(**row | {"metric": ""}, status="not_available", reason=value))
            return self
        values = value + self.shared + self.own_error * self.random.normal(size=500)
        low, high = np.quantile(values, [0.025, 0.975])
        self.rows.append(Score(**row, estimate=value, ci_low=low, ci_high=high))
        path = Path(self.folder, of["task"], of["condition"], of["protocol"], model, f"layer_{layer}.npz")
        write_resamples(path, {"spearman": values})
        self.files.append(path)
        return self

    def table(self, with_resamples: bool = True) -> pd.DataFrame:
        write_scores(self.folder / "scores.tsv", self.rows)
        files = self.files if with_resamples else []
        return choose_representations(read_scores(self.folder / "scores.tsv"), files, models_of(MODELS))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_the_best_is_named_with_what_cannot_be_told_from_it(study: Study) -> None:
    table = study.add("hvg_pca", 0.69).add("qc_only", 0.2).add("scvi", 0.7).table()
    assert list(table.columns) == list(COLUMNS)
    assert table["model"].tolist() == ["scvi", "hvg_pca", "qc_only"]
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["in_confidence_set"].tolist() == [True, True, False]
    assert table["behind_best"].tolist() == pytest.approx([0, 0.01, 0.5])
    best, second, _ = table.to_dict("records")
    assert best["p_alone"] == second["p_best"] > 0.05
    assert second["behind_best_low"] < 0 < second["behind_best_high"]
    assert (best["verdict"], best["use"], best["sure"]) == ("no_difference_shown", "scvi", "no")
    assert (best["confidence_set"], best["runner_up"]) == ("scvi,hvg_pca", "hvg_pca")
    assert "hvg_pca" in best["sentence"]
    assert table["sentence"].tolist()[1:] == ["", ""]


def test_one_that_is_better_than_all_others_is_recommended(study: Study) -> None:
    table = study.add("hvg_pca", 0.5).add("scvi", 0.7).table()
    assert table["in_confidence_set"].tolist() == [True, False]
    best = table.iloc[0]
    assert (best["verdict"], best["use"], best["sure"]) == ("use_layer", "scvi", "yes")
    assert best["lead"] == pytest.approx(0.2)
    assert "hvg_pca, by 0.20" in best["sentence"]


def test_intervals_hold_for_all_representations_at_once_and_differences_are_paired(study: Study) -> None:
    """The shared error (0.02) cancels in differences; of 2 of them, 2.24 errors of their own stay."""
    for name, value in (("hvg_pca", 0.6), ("scvi", 0.7), ("qc_only", 0.5)):
        study.add(name, value)
    table = study.table().set_index("model")
    width = table["behind_best_high"] - table["behind_best_low"]
    assert width["hvg_pca"] == pytest.approx(2 * 2.24 * 0.005 * np.sqrt(2), rel=0.1)
    assert (table["simultaneous_low"] <= table["ci_low"]).all()
    assert (table["simultaneous_high"] >= table["ci_high"]).all()


def test_a_lead_in_one_of_many_conditions_is_corrected_for_them(tmp_path: Path) -> None:
    study = Study(tmp_path, own_error=0.02)
    for number in range(12):
        study.add("hvg_pca", 0.6, condition=f"c{number:02d}").add("scvi", 0.6, condition=f"c{number:02d}")
    table = study.add("hvg_pca", 0.6, condition="last").add("scvi", 0.66, condition="last").table()
    row = table[(table["condition"] == "last") & (table["rank"] == 1)].iloc[0]
    assert row["p_alone"] < 0.05 < row["p_alone_family"]
    assert row["verdict"] == "no_difference_shown"


def test_controls_stand_beside_and_never_among(study: Study) -> None:
    study.add("scvi", 0.7).add("scvi_twin", 0.9).add("hvg_pca", 0.6).add("big", 0.65)
    table = study.add("big", 0.95, layer="01").add("big_twin", 0.1).table().set_index("model")
    assert list(table.index) == ["scvi", "big", "hvg_pca"]
    assert table.loc["scvi", "untrained"] == 0.9
    assert table.loc["big", "over_untrained"] == pytest.approx(0.55)
    assert np.isnan(table.loc["hvg_pca", "untrained"])
    assert table.loc["scvi", "training_helped"].startswith("no: trained 0.70, untrained 0.90")


def test_without_resamples_nothing_is_claimed(study: Study) -> None:
    table = study.add("hvg_pca", 0.5).add("scvi", 0.7).table(with_resamples=False)
    assert "is not tested" in table["sentence"].iloc[0]
    assert not table["in_confidence_set"].any()
    assert np.isnan(table["simultaneous_low"]).sum() == 0
    assert np.isnan(table["behind_best_low"]).all()


def test_what_has_no_score_comes_last_with_its_reason(study: Study) -> None:
    table = study.add("hvg_pca", "needs counts").add("scvi", 0.7).table()
    assert table[["model", "status", "reason"]].to_numpy().tolist() == [
        ["scvi", "ok", ""],
        ["hvg_pca", "not_available", "needs counts"],
    ]
    assert "the only representation" in table["sentence"].iloc[0]


def test_a_condition_without_any_score_says_why(study: Study) -> None:
    table = study.add("hvg_pca", "needs counts").table()
    assert table[["verdict", "use", "reason"]].to_numpy().tolist() == [["not_scored", "", "needs counts"]]


def test_every_protocol_has_a_verdict_and_strict_alone_is_sure(study: Study) -> None:
    for protocol, lead in (("paper", 0.9), ("strict", 0.1)):
        study.add("hvg_pca", 0.5, protocol=protocol).add("scvi", lead, protocol=protocol)
    first = study.table().query("rank == 1").set_index("protocol")
    assert first[["use", "sure"]].to_dict("index") == {
        "paper": {"use": "scvi", "sure": "no"},
        "strict": {"use": "hvg_pca", "sure": "yes"},
    }


def test_representations_that_are_the_same_are_told_apart_in_no_condition(tmp_path: Path) -> None:
    study = Study(tmp_path, own_error=0.0)
    table = study.add("hvg_pca", 0.5).add("scvi", 0.5).add("qc_only", 0.5).table()
    assert table["in_confidence_set"].all()
    assert table["model"].tolist() == ["hvg_pca", "scvi", "qc_only"]


def test_the_table_is_written_in_the_order_of_the_study(study: Study) -> None:
    for condition in ("a", "b"):
        study.add("hvg_pca", 0.5, condition=condition).add("scvi", 0.7, condition=condition)
    study.table()
    paths = {name: study.folder / f"{name}.tsv" for name in ("layers", "representations", "scores")}
    write_layer_choice(
        paths["layers"],
        scores=paths["scores"],
        models=MODELS,
        resamples=study.files,
        conditions=["b", "a"],
        representations=paths["representations"],
    )
    table = read_table(paths["representations"])
    assert table["condition"].tolist() == ["b", "b", "a", "a"]
    assert read_table(paths["layers"]).empty


def test_a_study_without_any_representation_has_an_empty_table(study: Study) -> None:
    table = study.add("big", 0.95, layer="01").table()
    assert table.empty
    assert list(table.columns) == list(COLUMNS)
