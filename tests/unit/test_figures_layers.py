"""The main figures say what they show: simulated cells, missing scores, and every model and condition."""

import re
from dataclasses import replace

import example_tables as example
import pandas as pd
import pytest
from matplotlib.text import Text

from layerscope.figures.drawing import arrange
from layerscope.figures.layer_figure import draw_scores, scores_figure
from layerscope.figures.models import read_models
from layerscope.figures.sheet import WIDTH
from layerscope.figures.wording import layer_ranges
from layerscope.tables import write_scores, write_table

MANY = {"scfoundation_a": 12, "tahoe_x1_70m": 12, "tahoe_x1_1b": 24, "tahoe_x1_3b": 32, "uce_33l": 33}

GAPS = {("05", "D1_Rest"), ("05", "D1_Stim8hr"), ("05", "D1_Stim48hr"), ("06", "D1_Stim48hr")}


def draw(folder, task, *, rows=None, settings=None, **tables):
    write_scores(folder / "scores.tsv", example.scores() if rows is None else rows)
    chosen = {"task": task, "protocol": "paper", "settings": settings or example.settings()}
    draw_scores(folder / "scores.tsv", [folder / "figure.svg"], **chosen, **tables)
    return (folder / "figure.svg").read_text()


def test_a_figure_names_what_it_shows_and_what_it_lacks(tmp_path):
    svg = draw(tmp_path, "perturbation")
    words = ["D1 Rest", "D1 Stim8hr", "Scfoundation", "Tahoe X1 1B", "rank_normal_pca"]
    words += ["range of 5 seeds", "bootstrap over perturbations"]
    words += ["No score: Scfoundation, layers 5-6 (D1_Rest): the layer is constant"]
    words += ["log_all_genes (D1_Stim8hr)"]
    assert [text for text in words if text not in svg] == []
    assert "simulated" not in svg.lower()


def test_simulated_cells_are_called_so_in_title_panel_and_caption(tmp_path):
    svg = draw(tmp_path, "trajectory")
    assert "(simulated cells)" in svg
    assert "Simulated cells, not an experiment: simulated_differentiation." in svg
    assert "delete-d jackknife" in svg and "bootstrap" not in svg


@pytest.mark.parametrize(
    ("task", "gone", "notes"),
    [
        (
            "perturbation",
            lambda row: row.model == "tahoe_x1_1b" and (row.layer, row.condition) in GAPS,
            ["1B, layer 5 (D1_Rest, D1_Stim8hr): gone", "1B, layers 5-6 (D1_Stim48hr): gone"],
        ),
        (
            "trajectory",
            lambda row: row.layer == "00" and row.model.startswith("tahoe"),
            ["Tahoe X1 1B, 2 controls, layer 0 (simulated_differentiation): gone"],
        ),
    ],
)
def test_the_same_gap_of_several_conditions_or_of_controls_is_one_note(tmp_path, task, gone, notes):
    rows = example.scores(seeds=2)
    rows = [replace(row, status="undefined", reason="gone") if gone(row) else row for row in rows]
    svg = draw(tmp_path, task, rows=rows)
    assert [note for note in notes if note not in svg] == []


@pytest.mark.parametrize(
    ("reason", "note"),
    [("{}", "... and 10 more"), ("none", "Scfoundation, layers 0-12, official (simulated_diff")],
)
def test_many_reasons_are_cut_and_a_model_without_scores_is_still_drawn(tmp_path, reason, note):
    rows = [row for row in example.scores() if row.model == "scfoundation"]
    rows = [replace(row, status="undefined", reason=reason.format(row.layer)) for row in rows]
    svg = draw(tmp_path, "trajectory", rows=rows)
    assert note in svg
    assert "the same network" not in svg


def test_the_same_table_gives_the_same_bytes_whatever_the_order_of_its_rows(tmp_path):
    in_order = draw(tmp_path, "trajectory")
    assert draw(tmp_path, "trajectory", rows=example.scores()[::-1]) == in_order


def test_models_with_controls_have_panels_of_their_own():
    models = read_models(example.settings())
    alone = [("scfoundation",), ("tahoe_x1_1b",)]
    drawn = [[panel.models for panel in row] for row in arrange(["a", "b"], models)]
    assert drawn == [[alone[0]] * 2, [alone[1]] * 2]
    assert [panel.models for panel in arrange(["a"], models)[0]] == alone


def test_a_condition_has_panels_of_the_models_that_are_run_on_it():
    models = read_models(example.settings())
    run = {("a", "scfoundation"), ("b", "tahoe_x1_1b"), ("b", "hvg_pca"), ("c", "hvg_pca")}
    drawn = [[(panel.condition, *panel.models) for panel in row] for row in arrange(["a", "b"], models, run)]
    assert drawn == [[("a", "scfoundation")], [("b", "tahoe_x1_1b")]]
    (row,) = arrange(["a", "b"], models, run | {("b", "scfoundation")})
    assert [(panel.condition, *panel.models) for panel in row] == [
        ("a", "scfoundation"),
        ("b", "scfoundation"),
        ("b", "tahoe_x1_1b"),
    ]
    # of a condition with baselines alone these are drawn in every group
    three = arrange(["a", "b", "c"], models, run)
    assert [[panel.condition for panel in row] for row in three] == [["a", "c"], ["b", "c"]]


