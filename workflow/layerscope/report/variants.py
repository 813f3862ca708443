"""Scores that hang on how a layer is scaled: told beside the verdict."""

from __future__ import annotations

import pandas as pd

from layerscope.report.views import UNSEEN, varied_scores

KEYS = ["condition", "task", "protocol", "metric", "model"]


def scores_that_hang(scores: pd.DataFrame, layers: pd.DataFrame) -> dict[tuple[str, str], tuple[str, ...]]:
    """Sentences by condition and model, where a variant leaves the interval of the score that it varies.

    They are of the layer to use, or of the highest where none is.
    """
    varied = varied_scores(scores[scores["status"] == "ok"])
    varied = varied[varied["outside"] & ~varied["reason"].str.contains(UNSEEN).astype(bool)]
    chosen = layers["use"].where(layers["use"].str.fullmatch(r"\d+"), layers["best_layer"])
    hanging = varied.merge(layers[KEYS].assign(layer=chosen))
    sentences: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in hanging.to_dict("records"):
        key = row["condition"], row["model"]
        sentences[key] = (*sentences.get(key, ()), _sentence(row))
    return sentences


def _sentence(row: dict[str, object]) -> str:
    return (
        f"By protocol {row['protocol']} the score of layer {row['layer']} hangs on {row['variation']}: "
        f"{row['estimate_plain']:.2f} becomes {row['estimate']:.2f}."
    )
