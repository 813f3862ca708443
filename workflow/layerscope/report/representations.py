"""The answer where there are no layers: which representation to use, in words and in a small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.figures.models import Model
from layerscope.figures.wording import condition_title, metric_label
from layerscope.report.answers import Advice, Answer, in_order
from layerscope.report.formats import interval, number, signed
from layerscope.report.grid import Cell, Column, Grid, Row, Source
from layerscope.statistics.trust import decides

COLUMNS = (
    Column("Condition"),
    Column("Representation"),
    Column("Protocol"),
    Column("Score", "with its 95% interval", kind="n"),
    Column(
        "Behind the best", "the highest minus it; the 95% interval holds for all at once (max-T)", kind="n"
    ),
    Column("p", "of being the best one (multiple comparisons with the best)", kind="n"),
    Column("Not told apart", "whether it cannot be told from the best one (95% confidence set)"),
    Column("Highest in", "share of the resamples in which it scores highest", kind="n"),
    Column("Untrained", "score of its untrained control (mean of seeds), and its own minus that", kind="n"),
)


def representation_answers(
    representations: pd.DataFrame, settings: Mapping[str, Any], models: Mapping[str, Model], source: Source
) -> list[Answer]:
    """The same from the table of the compared representations."""
    result = []
    deciding = representations[decides(representations) & (representations["verdict"] != "")]
    for index, row in in_order(deciding, settings).iterrows():
        condition, model = row["condition"], row["model"]
        first, rest = row["sentence"], row["next"]
        title = models[model].title if model in models else model
        advice = Advice(model, title, first, "", rest, f"{source.line(int(index))}, column sentence")
        about = (condition_title(settings, condition), row["task"], row["protocol"])
        result.append(Answer(condition, *about, metric_label(row["task"], row["metric"]), advice, ()))
    return result


def representation_grid(representations: pd.DataFrame, settings: Mapping[str, Any], source: Source) -> Grid:
    """The numbers behind these answers; each names the columns that it comes from."""
    ordered = in_order(representations, settings, "protocol")
    rows = tuple(_row(row, source.line(int(index))) for index, row in ordered.iterrows())
    return Grid(
        key="representation-table",
        caption="The numbers behind the recommendations (95% intervals in small type)",
        columns=COLUMNS,
        rows=rows,
        source=source,
    )


def _row(row: Mapping[str, Any], line: str) -> Row:
    def cell(text: str, small: str, columns: str) -> Cell:
        return Cell(text, small, f"{line}, columns {columns}")

    below = interval(row["ci_low"], row["ci_high"]) if row["status"] == "ok" else row["reason"]
    behind = interval(row["behind_best_low"], row["behind_best_high"], 3)
    share = "" if pd.isna(row["best_share"]) else f"{row['best_share']:.0%}"
    alike = ("yes" if row["in_confidence_set"] else "no") if pd.notna(row["p_best"]) else ""
    cells = (
        *(Cell(row[name]) for name in ("condition", "model", "protocol")),
        cell(number(row["estimate"]), below, "estimate, ci_low, ci_high"),
        cell(number(row["behind_best"]), behind, "behind_best, behind_best_low, behind_best_high"),
        cell(number(row["p_best"]), "", "p_best"),
        cell(alike, "", "in_confidence_set"),
        cell(share, "", "best_share"),
        cell(number(row["untrained"]), signed(row["over_untrained"]), "untrained, over_untrained"),
    )
    return Row(cells, line)
