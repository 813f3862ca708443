"""What a referee would object to the paper, and the output of this study that answers it.

The objections are those that arXiv 2604.14838 leaves open. Each is a row of a table of queries,
:data:`layerscope.report.objections.OBJECTIONS`: it is answered by a file, a column and a number of this
study, or is said not to have been run, with what to configure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.figures.layer_choice import read_layers
from layerscope.figures.models import read_models
from layerscope.report.formats import column_texts, number, percent, signed
from layerscope.report.objections import OBJECTIONS, Objection, Query
from layerscope.report.views import StudyTables, views
from layerscope.tables import SCORE_COLUMNS, TEXT_COLUMNS, read_scores, read_table, write_table

COLUMNS = ("objection", "status", "answer", "configure", "number", "file", "column")
INTERVALS = {"estimate": "ci", "best_depth": "best_depth_ci"}
"""Names of intervals that are not those of their values."""
ANSWERED, IN_PART, NOT_RUN = "answered", "in part", "not run"


def answer(objection: Objection, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """One row of :data:`COLUMNS`: the numbers that answer an objection, or that nothing does."""
    values = _selected(objection.queries[0], tables)["value"]
    if values.empty:
        empty = {"answer": "", "number": float("nan"), "file": "", "column": ""}
        return {**empty, "objection": objection.title, "status": NOT_RUN, "configure": objection.configure}
    lacking = [need for need in objection.needs if _rows(tables[need.table], need.rows).empty]
    missing = [need.configure for need in lacking]
    missing += [objection.still_open] if objection.still_open else []
    numbers = [_say(query, _selected(query, tables)) for query in objection.queries]
    return {
        "objection": objection.title,
        "status": IN_PART if missing else ANSWERED,
        "answer": "; ".join(filter(None, [*numbers, objection.remark])),
        "configure": ", ".join(missing),
        "number": float(values.agg(objection.number)),
        "file": objection.file,
        "column": objection.column,
    }


def _rows(table: pd.DataFrame, which: str) -> pd.DataFrame:
    return table.query(which, engine="python") if which else table


def _selected(query: Query, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of a query, with their ``value`` and, where it has an interval, ``low`` and ``high``."""
    rows = _rows(tables[query.table], query.rows)
    if rows.empty:
        return rows.assign(value=pd.Series(dtype=float))
    interval = INTERVALS.get(query.value, query.value)
    ends = {f"{interval}_low": "low", f"{interval}_high": "high"}
    return rows.assign(value=rows.eval(query.value, engine="python")).rename(columns=ends)


def _say(query: Query, rows: pd.DataFrame) -> str:
    """The numbers of a query, group by group; nothing without rows."""
    if rows.empty:
        return ""
    summary = SUMMARIES[query.summary]
    if not query.by:
        return f"{query.says}: {summary(rows)}"
    groups = rows.groupby(list(query.by), sort=True)
    texts = [f"{' '.join(names)} {summary(group)}" for names, group in groups]
    return f"{query.says}: {', '.join(texts)}"


def _range(rows: pd.DataFrame) -> str:
    ends = column_texts(pd.Series([rows["value"].min(), rows["value"].max()]))
    return " to ".join(dict.fromkeys(ends))


def _each(form: Callable[[float], str]) -> Callable[[pd.DataFrame], str]:
    """Every value with its interval; groups of such queries have one row, unless a control has seeds."""
    return lambda rows: ", ".join(
        f"{form(row['value'])} ({form(row['low'])} to {form(row['high'])})" for _, row in rows.iterrows()
    )


SUMMARIES: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "share": lambda rows: f"{int(rows['value'].sum()):,} of {len(rows):,}",
    "median": lambda rows: f"{number(rows['value'].median())} (at most {number(rows['value'].max())})",
    "range": _range,
    "mean": lambda rows: f"{number(rows['value'].mean())} ({_range(rows)})",
    "count": lambda rows: f"{len(rows):,}",
    "interval": _each(number),
    "difference": _each(signed),
    "percentage": _each(percent),
}
"""How the numbers of a group of rows are printed."""


def write_referee(
    output: str | Path,
    *,
    scores: str | Path,
    layers: str | Path,
    curves: str | Path,
    ceilings: Sequence[str | Path] = (),
    summaries: Sequence[str | Path] = (),
    settings: Mapping[str, Any],
    resamples: Sequence[str | Path] = (),
) -> None:
    """Answer the objections from the tables of a study and write ``referee.tsv``.

    There are no ceilings where protocol ``strict`` was not run. ``summaries`` are
    ``.../CONDITION/summary.tsv``, ``resamples`` the bootstrap values of the layers that a control takes
    something from. A ConfigError if the settings name no models; a DataError if a file is no such table.
    """
    ceiling_table = next(iter(ceilings), "")
    files = {"scores": str(scores), "layers": str(layers), "curves": str(curves)}
    files |= {"ceilings": str(ceiling_table), "report": str(Path(scores).parent.parent / "report.html")}
    no_ceilings = pd.DataFrame(columns=list(SCORE_COLUMNS))
    # planted layers are of no model, so that they answer no objection
    models = {name: model for name, model in read_models(settings).items() if not model.is_planted}

    def of_models(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["model"].isin(models)]

    tables = views(
        StudyTables(
            scores=of_models(read_scores(scores)),
            layers=of_models(read_layers(layers)),
            curves=of_models(read_table(curves, text=("condition", "task", "protocol", "model", "layer"))),
            ceilings=read_table(ceiling_table, text=TEXT_COLUMNS) if ceilings else no_ceilings,
            summaries={Path(path).parent.name: read_table(path, text=["group"]) for path in summaries},
            models=models,
            config=settings.get("config") or {},
            resamples=[str(path) for path in resamples],
        )
    )
    table = pd.DataFrame([answer(objection, tables) for objection in OBJECTIONS], columns=list(COLUMNS))
    write_table(output, table.assign(file=table["file"].map(files).fillna("")))
