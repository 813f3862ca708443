"""What stands behind the answers: models, data, missing scores, remarks and warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from layerscope.figures.models import Model
from layerscope.figures.wording import condition_order, control_label, is_simulated, layer_ranges, natural
from layerscope.report.formats import signed
from layerscope.report.grid import MAX_ROWS, Grid, Source, grid_of, without_constant, without_empty

SCORE_LABELS = {
    "estimate": "score",
    "ci_low": "from",
    "ci_high": "to",
    "n_cells": "cells",
    "n_items": "items",
}
KINDS = {"foundation": 0, "control": 1, "baseline": 2}  # the order of kinds of models


def model_table(models: Mapping[str, Model]) -> Grid:
    """What each model is, what it was trained on and under which licence it stands."""
    rows = [
        {
            "model": model.name,
            "title": model.title if model.title != model.name else "",
            "kind": _kind(model),
            "layers": model.n_layers or None,
            "trained on": _training(model),
            "licence": model.about.get("licence", ""),
            "citation": model.about.get("citation", ""),
        }
        for model in sorted(models.values(), key=lambda model: (KINDS[model.kind], natural(model.name)))
    ]
    table = pd.DataFrame(rows).astype({"layers": "Int64"})
    caption = "Models, what each was trained on, and its licence"
    return grid_of(without_empty(table), key="models", caption=caption)


def _kind(model: Model) -> str:
    if model.is_planted:
        return "planted layers, no model"
    kind = f"control: {control_label(model.control)}" if model.control else model.kind
    if model.family == "stored":
        return f"{kind}, brought" if model.control else "embeddings that were brought"
    return kind


def _training(model: Model) -> str:
    if model.kind == "baseline" and model.family != "stored":
        return "nothing: computed from the cells that are scored"
    if model.control == "untrained":
        return f"nothing: the architecture of {model.of} with weights drawn anew"
    return str(model.about.get("trained_on", "")) or "not stated"


def data_table(settings: Mapping[str, Any], scores: pd.DataFrame) -> Grid:
    """What each condition's cells are, where they come from and how many entered the scores."""
    described = settings.get("conditions") or {}
    rows = []
    for name in condition_order(settings, {*described, *scores["condition"]}):
        entry = described.get(name) or {}
        used = scores.loc[(scores["condition"] == name) & (scores["status"] == "ok"), "n_cells"]
        row = {"condition": name} | {key: entry.get(key, "") for key in ("title", "task")}
        row["dataset"] = entry.get("dataset_title") or entry.get("dataset", "")
        row["cells"] = "simulated" if is_simulated(settings, name) else "measured"
        row["most cells scored"] = int(used.max()) if len(used) else None
        rows.append(row | {key: entry.get(key, "") for key in ("note", "citation", "licence")})
    table = pd.DataFrame(rows).astype({"most cells scored": "Int64"})
    return grid_of(without_empty(table), key="data", caption="Conditions and their data")


def score_table(scores: pd.DataFrame, source: Source, primary: set[str]) -> Grid:
    """All scores; where there are very many, those of the primary metrics."""
    shown, note = scores, ""
    if len(scores) > MAX_ROWS:
        shown = scores[scores["metric"].isin({*primary, ""})]
        counts = f"{len(shown):,} of {len(scores):,} rows"
        note = f"Only the metrics {', '.join(sorted(primary))}: {counts}; the file has all metrics."
    empty = [name for name in ("ceiling", "null_mean", "p_value") if shown[name].isna().all()]
    shown, same = without_constant(shown.drop(columns=["task", "seed", *empty]))
    return grid_of(
        shown,
        key="scores",
        caption="All scores",
        source=source,
        labels=SCORE_LABELS,
        choices=("condition", "model", "protocol", "metric", "status"),
        filterable=True,
        note=f"{note} {same}".strip(),
    )


