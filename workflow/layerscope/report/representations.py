"""The answer where there are no layers: which representation to use, in words and in a small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.report.answers import Answer, Beside, Condition, lines, of_condition, questions_of
from layerscope.report.formats import interval, number, signed
from layerscope.report.grid import Cell, Column, Grid, Row, Source
from layerscope.report.numbers import in_order
from layerscope.report.verdict_words import TAGS, UNNAMED
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
    Column("May be the best", "whether it may be the best one (95% confidence set)"),
    Column("Highest in", "share of the resamples in which it scores highest", kind="n"),
    Column(
        "Same network, untrained",
        "score of its untrained control (mean of seeds), and its own minus that",
        kind="n",
    ),
)


def representation_answers(representations: pd.DataFrame, beside: Beside) -> list[Condition]:
    """The answers of every condition without layers."""
    answered = representations[decides(representations) & (representations["verdict"] != "")]
    result = []
    for index, row in in_order(answered, beside.settings).iterrows():
        line = beside.source.line(int(index))
        title, name = beside.named(row["model"])
        compared = representations[
            (representations[["condition", "protocol"]] == row[["condition", "protocol"]]).all(axis=1)
        ]
        given = Answer(
            title=title,
            small=lines(name, "the highest of all"),
            tag=TAGS[row["verdict"]],
            cells=_cells(row, compared[compared["status"] == "ok"], beside, line),
            sentence=row["sentence"],
            questions=questions_of(row),
            cautions=(),
            hint=f"{line}, columns verdict, sentence",
        )
        result.append(of_condition(row, beside.settings, [given]))
    return result


def _cells(row: Mapping[str, Any], compared: pd.DataFrame, beside: Beside, line: str) -> tuple[Cell, ...]:
    """The numbers of the highest representation, under the headings of layers."""
    below = interval(row["ci_low"], row["ci_high"]) if row["status"] == "ok" else row["reason"]
    lead = interval(row["lead_low"], row["lead_high"])
    over = f"over {row['runner_up']}" if row["runner_up"] else ""
    use, name = beside.named(row["use"]) if row["use"] else (UNNAMED[row["verdict"]], "")
    baselines = [of for of in compared["model"] if beside.models[of].kind == "baseline"]
    pcas = [of for of in baselines if beside.models[of].is_pca]
    return (
        Cell(use, lines(name, f"sure: {row['sure']}"), f"{line}, columns use, sure"),
        Cell(number(row["estimate"], 2), below, f"{line}, columns estimate, ci_low, ci_high"),
        Cell(signed(row["lead"], 2), lines(lead, over), f"{line}, column lead"),
        Cell(""),
        _highest(compared, pcas, (), beside),
        _highest(compared, baselines, beside.named(baselines[0]) if baselines else (), beside),
        Cell(number(row["untrained"], 2), "", f"{line}, column untrained"),
    )


def _highest(compared: pd.DataFrame, names: list[str], about: tuple[str, ...], beside: Beside) -> Cell:
    """The score of the first of some representations, which stand by their scores."""
    if not names:
        return Cell("", "not run")
    row = compared[compared["model"] == names[0]].iloc[0]
    ends = interval(row["ci_low"], row["ci_high"])
    line = beside.source.line(int(row.name))
    return Cell(number(row["estimate"], 2), lines(ends, *about), f"{line}, columns estimate, ci_low, ci_high")


def representation_grid(representations: pd.DataFrame, settings: Mapping[str, Any], source: Source) -> Grid:
    """The numbers behind these answers; each names the columns that it comes from."""
    ordered = in_order(representations, settings, "protocol")
    rows = tuple(_row(row, source.line(int(index))) for index, row in ordered.iterrows())
    return Grid(
        key="representation-table",
        caption="The numbers behind the verdicts (95% intervals in small type)",
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
