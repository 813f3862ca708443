"""The grid of layer choices and the comparison with the paper show what their tables say."""

import example_tables as example
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.figures.curves import Choices, curve, layer_choices
from layerscope.figures.layer_choice import draw_layer_choice
from layerscope.figures.layer_figure import draw_scores
from layerscope.figures.published import draw_published
from layerscope.tables import write_scores, write_table

SIMULATED = "simulated_differentiation"


def saved(folder, table):
    write_table(folder / "table.tsv", table)
    return folder / "table.tsv"


@pytest.fixture
def both_protocols(tmp_path):
    """Protocol strict was run for the trajectory as well, and chose layer 02 of every model."""
    strict = example.layers().query("condition == @SIMULATED")
    strict = strict.assign(protocol="strict", best_layer="02", confidence_set="02,03")
    return saved(tmp_path, pd.concat([example.layers(), strict]))


def test_every_condition_and_model_has_a_row_of_layers(tmp_path):
    layers = saved(tmp_path, example.layers())
    draw_layer_choice(layers, [tmp_path / "choice.svg"], settings=example.settings())
    svg = (tmp_path / "choice.svg").read_text()
    assert svg.count(">scfoundation<") == svg.count(">tahoe_x1_1b<") == 4
    assert "best 7 of 24; layers 1-7, 9" in svg
    assert f"Simulated cells, not an experiment: {SIMULATED}." in svg


@pytest.mark.parametrize(
    ("n_rows", "words"), [(1, "no score: needs raw counts"), (0, "No foundation model was scored")]
)
def test_what_has_no_layers_to_choose_from_says_why(tmp_path, n_rows, words):
    table = example.layers().head(n_rows).assign(best_layer="", confidence_set="", reason="needs raw counts")
    draw_layer_choice(saved(tmp_path, table), [tmp_path / "choice.svg"], settings={})
    assert words in (tmp_path / "choice.svg").read_text()


def test_layers_that_are_worse_than_the_best_get_open_signs(tmp_path):
    layers = saved(tmp_path, example.layers())
    choices = layer_choices(layers, task="trajectory", protocol="paper")
    assert choices.metrics == {SIMULATED: "spearman"}
    assert choices.chosen[SIMULATED, "scfoundation"].alike == {f"{k:02d}" for k in range(5, 13)}
    assert layer_choices(layers, task="trajectory", protocol="strict") == Choices()
    write_scores(tmp_path / "scores.tsv", example.scores())
    options = {"task": "trajectory", "protocol": "paper", "settings": example.settings()}
    for name, path in (("with", layers), ("without", None)):
        draw_scores(tmp_path / "scores.tsv", [tmp_path / f"{name}.svg"], layers_path=path, **options)
    assert "open sign" in (tmp_path / "with.svg").read_text()
    assert "open sign" not in (tmp_path / "without.svg").read_text()


def test_the_ring_is_that_of_protocol_strict_in_the_figures_of_all_protocols(both_protocols, tmp_path):
    choices = layer_choices(both_protocols, task="trajectory", protocol="paper")
    choice = choices.chosen[SIMULATED, "scfoundation"]
    assert (choice.protocol, choice.best, choice.alike) == ("strict", "02", {"02", "03"})
    rows = pd.DataFrame([vars(row) for row in example.scores()])
    points = curve(rows, SIMULATED, "scfoundation", choice)
    assert points.layers[points.best()] == "02"
    assert curve(rows, SIMULATED, "scfoundation").best() != points.best()
    write_scores(tmp_path / "scores.tsv", example.scores())
    options = {"task": "trajectory", "protocol": "paper", "settings": example.settings()}
    draw_scores(tmp_path / "scores.tsv", [tmp_path / "f.svg"], layers_path=both_protocols, **options)
    assert ">best layer by protocol strict<" in (tmp_path / "f.svg").read_text()


def test_the_grid_shows_the_choice_of_the_protocol_that_decides(both_protocols, tmp_path):
    draw_layer_choice(both_protocols, [tmp_path / "choice.svg"], settings=example.settings())
    svg = (tmp_path / "choice.svg").read_text()
    assert svg.count("scfoundation (strict)") == 1
    assert svg.count("scfoundation (paper)") == 3
    assert svg.count("best 2 of") == 2


def test_the_paper_is_drawn_beside_what_was_reproduced_and_counted(tmp_path):
    published = saved(tmp_path, example.published())
    draw_published(published, [tmp_path / "figure.svg"], protocol="paper", settings=example.settings())
    svg = (tmp_path / "figure.svg").read_text()
    assert "106 of 144 published scores were reproduced by protocol paper." in svg
    assert "cord_blood" in svg


@pytest.mark.parametrize("draw", [draw_layer_choice, draw_published])
def test_another_table_is_refused_with_the_column_that_is_missing(tmp_path, draw):
    table = saved(tmp_path, example.summary())
    options = {"protocol": "paper"} if draw is draw_published else {}
    with pytest.raises(DataError, match=r"table.tsv: column 'condition' is missing; expected"):
        draw(table, [tmp_path / "figure.svg"], settings={}, **options)
    with pytest.raises(DataError, match="column 'condition' is missing"):
        layer_choices(table, task="trajectory", protocol="paper")
