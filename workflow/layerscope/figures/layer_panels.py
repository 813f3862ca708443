"""One panel of the main figures: scores along the models' depth, beside their controls and baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerscope.figures.curves import (
    INPUT_POSITION,
    OFFICIAL_POSITION,
    Band,
    Curve,
    are_blocks,
    bands,
    curve,
)
from layerscope.figures.drawing import Drawing, Panel
from layerscope.figures.levels import LEFT_END, draw_levels
from layerscope.figures.models import Model
from layerscope.figures.style import GREY, Style
from layerscope.tables import OFFICIAL

INTERVAL_ALPHA = 0.2
BAND: dict[str, Any] = {"facecolor": "#f2f2f2", "edgecolor": "#8a8a8a", "hatch": "////", "linewidth": 0.4}
ASIDE = 0.035
"""Distance between the signs of several models at the same place of the depth axis."""


def score_limits(drawing: Drawing) -> tuple[float, float]:
    """Limits of the score axis that hold zero, every score, interval and number of a layer that is drawn."""
    ok = drawing.rows[drawing.rows["status"] == "ok"]
    controls = [model for model in drawing.models.values() if model.kind == "control"]
    n_seeds = Counter((model.of, model.control) for model in controls)
    without_interval = {model.name for model in controls if n_seeds[model.of, model.control] > 1}
    drawn = ok[~ok["model"].isin(without_interval)]
    values = drawn[["ci_low", "ci_high", "ceiling"]].to_numpy(dtype=np.float64).ravel()
    bounds = [bound for name in set(ok["condition"]) for bound in drawing.ceilings.get(name, ())]
    values = np.concatenate([values, ok["estimate"].to_numpy(dtype=np.float64), bounds, [0.0]])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    span = high - low or 1.0
    return low - 0.06 * span, high + (0.2 if drawing.marked else 0.06) * span


def draw_panel(axes: Any, panel: Panel, drawing: Drawing) -> None:
    """Draw bands, curves and levels of one panel."""
    rows, models = drawing.rows, drawing.models
    axes.plot([LEFT_END, OFFICIAL_POSITION + 0.08], [0, 0], color="#999999", linewidth=0.6, zorder=0.5)
    marked = {drawing.choices.use.get((panel.condition, name), "") for name in panel.models}
    for place, name in enumerate(panel.models):
        style, aside = drawing.styles[name], ASIDE * (place - (len(panel.models) - 1) / 2)
        for band in bands(rows, panel.condition, models, name):
            control = next(of for of in models.values() if of.of == name and of.control == band.control)
            draw_band(axes, band, drawing.styles[control.name], alone=len(panel.models) == 1)
        points = curve(rows, panel.condition, name)
        draw_curve(axes, points, style, aside)
        mark(axes, points, style, aside, drawing.choices.use.get((panel.condition, name), ""))
    own = rows[(rows["condition"] == panel.condition) & (rows["status"] == "ok")]
    baselines = {name: drawing.styles[name] for name, model in models.items() if model.kind == "baseline"}
    draw_levels(axes, own, baselines, drawing.ceilings.get(panel.condition), marked)
    axes.set_xticks([INPUT_POSITION, 0, 0.5, 1, OFFICIAL_POSITION])
    axes.set_xticklabels(["\ninput", "0", "½", "1", "\nofficial"])
    axes.spines["bottom"].set_bounds(LEFT_END, OFFICIAL_POSITION + 0.08)
    depths = block_numbers(panel, models)
    if len(depths) == 1:
        number_layers(axes, depths.pop())


def block_numbers(panel: Panel, models: Mapping[str, Model]) -> set[int]:
    """Numbers of blocks of the models of a panel, where they have more than one."""
    return {models[name].n_layers for name in panel.models if models[name].n_layers > 1}


def number_layers(axes: Any, n_layers: int) -> None:
    """Mark layer numbers along the top; for panels whose models have the same number of layers."""
    step = max(1, round(n_layers / 6))
    far = range(step, n_layers, step)
    shown = [1, *(k for k in far if min(k - 1, n_layers - k) >= 0.7 * step), n_layers]
    top = axes.secondary_xaxis("top")
    top.set_xticks([(layer - 1) / (n_layers - 1) for layer in shown], [str(layer) for layer in shown])
    top.tick_params(length=2, pad=1, labelsize=7, colors=GREY)
    top.spines["top"].set_visible(False)


def draw_curve(axes: Any, points: Curve, style: Style, aside: float) -> None:
    """Draw one model: a line through its blocks with its interval, ``input`` and ``official`` beside it."""
    blocks = points.numbered
    shade: dict[str, Any] = {"color": style.colour, "alpha": INTERVAL_ALPHA, "linewidth": 0, "zorder": 2}
    axes.fill_between(points.position[blocks], points.low[blocks], points.high[blocks], **shade)
    sign: dict[str, Any] = {"linewidth": 1.4, "markersize": 3 if blocks.sum() > 14 else 3.8, "zorder": 4}
    axes.plot(points.position[blocks], points.estimate[blocks], **style.line | sign)
    for index in np.flatnonzero(~blocks & np.isfinite(points.estimate)):
        x = points.position[index] + aside
        axes.plot([x, x], [points.low[index], points.high[index]], color=style.colour, linewidth=1, zorder=3)
        look = {"marker": "*", "markersize": 8} if points.layers[index] == OFFICIAL else {"markersize": 4.5}
        axes.plot(x, points.estimate[index], **style.line | {"linestyle": "", "zorder": 5} | look)
    # a cross at the foot of the panel for each layer that has no score
    missing = ~np.isfinite(points.estimate)
    foot = np.full(int(missing.sum()), 0.05 + abs(aside + ASIDE))
    cross: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 4, "color": style.colour}
    axes.plot(points.position[missing], foot, transform=axes.get_xaxis_transform(), zorder=6, **cross)


def mark(axes: Any, points: Curve, style: Style, aside: float, layer: str) -> None:
    """Fill the sign of the layer that is shown to be better, and write its number above."""
    if layer not in points.layers:
        return
    at = points.layers.index(layer)
    official = layer == OFFICIAL
    x, score = points.position[at] + aside * official, points.estimate[at]
    look: dict[str, Any] = {
        "markersize": 11 if official else 7.5,
        "marker": "*" if official else style.marker,
    }
    axes.plot(x, score, linestyle="", color=style.colour, zorder=7, **look)
    if not official:
        words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8, "fontweight": "bold"}
        words["bbox"] = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4}
        above = {"xytext": (0, 6), "textcoords": "offset points"}
        axes.annotate(str(int(layer)), (x, score), color=style.colour, zorder=8, **above, **words)


def draw_band(axes: Any, band: Band, style: Style, alone: bool) -> None:
    """Draw a control: its mean over seeds, and their range where its model is alone in the panel."""
    inner = are_blocks(band.layers)
    line: dict[str, Any] = style.line | {"linewidth": 0.9, "markersize": 2.8, "zorder": 2.6}
    axes.plot(band.position[inner], band.middle[inner], **line)
    axes.plot(band.position[~inner], band.middle[~inner], **line | {"linestyle": ""})
    if alone:
        lined = ~inner if band.control == "untrained" else inner | ~inner
        axes.fill_between(band.position[~lined], band.low[~lined], band.high[~lined], zorder=1, **BAND)
        bars: dict[str, Any] = {"linewidth": 0.5, "color": style.colour, "zorder": 2.5}
        axes.vlines(band.position[lined], band.low[lined], band.high[lined], **bars)
