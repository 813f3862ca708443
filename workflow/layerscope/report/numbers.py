"""The numbers behind the answers: one row a condition, model and protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.figures import wording
from layerscope.report.formats import interval, number, percent, signed
from layerscope.report.grid import Cell, Column, Grid, Row, Source
from layerscope.statistics.trust import decides

COLUMNS = (
    Column("Condition"),
    Column("Model"),
    Column("Protocol"),
    Column(
        "Best layer",
        "the block with the highest score; depth (0% the first, 100% the last) with its 95% interval",
        kind="n",
    ),
    Column("Score", "of the best layer, with its 95% interval", kind="n"),
    Column("Final layer", "score of the last block, with its 95% interval", kind="n"),
    Column("Gain", "best minus final layer; the 95% interval holds for all layers at once (max-T)", kind="n"),
    Column(
        "p",
        "of the gain, two-sided, corrected for layers (max-T), and for conditions and models of the task and "
        "protocol (Holm); below it that of another layer that is surer to be above the final one",
        kind="n",
    ),
    Column(
        "On other data",
        "the layer chosen on one half of the data and scored on the other: its gain over the final layer, "
        "and by how much picking the highest overstates its score",
        kind="n",
    ),
    Column("Official", "score of the embedding that the model's owners publish", kind="n"),
    Column("PCA", "the baseline hvg_pca", kind="n"),
    Column("Best baseline", "the baseline with the highest score", kind="n"),
    Column(
        "Same network, untrained",
        "the layer of the untrained controls that scores highest (mean of seeds)",
        kind="n",
    ),
    Column("May be the best", "layers that may be the best one (95% confidence set)"),
)


def number_table(layers: pd.DataFrame, settings: Mapping[str, Any], source: Source) -> Grid:
    """Every protocol's row; each number names the columns that it comes from."""
    ordered = in_order(layers.assign(decides=decides(layers)), settings, "model", "protocol")
    rows = tuple(_row(row, settings, source.line(int(index))) for index, row in ordered.iterrows())
    protocols = sorted(set(layers["protocol"]))
    shown = [at for at, column in enumerate(COLUMNS) if column.label != "Protocol" or len(protocols) > 1]
    note = "" if len(protocols) > 1 else f"Protocol {', '.join(protocols)}."
    return Grid(
        key="answer-table",
        caption="The numbers behind the verdicts (95% intervals in small type)",
        columns=tuple(COLUMNS[at] for at in shown),
        rows=tuple(Row(tuple(row.cells[at] for at in shown), row.hint) for row in rows),
        source=source,
        note=note,
    )


def in_order(table: pd.DataFrame, settings: Mapping[str, Any], *columns: str) -> pd.DataFrame:
    """Rows in the order of conditions, then by these columns."""
    order = wording.condition_order(settings, table["condition"])
    placed = table.assign(place=table["condition"].map(order.index))
    return placed.sort_values(["place", *columns], kind="stable")


def _row(row: Mapping[str, Any], settings: Mapping[str, Any], line: str) -> Row:
    def score(name: str, before: str = "") -> Cell:
        columns = f"{name}_estimate, {name}_ci_low, {name}_ci_high"
        small = interval(row[f"{name}_ci_low"], row[f"{name}_ci_high"])
        small = "\n".join(part for part in (before, small) if part)
        return Cell(number(row[f"{name}_estimate"]), small, f"{line}, columns {columns}")

    best = str(int(row["best_layer"])) if row["best_layer"] else "none"
    gain = interval(row["gain_ci_low"], row["gain_ci_high"], 3)
    untrained = f"layer {int(row['best_untrained_layer'])}" if row["best_untrained_layer"] else "not run"
    tried = "" if math.isnan(row["optimism"]) else f"overstated by {signed(row['optimism'])}"
    alike = row["confidence_set"]
    cells = (
        Cell(row["condition"], wording.SIMULATED if wording.is_simulated(settings, row["condition"]) else ""),
        Cell(row["model"]),
        Cell(row["protocol"], "decides" if row["decides"] else ""),
        Cell(
            best,
            f"of {int(row['n_layers'])}{_depth(row)}",
            f"{line}, columns best_layer, best_depth, n_layers",
        ),
        score("best") if row["status"] == "ok" else Cell("", row["reason"], f"{line}, column reason"),
        score("final"),
        Cell(signed(row["gain"]), gain, f"{line}, columns gain, gain_ci_low, gain_ci_high"),
        Cell(number(row["gain_p_family"]), _surer(row), f"{line}, columns gain_p_family, surest_p_family"),
        Cell(signed(row["heldout_gain"]), tried, f"{line}, columns heldout_gain, optimism"),
        score("official"),
        score(
            "pca", "" if row["pca"] else "it made the reference" if row["reference_baseline"] else "not run"
        ),
        score("best_baseline", row["best_baseline"] or "not run"),
        score("best_untrained", untrained),
        Cell(wording.layer_ranges(alike.split(",")) if alike else "", "", f"{line}, column confidence_set"),
    )
    return Row(cells, line)


def _depth(row: Mapping[str, Any]) -> str:
    """Depth of the best layer, and where it lies in 95% of the resamples."""
    if math.isnan(row["best_depth"]):
        return ""
    low, high = row["best_depth_ci_low"], row["best_depth_ci_high"]
    likely = "" if math.isnan(low) else f"\n{percent(low)} to {percent(high)}"
    return f"\ndepth {percent(row['best_depth'])}{likely}"


def _surer(row: Mapping[str, Any]) -> str:
    """A layer other than the best that is surer to be above the final one, with its p-value."""
    if not row["surest_layer"] or row["surest_layer"] == row["best_layer"]:
        return ""
    return f"layer {int(row['surest_layer'])}: {number(row['surest_p_family'])}"
