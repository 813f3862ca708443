"""The figure of the leak shows four scores of protocol strict, layer by layer, and nothing else."""

import pytest

import plot_leak
from layerscope.errors import DataError
from layerscope.figures.leak import SERIES, draw_leak
from layerscope.tables import Score, write_scores

SHARED = {"condition": "screen", "task": "perturbation", "protocol": "strict", "depth": 0.0}


@pytest.fixture
def scores(tmp_path):
    rows = [
        Score(**SHARED, model=model, layer=layer, metric=one.metric, estimate=0.3, ci_low=0.2, ci_high=0.4)
        for one in SERIES
        for model in ("small", "other")
        for layer in ("00", "01", "02", "official")
    ]
    write_scores(tmp_path / "scores.tsv", rows)
    return tmp_path / "scores.tsv"


def test_the_figure_names_models_layers_and_scores(scores, tmp_path):
    plot_leak.main(["--scores", str(scores), "--models", "small", "--output", str(tmp_path / "leak.svg")])
    text = (tmp_path / "leak.svg").read_text()
    assert all(f">{one.label}<" in text for one in SERIES)
    assert all(f">{layer}<" in text for layer in ("00", "01", "02"))
    assert ">official<" not in text
    assert ">small<" in text
    assert ">screen<" in text
    assert "other" not in text


def test_the_same_scores_give_the_same_bytes(scores, tmp_path):
    for name in ("one.svg", "two.svg"):
        draw_leak(scores, [tmp_path / name], settings={"title": "A study"})
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_table_without_strict_scores_is_refused(tmp_path):
    write_scores(tmp_path / "scores.tsv", [])
    with pytest.raises(DataError, match="protocol strict"):
        draw_leak(tmp_path / "scores.tsv", [tmp_path / "leak.svg"], settings={})
