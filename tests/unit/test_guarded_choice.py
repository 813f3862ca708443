"""A second metric that must not be lost: what is better, and what is a trade-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import integration_cells
import numpy as np
import pandas as pd
import pytest

import layerscope as ls
from layerscope.statistics.choice import Difference
from layerscope.statistics.evidence import Model
from layerscope.statistics.guard import weigh
from layerscope.statistics.layer_choice import StudyChoice, choose_layers
from layerscope.statistics.representations import choose_representations
from layerscope.tables import Score
from layerscope.tasks.catalogue import TASKS, guard_of, primary_metrics

AHEAD, BEHIND, UNSURE = (
    Difference(0.2, 0.1, 0.3, 0.001),
    Difference(-0.2, -0.3, -0.1, 0.001),
    Difference(p=0.4),
)
UNKNOWN = Difference()
LAYERS = ("01", "02", "03")
MODELS = {"big": Model("big", "foundation", 3), "pca": Model("pca", "baseline", 0)}


@pytest.mark.parametrize(
    ("gain", "of_guard", "word"),
    [
        (AHEAD, UNSURE, "better"),
        (UNSURE, AHEAD, "better"),
        (AHEAD, AHEAD, "better"),
        (AHEAD, BEHIND, "trade_off"),
        (BEHIND, AHEAD, "trade_off"),
        (BEHIND, UNSURE, "worse"),
        (UNSURE, UNSURE, "alike"),
        (AHEAD, UNKNOWN, "better"),
    ],
)
def test_better_is_higher_in_either_and_lower_in_neither(
    gain: Difference, of_guard: Difference, word: str
) -> None:
    assert weigh(gain, of_guard) == word


def test_every_guard_is_a_metric_with_words() -> None:
    for task in TASKS.values():
        for metric, guard in task.guarded.items():
            assert {metric, guard} <= set(task.metrics)
            assert guard_of(task.name, metric) == guard
    assert guard_of("trajectory", "spearman") == guard_of("none", "spearman") == ""


def chosen(
    biology: list[float], mixing: list[float], pca: tuple[float, float] | None = None, margin: float = 0.02
) -> StudyChoice:
    """The choice among three layers with these scores, whose standard error is 0.02."""
    scores = {("big", layer): pair for layer, *pair in zip(LAYERS, biology, mixing, strict=True)}
    scores |= {("pca", "official"): list(pca)} if pca else {}
    return choose_layers(*simulated(scores), MODELS, margin)


def simulated(scores: Mapping[tuple[str, str], Sequence[float]]) -> tuple[pd.DataFrame, Any]:
    """Score rows and resamples of biology and mixing by model and layer; chance of biology is 0.3."""
    random = np.random.default_rng(0)
    rows, resamples = [], {}
    for (model, layer), pair in scores.items():
        about = integration_cells.ABOUT | {"model": model, "layer": layer}
        values = {}
        for metric, estimate in zip(("biology", "mixing"), pair, strict=True):
            values[metric] = estimate + random.normal(0, 0.02, 400)
            interval = {"ci_low": estimate - 0.04, "ci_high": estimate + 0.04}
            null = {"null_mean": 0.3} if metric == "biology" else {}
            rows.append(asdict(Score(**about, metric=metric, estimate=estimate, **interval, **null)))
        resamples["integration", "blood", "strict", model, layer] = values
    return pd.DataFrame(rows), resamples


@pytest.mark.parametrize(
    ("biology", "mixing", "word", "use"),
    [
        ([0.9, 0.9, 0.9], [0.9, 0.5, 0.5], "use_layer", "01"),
        ([0.95, 0.7, 0.7], [0.5, 0.5, 0.5], "use_layer", "01"),
        ([0.6, 0.9, 0.9], [0.9, 0.5, 0.5], "trade_off", ""),
        ([0.95, 0.7, 0.7], [0.2, 0.5, 0.5], "trade_off", ""),
        ([0.6, 0.9, 0.9], [0.9, 0.9, 0.5], "use_layer", "02"),
        ([0.5, 0.5, 0.9], [0.5, 0.5, 0.9], "final_will_do", "03"),
        ([0.9, 0.9, 0.9], [0.5, 0.51, 0.5], "no_difference_shown", "03"),
        ([0.3, 0.3, 0.3], [1.0, 1.0, 0.5], "no_signal", ""),
    ],
)
def test_a_layer_is_better_only_at_no_loss_of_the_other(
    biology: list[float], mixing: list[float], word: str, use: str
) -> None:
    row = chosen(biology, mixing).layers.iloc[0]
    assert (row["verdict"], row["use"], row["guard_metric"]) == (word, use, "mixing")


@pytest.mark.parametrize(
    ("biology", "mixing", "as_final", "as_best"),
    [
        ([0.9, 0.9, 0.9], [0.2, 0.5, 0.5], "02", ""),  # the first layer mixes less
        ([0.9, 0.9, 0.9], [0.5, 0.9, 0.5], "01", "02"),  # the second is better than the final one
        ([0.5, 0.9, 0.9], [0.9, 0.9, 0.5], "02", "02"),
        ([0.9, 0.9, 0.9], [0.9, 0.9, 0.5], "01", "01"),
    ],
)
def test_the_cheapest_layer_is_as_good_in_both_metrics(
    biology: list[float], mixing: list[float], as_final: str, as_best: str
) -> None:
    row = chosen(biology, mixing, margin=0.2).layers.iloc[0]
    assert (row["cheapest_layer"], row["cheapest_as_good_as_best"]) == (as_final, as_best)


@pytest.mark.parametrize(
    ("pca", "word"),
    [
        ((0.9, 0.9), "prefer_baseline"),  # mixes better, and keeps types as well
        ((0.98, 0.5), "prefer_baseline"),
        ((0.4, 0.95), "final_will_do"),  # mixes better and loses types
        ((0.98, 0.1), "final_will_do"),
    ],
)
def test_a_baseline_is_preferred_only_at_no_loss_of_the_other(pca: tuple[float, float], word: str) -> None:
    made = chosen([0.5, 0.5, 0.85], [0.3, 0.3, 0.5], pca)
    assert made.layers.iloc[0]["verdict"] == word


@pytest.mark.parametrize(
    ("scores", "word", "use"),
    [
        ({"one": (0.9, 0.2), "two": (0.9, 0.8), "three": (0.5, 0.3)}, "use_layer", "two"),
        ({"one": (0.95, 0.2), "two": (0.8, 0.8)}, "trade_off", ""),
        ({"one": (0.95, 0.8), "two": (0.8, 0.8)}, "use_layer", "one"),
        ({"one": (0.95, 0.5), "two": (0.3, 0.9)}, "use_layer", "one"),  # chance is 0.3
        ({"one": (0.9, 0.5), "two": (0.9, 0.5)}, "no_difference_shown", "one"),
        ({"one": (0.3, 0.9), "two": (0.3, 0.2)}, "no_signal", ""),
    ],
)
def test_of_representations_one_is_better_only_at_no_loss_of_the_other(
    scores: dict[str, tuple[float, float]], word: str, use: str
) -> None:
    table, resamples = simulated({(name, "official"): pair for name, pair in scores.items()})
    models = {name: Model(name, "baseline", 0) for name in scores}
    row = choose_representations(table, resamples, models).iloc[0]
    assert (row["verdict"], row["use"]) == (word, use)


def test_tasks_without_a_second_metric_have_no_guard() -> None:
    made = chosen([0.9, 0.9, 0.9], [0.9, 0.5, 0.5])
    rows = pd.DataFrame(
        [
            asdict(
                Score(
                    **integration_cells.ABOUT | {"task": "trajectory", "model": "big", "layer": layer},
                    metric=primary_metrics("trajectory", "strict")[0],
                    estimate=0.5,
                )
            )
            for layer in LAYERS
        ]
    )
    without = choose_layers(rows, {}, MODELS).layers
    assert without.iloc[0]["guard_metric"] == without.iloc[0]["better_layer"] == ""
    assert list(without.columns) == list(made.layers.columns)


def test_layers_that_mix_by_destroying_biology_are_a_trade_off_through_the_public_door() -> None:
    import anndata

    obs = integration_cells.cells()
    layers = {
        "01": integration_cells.layer(obs, of_types=0.2, of_batches=0.0),
        "02": integration_cells.layer(obs, of_types=1.0, of_batches=0.6),
        "03": integration_cells.layer(obs, of_types=1.0, of_batches=0.6, seed=1),
    }
    said = ls.recommend(
        ls.score(anndata.AnnData(obs=obs), layers, task="integration", **integration_cells.QUICK)
    )
    assert said.verdict == "trade_off"
    # mixing of donors is no virtue: only biology is compared
    donors = ls.score(
        anndata.AnnData(obs=obs), layers, task="integration", batches_are="donor", **integration_cells.QUICK
    )
    assert ls.recommend(donors).verdict in ("final_will_do", "no_difference_shown")
