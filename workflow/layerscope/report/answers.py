"""The answer: a row for each condition and model with its verdict, and what a reader asks next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.figures import wording
from layerscope.figures.models import Model
from layerscope.report.formats import interval, number, percent, signed
from layerscope.report.grid import Cell, Source
from layerscope.report.verdict_words import OF_MODELS, QUESTIONS, TAGS, UNNAMED, Tag
from layerscope.statistics.trust import TRUSTED, decides
from layerscope.tables import OFFICIAL
from layerscope.tasks.catalogue import TASKS

COLUMNS = (
    ("Model", "what was scored: a foundation model, or the highest of the representations"),
    ("Verdict", "what follows, in a few words: each is explained below"),
    ("Use", "the layer, embedding or baseline to use for this question"),
    ("Highest score", "with its 95% interval, and the layer that it is of"),
    ("Gain over final layer", "how much higher the highest layer scores than the final one"),
    ("Cheapest as good", "the earliest layer that loses less than the margin"),
    ("Best baseline", "the highest score without a foundation model"),
    ("Untrained", "the highest score of the same network with random weights"),
)
"""Headings of the table, and what each means."""


@dataclass(frozen=True)
class Answer:
    """What follows for one model: a row of the table, a sentence, and the five answers."""

    model: str
    title: str
    mark: str  # what it is if not a model of cells
    tag: Tag
    cells: tuple[Cell, ...]
    sentence: str
    questions: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Condition:
    """The answers of one condition by the protocol that decides, the model with the highest score first."""

    title: str
    question: str
    task: str
    protocol: str
    score: str
    simulated: bool
    note: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Beside:
    """What else stands beside an answer, by condition and model."""

    settings: Mapping[str, Any]
    models: Mapping[str, Model]
    source: Source
    cautions: Mapping[tuple[str, str], tuple[str, ...]]


def layer_answers(layers: pd.DataFrame, beside: Beside) -> list[Condition]:
    """The answers of every condition with layers; ``layers`` is the study's table of the choice."""
    deciding = layers[decides(layers)]
    result = []
    for condition in wording.condition_order(beside.settings, layers["condition"]):
        rows = deciding[deciding["condition"] == condition]
        rows = rows.sort_values("best_estimate", ascending=False, kind="stable", na_position="last")
        given = [_of_layers(row, beside, beside.source.line(int(index))) for index, row in rows.iterrows()]
        given.sort(key=lambda answer: bool(answer.mark))  # planted layers last
        result.append(of_condition(rows.iloc[0], beside.settings, given))
    return result


def of_condition(row: Mapping[str, Any], settings: Mapping[str, Any], given: Sequence[Answer]) -> Condition:
    """A condition with its answers; ``row`` is of the table of any of them."""
    condition, task = row["condition"], row["task"]
    about = settings.get("conditions", {}).get(condition) or {}
    what = "layer" if "best_layer" in row else "representation"
    keeps = TASKS[task].keeps if task in TASKS else "the signal"
    return Condition(
        title=about.get("title") or condition,
        question=f"Which {what} keeps {keeps}?",
        task=task,
        protocol=row["protocol"],
        score=wording.metric_label(task, row["metric"]),
        simulated=wording.is_simulated(settings, condition),
        note=about.get("note") or "",
        answers=tuple(given),
    )


def caution(conditions: Sequence[Condition]) -> str:
    """What is to be known of answers by a protocol that is not trusted; nothing if there are none."""
    others = [condition for condition in conditions if condition.protocol != TRUSTED]
    if not others:
        return ""
    where = "" if len(others) == len(conditions) else f" for {', '.join(other.title for other in others)}"
    protocols = " and ".join(sorted({other.protocol for other in others}))
    return (
        f"Protocol {TRUSTED} was not run{where}. By protocol {protocols}, layer and reference share cells, "
        "which alone can raise a score: these verdicts are provisional."
    )


def questions_of(row: Mapping[str, Any], use: str, mark: str = "") -> tuple[tuple[str, str], ...]:
    """What a reader asks, and the answers of a row; of planted layers no question about a model."""
    asked = [name for name in QUESTIONS if name in row and not (mark and name in OF_MODELS)]
    given = {name: row[name] for name in asked} | {"use": use}
    return tuple((QUESTIONS[name], text) for name, text in given.items())


