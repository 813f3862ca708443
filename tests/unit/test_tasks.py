"""The tasks are described once, and every part of the house knows the same ones."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from label_cells import ABOUT

from layerscope.figures.wording import metric_label, metric_meaning, task_title
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.study.configuration import Protocols
from layerscope.tables import Score
from layerscope.tasks import catalogue as tasks
from layerscope.tasks.label.scores import PROBE_MACRO_F1

LAYERS = ("01", "02", "03", "04")
MODELS = {"big": {"kind": "foundation", "layers": 4}}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_primary_metric_of_a_task_has_its_words(task: str) -> None:
    assert task_title(task).startswith("How well each")
    for protocol in getattr(Protocols(), task):
        for metric in tasks.primary_metrics(task, protocol):
            assert metric_label(task, metric) != metric.replace("_", " ")
            assert metric_meaning(task, metric).startswith("The score")


def study(curve: list[float], null_mean: float) -> pd.Series:
    """The row of the layer choice of a model with this curve."""
    random = np.random.default_rng(0)
    rows, resamples = [], {}
    for layer, estimate in zip(LAYERS, curve, strict=True):
        values = estimate + random.normal(0, 0.02, 500)
        halves = {f"{PROBE_MACRO_F1}{end}": values[:20] for end in ("@chosen_on", "@scored_on")}
        resamples["label", "blood", "strict", "big", layer] = {PROBE_MACRO_F1: values} | halves
        row = Score(**(ABOUT | {"model": "big", "layer": layer}), metric=PROBE_MACRO_F1, null_mean=null_mean)
        rows.append(replace(row, estimate=estimate, ci_low=estimate - 0.04, ci_high=estimate + 0.04))
    table = pd.DataFrame([asdict(row) for row in rows])
    return choose_layers(table, resamples, models_of(MODELS)).layers.iloc[0]


def test_layers_are_chosen_by_a_tasks_own_metric() -> None:
    found = study([0.5, 0.9, 0.6, 0.5], null_mean=0.1)
    assert (found["metric"], found["best_layer"]) == (PROBE_MACRO_F1, "02")
    assert found["confidence_set"] == "02"
    assert np.isfinite(found["heldout_gain"])
    assert (found["verdict"], found["use"]) == ("use_layer", "02")


def test_a_score_that_shuffled_labels_reach_is_called_chance() -> None:
    assert study([0.30, 0.31, 0.32, 0.31], null_mean=0.3)["verdict"] == "no_signal"


def test_where_no_null_was_scored_that_is_the_next_thing_to_do() -> None:
    assert "chance" in study([0.80, 0.81, 0.82, 0.81], null_mean=float("nan"))["next"]
    assert "chance" not in study([0.80, 0.81, 0.82, 0.81], null_mean=0.3)["next"]
