"""Where cells are simulated the page says whether the highest score picks what is best by the truth."""

from pathlib import Path

import pandas as pd
import pytest

from layerscope.report.grid import Source
from layerscope.report.truth import truth
from layerscope.tables import Score

AGREEMENT = {"00": 0.99, "01": 0.5, "02": 0.9, "03": 0.7, "official": 0.95}
LAYERS = {"condition": "drawn", "task": "trajectory", "model": "big", "final_layer": "03"}
SOURCE = Source(Path("scores.tsv"), "tables/scores.tsv")


def rows(agreement=AGREEMENT, protocol="paper", metric="spearman_true_pseudotime"):
    return [
        Score(
            condition="drawn",
            model="big",
            layer=layer,
            depth={"01": 0.0, "02": 0.5, "03": 1.0}.get(layer, float("nan")),
            task="trajectory",
            protocol=protocol,
            metric=metric,
            estimate=value,
            ci_low=value - 0.1,
            ci_high=value + 0.1,
        )
        for layer, value in agreement.items()
    ]


def compared(scores, *layers):
    table = pd.DataFrame([row.__dict__ for row in scores])
    chosen = pd.DataFrame(
        [LAYERS | {"protocol": "paper", "best_layer": "03"} | one for one in layers or ({},)]
    )
    return truth(table, chosen, {}, SOURCE)


def test_the_best_by_truth_the_highest_score_and_the_final_layer_stand_side_by_side():
    finding = compared(rows(), {"best_layer": "01"})
    (row,) = finding.table.rows
    texts = [cell.text for cell in row.cells[4:]]
    assert texts == ["02", "0.900", "01", "0.500", "0.700", "0.400"]
    assert row.cells[5].small == "0.800 to 1.000"
    assert row.hint == "tables/scores.tsv, line 4"


@pytest.mark.parametrize(("layer", "words"), [("01", ("0 of 1", "0.400")), ("02", ("1 of 1", "0.000"))])
def test_a_choice_that_hits_the_truth_loses_nothing(layer, words):
    text = compared(rows(), {"best_layer": layer}).words
    assert all(word in text for word in words)


def test_the_strictest_protocol_that_compares_with_the_truth_speaks():
    scores = rows() + rows({"01": 0.1, "02": 0.2, "03": 0.3}, protocol="strict")
    scores += rows(protocol="released", metric="spearman")
    layers = [{"protocol": protocol} for protocol in ("paper", "released", "strict")]
    (row,) = compared(scores, *layers).table.rows
    assert (row.cells[3].text, row.cells[5].text) == ("strict", "0.300")


@pytest.mark.parametrize("task", ["label", "another"])
def test_without_a_truth_there_is_nothing_to_say(task):
    assert compared(rows(metric="spearman")) is None
    assert compared(rows(), {"task": task}) is None
    assert compared(rows(), {"best_layer": ""}) is None
