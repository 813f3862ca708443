"""The recommendation through Python is that of the workflow's script for the same scores."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import label_cells
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import choose_layers
import layerscope as ls
from layerscope.errors import ConfigError
from layerscope.tables import write_resamples, write_table

QUICK = {"resamples": 100, "splits": 10, "shuffles": 5, "refits": 2}


def adata(noise: float = 0.0) -> anndata.AnnData:
    obs = label_cells.cells()
    obsm = {
        f"m_layer_{number:02d}": label_cells.clusters(obs["cell_type"], spread)
        for number, spread in ((1, 4.0), (2, 1.5), (3, 4.0))
    }
    random = np.random.default_rng(0)
    obsm["X_noise"] = random.normal(size=(len(obs), 8)).astype(np.float32)
    obsm["X_other_noise"] = random.normal(size=(len(obs), 8)).astype(np.float32)
    obsm["X_scVI"] = label_cells.clusters(obs["cell_type"], 1.0)
    return anndata.AnnData(obs=obs, obsm=obsm)


LAYERS = ["m_layer_01", "m_layer_02", "m_layer_03"]


def scored(*keys: str, condition: str = "blood") -> ls.Scores:
    return ls.score(adata(), list(keys), task="label", condition=condition, **QUICK)


@pytest.fixture(scope="module")
def layered() -> ls.Scores:
    return scored(*LAYERS, "X_noise")


def test_the_table_is_that_of_the_script(layered: ls.Scores, tmp_path: Path) -> None:
    write_table(tmp_path / "scores.tsv", layered.table)
    files = []
    for identity, values in layered.resamples.items():
        path = tmp_path.joinpath(*identity[:-1], f"layer_{identity[-1]}.npz")
        write_resamples(path, values)
        files.append(str(path))
    models = {"m": {"kind": "foundation", "layers": 3}, "X_noise": {"kind": "baseline"}}
    words = ["--scores", f"{tmp_path}/scores.tsv", "--resamples", *files, "--models", json.dumps(models)]
    choose_layers.main([*words, "--output", f"{tmp_path}/layers.tsv", "--curves", f"{tmp_path}/curves.tsv"])
    chosen = ls.recommend(layered)
    for name, ours in (("layers", chosen.table), ("curves", chosen.curves)):
        write_table(tmp_path / "ours.tsv", ours)
        expected, found = (pd.read_csv(tmp_path / f"{n}.tsv", sep="\t") for n in (name, "ours"))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_a_better_layer_is_named(layered: ls.Scores) -> None:
    chosen = ls.recommend(layered)
    assert chosen.verdict == "use_layer"
    assert chosen.table["best_layer"].tolist() == ["02"]
    assert "use 02" in chosen.text and "layer 02" in chosen._repr_html_()
    assert repr(chosen).startswith("blood, m, protocol strict: use_layer\n")
    assert "better than a PCA: not tested" in chosen.text
    assert "better than the best baseline: yes" in chosen.text
    assert len(chosen) == len(list(chosen)) == 1


def test_conditions_and_models_have_a_row_each(layered: ls.Scores) -> None:
    chosen = ls.recommend(layered + scored(*LAYERS, condition="bone"))
    assert chosen.verdict == {
        (condition, "label", "strict", "m"): "use_layer" for condition in ("blood", "bone")
    }
    assert [one.verdict for one in chosen] == ["use_layer"] * 2
    assert set(chosen.table["condition"]) == {"blood", "bone"}


@pytest.mark.parametrize(
    ("keys", "word", "best"),
    [
        (("X_scVI", "X_noise"), "use_layer", "X_scVI"),
        (("X_noise", "X_other_noise"), "no_signal", None),
        (("X_scVI",), "no_difference_shown", "X_scVI"),
    ],
)
def test_embeddings_without_layers_are_compared_with_each_other(
    keys: tuple[str, ...], word: str, best: str | None
) -> None:
    chosen = ls.recommend(scored(*keys))
    assert chosen.verdict == word
    assert word in repr(chosen) and "better than" not in repr(chosen)
    assert best in (None, chosen.table.loc[0, "model"])
    assert set(chosen.representations["model"]) == set(keys)


@pytest.mark.parametrize("keys", [[*LAYERS, "X_scVI"], ["X_scVI", "X_noise"]])
def test_it_can_be_plotted(keys: list[str], tmp_path: Path) -> None:
    figure = ls.recommend(scored(*keys)).plot()
    figure.savefig(tmp_path / "figure.png")
    assert any("X_scVI" in text.get_text() for text in figure.findobj(Text))


def test_what_is_plotted_must_be_there(layered: ls.Scores) -> None:
    with pytest.raises(ConfigError, match="choose one of strict"):
        ls.recommend(layered).plot(protocol="paper")
