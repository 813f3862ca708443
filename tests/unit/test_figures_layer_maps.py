"""The pictures of two layers: which condition, model and layers they show, and what colours the cells."""

from pathlib import Path

import example_tables as example
import numpy as np
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.figures.layer_maps import (
    MAX_CELLS,
    chosen_layers,
    colours_of,
    draw_layer_maps,
    sampled,
    shown,
)
from layerscope.tables import write_table
from layerscope.tasks.catalogue import TASKS

SIMULATED = "simulated_differentiation"


def judged(**verdicts: str) -> pd.DataFrame:
    """The layer choice, with these verdicts of models in one condition; else none is shown to be better."""
    table = example.layers().assign(verdict="no_difference_shown", use="")
    for model, use in verdicts.items():
        of = (table["condition"] == "D1_Stim8hr") & (table["model"] == model)
        table.loc[of, ["verdict", "use"]] = ["use_layer", use]
    return table


def test_a_layer_to_use_is_shown_before_all_others():
    row = shown(judged(tahoe_x1_1b="03"), example.settings())
    assert (row["condition"], row["model"]) == ("D1_Stim8hr", "tahoe_x1_1b")
    assert list(chosen_layers(row)) == ["03", "24"]


def test_without_one_the_first_condition_whose_best_layer_is_not_the_final_one_is_shown():
    table, settings = judged(), example.settings() | {"order": ["D1_Stim48hr", SIMULATED]}
    row = shown(table, settings)
    others = table[table["best_layer"] != table["final_layer"]]
    first = "D1_Stim48hr" if (others["condition"] == "D1_Stim48hr").any() else SIMULATED
    assert row["condition"] == first
    assert "not sure" in chosen_layers(row)[row["best_layer"]]
    assert shown(table.assign(best_layer=""), settings) is None


def test_where_the_final_layer_is_the_best_it_is_shown_alone():
    row = {"verdict": "final_will_do", "best_layer": "12", "final_layer": "12", "use": "12"}
    assert list(chosen_layers(row)) == ["12"]


def test_frequent_labels_have_a_colour_each_and_the_rest_none():
    screen = pd.Series([f"p{k}" for k in range(12) for _ in range(20 - k)] + [""] * 50)
    assert list(colours_of(screen)) == [f"p{k}" for k in range(7)]
    assert len(set(colours_of(screen).values())) == 7
    days = pd.Series(pd.Categorical(["Day10", "Day3"], categories=["Day3", "Day10"], ordered=True))
    assert list(colours_of(days)) == ["Day3", "Day10"]
    assert list(colours_of(pd.Series([3.0, 1.0, 2.0]))) == [1.0, 2.0, 3.0]
    assert colours_of(pd.Series(np.linspace(0, 1, 50))) == {}


def test_the_sample_is_that_of_the_seed_and_leaves_refused_cells_out():
    usable = np.arange(2 * MAX_CELLS + 2) % 2 == 0
    places = sampled(usable, seed=1)
    assert len(places) == MAX_CELLS and (places % 2 == 0).all() and (np.diff(places) > 0).all()
    assert (sampled(usable, seed=1) == places).all()
    assert (sampled(usable, seed=2) != places).any()
    assert list(sampled([True, False, True], seed=1)) == [0, 2]


@pytest.mark.parametrize("task", ["trajectory", "perturbation", "response", "time"])
def test_a_task_without_settings_that_name_a_column_names_one_itself(task):
    assert TASKS[task].coloured_by


@pytest.fixture
def study(tmp_path: Path) -> dict[str, object]:
    """One condition of 60 cells, and layers of a model."""
    random, ids = np.random.default_rng(0), [f"cell_{k}" for k in range(60)]
    (tmp_path / "cells" / SIMULATED).mkdir(parents=True)
    (tmp_path / "embeddings" / SIMULATED).mkdir(parents=True)
    obs = pd.DataFrame({"time": ["early", "late"] * 30}, index=ids)
    obs.to_parquet(tmp_path / "cells" / SIMULATED / "obs.parquet")
    layers = {f"{k:02d}": random.normal(size=(60, 6)).astype(np.float32) for k in range(13)}
    write_embeddings(tmp_path / "embeddings" / SIMULATED / "scfoundation.h5ad", ids, [layers], {})
    row = example.layers().query("condition == @SIMULATED and model == 'scfoundation'")
    write_table(tmp_path / "layers.tsv", row.assign(verdict="use_layer", use="04"))
    settings = example.settings()
    settings["conditions"][SIMULATED]["coloured_by"] = ["nothing", "time"]
    return {
        "layers": tmp_path / "layers.tsv",
        "embeddings": [tmp_path / "embeddings" / SIMULATED / "scfoundation.h5ad"],
        "obs": [tmp_path / "cells" / SIMULATED / "obs.parquet"],
        "settings": settings,
        "seed": 1,
        "output": [tmp_path / "maps.svg"],
    }


def test_two_layers_stand_beside_each_other_and_say_what_they_do_not_show(study, tmp_path):
    draw_layer_maps(**study)
    svg = (tmp_path / "maps.svg").read_text()
    for words in ("Layer 4: the one to use", "Layer 12: the final one", ">early<", "coloured by time"):
        assert words in svg
    assert "No score" in svg and "not an experiment" in svg
    draw_layer_maps(**study | {"output": [tmp_path / "again.svg"]})
    assert (tmp_path / "again.svg").read_text() == svg


def test_layers_that_were_not_given_are_a_message(study):
    with pytest.raises(DataError, match=f"no embeddings were given of {SIMULATED}/scfoundation"):
        draw_layer_maps(**study | {"embeddings": []})


def test_a_study_without_scored_layers_gets_a_picture_that_says_so(study, tmp_path):
    write_table(tmp_path / "layers.tsv", example.layers().head(0))
    draw_layer_maps(**study)
    assert "No layer" in (tmp_path / "maps.svg").read_text()
