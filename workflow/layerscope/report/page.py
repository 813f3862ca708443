"""The page that a person reads: one file that opens without a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from layerscope.figures.layer_choice import read_layers
from layerscope.figures.models import Model, read_models
from layerscope.figures.published import read_published
from layerscope.figures.representations import read_representations
from layerscope.figures.wording import condition_order, condition_title, is_simulated, metric_meaning, plain
from layerscope.files import whole
from layerscope.report import evidence
from layerscope.report.answers import COLUMNS as ANSWER_COLUMNS
from layerscope.report.answers import Beside, caution, layer_answers
from layerscope.report.cautions import cautions
from layerscope.report.formats import column_texts
from layerscope.report.grid import Grid, Source, grid_of, without_constant, without_empty
from layerscope.report.moves import moves
from layerscope.report.numbers import number_table
from layerscope.report.pictures import picture
from layerscope.report.referee import COLUMNS
from layerscope.report.representations import representation_answers, representation_grid
from layerscope.report.truth import truth
from layerscope.report.verdict_words import TAGS
from layerscope.report.warned import read_warnings
from layerscope.tables import read_scores, read_table
from layerscope.tasks.catalogue import guard_of, interval_method, primary_metrics

FURTHER = {
    "ceilings": "Noise ceilings: what a layer without error would score, given the noise of the reference",
    "geometry": "The shape of each layer",
    "travel": "Does the choice travel? A layer chosen on all other conditions, scored on the one left out",
    "layer_ranks": "Ranks of layers over conditions, 1 the highest score, and the ranks that they may have",
    "label_free": "Without labels: is the layer that a criterion picks among those that may be the best?",
}
LAYER_COLUMNS = ("layer", "chosen_layer")
"""Of the further tables: names, not numbers."""
FURTHER_LABELS = {"n_cells": "cells", "n_items": "items"}
FURTHER_MEANINGS = {
    "n_items": "what intervals are drawn over: cells, perturbations or the like",
    "left_out": "the condition that the chosen layer is scored on; all: the mean over conditions",
    "n_conditions": "conditions that the layer was chosen on",
    "final_score": "the score of the final layer there",
    "gain": "score minus final score; in rows of all tasks as a share of the metric's range",
    "effective_rank": "directions that a layer uses, as it is (RankMe)",
    "participation_ratio": "directions that carry its variance",
    "anisotropy": "mean cosine of two cells: near 1, all point the same way",
    "intrinsic_dimension": "directions in which neighbouring cells differ (TwoNN)",
    "mean_norm": "mean length of a cell's vector",
    "norm_variation": "spread of these lengths, as a share of their mean",
    "total_variance": "variance over cells, summed over the dimensions",
}
SHORT = 22
"""Characters of a line of small print that is not broken."""
SHIFTS, GEOMETRY = "shifts", "geometry"
"""Of the further tables, the one that says whether the best layer moves between conditions."""


def write_report(
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    scores: str | Path,
    layers: str | Path,
    published: str | Path,
    summaries: Sequence[str | Path] = (),
    figures: Sequence[str | Path] = (),
    tables: Sequence[str | Path] = (),
    referee: str | Path | None = None,
    warnings: str | Path | None = None,
    representations: str | Path | None = None,
    behind: Sequence[str | Path] = (),
) -> None:
    """Write the report of a study.

    Parameters
    ----------
    output
        The page to write. Files are named in it by their paths relative to its folder.
    settings
        ``models`` is needed (see :func:`layerscope.figures.models.read_models`; here ``trained_on``,
        ``licence`` and ``citation`` are shown too). Optional: ``title``, ``order``, ``config``, ``versions``,
        ``seeds`` and ``conditions`` (``title``, ``task``, ``dataset``, ``dataset_title``, ``citation``,
        ``licence``, ``simulated``, ``note``).
    scores, layers, published
        The tables of the study.
    summaries
        One table of cells per filter for each condition, in a folder of the condition's name.
    figures
        SVG files, in the order of the page.
    tables
        Further tables to show as they are; ``shifts.tsv`` has a place of its own.
    referee
        What a referee would object, and what answers it (:mod:`layerscope.report.referee`).
    warnings
        What the jobs warned of (:mod:`layerscope.report.warned`).
    representations
        The compared representations: the answer for conditions without layers.
    behind
        Files of the study that the page names and does not show.
    """
    models = read_models(settings)
    all_scores, all_layers = read_scores(scores), read_layers(layers)
    of_scores, of_layers, of_published = (Source.beside(path, output) for path in (scores, layers, published))
    published_grid, published_words = evidence.published_table(read_published(published), of_published)
    compared = read_representations(representations) if representations else pd.DataFrame()
    primary = _primary(all_scores, all_layers, compared)
    warned = read_warnings(warnings) if warnings else None
    conditions = condition_order(settings, {*(settings.get("conditions") or {}), *all_scores["condition"]})
    shapes = next((read_table(path) for path in tables if Path(path).stem == GEOMETRY), None)
    told = cautions(settings, all_scores, all_layers, shapes, warned)
    answered = layer_answers(all_layers, Beside(settings, models, of_layers, told))
    alone = compared[~compared["condition"].isin(all_layers["condition"])] if len(compared) else compared
    of_alone, of_warnings = (Source.beside(str(path), output) for path in (representations, warnings))
    advised = representation_answers(alone, Beside(settings, models, of_alone, {})) if len(alone) else []

    def place(summary: str | Path) -> tuple[int, str]:
        condition = Path(summary).parent.name
        return (conditions.index(condition) if condition in conditions else len(conditions)), str(summary)

    config = settings.get("config")
    optional = (path for path in (representations, referee, warnings) if path)
    sources = [scores, layers, published, *optional, *behind, *summaries, *tables, *figures]
    page = _template().render(
        title=str(settings.get("title") or "Report of a study"),
        simulated=[condition_title(settings, name) for name in conditions if is_simulated(settings, name)],
        all_simulated=all(is_simulated(settings, name) for name in conditions),
        pretrained=[of.title for of in models.values() if _is_pretrained(of)],
        answers=answered,
        representations=advised,
        columns=ANSWER_COLUMNS,
        tags=TAGS.values(),
        representation_table=representation_grid(alone, settings, of_alone) if len(alone) else None,
        caution=caution([*answered, *advised]),
        answer_table=number_table(all_layers, settings, of_layers) if len(all_layers) else None,
        meanings=_meanings(primary),
        intervals=_intervals(all_scores),
        truth=truth(all_scores, all_layers, settings, of_scores),
        moves=next((moves(path, output) for path in tables if Path(path).stem == SHIFTS), None),
        figures=[picture(path, output) for path in figures],
        summaries=[_summary(path, settings, output) for path in sorted(summaries, key=place)],
        models=evidence.model_table(models),
        data=evidence.data_table(settings, all_scores),
        scores=evidence.score_table(all_scores, of_scores, primary={metric for _, metric in primary}),
        published=published_grid,
        published_words=published_words,
        unavailable=evidence.unavailable_table(all_scores, of_scores),
        remarks=evidence.remark_table(all_scores, of_scores),
        warnings=None if warned is None else evidence.warning_table(warned, of_warnings),
        warning_words="" if warned is None else evidence.warning_words(warned),
        tables=[_further(path, output) for path in tables if Path(path).stem != SHIFTS],
        referee=_referee(referee, output) if referee else None,
        versions=evidence.pairs(settings.get("versions")),
        seeds=evidence.pairs(settings.get("seeds")),
        config=yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100) if config else "",
        sources=[(Source.beside(path, output), Path(path).stat().st_size) for path in sources],
    )
    with whole(output) as scratch:
        scratch.write_text(page, encoding="utf-8", newline="\n")


def _is_pretrained(model: Model) -> bool:
    """Whether it is a small model of this study, and no control of one."""
    return model.kind == "foundation" and bool(model.about.get("pretrained_here"))


def _meanings(primary: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the primary metrics of the study say, and those that must not be lost for them, by name."""
    metrics = {(task, of) for task, metric in primary for of in (metric, guard_of(task, metric))}
    meanings = ((f"{plain(task)}: {plain(of)}", metric_meaning(task, of)) for task, of in sorted(metrics))
    return [(name, meaning) for name, meaning in meanings if meaning]