def unavailable_table(scores: pd.DataFrame, source: Source) -> Grid:
    """Scores that do not exist, and why."""
    return _by_group(
        scores[scores["status"] != "ok"],
        ["status", "condition", "model", "protocol", "reason"],
        {
            "layers": lambda rows: layer_ranges(rows["layer"]) or "all layers",
            "metrics": lambda rows: ", ".join(dict.fromkeys(rows["metric"])),
        },
        columns=["status", "condition", "model", "layers", "protocol", "metrics", "reason"],
        key="unavailable",
        caption="Scores that could not be had, with the reason",
        source=source,
    )


def remark_table(scores: pd.DataFrame, source: Source) -> Grid:
    """Remarks on scores that do exist."""
    return _by_group(
        scores[(scores["status"] == "ok") & (scores["reason"] != "")],
        ["condition", "protocol", "metric", "reason"],
        {"models": lambda rows: _listed(rows["model"]), "scores": len},
        key="remarks",
        caption="Remarks on scores that exist",
        source=source,
        labels={"reason": "remark"},
        filterable=False,
    )


def warning_table(warned: pd.DataFrame, source: Source) -> Grid:
    """What was warned of: a row for each warning, with all that it is about."""
    return _by_group(
        warned,
        ["step", "warning"],
        {"about": lambda rows: _listed(rows["of"]), "times": len},
        columns=["warning", "step", "about", "times"],
        sort=False,
        key="warnings",
        caption="Warnings",
        source=source,
    )


def _by_group(
    table: pd.DataFrame,
    keys: list[str],
    summaries: Mapping[str, Callable[[pd.DataFrame], Any]],
    source: Source,
    columns: Sequence[str] = (),
    sort: bool = True,
    filterable: bool = True,
    **about: Any,
) -> Grid:
    """A table with a row for each group of rows: its keys and what summarises it; long ones have a filter."""
    rows = [
        dict(zip(keys, values, strict=True)) | {name: summary(group) for name, summary in summaries.items()}
        for values, group in table.groupby(keys, sort=sort)
    ]
    shown = pd.DataFrame(rows, columns=list(columns) or [*keys, *summaries])
    # a row stands for several lines of the source, and names none
    grid = grid_of(shown, filterable=filterable and len(rows) > 20, **about)
    return replace(grid, source=source)


def _listed(texts: pd.Series, most: int = 4) -> str:
    names = sorted(set(texts), key=natural)
    more = len(names) - most
    between = "; " if any("," in name for name in names) else ", "
    return between.join(names) if more <= 0 else f"{between.join(names[:most])} and {more} more"


def published_table(published: pd.DataFrame, source: Source) -> tuple[Grid | None, str]:
    """The paper's scores beside those of the study, and in words how many; no table where nothing was run."""
    own = published[published["status"] == "reproduced"]
    shown = published[published["status"] != "not run"]
    words = f"{len(own):,} of {len(published):,} rows of the paper's tables have a score of this study beside"
    if shown.empty:
        return None, f"{words}: none of the paper's pairs of model and condition was run ({source.shown})."
    if len(own):
        words += f"; the median difference (reproduced - published) is {signed(own['difference'].median())}"
    grid = grid_of(
        shown,
        key="published-table",
        caption="Published and reproduced scores of what was run",
        source=source,
        choices=("condition", "model", "protocol", "status"),
        filterable=True,
    )
    return grid, f"{words}."


def warning_words(warned: pd.DataFrame) -> str:
    """How many warnings were given, of how many kinds; nothing where there were none."""
    n_kinds, n_times = len(warned[["step", "warning"]].drop_duplicates()), len(warned)
    if not n_times:
        return ""
    kinds = f" of {n_kinds} kind{'s' if n_kinds > 1 else ''}" if n_kinds < n_times else ""
    return f"{n_times} warning{'s' if n_times > 1 else ''}{kinds} {'were' if n_times > 1 else 'was'} given"


def pairs(mapping: Any) -> list[tuple[str, str]]:
    """Flatten a mapping of versions or seeds into names and values."""
    if not isinstance(mapping, Mapping):
        return []
    return [(str(key), _text(value)) for key, value in mapping.items()]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
