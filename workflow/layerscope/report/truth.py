"""Where simulated cells say what is true: does the layer that scores highest hold the truth best?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.figures.wording import condition_order
from layerscope.report.formats import interval, number, signed
from layerscope.report.grid import Cell, Column, Finding, Grid, Row, Source
from layerscope.statistics.trust import most_trusted
from layerscope.tasks.catalogue import TASKS

COLUMNS = (
    Column("Condition"),
    Column("Model"),
    Column("Truth", kind="w"),
    Column("Protocol", "the most trusted one that compares with the truth"),
    Column("Best by truth", "block that agrees best with the truth, with its 95% interval", kind="n"),
    Column("Highest score", "agreement with the truth of the block with the highest score", kind="n"),
    Column("Final layer", "agreement with the truth of the last block", kind="n"),
    Column("Lost", "agreement of the block with the highest score minus the best agreement", kind="n"),
)


@dataclass(frozen=True)
class Compared:
    """Agreement with the truth of a model's layers in a condition: rows of the table of scores."""

    label: str
    protocol: str
    best: pd.Series
    chosen: pd.Series
    final: pd.Series

    @property
    def lost(self) -> float:
        """What the choice by the score costs in agreement with the truth; 0 or below."""
        return float(self.chosen["estimate"] - self.best["estimate"])


def truth(
    scores: pd.DataFrame, layers: pd.DataFrame, settings: Mapping[str, Any], source: Source
) -> Finding | None:
    """Compare the layer with the highest score with the one that is best by the truth; None without truth."""
    compared = list(_compared(scores, layers, settings))
    if not compared:
        return None
    same = sum(choice.lost == 0 for choice in compared)
    least, most = (abs(end(choice.lost for choice in compared)) for end in (max, min))
    words = (
        f"The block with the highest score is the one that agrees best with the truth in {same} of "
        f"{len(compared)} rows; what its choice loses in agreement is {least:.3f} to {most:.3f}."
    )
    grid = Grid(
        key="truth-table",
        caption="Agreement of layers with the truth (95% intervals in small type)",
        columns=COLUMNS,
        rows=tuple(_row(choice, source) for choice in compared),
        source=source,
    )
    return Finding(words, grid)


def _compared(scores: pd.DataFrame, layers: pd.DataFrame, settings: Mapping[str, Any]) -> Iterator[Compared]:
    measured = scores[scores["status"] == "ok"]
    chosen = layers[layers["best_layer"] != ""]
    for condition in condition_order(settings, chosen["condition"]):
        here = chosen[chosen["condition"] == condition]
        task = here["task"].iloc[0]
        for metric, label in (TASKS[task].truth if task in TASKS else {}).items():
            rows = measured[(measured["condition"] == condition) & (measured["metric"] == metric)]
            known = here[here["protocol"].isin(set(rows["protocol"]))]
            if known.empty:
                continue
            protocol = most_trusted(known["protocol"])
            for _, choice in known[known["protocol"] == protocol].iterrows():
                own = rows[(rows["protocol"] == protocol) & (rows["model"] == choice["model"])]
                blocks = own[own["layer"].str.fullmatch(r"\d+") & (own["layer"] != "00")]
                by_layer = {row["layer"]: row for _, row in blocks.iterrows()}
                if {choice["best_layer"], choice["final_layer"]} <= set(by_layer):
                    best = blocks.loc[blocks["estimate"].idxmax()]
                    highest, final = by_layer[choice["best_layer"]], by_layer[choice["final_layer"]]
                    yield Compared(label, protocol, best, highest, final)


def _row(choice: Compared, source: Source) -> Row:
    def cell(row: pd.Series) -> Cell:
        small = f"layer {int(row['layer'])}\n{interval(row['ci_low'], row['ci_high'], 3)}"
        hint = f"{source.line(int(row.name))}, columns estimate, ci_low, ci_high"
        return Cell(number(row["estimate"]), small, hint)

    about = choice.best["condition"], choice.best["model"], choice.label, choice.protocol
    agreements = choice.best, choice.chosen, choice.final
    lost = Cell(signed(choice.lost), "", "highest score's minus best agreement")
    return Row((*map(Cell, about), *map(cell, agreements), lost), source.line(int(choice.best.name)))