def _intervals(scores: pd.DataFrame) -> list[tuple[str, str]]:
    """Where 95% intervals come from: tasks and protocols, and the method that they share."""
    shared: dict[tuple[str, str], list[str]] = {}
    for task, protocol in sorted(set(zip(scores["task"], scores["protocol"], strict=True))):
        shared.setdefault((task, interval_method(task, protocol)), []).append(protocol)
    return [
        (f"{plain(task)}: {', '.join(protocols)}", method)
        for (task, method), protocols in shared.items()
        if method
    ]


def _primary(scores: pd.DataFrame, *compared: pd.DataFrame) -> set[tuple[str, str]]:
    """Tasks with their primary metrics: those that scores were compared by, or that they would be."""
    used = [set(zip(table["task"], table["metric"], strict=True)) for table in compared if len(table)]
    if used:
        return set().union(*used)
    runs = set(zip(scores["task"], scores["protocol"], strict=True))
    return {(task, primary_metrics(task, protocol)[0]) for task, protocol in runs}


def _template() -> Template:
    folder = files("layerscope.report")
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    # the style and script are ours; everything else is escaped
    environment.globals["style"] = Markup((folder / "page.css").read_text(encoding="utf-8"))
    environment.filters |= {"breakable": breakable, "unbroken": unbroken}
    environment.globals["script"] = Markup((folder / "page.js").read_text(encoding="utf-8"))
    return environment.from_string((folder / "page.html").read_text(encoding="utf-8"))


