"""The cheapest layer that is as good is shown not to be worse by the margin, and says what it saves."""

import numpy as np
import pandas as pd
import pytest

from layerscope.models.network_size import NetworkSize
from layerscope.statistics.cheapest import below_the_best, earliest, share_saved
from layerscope.statistics.evidence import Measured, Model, models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.statistics.layer_curves import differences
from layerscope.tables import SCORE_COLUMNS, Score, depth
from layerscope.tasks.catalogue import TASKS, metric_range

ROW = {"condition": "blood", "task": "label", "protocol": "strict", "metric": "probe_macro_f1"}


def layers_of(truth, error, random, n_resamples=400, shared=0.05):
    """Estimates that miss the truth by ``error``, and resamples that miss the estimates by as much."""
    n_layers = len(truth)
    missed = error * random.normal(size=(n_resamples + 1, n_layers))
    missed += shared * random.normal(size=(n_resamples + 1, 1))
    estimates = np.asarray(truth) + missed[0]
    return [
        Measured("m", f"{number + 1:02d}", estimates[number], np.nan, np.nan, np.nan, values)
        for number, values in enumerate((estimates + missed[1:]).T)
    ]


def chosen(truth, error=0.002, margin=0.02, resamples=True, model=None, seed=1):
    """The row of layers.tsv for scores of these values."""
    layers = layers_of(truth, 1e-9, np.random.default_rng(seed), shared=0)
    random = np.random.default_rng(seed + 1)
    rows = [
        Score(**ROW, model="m", layer=one.layer, depth=depth(one.layer, len(truth)), estimate=one.estimate,
              ci_low=one.estimate - 0.1, ci_high=one.estimate + 0.1)
        for one in layers
    ]  # fmt: skip
    values = {
        ("label", "blood", "strict", "m", one.layer): {
            "probe_macro_f1": one.estimate + error * random.normal(size=400)
        }
        for one in layers
    }
    about = {"m": {"kind": "foundation", "layers": len(truth)} | (model or {})}
    table = pd.DataFrame([vars(row) for row in rows], columns=list(SCORE_COLUMNS))
    return choose_layers(table, values if resamples else {}, models_of(about), margin).layers.iloc[0]


def test_a_layer_within_the_margin_is_as_good_and_saves_what_comes_after_it():
    row = chosen([0.5, 0.795, 0.81, 0.8])
    assert row["cheapest_layer"] == "02"
    assert row["cheapest_over_final"] == pytest.approx(-0.005, abs=1e-6)
    assert -0.02 < row["cheapest_over_final_ci_low"] < -0.005 < row["cheapest_over_final_ci_high"]
    assert row["forward_pass_saved"] == 0.5


def test_what_is_merely_not_shown_to_be_worse_is_not_as_good():
    """Layer 02 scores as much as the final one, with an interval that reaches beyond the margin."""
    row = chosen([0.5, 0.8, 0.8, 0.8], error=0.02)
    assert (row["cheapest_layer"], row["forward_pass_saved"]) == ("04", 0)
    assert row["cheapest_as_good_as_best"] == ""
    assert np.isnan(row["cheapest_behind_best"])


def test_the_margin_is_the_studys():
    truth = [0.5, 0.77, 0.81, 0.8]
    assert [chosen(truth, margin=margin)["cheapest_layer"] for margin in (0.02, 0.05)] == ["03", "02"]


def test_as_good_as_the_final_one_need_not_be_as_good_as_the_best():
    row = chosen([0.5, 0.795, 0.85, 0.8])
    assert (row["cheapest_layer"], row["cheapest_as_good_as_best"]) == ("02", "03")
    assert row["forward_pass_saved_as_good_as_best"] == 0.25
    assert row["cheapest_behind_best_ci_high"] == 0


def test_without_resamples_nothing_is_shown():
    row = chosen([0.5, 0.8, 0.81, 0.8], resamples=False)
    assert (row["cheapest_layer"], row["cheapest_as_good_as_best"]) == ("", "")
    assert np.isnan(row["forward_pass_saved"])
    assert "as good" not in row["next"]


def test_a_layer_of_chance_saves_nothing_worth_a_sentence():
    assert "as good" not in chosen([0.05, 0.05, 0.05])["next"]


def test_embedding_and_heads_are_part_of_the_forward_pass():
    plain, heavy = Model("m", "foundation", 4), Model("m", "foundation", 4, before_blocks=1, after_blocks=0.5)
    assert [share_saved(plain, layer) for layer in (1, 2, 4)] == [0.75, 0.5, 0]
    assert [share_saved(heavy, layer) for layer in (1, 2, 4)] == pytest.approx([3.5 / 5.5, 2.5 / 5.5, 0])
    saved = chosen([0.5, 0.8, 0.8, 0.8], model={"before_blocks": 4})["forward_pass_saved"]
    assert saved == 0.25


def test_what_comes_around_the_blocks_is_counted_in_blocks():
    """A block of these widths has 12 * 8 * 8 weights, and no attention worth counting with one token."""
    size = NetworkSize(width=8, feed_forward=32, max_tokens=1, input_weights=768, output_weights=384)
    around = size.around_blocks()
    attention = 4 * 8 / (2 * 768)
    assert around["before_blocks"] == pytest.approx(1 / (1 + attention))
    assert around["after_blocks"] == pytest.approx(0.5 / (1 + attention))


def test_a_margin_is_a_share_of_the_metrics_range():
    assert metric_range("label", "probe_macro_f1") == 1
    assert metric_range("perturbation", "spearman") == metric_range("trajectory", "spearman") == 2
    assert all(metric.range in (1, 2) for task in TASKS.values() for metric in task.metrics.values())


@pytest.mark.parametrize("others", [(0.8, 0.8), (0.8, 0.6), (0.5, 0.5)], ids=str)
def test_a_layer_that_is_worse_by_the_margin_is_taken_for_as_good_in_at_most_one_study_of_twenty(others):
    """Of the final layer, and of the best, which is not known: 500 studies each."""
    random, margin = np.random.default_rng(3), 0.02
    wrong_final = wrong_best = 0
    for _ in range(500):
        layers = layers_of([0.8 - margin, *others, 0.8], 0.01, random, n_resamples=200)
        worse = [place for place, truth in enumerate([0.78, *others]) if truth <= 0.8 - margin]
        of_final = earliest(layers, differences(layers, [layers[-1]] * 4), margin)
        of_best = earliest(layers, below_the_best(layers), margin)
        wrong_final += of_final in worse
        wrong_best += of_best in worse
    assert wrong_final / 500 <= 0.05
    assert wrong_best / 500 <= 0.05


def test_the_interval_below_the_best_holds_though_the_best_was_picked():
    """All six layers are equal: each is 0 below the best, and the highest of them is so by chance."""
    random, holds = np.random.default_rng(4), 0
    for _ in range(300):
        bounds = below_the_best(layers_of([0.7] * 6, 0.01, random, n_resamples=200))
        holds += all(bound.low <= 0 <= bound.high for bound in bounds)
    assert holds / 300 >= 0.95


def test_a_layer_as_good_as_the_others_is_mostly_found_where_scores_are_sure():
    random = np.random.default_rng(5)
    studies = [layers_of([0.5, 0.8, 0.8, 0.8], 0.003, random, n_resamples=200) for _ in range(100)]
    assert np.mean([earliest(layers, below_the_best(layers), 0.02) == 1 for layers in studies]) > 0.9
