"""One panel of the main figures: scores along the models' depth, beside their controls and baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures.curves import INPUT_POSITION, OFFICIAL_POSITION, Band, Curve, are_blocks, bands, curve
from layerscope.figures.drawing import Drawing, Panel
from layerscope.figures.levels import draw_levels, levels_of
from layerscope.figures.models import Model
from layerscope.figures.style import CONTROL_DASHES, CURVES, GREY, OTHER_DASHES, CurveStyle, spread
from layerscope.tables import OFFICIAL

NUMBER_INCHES = 0.18
UNTRAINED = "untrained"
INTERVAL_ALPHA = 0.22
BAND_FACE, BAND_EDGE = "#f2f2f2", "#8a8a8a"
CONTROL_MARKERS = {"gene_permuted": "v", "values_permuted": "d", "thinned": "X"}
OTHER_MARKER = "p"


def styles(panels: Sequence[Sequence[Panel]]) -> dict[str, CurveStyle]:
    """Style of each foundation model: its place among the models of its panel."""
    return {
        name: CURVES[place % len(CURVES)]
        for row in panels
        for panel in row
        for place, name in enumerate(panel.models)
    }


def score_limits(drawing: Drawing) -> tuple[float, float]:
    """Limits of the score axis that hold zero, every score and every interval that is drawn."""
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
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def draw_panel(axes: Any, panel: Panel, drawing: Drawing, style: Mapping[str, CurveStyle]) -> None:
    """Draw bands, level lines and curves of one panel; its score axis must have its limits, for labels."""
    rows, models = drawing.rows, drawing.models
    ends = INPUT_POSITION - 0.08, OFFICIAL_POSITION + 0.08
    axes.plot(ends, [0, 0], color="#999999", linewidth=0.6, zorder=0.5)
    for name in panel.models:
        for band in bands(rows, panel.condition, models, name):
            draw_band(axes, band, style[name])
    baselines = [model for model in models.values() if model.kind == "baseline"]
    draw_levels(axes, levels_of(rows, panel.condition, baselines, drawing.ceilings))
    curves = []
    for name in panel.models:
        choice = drawing.chosen.get((panel.condition, name))
        curves.append((curve(rows, panel.condition, name, choice), style[name]))
        draw_curve(axes, *curves[-1])
    ring_best(axes, curves)
    axes.set_xticks([INPUT_POSITION, 0, 0.25, 0.5, 0.75, 1, OFFICIAL_POSITION])
    axes.set_xticklabels(["\ninput", "0", "¼", "½", "¾", "1", "\nofficial"])
    axes.spines["bottom"].set_bounds(*ends)
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
    top.tick_params(length=2, pad=1, labelsize=6.5, colors=GREY)
    top.spines["top"].set_visible(False)


def draw_curve(axes: Any, points: Curve, style: CurveStyle) -> None:
    """Draw one model: a line through its blocks with its interval, ``input`` and ``official`` beside it."""
    blocks = points.numbered
    at, estimate = points.position[blocks], points.estimate[blocks]
    shade: dict[str, Any] = {"color": style.colour, "alpha": INTERVAL_ALPHA, "linewidth": 0, "zorder": 2}
    axes.fill_between(at, points.low[blocks], points.high[blocks], **shade)
    axes.plot(at, estimate, color=style.colour, linestyle=style.dashes, linewidth=1.5, zorder=4)
    signs: dict[str, Any] = {"linestyle": "", "marker": style.marker, "markeredgecolor": style.colour}
    signs |= {"markersize": 3.2 if blocks.sum() > 14 else 4, "markeredgewidth": 0.8, "zorder": 4.5}
    alike = points.choice.alike if points.choice else None
    is_alike = np.array([alike is None or layer in alike for layer in points.layers], dtype=bool)
    for own, face in ((blocks & ~is_alike, "white"), (blocks & is_alike, style.colour)):
        axes.plot(points.position[own], points.estimate[own], markerfacecolor=face, **signs)
    for index in np.flatnonzero(~blocks & np.isfinite(points.estimate)):
        official = points.layers[index] == OFFICIAL
        x = points.position[index] + (CURVES.index(style) - 1) * 0.022
        axes.plot([x, x], [points.low[index], points.high[index]], color=style.colour, linewidth=1, zorder=3)
        look = {"marker": "*", "markersize": 9} if official else {"marker": style.marker, "markersize": 4.5}
        axes.plot(x, points.estimate[index], color=style.colour, linestyle="", zorder=5, **look)
    mark_gaps(axes, points, style)


def ring_best(axes: Any, curves: Sequence[tuple[Curve, CurveStyle]]) -> None:
    """Ring each model's best layer and write its number above, the numbers kept apart."""
    ringed = [(points, best, style) for points, style in curves if (best := points.best()) is not None]
    left, right = axes.get_xlim()
    inches = axes.figure.get_figwidth() * axes.get_position().width
    gap = NUMBER_INCHES * (right - left) / inches
    places = spread([points.position[best] for points, best, _ in ringed], gap)
    for (points, best, style), place in zip(ringed, places, strict=True):
        at, estimate = points.position[best], points.estimate[best]
        ring: dict[str, Any] = {"marker": "o", "markersize": 9, "markerfacecolor": "none"}
        axes.plot(at, estimate, markeredgecolor=style.colour, markeredgewidth=1.1, zorder=6, **ring)
        words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7.5, "fontweight": "bold"}
        words["bbox"] = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4}
        number, above = str(int(points.layers[best])), {"xytext": (0, 6), "textcoords": "offset points"}
        axes.annotate(number, (place, estimate), color=style.colour, zorder=7, **above, **words)