def breakable(text: str) -> Markup:
    """Text of which long names may go on in the next line after an underscore, slash or comma."""
    marked = re.sub(r"(?<=[_/])(?=\w)|(?<=,)(?=\w)(?!\d{3}\b)", "<wbr>", str(escape(text)))
    return Markup(f"<span>{marked}</span>" if "<wbr>" in marked else marked)


def unbroken(text: str) -> str:
    """Small print of which short lines, an interval say, are not broken."""
    lines = text.split("\n")
    return "\n".join(
        line.replace(" ", "\N{NO-BREAK SPACE}") if len(line) <= SHORT else line for line in lines
    )


def _summary(
    path: str | Path, settings: Mapping[str, Any], output: str | Path
) -> dict[str, Grid | str | None]:
    """Table of a condition's filters; rows about groups of cells stand apart from those about all."""
    condition, table = Path(path).parent.name, read_table(path)
    grouped = table["group"] != "all" if "group" in table else pd.Series(False, index=table.index)
    of_all = without_empty(table[~grouped].drop(columns=["group"], errors="ignore"))
    title, key = condition_title(settings, condition), f"cells-{condition}"
    source = Source.beside(path, output)
    by_group: dict[str, Any] = {"key": f"{key}-groups", "caption": f"{title}, by group of cells"}
    by_group |= {"source": source, "choices": ("filter",), "filterable": True}
    groups = grid_of(table[grouped], **by_group) if grouped.any() else None
    return {"title": title, "all": grid_of(of_all, key=key, caption=title, source=source), "groups": groups}


def _further(path: str | Path, output: str | Path) -> Grid:
    name = Path(path).stem
    table, note = without_constant(without_empty(read_table(path, text=LAYER_COLUMNS)))
    return grid_of(
        table,
        key=f"table-{name}",
        caption=FURTHER.get(name, name.replace("_", " ").capitalize()),
        source=Source.beside(path, output),
        labels=FURTHER_LABELS,
        meanings=FURTHER_MEANINGS,
        filterable=True,
        note=note,
    )


def _referee(path: str | Path, output: str | Path) -> Grid:
    table = read_table(path, text=[name for name in COLUMNS if name != "number"])
    # empty where everything was answered
    shown = [name for name in COLUMNS if name == "number" or (table[name] != "").any()]
    # shares, scores and counts stand in one column: each is printed as what it is
    numbers = [text for value in table["number"] for text in column_texts(pd.Series([value]))]
    return grid_of(
        table.assign(number=numbers)[shown],
        key="referee-table",
        caption="Objections, and the output that answers each",
        source=Source.beside(path, output),
        labels={"configure": "to answer it, configure"},
    )
