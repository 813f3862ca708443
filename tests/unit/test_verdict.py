"""The answer of a row of layers.tsv follows from the row alone: one case a line."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from layerscope.statistics.layer_choice import choose_layers
from layerscope.statistics.verdict import ANSWER, NEXT, SENTENCES, answer, verdict
from layerscope.tasks.catalogue import TASKS

NAN = float("nan")
EMPTY = choose_layers(pd.DataFrame({name: [] for name in ("task", "condition", "protocol", "model")}), {}, {})
"""A choice without a row, for the columns of the table."""
ROW: dict[str, Any] = {
    **dict.fromkeys(EMPTY.layers.columns, NAN),
    **{"condition": "c", "task": "perturbation", "protocol": "strict", "metric": "spearman", "model": "m"},
    **{"n_layers": 6, "planted": False, "status": "ok", "reason": ""},
    **{"best_layer": "04", "final_layer": "06", "reference_baseline": ""},
    **{"best_estimate": 0.5, "best_ci_low": 0.4, "best_ci_high": 0.6, "final_estimate": 0.4},
    **{"gain": 0.1, "gain_ci_low": -0.1, "gain_ci_high": 0.3, "gain_p_family": 0.3, "most_gain": 0.3},
    **{"surest_layer": "04", "surest_p_family": 0.3, "layers_above_untrained": "", "margin": 0.04},
    **dict.fromkeys(
        ("layers_below_untrained", "cheapest_layer", "best_untrained", "best_baseline", "pca"), ""
    ),
    **dict.fromkeys(("guard_metric", "guard_prefer", "better_layer", "better_metric", "layers_traded"), ""),
}
"""Nothing is shown, and no control or baseline was run."""
GAIN = {"gain_p_family": 0.01, "gain_ci_low": 0.05, "gain_ci_high": 0.15}
SURER = {"surest_layer": "03", "surest_p_family": 0.01, "surest_gain": 0.06}
SURER |= {"surest_gain_ci_low": 0.02, "surest_gain_ci_high": 0.1}
FINAL_BEST = {"best_layer": "06", "gain": 0.0, "gain_p_family": 1.0}
FINAL_BEST |= {"surest_p_family": 1.0, "surest_layer": ""}
BASELINE = {"best_baseline": "pca", "best_baseline_estimate": 0.7}
CHANCE = BASELINE | {"best_ci_low": -0.1}
BASELINE_AHEAD = BASELINE | {"over_baseline": -0.2, "over_baseline_p": 0.01}
BASELINE_AHEAD |= {"over_baseline_ci_low": -0.3, "over_baseline_ci_high": -0.1}
OFFICIAL_AHEAD = {"gain_official": -0.2, "gain_official_ci_low": -0.3, "gain_official_ci_high": -0.1}
OFFICIAL_AHEAD |= {"gain_official_p": 0.01}
BOTH = {"task": "integration", "metric": "biology", "guard_metric": "mixing", "better_p_family": 0.3}
BETTER = BOTH | {"better_layer": "02", "better_metric": "mixing", "better_gain": 0.2, "better_p_family": 0.01}
BETTER |= {"better_gain_ci_low": 0.1, "better_gain_ci_high": 0.3}
NULL = {"best_null_mean": 0.1}
NOTHING = {"best_layer": "", "best_estimate": NAN, "best_ci_low": NAN, "best_ci_high": NAN}


@pytest.mark.parametrize(
    ("changes", "word", "use", "sure"),
    [
        (NOTHING, "not_scored", "", "no"),
        ({"best_ci_low": -0.1}, "no_signal", "", "no"),
        ({"best_ci_low": 0.0}, "no_signal", "", "no"),
        ({"best_null_mean": 0.4}, "no_signal", "", "no"),
        ({"best_null_mean": 0.39}, "no_difference_shown", "06", "no"),
        ({"best_ci_low": -0.1, "best_null_mean": -0.3}, "no_signal", "", "no"),
        ({"best_ci_low": -0.1, "best_p_value": 0.05}, "no_signal", "", "no"),
        ({"best_ci_low": -0.1, "best_p_value": 0.049}, "no_difference_shown", "06", "no"),
        ({"best_ci_low": -0.1} | GAIN | BASELINE_AHEAD, "no_signal", "", "no"),
        (GAIN, "use_layer", "04", "yes"),
        (GAIN | {"gain_p_family": 0.05}, "no_difference_shown", "06", "no"),
        (GAIN | {"gain_p_family": 0.049}, "use_layer", "04", "yes"),
        (GAIN | {"protocol": "paper"}, "use_layer", "04", "no"),
        (GAIN | {"best_ci_low": -0.1, "best_p_value": 0.01}, "use_layer", "04", "no"),
        (GAIN | {"heldout_gain": 0.0}, "use_layer", "04", "no"),
        (GAIN | {"heldout_gain": 0.01}, "use_layer", "04", "yes"),
        (GAIN | SURER, "use_layer", "04", "yes"),
        (SURER, "use_layer", "03", "yes"),
        (GAIN | BASELINE_AHEAD, "prefer_baseline", "pca", "yes"),
        (GAIN | BASELINE_AHEAD | {"over_baseline_p": 0.05}, "use_layer", "04", "yes"),
        (GAIN | BASELINE_AHEAD | OFFICIAL_AHEAD, "prefer_baseline", "pca", "yes"),
        (GAIN | OFFICIAL_AHEAD, "prefer_official", "official", "yes"),
        (GAIN | OFFICIAL_AHEAD | {"gain_official_p": 0.05}, "use_layer", "04", "yes"),
        ({"most_gain": 0.049}, "final_will_do", "06", "yes"),
        ({"most_gain": 0.05}, "no_difference_shown", "06", "no"),
        ({"gain_ci_high": 0.04, "most_gain": 0.06}, "no_difference_shown", "06", "no"),
        ({"most_gain": 0.049, "protocol": "released"}, "final_will_do", "06", "no"),
        (FINAL_BEST, "final_will_do", "06", "no"),
        (FINAL_BEST | {"most_gain": 0.01}, "final_will_do", "06", "yes"),
        (FINAL_BEST | {"most_gain": NAN, "n_layers": 1}, "final_will_do", "06", "no"),
        ({"final_layer": ""}, "no_difference_shown", "04", "no"),
        ({"gain_p_family": NAN, "most_gain": NAN}, "no_difference_shown", "06", "no"),
        ({}, "no_difference_shown", "06", "no"),
        (BOTH | GAIN, "no_difference_shown", "06", "no"),
        (BETTER, "use_layer", "02", "yes"),
        (BOTH | {"layers_traded": "01,02"}, "trade_off", "", "no"),
        (BETTER | {"layers_traded": "01"}, "use_layer", "02", "yes"),
        (BETTER | {"guard_prefer": "pca"} | BASELINE, "prefer_baseline", "pca", "yes"),
        (BETTER | {"guard_prefer": "official"}, "prefer_official", "official", "yes"),
        (BOTH | {"most_gain": 0.01, "guard_most_gain": 0.049}, "final_will_do", "06", "yes"),
        (BOTH | {"most_gain": 0.01, "guard_most_gain": 0.05}, "no_difference_shown", "06", "no"),
        (BOTH | BASELINE_AHEAD | OFFICIAL_AHEAD, "no_difference_shown", "06", "no"),
    ],
)
def test_the_verdict_follows_from_the_row(changes: dict[str, Any], word: str, use: str, sure: str) -> None:
    said = answer(ROW | changes)
    assert (said["verdict"], said["use"], said["sure"]) == (word, use, sure)
    assert tuple(said) == ANSWER
    assert len(said["sentence"].split()) <= 20
    assert "{" not in said["sentence"] + said["next"] and "nan" not in said["sentence"]
    assert not use or use == "06" or use in said["sentence"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (GAIN, "Of this model's layers use 04: it beats the final one by 0.10 (0.05 to 0.15)."),
        (SURER, "Of this model's layers use 03: it beats the final one by 0.06 (0.02 to 0.10)."),
        (
            GAIN | {"gain_ci_low": 0.004},
            "Of this model's layers use 04: it beats the final one by 0.100 (0.004 to 0.150).",
        ),
        ({"most_gain": 0.01}, "Use the final layer: no other layer can gain more than 0.05."),
        (
            OFFICIAL_AHEAD,
            "Use the owners' embedding (official): it beats the best layer by 0.20 (0.10 to 0.30).",
        ),
        (
            BASELINE_AHEAD,
            "The baseline pca scores 0.70, the highest layer 0.50; the difference is 0.10 to 0.30.",
        ),
        (BETTER, "Of this model's layers use 02: its mixing beats the final one's by 0.20 (0.10 to 0.30)."),
    ],
)
def test_the_sentence_names_what_to_use_and_what_it_is_compared_with(
    changes: dict[str, Any], sentence: str
) -> None:
    assert answer(ROW | changes)["sentence"] == sentence


MADE_IT = {"reference_baseline": "hvg_pca"}
PCA = {"pca": "hvg_pca", "pca_estimate": 0.2, "over_pca": 0.3, "over_pca_p": 0.01}
UNTRAINED = {"best_untrained": "m_untrained", "best_untrained_estimate": 0.3, "over_untrained_p": 0.01}
ABOVE = UNTRAINED | {"over_untrained": 0.2, "layers_above_untrained": "03,04"}


@pytest.mark.parametrize(
    ("changes", "column", "said"),
    [
        ({}, "beats_pca", "not tested: no PCA"),
        (NOTHING, "beats_pca", "not tested: no layer"),
        (MADE_IT, "beats_pca", "not tested: hvg_pca made the reference"),
        (MADE_IT | BASELINE, "beats_pca", "not tested: hvg_pca made the reference"),
        (PCA, "beats_pca", "yes: layer 04 scores 0.50, hvg_pca 0.20"),
        (PCA | {"pca_estimate": 0.496}, "beats_pca", "yes: layer 04 scores 0.500, hvg_pca 0.496"),
        (PCA | {"over_pca": -0.3}, "beats_pca", "no: layer 04"),
        (PCA | {"over_pca_p": 0.05}, "beats_pca", "unclear: layer 04"),
        (PCA | {"over_pca_p": NAN}, "beats_pca", "not tested: layer 04"),
        (PCA | BASELINE_AHEAD, "beats_pca", "yes: layer 04"),
        ({}, "beats_baseline", "not tested: no baseline"),
        (NOTHING, "beats_baseline", "not tested: no layer"),
        (BASELINE, "beats_baseline", "not tested: layer 04 scores 0.50, pca 0.70"),
        (BASELINE_AHEAD, "beats_baseline", "no: layer 04 scores 0.50, pca 0.70"),
        (BASELINE_AHEAD | {"over_baseline": 0.2}, "beats_baseline", "yes: layer 04"),
        (BASELINE_AHEAD | {"over_baseline_p": 0.05}, "beats_baseline", "unclear: layer 04"),
        (BOTH | BASELINE | {"over_baseline_p": 0.4, "guard_prefer": "pca"}, "beats_baseline", "no: layer 04"),
        ({}, "training_helped", "unknown: no untrained"),
        (NOTHING, "training_helped", "unknown: no layer"),
        ({"planted": True}, "training_helped", "unknown: planted"),
        (ABOVE, "training_helped", "yes: trained 0.50, untrained 0.30"),
        (ABOVE | {"layers_above_untrained": ""}, "training_helped", "unknown: trained 0.50"),
        (ABOVE | {"over_untrained_p": 0.05}, "training_helped", "unknown: trained 0.50"),
        (ABOVE | {"over_untrained": -0.2}, "training_helped", "no: trained 0.50"),
        (UNTRAINED | {"over_untrained_p": 0.4, "layers_below_untrained": "04"}, "training_helped", "no"),
        (UNTRAINED | {"over_untrained_p": NAN}, "training_helped", "unknown"),
        ({}, "next", "Score more perturbations"),
        (FINAL_BEST, "next", NEXT["untrained"]),
        (ABOVE | FINAL_BEST, "next", NEXT["baseline"]),
        (ABOVE | BASELINE | FINAL_BEST, "next", "More perturbations"),
        (ABOVE | BASELINE | GAIN, "next", NEXT["use"]),
        (ABOVE | BASELINE | GAIN | {"heldout_gain": -0.1}, "next", NEXT["halves"]),
        (ABOVE | BASELINE_AHEAD, "next", NEXT["prefer_baseline"]),
        (ABOVE | BASELINE | FINAL_BEST | {"cheapest_layer": "02"}, "next", "To save time stop at layer 02"),
        (FINAL_BEST | ABOVE | BASELINE | BOTH | NULL | {"cheapest_layer": "02"}, "next", "To save time"),
        ({"planted": True}, "next", NEXT["planted"]),
        ({"protocol": "paper"}, "next", NEXT["protocol"]),
        ({"best_ci_low": -0.1}, "next", "Score more perturbations, or try another"),
        (
            BASELINE | {"best_ci_low": -0.1, "best_baseline_ci_low": 0.0},
            "next",
            "Score more perturbations: the",
        ),
        (
            BASELINE | {"best_ci_low": -0.1, "best_baseline_ci_low": 0.1},
            "next",
            "Score more perturbations, or",
        ),
        (NOTHING, "next", NEXT["not_scored"]),
        ({"task": "label", "metric": "probe_macro_f1"}, "next", NEXT["chance"]),
        (BOTH | NULL | {"layers_traded": "01"}, "next", NEXT["trade_off"]),
    ],
)
def test_what_a_reader_asks_next_follows_from_the_row(
    changes: dict[str, Any], column: str, said: str
) -> None:
    assert answer(ROW | changes)[column].startswith(said)


def test_the_longest_names_still_make_short_sentences() -> None:
    """Of tasks with two metrics, the names of which stand in sentences."""
    for task in TASKS.values():
        for metric, guard in task.guarded.items():
            row = ROW | BETTER | {"task": task.name, "metric": metric, "guard_metric": guard}
            for changes in ({}, {"guard_prefer": "official"}, {"guard_prefer": "pca"}):
                assert len(answer(row | changes)["sentence"].split()) <= 20


def test_every_verdict_has_its_sentences() -> None:
    said = {verdict(ROW | changes) for changes in (NOTHING, GAIN, BASELINE_AHEAD, OFFICIAL_AHEAD)}
    assert said < set(SENTENCES)
    for sentences in SENTENCES.values():
        for sentence in sentences.values():
            assert sentence[0].isupper() or sentence.startswith("{")