def test_few_models_without_controls_share_a_panel_and_many_are_divided():
    few, many = (read_models(example.settings(models, seeds=0)) for models in (None, MANY))
    assert arrange(["a", "b"], few)[0][1].models == ("scfoundation", "tahoe_x1_1b")
    rows = arrange(["a", "b"], many)
    assert [[panel.condition for panel in row] for row in rows] == [["a", "b"]] * 2
    assert rows[1][0].models == ("tahoe_x1_3b", "uce_33l")
    assert [len(row) for row in arrange(["a"], many)] == [2]


def test_panels_of_several_models_in_a_row_name_model_and_condition(tmp_path):
    run = {("D1_Rest", "s"), ("D1_Rest", "t"), ("D1_Stim8hr", "s")}
    rows = [row for row in example.scores() if (row.condition, row.model[0]) in run]
    text = " ".join(re.findall(r">([^<>]+)</text>", draw(tmp_path, "perturbation", rows=rows)))
    assert "Tahoe X1 1B: D1 Rest" in text
    assert "Scfoundation: D1 Stim8hr" in text


def test_text_is_legible_in_print_and_every_model_stands_in_one_legend(tmp_path):
    write_scores(tmp_path / "scores.tsv", example.scores(MANY, seeds=1))
    chosen = {"task": "perturbation", "protocol": "paper", "settings": example.settings(MANY, seeds=1)}
    figure = scores_figure(tmp_path / "scores.tsv", **chosen)[0]
    assert figure.get_figwidth() == WIDTH
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == len(set(labels))
    assert {chosen["settings"]["models"][name]["title"] for name in MANY} < set(labels)
    assert not any(axes.get_legend() for axes in figure.axes)


@pytest.mark.parametrize("seeds", [0, 1])
def test_twelve_conditions_and_nine_models_wrap_into_three_columns(seeds):
    models = read_models(example.settings({f"model_{k}": 12 for k in range(9)}, seeds=seeds))
    conditions = [f"condition_{k}" for k in range(12)]
    rows = arrange(conditions, models)
    assert [len(row) for row in rows] == [3] * 12
    shown = [(panel.condition, name) for row in rows for panel in row for name in panel.models]
    assert sorted(shown) == sorted(
        (c, m.name) for c in conditions for m in models.values() if not m.of and m.n_layers
    )


def test_a_remark_on_every_score_of_a_condition_stands_in_the_caption(tmp_path):
    remark = "Every score of simulated_differentiation: reference computed on hvg_pca."
    assert remark in draw(tmp_path, "trajectory")
    rows = example.scores()
    first = next(row for row in rows if row.task == "trajectory")
    rows[rows.index(first)] = replace(first, reason="")
    assert remark not in draw(tmp_path, "trajectory", rows=rows)


def test_a_noise_ceiling_and_every_kind_of_control_are_drawn_where_there_are(tmp_path):
    settings = example.settings(seeds=2)
    permuted = {"kind": "control", "control": "gene_permuted", "of": "scfoundation"}
    settings["models"]["scfoundation_permuted"] = permuted
    rows = [replace(row, ceiling=0.6) for row in example.scores(seeds=2)]
    rows += [
        replace(row, model="scfoundation_permuted", estimate=row.estimate / 2)
        for row in rows
        if row.model == "scfoundation"
    ]
    ceilings = {"condition": ["D1_Rest"], "metric": "ceiling_by_split", "status": "ok"}
    path = tmp_path / "ceilings.tsv"
    write_table(path, pd.DataFrame(ceilings | {"ci_low": 0.4, "ci_high": 1.2}))
    svg = draw(tmp_path, "perturbation", rows=rows, settings=settings, ceilings_path=path)
    assert svg.count(">noise ceiling<") == 1, "the legend stands once, outside the panels"
    assert ">1.2" in svg, "the axis holds the ceiling's interval"
    assert "gene identities permuted" in svg


def test_panels_name_their_metric_where_it_differs(tmp_path):
    layers = example.layers()
    layers.loc[layers["condition"] == "D1_Rest", "metric"] = "another_metric"
    write_table(tmp_path / "layers.tsv", layers)
    rows = [
        replace(row, metric="another_metric") if row.condition == "D1_Rest" else row
        for row in example.scores()
    ]
    svg = draw(tmp_path, "perturbation", rows=rows, layers_path=tmp_path / "layers.tsv")
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", svg))
    assert "D1 Rest: another metric" in words
    assert "D1 Stim8hr: Spearman correlation" in words


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["00"], "layer 0"),
        (["05", "06", "07", "09"], "layers 5-7, 9"),
        (["official", "12", "11"], "layers 11-12, official"),
    ],
)
def test_layers_are_named_briefly(layers, words):
    assert layer_ranges(layers) == words


def test_a_study_of_baselines_alone_is_drawn(tmp_path):
    rows = [row for row in example.scores() if row.model in example.BASELINES]
    svg = draw(tmp_path, "trajectory", rows=rows)
    assert ">hvg_pca<" in svg
    assert ">0.64<" in svg
    assert "best layer" not in svg


def test_many_models_are_drawn_with_their_layer_numbers(tmp_path):
    rows, settings = example.scores(MANY, seeds=1), example.settings(MANY, seeds=1)
    svg = draw(tmp_path, "trajectory", rows=rows, settings=settings)
    assert "Uce 33L" in svg and ">33<" in svg


def test_a_grid_that_is_not_full_leaves_the_rest_empty(tmp_path):
    tasks = {f"D{k}": "perturbation" for k in range(5)}
    svg = draw(tmp_path, "perturbation", rows=example.scores(seeds=1, tasks=tasks))
    assert all(f">D{k}<" in svg for k in range(5))
