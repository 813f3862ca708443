"""The grid of layer choices and the comparison with the paper show what their tables say."""

from __future__ import annotations

import json

import example_tables as example
import pytest

import plot_layer_choice
import plot_published
import plot_scores
from layerscope.errors import DataError
from layerscope.figures.curves import Choices, layer_choices
from layerscope.figures.layer_choice import TEXT, draw_layer_choice
from layerscope.figures.published import draw_published
from layerscope.statistics.choice import LayerChoice
from layerscope.statistics.layer_choice import as_row
from layerscope.tables import write_scores, write_table


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "layers.tsv"
    write_table(path, example.layers())
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "published.tsv"
    write_table(path, example.published())
    return path


def test_the_columns_that_are_drawn_are_those_of_the_layer_choice():
    assert set(TEXT) <= set(as_row(LayerChoice("", "", "", "", "", 0)))


def test_every_condition_and_model_has_a_row_of_layers(tmp_path, layers):
    output = tmp_path / "choice.svg"
    plot_layer_choice.main(
        ["--layers", str(layers), "--settings", json.dumps(example.settings()), "--output", str(output)]
    )
    svg = output.read_text()
    assert svg.count(">scfoundation<") == svg.count(">tahoe_x1_1b<") == 4
    assert "best 7 of 24; layers 1-7, 9" in svg
    assert "Simulated cells, not an experiment: simulated_differentiation." in svg


def test_a_model_without_a_score_says_why(tmp_path):
    table = example.layers().head(1).assign(best_layer="", confidence_set="", reason="needs raw counts")
    write_table(tmp_path / "layers.tsv", table)
    draw_layer_choice(tmp_path / "layers.tsv", [tmp_path / "choice.svg"], settings={})
    assert "no score: needs raw counts" in (tmp_path / "choice.svg").read_text()


def test_layers_that_are_worse_than_the_best_get_open_signs(tmp_path, layers):
    write_scores(tmp_path / "scores.tsv", example.scores())
    arguments = ["--task", "trajectory", "--scores", str(tmp_path / "scores.tsv")]
    arguments += ["--settings", json.dumps(example.settings())]
    plot_scores.main([*arguments, "--output", str(tmp_path / "without.svg")])
    plot_scores.main([*arguments, "--layers", str(layers), "--output", str(tmp_path / "with.svg")])
    assert "open sign: worse than the best layer" in (tmp_path / "with.svg").read_text()
    assert "open sign" not in (tmp_path / "without.svg").read_text()
    choices = layer_choices(layers, task="trajectory", protocol="paper")
    assert choices.metrics == {"simulated_differentiation": "spearman"}
    assert choices.alike["simulated_differentiation", "scfoundation"] == {f"{k:02d}" for k in range(5, 13)}
    assert layer_choices(layers, task="trajectory", protocol="strict") == Choices()


def test_the_paper_is_drawn_beside_what_was_reproduced_and_counted(tmp_path, published):
    output = tmp_path / "published.svg"
    settings = json.dumps(example.settings())
    plot_published.main(["--published", str(published), "--settings", settings, "--output", str(output)])
    svg = output.read_text()
    assert "106 of 144 published scores were reproduced by protocol paper." in svg
    assert "cord_blood" in svg


@pytest.mark.parametrize("draw", [draw_layer_choice, draw_published])
def test_another_table_is_refused_with_the_column_that_is_missing(tmp_path, draw):
    write_table(tmp_path / "table.tsv", example.summary())
    options = {"protocol": "paper"} if draw is draw_published else {}
    with pytest.raises(DataError, match=r"table.tsv: column 'condition' is missing; expected the table that"):
        draw(tmp_path / "table.tsv", [tmp_path / "figure.svg"], settings={}, **options)
    with pytest.raises(DataError, match="column 'condition' is missing"):
        layer_choices(tmp_path / "table.tsv", task="trajectory", protocol="paper")


def test_a_study_without_foundation_models_has_no_layers_to_choose_from(tmp_path):
    write_table(tmp_path / "table.tsv", example.layers().head(0))
    draw_layer_choice(tmp_path / "table.tsv", [tmp_path / "figure.svg"], settings={})
    assert "No foundation model was scored" in (tmp_path / "figure.svg").read_text()
