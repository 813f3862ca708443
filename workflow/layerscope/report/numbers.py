"""The numbers behind the answers: one row a condition, model and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.figures import wording
from layerscope.report.grid import Grid, Source, ends_of, grid_of, without_constant, without_empty

COLUMNS = {
    "condition": ("condition", ""),
    "model": ("model", ""),
    "protocol": ("protocol", ""),
    "best_layer": ("best layer", "the block with the highest score"),
    "best_estimate": ("its score", ""),
    "final_estimate": ("final layer", "the score of the last block"),
    "gain": ("gain", "best minus final layer; its interval holds for all layers at once (max-T)"),
    "gain_p_family": (
        "p",
        "of the gain, two-sided, corrected for layers (max-T), and for conditions and models of the task and "
        "protocol (Holm)",
    ),
    "heldout_gain": (
        "gain on other data",
        "of the layer chosen on one half of the data, over the final one on the other half",
    ),
    "optimism": ("overstated by", "what picking the highest adds to its score"),
    "official_estimate": ("official", "the score of the embedding that the model's owners publish"),
    "pca_estimate": ("PCA", "the score of the baseline hvg_pca"),
    "best_baseline": ("best baseline", ""),
    "best_baseline_estimate": ("its score", ""),
    "best_untrained_layer": ("untrained layer", "that of the same network, untrained, which scores highest"),
    "best_untrained_estimate": ("its score", "the mean of seeds"),
    "confidence_set": ("may be the best", "layers that may be the best one (95% confidence set)"),
}
"""Columns of ``layers.tsv``, with their headings and what these mean."""


def number_table(layers: pd.DataFrame, settings: Mapping[str, Any], source: Source) -> Grid:
    """Every protocol's row of ``layers.tsv``."""
    table = in_order(layers, settings, "model", "protocol").round(
        {"optimism": 6}
    )  # equal means differ by 1e-18
    return behind_verdicts("answer-table", table, COLUMNS, source)


def behind_verdicts(
    key: str, table: pd.DataFrame, columns: Mapping[str, tuple[str, str]], source: Source
) -> Grid:
    """Some columns of a table, under their headings."""
    ends = dict.fromkeys(end for name in columns for end in ends_of(name, table.columns))
    shown, note = without_constant(without_empty(table[[*columns, *ends]]))
    return grid_of(
        shown,
        key=key,
        caption="The numbers behind the verdicts (95% intervals in small type)",
        source=source,
        labels={name: label for name, (label, _) in columns.items()},
        meanings={name: meaning for name, (_, meaning) in columns.items()},
        note=note,
    )


def in_order(table: pd.DataFrame, settings: Mapping[str, Any], *columns: str) -> pd.DataFrame:
    """Rows in the order of conditions, then by these columns."""
    order = wording.condition_order(settings, table["condition"])
    placed = table.assign(place=table["condition"].map(order.index))
    return placed.sort_values(["place", *columns], kind="stable")