def mark_gaps(axes: Any, points: Curve, style: CurveStyle) -> None:
    """Put a cross at the foot of the panel for each layer that has no score."""
    missing = ~np.isfinite(points.estimate)
    foot = np.full(int(missing.sum()), 0.03 + 0.035 * CURVES.index(style))
    cross: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 4, "color": style.colour}
    axes.plot(points.position[missing], foot, transform=axes.get_xaxis_transform(), zorder=6, **cross)


def draw_band(axes: Any, band: Band, style: CurveStyle) -> None:
    """Draw the range of untrained networks over their seeds, hatched; other controls as thin lines."""
    inner = are_blocks(band.layers)
    if band.control != UNTRAINED:
        line: dict[str, Any] = permuted_look(band.control, style) | {"zorder": 2.5}
        interval: dict[str, Any] = {"linewidth": 0.4, "color": style.colour, "alpha": 0.8, "zorder": 2.5}
        axes.vlines(band.position, band.low, band.high, **interval)
        axes.plot(band.position[inner], band.middle[inner], **line)
        axes.plot(band.position[~inner], band.middle[~inner], **line | {"linestyle": ""})
        return
    look: dict[str, Any] = band_look(style) | {"zorder": 1}
    axes.fill_between(band.position[inner], band.low[inner], band.high[inner], **look)
    for index in np.flatnonzero(~inner):
        x = band.position[index]
        axes.fill_between([x - 0.035, x + 0.035], band.low[index], band.high[index], **look)


def band_look(style: CurveStyle) -> dict[str, Any]:
    """Look of the band of untrained networks: hatched grey, where intervals are filled with colour."""
    return {"facecolor": BAND_FACE, "edgecolor": BAND_EDGE, "hatch": style.hatch, "linewidth": 0.5}


def permuted_look(control: str, style: CurveStyle) -> dict[str, Any]:
    """Look of the line of a control that is not ``untrained``."""
    return {
        "color": style.colour,
        "alpha": 0.8,
        "linewidth": 1,
        "linestyle": CONTROL_DASHES.get(control, OTHER_DASHES),
        "marker": CONTROL_MARKERS.get(control, OTHER_MARKER),
        "markersize": 3.2,
        "markerfacecolor": "white",
    }


def control_entry(control: str, style: CurveStyle, label: str) -> Patch | Line2D:
    """Legend entry of a control."""
    if control == UNTRAINED:
        return Patch(**band_look(style), label=label)
    return Line2D([], [], label=label, **permuted_look(control, style))


def interval_entry(style: CurveStyle) -> Patch:
    """Legend entry of the interval of a curve."""
    return Patch(facecolor=style.colour, alpha=INTERVAL_ALPHA, linewidth=0, label="95% interval of the curve")
