"""The words of the main figures: title, legend, notes and caption, for what is drawn and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures import wording
from layerscope.figures.drawing import Drawing
from layerscope.figures.layer_panels import UNTRAINED, control_entry, interval_entry
from layerscope.figures.levels import BASELINE, CEILING, CHANCE, level_entry
from layerscope.figures.models import Model
from layerscope.figures.style import CURVES, GREY, CurveStyle
from layerscope.tasks.catalogue import interval_method

MAX_NOTES = 5


def title_of(drawing: Drawing) -> str:
    """Title of the figure; it says so where cells are simulated."""
    simulated = [wording.is_simulated(drawing.settings, name) for name in drawing.conditions]
    which = wording.SIMULATED if all(simulated) else f"some on {wording.SIMULATED}" if any(simulated) else ""
    return f"{wording.task_title(drawing.task)} ({which})" if which else wording.task_title(drawing.task)


def subtitle_of(drawing: Drawing) -> str:
    """Name of the study and of the protocol."""
    study = str(drawing.settings.get("title") or "")
    return f"{study}; protocol {drawing.protocol}" if study else f"Protocol {drawing.protocol}"


def legend_entries(drawing: Drawing, style: Mapping[str, CurveStyle]) -> list[Line2D | Patch]:
    """One entry for each model or kind of control, and one for each sign that is not obvious."""
    entries: list[Line2D | Patch] = []
    if drawing.split:
        # panels of one model each look alike; those of a family name their models themselves
        if all(len(panel.models) == 1 for row in drawing.panels for panel in row):
            entries.append(curve_entry("the panel's model", CURVES[0]))
    else:
        entries += [curve_entry(drawing.models[name].title, own) for name, own in style.items()]
    if style:
        entries.append(interval_entry(CURVES[0]))
    for control, n_seeds in control_seeds(drawing.models).items():
        seeds = f"range of {n_seeds} seeds" if n_seeds != "1" else "one seed, 95% interval"
        label = f"same network, {wording.control_label(control)} ({seeds})"
        entries.append(control_entry(control, CURVES[0], label))
    if style:
        best = f"best layer {drawing.by_protocol}".strip()
        entries += [_sign("official embedding", "*", 8), _sign(best, "o", 8, "none")]
    if drawing.tells_apart:
        entries.append(_sign("open sign: worse than the best layer", "s", 4, "white"))
    if drawing.has("baseline"):
        entries.append(level_entry(BASELINE))
    entries += [
        level_entry(kind)
        for kind, column in ((CEILING, "ceiling"), (CHANCE, "null_mean"))
        if drawing.rows[column].notna().any()
    ]
    if not drawing.without_score.empty:
        entries.append(_sign("no score", "x", 4))
    return entries


def _sign(label: str, marker: str, size: float, face: str = GREY) -> Line2D:
    look: dict[str, Any] = {"linestyle": "", "color": GREY, "marker": marker, "markerfacecolor": face}
    return Line2D([], [], markersize=size, label=label, **look)


def curve_entry(title: str, style: CurveStyle) -> Line2D:
    """Legend entry of a model's curve."""
    look: dict[str, Any] = {"color": style.colour, "linestyle": style.dashes, "marker": style.marker}
    return Line2D([], [], markersize=4, label=title, **look)


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
    ring = f"best layer {drawing.by_protocol}" if drawing.by_protocol else "layer with the highest score"
    parts = [
        f"{labels}, against the depth of the layer, protocol {drawing.protocol}.",
        *(wording.metric_meaning(drawing.task, metric) for metric in metrics),
        f"Curves: outputs of the blocks; shaded: 95% interval{f' ({method})' if method else ''}; ring and "
        f"number: {ring}; star: the official embedding; sign at the left: what enters the first block.",
        *common_remarks(drawing),
    ]
    controls = {model.control for model in drawing.models.values() if model.kind == "control"}
    others = controls - {UNTRAINED}
    bracket = ", its 95% interval in the bracket at the right end" if drawing.ceilings else ""
    n_missing = len(drawing.without_score)
    sentences = {
        "Filled signs: layers that cannot be told from the best (95% confidence set).": drawing.tells_apart,
        "Hatched: untrained networks of the same architecture, from the lowest seed to the highest; of a "
        "single seed, its 95% interval.": UNTRAINED in controls,
        "Thin broken lines with small open signs: other controls, with their 95% interval.": len(others) > 0,
        "Level full lines: baselines, with their 95% interval at the right end.": drawing.has("baseline"),
        f"Level line of long dashes: noise ceiling{bracket}.": drawing.rows["ceiling"].notna().any(),
        "Dash-dotted level line: mean score with shuffled labels.": drawing.rows["null_mean"].notna().any(),
        f"{n_missing} scores could not be had; they are gaps marked by a cross, not zeros.": n_missing > 0,
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
