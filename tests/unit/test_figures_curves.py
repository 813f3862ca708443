"""What is drawn is what the table says: gaps stay gaps, bands span the seeds, nothing is guessed."""

import example_tables as example
import numpy as np
import pandas as pd
import pytest

from layerscope.errors import ConfigError, DataError
from layerscope.figures.curves import bands, curve, select
from layerscope.figures.models import read_models
from layerscope.figures.wording import condition_order
from layerscope.tables import read_scores, write_scores

CHOICE = {"protocol": "paper", "metrics": {}, "source": "scores.tsv"}


@pytest.fixture(scope="module")
def models():
    return read_models(example.settings())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "scores.tsv"
    write_scores(path, example.scores())
    return read_scores(path)


@pytest.fixture(scope="module")
def rows(table, models):
    return select(table, models, task="perturbation", **CHOICE)


def test_a_missing_score_is_a_gap_and_never_a_zero(rows):
    points = curve(rows, "D1_Rest", "scfoundation")
    gone = [points.layers.index(layer) for layer in ("05", "06")]
    assert np.isnan(points.estimate[gone]).all()
    assert np.isfinite(np.delete(points.estimate, gone)).all()


def test_a_number_beside_a_status_that_is_not_ok_is_not_drawn(rows):
    doubtful = rows.assign(status="undefined")
    assert np.isnan(curve(doubtful, "D1_Stim48hr", "tahoe_x1_1b").estimate).all()


def test_layers_stand_at_their_depth_with_input_before_and_official_after(rows):
    points = curve(rows, "D1_Rest", "tahoe_x1_1b")
    assert points.layers[0] == "00"
    assert points.layers[-1] == "official"
    assert points.position[1:-1] == pytest.approx(np.linspace(0, 1, 24))
    assert points.position[0] < 0 < 1 < points.position[-1]


def test_the_band_spans_exactly_the_seeds_of_its_model(rows, models):
    (band,) = bands(rows, "D1_Rest", models, "tahoe_x1_1b")
    seeds = rows[(rows["condition"] == "D1_Rest") & rows["model"].str.startswith("tahoe_x1_1b_untrained")]
    expected = seeds.groupby("layer")["estimate"]
    assert band.low == pytest.approx(expected.min().loc[list(band.layers)])
    assert band.high == pytest.approx(expected.max().loc[list(band.layers)])


def test_the_band_of_a_single_seed_is_its_interval(rows, models):
    first = {name: model for name, model in models.items() if not name.endswith(("_2", "_3", "_4", "_5"))}
    (band,) = bands(rows, "D1_Rest", first, "scfoundation")
    alone = curve(rows, "D1_Rest", "scfoundation_untrained_1")
    assert band.low == pytest.approx(alone.low)
    assert band.high == pytest.approx(alone.high)


def test_a_layer_that_no_seed_has_is_a_gap_in_the_band(rows, models):
    control = rows["model"].str.contains("untrained") & (rows["layer"] == "03")
    without = rows.assign(status=rows["status"].where(~control, "undefined"))
    (band,) = bands(without, "D1_Rest", models, "scfoundation")
    missing = [layer == "03" for layer in band.layers]
    assert np.isnan(band.low).tolist() == np.isnan(band.high).tolist() == missing


def test_conditions_are_ordered_as_asked_then_by_number():
    present = ["D1_Stim48hr", "D1_Rest", "D1_Stim8hr"]
    assert condition_order({}, present) == ["D1_Rest", "D1_Stim8hr", "D1_Stim48hr"]
    asked = ["D1_Stim48hr", "D1_Rest", "D1_Stim8hr"]
    assert condition_order({"order": ["D1_Stim48hr", "x"]}, present) == asked


def test_a_model_that_could_not_be_run_leaves_no_point(table, models):
    baseline = table["model"] == "hvg_pca"
    gone = table[baseline].assign(layer="", metric="", status="not_available", estimate=np.nan)
    rows = select(pd.concat([table[~baseline], gone]), models, task="trajectory", **CHOICE)
    assert len(curve(rows, "simulated_differentiation", "hvg_pca").layers) == 0
    assert "hvg_pca" in set(rows["model"])


def test_each_condition_is_drawn_in_its_own_metric(table, models):
    other = table[table["condition"] == "D1_Rest"].assign(metric="time_somers_d", estimate=0.123)
    metrics = {"D1_Rest": "time_somers_d"}
    rows = select(pd.concat([table, other]), models, task="perturbation", **CHOICE | {"metrics": metrics})
    assert set(rows[rows["condition"] == "D1_Rest"]["metric"]) == {"time_somers_d"}
    assert set(rows[rows["condition"] != "D1_Rest"]["metric"]) == {"spearman"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "key 'models' is missing"),
        ({"models": {"m": {"kind": "oracle"}}}, "models: m: kind"),
        ({"models": {"m": {"kind": "control", "of": "n"}}}, "model 'm' is a control of 'n'"),
    ],
)
def test_settings_that_describe_no_model_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        read_models(settings)


@pytest.mark.parametrize(
    ("task", "more_rows", "without", "message"),
    [
        ("geometry", 0, "", r"no rows of task 'geometry'.*trajectory / paper / spearman"),
        ("trajectory", 0, "hvg_pca", "hvg_pca, which the settings do not describe"),
        ("perturbation", 1, "", "has more than one row of metric"),
    ],
)
def test_rows_that_cannot_be_drawn_are_refused(table, models, task, more_rows, without, message):
    described = {name: model for name, model in models.items() if name != without}
    with pytest.raises(DataError, match=message):
        select(pd.concat([table, table.tail(more_rows)]), described, task=task, **CHOICE)
