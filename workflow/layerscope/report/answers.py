"""The answer: a row for each condition and model with its verdict, and what a reader asks next."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.figures import wording
from layerscope.figures.models import Model
from layerscope.report.formats import interval, number, percent, signed
from layerscope.report.grid import Cell, Source
from layerscope.report.verdict_words import OF_MODELS, PLANTED, QUESTIONS, TAGS, UNNAMED, Tag
from layerscope.statistics.trust import TRUSTED, decides
from layerscope.statistics.verdict import names_another_baseline
from layerscope.tables import OFFICIAL
from layerscope.tasks.catalogue import TASKS

COLUMNS = (
    (
        "Model",
        "What was scored: a foundation model, planted layers or, where nothing has layers, the highest of "
        "the representations. Its name in the files stands below its title.",
    ),
    ("Verdict", "What follows, in a few words. Each is explained above."),
    (
        "Use",
        "What to use for this question: a layer, the owners' embedding or a baseline. Sure: yes if protocol "
        "strict shows what the sentence below says; no if it is only the best guess.",
    ),
    (
        "Highest score",
        "The score of the layer that scores highest. What is scored stands by the condition. Its p: how "
        "often nonsense (shuffled data) scores as high.",
    ),
    (
        "Gain over final layer",
        "The score of a layer minus that of the final layer, in the units of the score. A correlation goes "
        "from -1 to 1, so a gain, or the end of its interval, can be above 1.",
    ),
    (
        "Cheapest layer that is as good",
        "The earliest layer that loses less than a margin (0.02 of the score's range, unless set otherwise) "
        "against the layer to use, by its interval; where two scores count, in both. Stopping there saves "
        "part of the model's computation. Empty where no layer is shown to be the one to use.",
    ),
    (
        "PCA",
        "The score of a PCA (principal components) of the most variable genes, hvg_pca: the simple method "
        "that a model must beat. Where the reference was computed from it, it would score 1 by construction: "
        "it has no score, and may be as good as any layer.",
    ),
    (
        "Best baseline",
        "The highest score of all simple methods without a foundation model. rank_normal_pca and "
        "hellinger_svd: like a PCA, with counts scaled in other ways. log_all_genes: logarithms of the "
        "counts of all genes. qc_only: quality measures of each cell and nothing else. An embedding of one "
        "array that was brought counts as a baseline.",
    ),
    (
        "Same network, untrained",
        "The highest score of a layer of the same network with random weights, which never saw a cell (the "
        "mean of its seeds; its embedding called official is left out, as that of the model is). A layer "
        "that scores no higher owes its score to the architecture, not to training.",
    ),
)
"""Headings of the table, and what each means."""


@dataclass(frozen=True)
class Answer:
    """What follows for one model: a row of the table, a sentence, and what a reader asks next."""

    title: str
    small: str  # its name, where the title is another, and what it is if not a model of cells
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

    def in_words(self, text: str) -> str:
        """A sentence with the titles of models in the place of their names."""

        def title(word: re.Match[str]) -> str:
            return self.named(word[0])[0] if word[0] in self.models else word[0]

        return re.sub(r"\w+", title, text)

    def named(self, model: str) -> tuple[str, str]:
        """Title of a model, else its name in plain words, and its name where that is another."""
        title = self.models[model].title if model in self.models else model
        title = wording.plain(model) if title == model else title
        return title, "" if title == model else model


def layer_answers(layers: pd.DataFrame, beside: Beside) -> list[Condition]:
    """The answers of every condition with layers; ``layers`` is the study's table of the choice."""
    deciding = layers[decides(layers)].sort_values(
        ["planted", "best_estimate"], ascending=[True, False], kind="stable", na_position="last"
    )
    result = []
    for condition in wording.condition_order(beside.settings, layers["condition"]):
        rows = deciding[deciding["condition"] == condition]
        given = [_of_layers(row, beside, beside.source.line(int(index))) for index, row in rows.iterrows()]
        result.append(of_condition(rows.iloc[0], beside.settings, given))
    return result


