"""The figures of the geometry show every measure of every model, and which layers are alike."""

import numpy as np
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.figures.geometry import SHOWN, draw_alignment, draw_shape
from layerscope.layout import layer_names
from layerscope.tables import depth, write_table

CONDITIONS = ("Rest", "Stim48hr")
MODELS = {
    "big": {"kind": "foundation", "layers": 3, "title": "The big one"},
    "big_untrained_1": {"kind": "control", "control": "untrained", "of": "big", "layers": 3},
    "hvg_pca": {"kind": "baseline"},
}
SIMULATED = {"conditions": {name: {"simulated": True} for name in CONDITIONS}}
SETTINGS = {"title": "A study that was never run", "models": MODELS} | SIMULATED


def geometry():
    rows = [
        {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, 3)}
        | {"n_cells": 100, "reason": ""}
        | {measure: 1.0 + place for place, measure in enumerate(SHOWN)}
        for condition in CONDITIONS
        for model in ("big", "big_untrained_1")
        for layer in layer_names(3)
    ]
    return pd.DataFrame(rows)


def alignment():
    layers = layer_names(3)
    against = [("big", layer) for layer in layers] + [("hvg_pca", "official")]
    rows = [
        {"condition": condition, "model": "big", "layer": layer, "other_model": other, "other_layer": name}
        | {"cka": np.nan if layer == "00" else 0.5, "n_cells": 100}
        for condition in CONDITIONS
        for layer in layers
        for other, name in against
    ]
    return pd.DataFrame(rows)


def drawn(folder, figure, table, settings=SETTINGS, name="figure.svg"):
    write_table(folder / "table.tsv", table)
    draw = {"geometry": draw_shape, "alignment": draw_alignment}[figure]
    draw(folder / "table.tsv", [folder / name], settings=settings)
    return (folder / name).read_text(encoding="utf-8")


def test_every_measure_condition_and_model_is_named(tmp_path):
    models = MODELS | {"big_untrained_2": MODELS["big_untrained_1"]}
    text = drawn(tmp_path, "geometry", geometry(), SETTINGS | {"models": models})
    assert "2 untrained networks" in text and "drawn: big_untrained_1." in text
    for words in (*SHOWN.values(), "Rest (simulated cells)", "Stim48hr (simulated cells)", "The big one"):
        assert words in text
    assert "untrained weights" in text


def test_the_map_shows_every_layer_and_what_it_is_compared_with(tmp_path):
    text = drawn(tmp_path, "alignment", alignment())
    assert text.count(">-<") == len(CONDITIONS) * 6
    assert "hvg_pca" in text and "The big one" in text
    assert ">CKA<" in text, "the colours have a scale"


def test_a_model_that_is_run_on_one_condition_alone_has_no_map_of_the_others(tmp_path):
    other = {"small": {**MODELS["big"], "title": "The small one"}}
    names = {"big": "small"}
    own = alignment().query("condition == @CONDITIONS[1]").replace({"model": names, "other_model": names})
    table = pd.concat([alignment().query("condition == @CONDITIONS[0]"), own])
    text = drawn(tmp_path, "alignment", table, SETTINGS | {"models": MODELS | other})
    assert text.count(">-<") == 2 * 6
    assert "The small one" in text


def test_a_caption_names_the_layer_nearest_to_the_quality_measures(tmp_path):
    table = alignment()
    assert "Highest CKA" not in drawn(tmp_path, "alignment", table)
    beside = table["other_model"] == "hvg_pca"
    depth_only = table[beside].assign(other_model="qc_only")
    highest = (depth_only["condition"] == "Rest") & (depth_only["layer"] == "02")
    depth_only.loc[highest, "cka"] = 0.87
    settings = SETTINGS | {"models": MODELS | {"qc_only": {"kind": "baseline"}}}
    text = drawn(tmp_path, "alignment", pd.concat([table, depth_only]), settings)
    assert "0.87 (layer 2, Rest)" in text


@pytest.mark.parametrize(("figure", "table"), [("geometry", geometry), ("alignment", alignment)])
def test_a_file_is_the_same_each_time_and_names_its_table_and_simulated_cells(tmp_path, figure, table):
    text = drawn(tmp_path, figure, table())
    assert drawn(tmp_path, figure, table(), name="other.svg") == text
    assert "experiment: Rest, Stim48hr." in text
    assert "table.tsv" in text
    assert "simulated" not in drawn(tmp_path, figure, table(), SETTINGS | {"conditions": {}}).lower()


@pytest.mark.parametrize(
    ("table", "models", "message"),
    [
        (geometry().drop(columns="anisotropy"), MODELS, "'anisotropy' is missing"),
        (geometry(), {"hvg_pca": {"kind": "baseline"}}, "'model' has big,"),
    ],
)
def test_a_table_without_a_measure_or_of_an_unknown_model_is_refused(tmp_path, table, models, message):
    with pytest.raises(DataError, match=message):
        drawn(tmp_path, "geometry", table, {"models": models})
