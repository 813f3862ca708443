"""The answer where no layer is chosen follows from the first row of a condition: one case a line."""

from __future__ import annotations

from typing import Any

import pytest

from layerscope.statistics.representation_verdict import ANSWER, NEXT, answer
from layerscope.statistics.representations import COLUMNS

NAN = float("nan")
ROW: dict[str, Any] = {
    **dict.fromkeys(COLUMNS, NAN),
    **{"condition": "c", "task": "integration", "protocol": "strict", "metric": "biology", "model": "scvi"},
    **{"estimate": 0.7, "ci_low": 0.6, "ci_high": 0.8, "confidence_set": "scvi,pca,x", "p_alone_family": 0.3},
    **{"runner_up": "pca", "lead": 0.1, "lead_low": -0.1, "lead_high": 0.3, "guard_metric": "mixing"},
    **{"guard_higher": "", "guard_preferred": "", "guard_p_family": 0.3},
}
"""The highest cannot be told from two others, in either metric."""
ALONE = {"p_alone_family": 0.01, "lead_low": 0.05, "lead_high": 0.15, "confidence_set": "scvi"}


@pytest.mark.parametrize(
    ("changes", "word", "use", "sure", "said"),
    [
        ({"estimate": NAN, "ci_low": NAN, "ci_high": NAN}, "not_scored", "", "no", "No representation"),
        ({"ci_low": 0.0}, "no_signal", "", "no", "could be chance"),
        ({"null_mean": 0.6}, "no_signal", "", "no", "could be chance"),
        ({"null_mean": 0.6, "p_value": 0.04}, "no_difference_shown", "scvi", "no", "may be as good"),
        ({}, "no_difference_shown", "scvi", "no", "scores highest, 0.70 (0.60 to 0.80); pca and 1 more"),
        ({"confidence_set": "scvi,pca"}, "no_difference_shown", "scvi", "no", "; pca may be as good"),
        (ALONE | {"p_alone_family": 0.05}, "no_difference_shown", "scvi", "no", "others may be as good"),
        (ALONE, "use_layer", "scvi", "yes", "the next, pca, by 0.10 (0.05 to 0.15)"),
        (ALONE | {"protocol": "paper"}, "use_layer", "scvi", "no", "the next, pca"),
        (ALONE | {"guard_higher": "a,b,c,d,e"}, "trade_off", "", "no", "less mixing than a and 4 more"),
        ({"guard_preferred": "pca", "guard_p_family": 0.01}, "use_layer", "pca", "yes", "Use pca"),
        ({"p_alone_family": NAN}, "no_difference_shown", "scvi", "no", "not tested"),
        ({"p_alone_family": NAN, "runner_up": ""}, "no_difference_shown", "scvi", "no", "the only"),
    ],
)
def test_the_verdict_follows_from_the_row(
    changes: dict[str, Any], word: str, use: str, sure: str, said: str
) -> None:
    given = answer(ROW | changes)
    assert (given["verdict"], given["use"], given["sure"]) == (word, use, sure)
    assert tuple(given) == ANSWER
    assert said in given["sentence"]
    assert len(given["sentence"].split()) <= 20
    assert "{" not in given["sentence"] + given["next"]


@pytest.mark.parametrize(
    ("changes", "column", "said"),
    [
        ({}, "training_helped", "unknown: there is no untrained"),
        ({"untrained": 0.4}, "training_helped", "unknown: trained 0.70, untrained 0.40"),
        ({"untrained": 0.4, "over_untrained": 0.3, "over_untrained_p": 0.01}, "training_helped", "yes"),
        ({"untrained": 0.4, "over_untrained": 0.3, "over_untrained_p": 0.05}, "training_helped", "unknown"),
        ({"untrained": 0.9, "over_untrained": -0.2, "over_untrained_p": 0.01}, "training_helped", "no"),
        ({}, "next", "More batches"),
        ({"protocol": "paper"}, "next", NEXT["protocol"]),
        ({"runner_up": ""}, "next", NEXT["no_difference_shown alone"]),
        (ALONE, "next", NEXT["use_layer"]),
        (ALONE | {"guard_higher": "pca"}, "next", NEXT["trade_off"]),
        ({"ci_low": 0.0}, "next", "Score more batches"),
    ],
)
def test_what_a_reader_asks_next_follows_from_the_row(
    changes: dict[str, Any], column: str, said: str
) -> None:
    assert answer(ROW | changes)[column].startswith(said)
