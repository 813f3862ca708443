"""The grid of layer choices and the comparison with the paper show what their tables say."""

import example_tables as example
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.figures.curves import Choices, layer_choices
from layerscope.figures.layer_choice import draw_layer_choice
from layerscope.figures.layer_figure import scores_figure
from layerscope.figures.published import draw_published
from layerscope.tables import write_scores, write_table

SIMULATED = "simulated_differentiation"


def saved(folder, table):
    write_table(folder / "table.tsv", table)
    return folder / "table.tsv"


def judged(table, verdict, use):
    """The choices with this verdict and what it says to use."""
    return table.assign(verdict=verdict, use=use)


@pytest.fixture
def both_protocols(tmp_path):
    """Protocol strict was run for the trajectory as well, and says to use layer 02 of every model."""
    strict = example.layers().query("condition == @SIMULATED")
    strict = judged(strict.assign(protocol="strict"), "use_layer", "02")
    return saved(tmp_path, pd.concat([judged(example.layers(), "final_will_do", "12"), strict]))


def test_every_condition_and_model_has_a_row_of_layers_with_its_verdict(tmp_path):
    layers = saved(tmp_path, judged(example.layers(), "prefer_baseline", "hvg_pca"))
    draw_layer_choice(layers, [tmp_path / "choice.svg"], settings=example.settings())
    svg = (tmp_path / "choice.svg").read_text()
    assert svg.count(">Scfoundation<") == svg.count(">Tahoe X1 1B<") == 4
    assert svg.count(">baseline is better: hvg_pca<") == 8
    assert f"Simulated cells, not an experiment: {SIMULATED}." in svg


@pytest.mark.parametrize(
    ("n_rows", "words"), [(1, "no score: needs raw counts"), (0, "No foundation model was scored")]
)
def test_what_has_no_layers_to_choose_from_says_why(tmp_path, n_rows, words):
    table = example.layers().head(n_rows).assign(best_layer="", confidence_set="", reason="needs raw counts")
    draw_layer_choice(saved(tmp_path, table), [tmp_path / "choice.svg"], settings=example.settings())
    assert words in (tmp_path / "choice.svg").read_text()


@pytest.mark.parametrize(
    ("verdict", "use", "marked"),
    [
        ("use_layer", "04", "04"),
        ("prefer_official", "official", "official"),
        ("prefer_baseline", "hvg_pca", "hvg_pca"),
        ("final_will_do", "12", ""),
        ("no_difference_shown", "", ""),
        ("no_signal", "", ""),
    ],
)
def test_only_what_is_shown_to_be_better_is_marked(tmp_path, verdict, use, marked):
    layers = saved(tmp_path, judged(example.layers(), verdict, use))
    choices = layer_choices(layers, task="trajectory", protocol="paper")
    assert choices.metrics == {SIMULATED: "spearman"}
    assert choices.use[SIMULATED, "scfoundation"] == marked
    write_scores(tmp_path / "scores.tsv", example.scores())
    options = {"task": "trajectory", "protocol": "paper", "settings": example.settings()}
    figure, _, caption = scores_figure(tmp_path / "scores.tsv", layers_path=layers, **options)
    first = figure.axes[0]
    filled = [
        line for line in first.lines if line.get_markersize() >= 7 and line.get_markerfacecolor() != "white"
    ]
    assert len(filled) == bool(marked)
    assert ("A filled sign is what to use" in caption) == bool(marked)
    assert ("No sign is filled" in caption) == (not marked)


def test_without_the_table_of_choices_nothing_is_said_of_what_to_use(tmp_path):
    write_scores(tmp_path / "scores.tsv", example.scores())
    options = {"task": "trajectory", "protocol": "paper", "settings": example.settings()}
    assert "filled" not in scores_figure(tmp_path / "scores.tsv", **options)[2]
    layers = saved(tmp_path, example.layers())
    assert layer_choices(layers, task="trajectory", protocol="strict") == Choices()


def test_the_mark_is_that_of_protocol_strict_in_the_figures_of_all_protocols(both_protocols, tmp_path):
    choices = layer_choices(both_protocols, task="trajectory", protocol="paper")
    assert choices.use[SIMULATED, "scfoundation"] == "02"
    write_scores(tmp_path / "scores.tsv", example.scores())
    options = {"task": "trajectory", "protocol": "paper", "settings": example.settings()}
    caption = scores_figure(tmp_path / "scores.tsv", layers_path=both_protocols, **options)[2]
    assert "than all layers where it is none, by protocol strict." in caption


def test_the_grid_shows_the_choice_of_the_protocol_that_decides(both_protocols, tmp_path):
    draw_layer_choice(both_protocols, [tmp_path / "choice.svg"], settings=example.settings())
    svg = (tmp_path / "choice.svg").read_text()
    assert svg.count(", protocol strict<") == 1
    assert svg.count(", protocol paper<") == 3
    assert svg.count(">one is better: layer 02<") == 2


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