def of_condition(row: Mapping[str, Any], settings: Mapping[str, Any], given: Sequence[Answer]) -> Condition:
    """A condition with its answers; ``row`` is of the table of any of them."""
    condition, task = row["condition"], row["task"]
    about = settings.get("conditions", {}).get(condition) or {}
    what = "layer" if "best_layer" in row else "representation"
    keeps = TASKS[task].keeps if task in TASKS else "the signal"
    metrics = filter(None, (row["metric"], row.get("guard_metric")))
    return Condition(
        title=about.get("title") or condition,
        question=f"Which {what} keeps {keeps}?",
        protocol=row["protocol"],
        score=" and ".join(wording.metric_label(task, name) for name in metrics),
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


def questions_of(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a reader asks, and the answers of a row; of planted layers no question about a model."""
    asked = [name for name in QUESTIONS if name in row]
    if row.get("planted"):
        asked = [name for name in asked if name not in OF_MODELS]
    if not names_another_baseline(row):
        asked = [name for name in asked if name != "beats_baseline"]
    return tuple((QUESTIONS[name], row[name]) for name in asked)


def lines(*texts: str) -> str:
    """Small print of a cell: one text a line, those that are empty left out."""
    return "\n".join(filter(None, texts))


def _of_layers(row: Mapping[str, Any], beside: Beside, line: str) -> Answer:
    title, name = beside.named(row["model"])
    reason = () if row["best_layer"] or not row["reason"] else (f"The reason: {row['reason']}.",)
    return Answer(
        title=title,
        small=lines(name, PLANTED if row["planted"] else ""),
        tag=TAGS[row["verdict"]],
        cells=_cells(row, beside, line),
        sentence=beside.in_words(row["sentence"]),
        questions=tuple((question, beside.in_words(text)) for question, text in questions_of(row)),
        cautions=(*reason, *beside.cautions.get((row["condition"], row["model"]), ())),
        hint=f"{line}, columns verdict, sentence",
    )


def _to_use(row: Mapping[str, Any], beside: Beside) -> tuple[str, str]:
    """What to use, in words, and a baseline's name: which layer of how many."""
    if not row["use"].isdigit():
        names = {OFFICIAL: "official embedding", "": UNNAMED.get(row["verdict"], "")}
        return (names[row["use"]], "") if row["use"] in names else beside.named(row["use"])
    layer = f"{row['use']} of {int(row['n_layers'])}"
    return f"final layer ({layer})" if row["use"] == row["final_layer"] else f"layer {layer}", ""


def _cells(row: Mapping[str, Any], beside: Beside, line: str) -> tuple[Cell, ...]:
    """The numbers of a row, each with the columns of the file that it comes from."""

    def score(name: str, *about: str) -> Cell:
        ends = interval(row[f"{name}_ci_low"], row[f"{name}_ci_high"])
        columns = f"{name}_estimate, {name}_ci_low, {name}_ci_high"
        return Cell(number(row[f"{name}_estimate"], 2), lines(ends, *about), f"{line}, columns {columns}")

    use, baseline = _to_use(row, beside)
    best = f"layer {row['best_layer']}" if row["best_layer"] else ""
    p_value = "" if math.isnan(row["best_p_value"]) else f"p = {row['best_p_value']:.2g}"
    untrained = f"layer {row['best_untrained_layer']}" if row["best_untrained_layer"] else "not run"
    return (
        Cell(use, lines(baseline, _sure(row)), f"{line}, columns use, sure"),
        score("best", best, p_value),
        _gain(row, line),
        _cheapest(row, line),
        score("pca") if row["pca"] else _no_pca(row, line),
        score("best_baseline", *_baseline(row, beside)),
        score("best_untrained", untrained),
    )


def _sure(row: Mapping[str, Any]) -> str:
    """Whether what to use is sure, where something is named, and which protocol is no ground for it."""
    if not row["use"]:
        return ""
    return f"sure: {row['sure']}" + ("" if row["protocol"] == TRUSTED else f" (protocol {row['protocol']})")


def _gain(row: Mapping[str, Any], line: str) -> Cell:
    """What a layer has more than the final one: the one to use, else the highest."""
    surer = row["verdict"] == "use_layer" and row["use"] not in (row["best_layer"], row["better_layer"])
    gain = "surest_gain" if surer else "gain"
    highest = "it is the highest" if row["best_layer"] == row["final_layer"] else f"layer {row['best_layer']}"
    of_gain = f"layer {row['use']}" if surer else highest if row["best_layer"] else ""
    ends = interval(row[f"{gain}_ci_low"], row[f"{gain}_ci_high"])
    final = number(row["final_estimate"], 2)
    about = f"final layer {final}" if final and row["best_layer"] != row["final_layer"] else ""
    columns = f"{gain}, {gain}_ci_low, {gain}_ci_high, final_estimate"
    return Cell(signed(row[gain], 2), lines(ends, of_gain, about), f"{line}, columns {columns}")


def _no_pca(row: Mapping[str, Any], line: str) -> Cell:
    """Why the PCA has no score."""
    if not row["reference_baseline"]:
        return Cell("", "not run")
    return Cell("no score", "it made the\nreference", f"{line}, column reference_baseline")


def _baseline(row: Mapping[str, Any], beside: Beside) -> tuple[str, ...]:
    """Which baseline is the best."""
    if not row["best_baseline"]:
        return ("not run",)
    return ("the PCA",) if row["best_baseline"] == row["pca"] else beside.named(row["best_baseline"])


def _cheapest(row: Mapping[str, Any], line: str) -> Cell:
    """The earliest layer that is as good as the one to use; nothing where that says nothing."""
    of_best = row["verdict"] == "use_layer"
    name = "cheapest_as_good_as_best" if of_best else "cheapest_layer"
    share = row["forward_pass_saved_as_good_as_best" if of_best else "forward_pass_saved"]
    if row["verdict"] not in ("use_layer", "final_will_do") or not row[name] or math.isnan(share):
        return Cell("")
    saves = f"saves {percent(share)}" if share else "no earlier one"
    return Cell(f"{row[name]} of {int(row['n_layers'])}", saves, f"{line}, column {name}")
