"""The words of the main figures: title, legend, notes and caption, for what is drawn and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures import wording
from layerscope.figures.drawing import Drawing
from layerscope.figures.layer_panels import INTERVAL_ALPHA
from layerscope.figures.levels import BEST_BASELINE, level_entries, level_entry
from layerscope.figures.models import Model
from layerscope.figures.style import GREY, model_entry
from layerscope.tasks.catalogue import interval_method

MAX_NOTES = 5
BETTER = "what to use: shown to be better"
NOTHING_BETTER = "No sign is filled: nothing is shown to be better than the final layer."


def title_of(drawing: Drawing) -> str:
    """Title of the figure; it says so where cells are simulated."""
    simulated = [wording.is_simulated(drawing.settings, name) for name in drawing.conditions]
    which = wording.SIMULATED if all(simulated) else f"some on {wording.SIMULATED}" if any(simulated) else ""
    return f"{wording.task_title(drawing.task)} ({which})" if which else wording.task_title(drawing.task)


def subtitle_of(drawing: Drawing) -> str:
    """Name of the study and of the protocol."""
    study = str(drawing.settings.get("title") or "")
    return f"{study}; protocol {drawing.protocol}" if study else f"Protocol {drawing.protocol}"


def legend_entries(drawing: Drawing) -> list[Line2D | Patch]:
    """One entry for each model or kind of control, and one for each sign that is not obvious."""
    models, styles = drawing.models, drawing.styles
    drawn = [name for row in drawing.panels for panel in row for name in panel.models]
    entries: list[Line2D | Patch] = [
        model_entry(models[name].title, styles[name]) for name in dict.fromkeys(drawn)
    ]
    if drawn:
        label = "shaded, bars: 95% interval"
        entries.append(Patch(facecolor=GREY, alpha=INTERVAL_ALPHA, linewidth=0, label=label))
    for control, n_seeds in control_seeds(models).items():
        seeds = f"range of {n_seeds} seeds" if n_seeds != "1" else "one seed, 95% interval"
        name = next(name for name, model in models.items() if model.control == control)
        label = f"in grey: {wording.control_label(control)} ({seeds})"
        entries.append(model_entry(label, styles[name]))
    if drawn:
        entries.append(_sign("official embedding", "*", 8, "white"))
    if drawing.marked:
        entries.append(_sign(f"filled: {BETTER} {drawing.by_protocol}".strip(), "o", 7))
    baselines = [name for name, model in models.items() if model.kind == "baseline"]
    for name in baselines:
        entries.append(model_entry(models[name].title, replace(styles[name], dashes="")))
    entries += [level_entry(BEST_BASELINE)] if baselines else []
    entries += level_entries(drawing.rows)
    if not drawing.without_score.empty:
        entries.append(_sign("no score", "x", 4))
    return entries


def _sign(label: str, marker: str, size: float, face: str = GREY) -> Line2D:
    look: dict[str, Any] = {"linestyle": "", "color": GREY, "marker": marker, "markerfacecolor": face}
    return Line2D([], [], markersize=size, label=label, **look)


def control_seeds(models: Mapping[str, Model]) -> dict[str, str]:
    """Number of seeds of each kind of control, in words where models have different numbers of them."""
    seeds = Counter((model.control, model.of) for model in models.values() if model.kind == "control")
    numbers: dict[str, set[int]] = {}
    for (kind, _), n_seeds in sorted(seeds.items()):
        numbers.setdefault(kind, set()).add(n_seeds)
    return {kind: " or ".join(map(str, sorted(several))) for kind, several in numbers.items()}


def missing_notes(drawing: Drawing) -> list[str]:
    """Say which scores are missing and why, in at most a few lines; the same gap of several models is one."""
    missing = drawing.without_score
    gaps: dict[tuple[str, str, str], list[str]] = {}
    for (model, reason), group in missing.groupby(["model", "reason"], sort=True):
        by_layers: dict[str, list[str]] = {}
        for condition, rows in group.groupby("condition", sort=True):
            by_layers.setdefault(wording.layer_ranges(rows["layer"]), []).append(condition)
        for layers, conditions in by_layers.items():
            places = ", ".join(name for name in drawing.conditions if name in conditions)
            shown = "" if drawing.models[model].kind == "baseline" else f", {layers}"
            gaps.setdefault((shown, places, reason), []).append(model)
    notes = [
        f"No score: {_named(models, drawing.models)}{layers} ({places}): {reason or 'no reason given'}"
        for (layers, places, reason), models in gaps.items()
    ]
    if len(notes) > MAX_NOTES:
        more = len(notes) - MAX_NOTES + 1
        notes[MAX_NOTES - 1 :] = [f"... and {more} more; all reasons stand in the table of scores"]
    return notes


def _named(names: Sequence[str], models: Mapping[str, Model]) -> str:
    """Titles of models; several controls are counted."""
    controls = [name for name in names if models[name].kind == "control"]
    titles = [models[name].title for name in names if name not in controls]
    titles += [models[controls[0]].title] if len(controls) == 1 else []
    titles += [f"{len(controls)} controls"] if len(controls) > 1 else []
    return ", ".join(titles)


def caption_of(drawing: Drawing) -> str:
    """Write the caption: what is drawn, from which rows, and which cells are simulated."""
    metrics = sorted({drawing.metric(name) for name in drawing.conditions})
    labels = ", or ".join(wording.metric_label(drawing.task, metric) for metric in metrics)
    method = interval_method(drawing.task, drawing.protocol)
    controls = {model.control for model in drawing.models.values() if model.kind == "control"}
    n_missing, has = len(drawing.without_score), drawing.rows.notna().any()
    parts = [
        f"{labels}, against the depth of the layer, protocol {drawing.protocol}.",
        *(wording.metric_meaning(drawing.task, metric) for metric in metrics),
        f"Curves: outputs of the blocks, with their 95% interval{f' ({method})' if method else ''}; star: "
        "the official embedding; sign at the left: what enters the first block.",
        *common_remarks(drawing),
    ]
    sentences = {
        f"A filled sign is {BETTER} than the final layer, or than all layers where it is none, "
        f"{drawing.by_protocol}".rstrip(", ")
        + ".": drawing.marked,
        NOTHING_BETTER: bool(drawing.choices.use) and not drawing.marked,
        "Grey broken lines with the sign of their model: controls, the same network; where a panel has one "
        "model, from the lowest seed to the highest, or the 95% interval of a single seed.": len(controls)
        > 0,
        "Grey signs at the right: baselines, which have no layers.": drawing.has("baseline"),
        "Level line of long dashes: noise ceiling, what a layer without error would score.": has["ceiling"],
        "Dash-dotted level line: mean score with shuffled labels.": has["null_mean"],
        f"Scores that could not be had: {n_missing}; they are gaps marked by a cross, not zeros.": n_missing
        > 0,
    }
    parts += [sentence for sentence, holds in sentences.items() if holds]
    parts.append(wording.simulated_note(drawing.settings, drawing.conditions).strip())
    return " ".join(part for part in parts if part)


def common_remarks(drawing: Drawing) -> list[str]:
    """Remarks that stand at every score of a condition, one sentence a condition."""
    ok = drawing.rows[drawing.rows["status"] == "ok"]
    sentences = []
    for name in drawing.conditions:
        remarks = [reason.split("; ") for reason in ok.loc[ok["condition"] == name, "reason"]]
        shared = [part for part in (remarks or [[]])[0] if part and all(part in own for own in remarks)]
        if shared:
            sentences.append(f"Every score of {name}: {'; '.join(shared)}.")
    return sentences