def mark_of(models: Mapping[str, Model], name: str) -> str:
    """What a reader must know of a model that was made for the study."""
    planted = name in models and models[name].is_planted
    return "planted: made from the simulation's truth" if planted else ""


def _of_layers(row: Mapping[str, Any], beside: Beside, line: str) -> Answer:
    name = row["model"]
    title = beside.models[name].title if name in beside.models else name
    use = _to_use(row)
    return Answer(
        model=name,
        title=title,
        mark=mark_of(beside.models, name),
        tag=TAGS[row["verdict"]],
        cells=_cells(row, use, line),
        sentence=row["sentence"],
        questions=questions_of(row, use, mark_of(beside.models, name)),
        cautions=beside.cautions.get((row["condition"], name), ()),
        hint=f"{line}, columns verdict, sentence",
    )


def _to_use(row: Mapping[str, Any]) -> str:
    """What to use, in words: which layer of how many."""
    if not row["use"].isdigit():
        return "official embedding" if row["use"] == OFFICIAL else row["use"] or UNNAMED[row["verdict"]]
    layer = f"{row['use']} of {int(row['n_layers'])}"
    return f"final layer ({layer})" if row["use"] == row["final_layer"] else f"layer {layer}"


def _cells(row: Mapping[str, Any], use: str, line: str) -> tuple[Cell, ...]:
    """The numbers of a row, each with the columns of the file that it comes from."""

    def cell(text: str, small: Sequence[str], columns: str) -> Cell:
        return Cell(text, "\n".join(filter(None, small)), f"{line}, columns {columns}")

    def score(name: str, about: str) -> Cell:
        ends = interval(row[f"{name}_ci_low"], row[f"{name}_ci_high"])
        columns = f"{name}_estimate, {name}_ci_low, {name}_ci_high"
        return cell(number(row[f"{name}_estimate"], 2), (ends, about), columns)

    best = f"layer {row['best_layer']}" if row["best_layer"] else ""
    reason = "" if row["best_layer"] else row["reason"]
    surer = row["verdict"] == "use_layer" and row["use"] not in (row["best_layer"], row["better_layer"])
    gain = "surest_gain" if surer else "gain"
    highest = best if row["best_layer"] != row["final_layer"] else "it is the highest"
    of_gain = f"layer {row['use']}" if surer else highest if row["best_layer"] else ""
    gain_interval = interval(row[f"{gain}_ci_low"], row[f"{gain}_ci_high"])
    untrained = f"layer {row['best_untrained_layer']}" if row["best_untrained_layer"] else "not run"
    reference = row["reference_baseline"]
    baselines = (row["best_baseline"] or ("" if reference else "not run"),)
    return (
        cell(use, (f"sure: {row['sure']}",), "use, sure"),
        score("best", best or reason),
        cell(signed(row[gain], 2), (gain_interval, of_gain), f"{gain}, {gain}_ci_low, {gain}_ci_high"),
        _cheapest(row, line),
        score("best_baseline", "\n".join((*baselines, *_no_score(reference)))),
        score("best_untrained", untrained),
    )


def _no_score(reference: str) -> tuple[str, ...]:
    return (f"{reference}: not tested",) if reference else ()


def _cheapest(row: Mapping[str, Any], line: str) -> Cell:
    """The earliest layer that is as good as the one to use; nothing where that says nothing."""
    of_best = row["verdict"] == "use_layer"
    name = "cheapest_as_good_as_best" if of_best else "cheapest_layer"
    share = row["forward_pass_saved_as_good_as_best" if of_best else "forward_pass_saved"]
    of_layers = row["verdict"] in ("use_layer", "final_will_do")
    if not of_layers or row["guard_metric"] or not row[name] or math.isnan(share):
        return Cell("")
    saves = f"saves {percent(share)}" if share else "no earlier one"
    return Cell(f"{row[name]} of {int(row['n_layers'])}", saves, f"{line}, column {name}")
