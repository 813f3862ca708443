"""A shift of the best layer goes from a condition to a later one of the study."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.statistics.layer_choice import write_layer_choice
from layerscope.tables import Score, read_table, write_resamples, write_scores

CURVES = {"Stim48hr": (0.2, 0.3, 0.9), "Stim8hr": (0.9, 0.3, 0.2), "Rest": (0.5, 0.6, 0.4)}


@pytest.fixture
def shifts(tmp_path):
    """Choose with the conditions in a given order, and read the shifts."""
    rows, noise = [], np.random.default_rng(1).normal(0, 0.01, (200, 3))
    for condition, scores in CURVES.items():
        for number, score in enumerate(scores):
            about = {"condition": condition, "model": "big", "task": "perturbation", "protocol": "paper"}
            about |= {"layer": f"{number + 1:02d}", "depth": number / 2, "metric": "spearman"}
            row = Score(**about, estimate=score, ci_low=score - 0.02, ci_high=score + 0.02)
            rows.append(row)
            path = tmp_path / "perturbation" / condition / "paper" / "big" / f"layer_{row.layer}.npz"
            write_resamples(path, {"spearman": score + noise[:, number]})
    write_scores(tmp_path / "scores.tsv", rows)

    def choose(*order):
        files = {name: tmp_path / f"{name}.tsv" for name in ("scores", "shifts")}
        files |= {"resamples": list(tmp_path.rglob("*.npz"))}
        models = {"big": {"kind": "foundation", "layers": 3}}
        write_layer_choice(tmp_path / "layers.tsv", models=models, conditions=order, **files)
        return read_table(tmp_path / "shifts.tsv", text=["best_layer", "other_best_layer"])

    return choose


def pairs(table):
    return list(zip(table["condition"], table["other_condition"], strict=True))


def test_pairs_follow_the_order_of_the_study(shifts):
    table = shifts("Rest", "Stim8hr", "Stim48hr")
    assert pairs(table) == [("Rest", "Stim8hr"), ("Rest", "Stim48hr"), ("Stim8hr", "Stim48hr")]
    last = table.iloc[-1]
    assert (last["best_layer"], last["other_best_layer"], last["shift"]) == ("01", "03", 1.0)


def test_the_other_direction_is_the_same_shift_with_the_other_sign(shifts):
    forward, backward = shifts("Rest", "Stim8hr", "Stim48hr"), shifts("Stim48hr", "Stim8hr", "Rest")
    assert forward["shift"].tolist() == (-backward["shift"][::-1]).tolist()
    assert forward["p_same"].tolist() == backward["p_same"][::-1].tolist()


def test_conditions_that_are_not_named_come_last_by_name(shifts):
    assert pairs(shifts("Stim8hr")) == [("Stim8hr", "Rest"), ("Stim8hr", "Stim48hr"), ("Rest", "Stim48hr")]
