"""What stands beside an answer: models that hardly see the cells, and scores that hang on scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from layerscope.errors import KNOWN_COUNTS
from layerscope.figures.wording import layer_ranges
from layerscope.report.views import UNSEEN, varied_scores

ALIKE = 0.99
"""Mean cosine of two cells above which a layer hardly tells cells apart."""
KEYS = ["condition", "task", "protocol", "metric", "model"]
Key = tuple[str, str]
"""Condition and model."""


def cautions(
    settings: Mapping[str, Any],
    scores: pd.DataFrame,
    layers: pd.DataFrame,
    geometry: pd.DataFrame | None = None,
    warned: pd.DataFrame | None = None,
) -> dict[Key, tuple[str, ...]]:
    """Sentences by condition and model, each once.

    ``settings`` name for each condition the one whose ``cells`` it is scored on; shapes of layers and
    warnings of the jobs are those of that one.
    """
    told: dict[Key, list[str]] = {}
    owners = {name: about.get("cells", name) for name, about in (settings.get("conditions") or {}).items()}
    of_cells = [*_known_counts(warned), *_cells_alike(geometry)]
    of_conditions = [
        ((name, model), sentence)
        for name, owner in owners.items()
        for (of, model), sentence in of_cells
        if of == owner
    ]
    for key, sentence in [*of_conditions, *_scores_that_hang(scores, layers)]:
        told.setdefault(key, []).append(sentence)
    return {key: tuple(dict.fromkeys(sentences)) for key, sentences in told.items()}


def _known_counts(warned: pd.DataFrame | None) -> Iterator[tuple[Key, str]]:
    """Models whose vocabularies hold few of the counts."""
    if warned is not None:
        for row in warned[warned["warning"].str.endswith(KNOWN_COUNTS)].itertuples():
            condition, model, *_ = row.of.split(", ")
            yield (condition, model), f"{row.warning}."


def _cells_alike(geometry: pd.DataFrame | None) -> Iterator[tuple[Key, str]]:
    """Models with layers in which all cells are nearly alike, unless that enters the first block alone."""
    if geometry is not None:
        alike = geometry[geometry["anisotropy"] > ALIKE]
        for (condition, model), rows in alike.groupby(["condition", "model"]):
            if not set(rows["layer"].astype(str)) <= {"0", "00"}:
                where = layer_ranges(rows["layer"])
                sentence = f"Cells hardly differ in {where}: the mean cosine of two is above {ALIKE:g}."
                yield (condition, model), sentence


def _scores_that_hang(scores: pd.DataFrame, layers: pd.DataFrame) -> Iterator[tuple[Key, str]]:
    """Layers to use, or the highest where none is, with a variant that leaves the interval of their score."""
    varied = varied_scores(scores[scores["status"] == "ok"])
    varied = varied[varied["outside"] & ~varied["reason"].str.contains(UNSEEN).astype(bool)]
    chosen = layers["use"].where(layers["use"].str.fullmatch(r"\d+"), layers["best_layer"])
    for row in varied.merge(layers[KEYS].assign(layer=chosen)).to_dict("records"):
        yield (
            (row["condition"], row["model"]),
            f"By protocol {row['protocol']} the score of layer {row['layer']} hangs on {row['variation']}: "
            f"{row['estimate_plain']:.2f} becomes {row['estimate']:.2f}.",
        )
