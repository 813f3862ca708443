"""The answer where there are no layers: which representation to use, in words and in a small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerscope.report.answers import Answer, Beside, Condition, lines, of_condition, questions_of
from layerscope.report.formats import interval, number, signed
from layerscope.report.grid import Cell, Grid, Source
from layerscope.report.numbers import behind_verdicts, in_order
from layerscope.report.verdict_words import TAGS, UNNAMED
from layerscope.statistics.trust import decides

COLUMNS = {
    "condition": ("condition", ""),
    "model": ("representation", ""),
    "protocol": ("protocol", ""),
    "estimate": ("score", ""),
    "behind_best": ("behind the best", "the highest minus it; its interval holds for all at once (max-T)"),
    "p_best": ("p", "of being the best one (multiple comparisons with the best)"),
    "in_confidence_set": ("may be the best", "whether it may be the best one (95% confidence set)"),
    "best_share": ("highest in", "share of the resamples in which it scores highest"),
    "untrained": ("same network, untrained", "score of its untrained control (mean of seeds)"),
    "over_untrained": ("more than untrained", "its own score minus that"),
    "reason": ("reason", ""),
}
"""Columns of ``representations.tsv``, with their headings and what these mean."""


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
    """The numbers behind these answers."""
    known = representations["p_best"].notna()
    alike = representations["in_confidence_set"].map({True: "yes", False: "no"}).where(known, "")
    table = in_order(representations.assign(in_confidence_set=alike), settings, "protocol")
    return behind_verdicts("representation-table", table, COLUMNS, source)
