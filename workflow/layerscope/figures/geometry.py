"""The shape of layers: measures against depth, and maps of which layers hold the same geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.errors import DataError
from layerscope.figures import wording
from layerscope.figures.models import Model, read_models, refuse_unknown
from layerscope.figures.sheet import LEFT, Words, sheet, width_of, wrapped
from layerscope.figures.style import CONTROL_DASHES, CURVES, GREY, OTHER_DASHES, CurveStyle, look, save
from layerscope.tables import OFFICIAL, read_table

SHOWN = {
    "effective_rank": "Effective rank (RankMe)",
    "participation_ratio": "Participation ratio",
    "intrinsic_dimension": "Intrinsic dimension (TwoNN)",
    "anisotropy": "Anisotropy (mean cosine)",
    "total_variance": "Total variance",
    "mean_norm": "Mean norm",
}
LOGARITHMIC = ("total_variance", "mean_norm")
TEXT = ("condition", "model", "layer")
SHAPE_TITLE = "The shape of each layer"
SHAPE_CAPTION = (
    "One row a condition, against the depth of the layer (0: the first block, 1: the last; what enters the "
    "first block and the official embedding are not drawn, the table has them). "
    "Effective rank, participation ratio and intrinsic dimension say how many "
    "directions a layer uses; anisotropy near 1 says that all its vectors point the same way. "
    "Broken lines with open signs are the controls of the model of the same colour and sign. "
    "Total variance and mean norm are on logarithmic axes."
)
ALIKE_PANEL = (2.0, 2.1)
ALIKE_LABEL = 5.5
ALIKE_COLOURS = "cividis"
BAR_ROOM = 0.62
DEPTH_BASELINE = "qc_only"  # the baseline that knows nothing of a cell but its quality measures
ALIKE_TITLE = "Layers that hold the same geometry"
ALIKE_CAPTION = (
    "Debiased linear CKA of every two layers of a model on the same cells, and with what it is compared "
    "with beside itself (below the line): 1 (yellow) is the same geometry up to rotation and scale, 0 (dark "
    "blue) is none in common. A dash: not defined, because the layer is the same for every cell."
)


def draw_shape(path: str | Path, outputs: Sequence[str | Path], *, settings: Mapping[str, Any]) -> None:
    """Draw the measures of :data:`SHOWN` of the table ``geometry.tsv`` against depth, a row a condition.

    A ConfigError if the settings describe no models; a DataError if the table lacks a column, has no rows, or
    rows of a model that the settings do not describe.
    """
    table = _read(path, {"depth", *SHOWN})
    models = _described(table, settings, path)
    style = _styles(models)
    conditions = wording.condition_order(settings, table["condition"])
    caption = SHAPE_CAPTION + seed_note(models, settings) + wording.simulated_note(settings, conditions)
    legend = [_entry(model, *style[model.name]) for model in models]
    words = Words(title=SHAPE_TITLE, subtitle=str(settings.get("title") or ""), legend=legend)
    with look():
        figure, grid = sheet(len(conditions), len(SHOWN), (1.62, 1.35), words, header=0.5)
        for row, condition in enumerate(conditions):
            here = table[table["condition"] == condition]
            for column, (measure, title) in enumerate(SHOWN.items()):
                axes = grid[row][column]
                for model in models:
                    rows = here[(here["model"] == model.name) & here["depth"].notna()].sort_values("depth")
                    axes.plot(rows["depth"], rows[measure], **_look(*style[model.name], 2.8))
                if measure in LOGARITHMIC:
                    axes.set_yscale("log")
                    axes.minorticks_off()
                axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
                axes.set_xlim(-0.05, 1.05)
                axes.set_title(title, fontsize=7, fontweight="normal")
                if row == len(conditions) - 1 and column == 0:
                    axes.set_xlabel(wording.DEPTH_LABEL, x=0.0, ha="left")
            first = grid[row][0]
            place: dict[str, Any] = {"transform": first.transAxes, "fontsize": 8.5, "fontweight": "bold"}
            first.text(0, 1.2, wording.condition_title(settings, condition), **place)
        save(figure, outputs, title=SHAPE_TITLE, caption=caption, table=path)


def draw_alignment(path: str | Path, outputs: Sequence[str | Path], *, settings: Mapping[str, Any]) -> None:
    """Draw the CKA of every two layers in ``alignment.tsv``, a row of maps a trained model.

    Errors: as those of :func:`draw_shape`.
    """
    table = _read(path, {"other_model", "other_layer", "cka"})
    models = [model for model in _described(table, settings, path) if model.kind == "foundation"]
    conditions = wording.condition_order(settings, table["condition"])
    caption = ALIKE_CAPTION + depth_note(table, models) + wording.simulated_note(settings, conditions)
    notes = [] if models else ["No foundation model was described."]
    words = Words(title=ALIKE_TITLE, subtitle=str(settings.get("title") or ""), notes=notes)
    titles = [wrapped(wording.condition_title(settings, name), ALIKE_PANEL[0], 7.5) for name in conditions]
    header = 0.18 + 0.12 * max(map(len, titles))
    with look():
        panel, left = _room(table, models)
        shape = (max(1, len(models)), len(conditions))
        figure, grid = sheet(*shape, panel, words, header=header, left=left, right=BAR_ROOM)
        _colour_bar(figure, grid[0][-1])
        for row, model in enumerate(models):
            for column, condition in enumerate(conditions):
                axes = grid[row][column]
                own = table[(table["condition"] == condition) & (table["model"] == model.name)]
                if own.empty:  # the model is not run on this condition
                    axes.set(xticks=[], yticks=[])
                    axes.spines[:].set_visible(False)
                else:
                    _map(axes, own, model.name)
                if column:
                    axes.set_yticklabels([])
                axes.set_title("\n".join(titles[column]) if row == 0 else "", fontsize=7.5)
                named = "\n".join(wrapped(model.title, panel[1], 7))
                axes.set_ylabel(named if column == 0 else "", fontsize=7)
                axes.set_xlabel("Layer" if row == len(models) - 1 else "")
        save(figure, outputs, title=ALIKE_TITLE, caption=caption, table=path)


def seed_note(drawn: Sequence[Model], settings: Mapping[str, Any]) -> str:
    """Which untrained networks are drawn, where the study has more of them."""
    names = [model.name for model in drawn if model.control == "untrained"]
    n_all = sum(model.control == "untrained" for model in read_models(settings).values())
    if len(names) in (0, n_all):
        return ""
    return f" Of the study's {n_all} untrained networks these are drawn: {', '.join(names)}."


def depth_note(table: pd.DataFrame, models: Sequence[Model]) -> str:
    """How near each model comes to the baseline that knows only quality measures of the cells."""
    beside = table[(table["other_model"] == DEPTH_BASELINE) & table["cka"].notna()]
    nearest = []
    for model in models:
        own = beside[beside["model"] == model.name]
        if len(own):
            row = own.loc[own["cka"].idxmax()]
            where = f"{wording.layer_ranges([row['layer']])}, {row['condition']}"
            nearest.append(f"{model.name} {row['cka']:.2f} ({where})")
    if not nearest:
        return ""
    return (
        f" Highest CKA with {DEPTH_BASELINE}, the quality measures of a cell such as its sequencing depth: "
        f"{'; '.join(nearest)}. A layer near it mostly says how deeply a cell was sequenced."
    )


def _colour_bar(figure: Figure, beside: Any) -> None:
    """Draw the scale of the maps at the right of one of them."""
    place, width = beside.get_position(), figure.get_figwidth()
    axes = figure.add_axes((place.x1 + 0.1 / width, place.y0, 0.1 / width, place.height))
    scale = ScalarMappable(Normalize(0, 1), ALIKE_COLOURS)
    figure.colorbar(scale, cax=axes, ticks=[0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(labelsize=ALIKE_LABEL, length=2)
    axes.set_title("CKA", fontsize=6.5, fontweight="normal")


def _read(path: str | Path, columns: set[str]) -> pd.DataFrame:
    table = read_table(path, text=[*TEXT, "other_model", "other_layer"], columns=[*TEXT, *sorted(columns)])
    if table.empty:
        raise DataError(f"{path}: there are no rows; expected a table of the geometry of layers")
    return table


def _described(table: pd.DataFrame, settings: Mapping[str, Any], path: str | Path) -> list[Model]:
    models = read_models(settings)
    refuse_unknown(table, models, path)
    return [model for model in models.values() if (table["model"] == model.name).any()]


def _styles(models: Sequence[Model]) -> dict[str, tuple[CurveStyle, Any]]:
    """Colour of each model, its own or that of the model it controls for, and dashes (None: a full line)."""
    trained = [model.name for model in models if model.kind == "foundation"]
    trained += sorted({model.of for model in models if model.kind == "control"} - set(trained))
    colours = {name: CURVES[place % len(CURVES)] for place, name in enumerate(trained)}
    kinds = sorted({model.control for model in models if model.kind == "control"})
    dashes = {kind: CONTROL_DASHES.get(kind, OTHER_DASHES) for kind in kinds}
    return {model.name: (colours[model.of or model.name], dashes.get(model.control)) for model in models}


def _entry(model: Model, style: CurveStyle, dashes: Any) -> Line2D:
    label = model.title if dashes is None else f"same network, {wording.control_label(model.control)}"
    return Line2D([], [], label=label, **_look(style, dashes, 3.5))


def _look(style: CurveStyle, dashes: Any, size: float) -> dict[str, Any]:
    if dashes is None:
        return {"color": style.colour, "marker": style.marker, "markersize": size}
    sign = {"marker": style.marker, "markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6}
    return {"color": style.colour, "alpha": 0.7, "linewidth": 1, "linestyle": dashes, **sign}


def _room(table: pd.DataFrame, models: Sequence[Model]) -> tuple[tuple[float, float], float]:
    """Size of a map that has a line of text for every row, and width left of it for their names."""
    drawn = table["model"].isin([model.name for model in models])
    rows = table.loc[drawn, ["model", "other_model", "other_layer"]].drop_duplicates()
    height = max([ALIKE_PANEL[1], *(0.08 * rows.groupby("model").size())])
    others = rows.loc[rows["other_model"] != rows["model"], "other_model"]
    longest = max((width_of(name, ALIKE_LABEL) for name in others), default=0.0)
    lines = max((len(wrapped(model.title, height, 7)) for model in models), default=0)
    return (ALIKE_PANEL[0], height), max(LEFT, longest + 0.15 + 0.13 * lines)


def _map(axes: Any, rows: pd.DataFrame, model: str) -> None:
    """One map: layers against layers, and below a line against the other representations."""
    layers = sorted(set(rows["layer"]))
    others = rows.loc[rows["other_model"] != model, ["other_model", "other_layer"]]
    against = [(model, layer) for layer in layers]
    against += sorted(set(others.itertuples(index=False, name=None)))
    values = rows.pivot_table(index=list(others), columns="layer", values="cka", dropna=False)
    values = values.reindex(index=pd.MultiIndex.from_tuples(against), columns=layers)
    shown = values.to_numpy(dtype=np.float64)
    axes.imshow(shown, vmin=0, vmax=1, cmap=ALIKE_COLOURS, aspect="auto", interpolation="nearest")
    if len(others):
        axes.axhline(len(layers) - 0.5, color="white", linewidth=2)
    names = [_short(layer) for layer in layers]
    beyond = against[len(layers) :]
    beside = [other if layer == OFFICIAL else f"{other} {_short(layer)}" for other, layer in beyond]
    axes.set_xticks(range(len(layers)), names, fontsize=ALIKE_LABEL)
    axes.set_yticks(range(len(against)), [*names, *beside], fontsize=ALIKE_LABEL)
    small = len(layers) <= 12
    for (row, column), value in np.ndenumerate(shown):
        if small and np.isfinite(value):
            colour = "black" if value > 0.6 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=4.2, color=colour)
        elif not np.isfinite(value):
            axes.text(column, row, "-", ha="center", va="center", fontsize=5, color=GREY)


def _short(layer: str) -> str:
    return "off." if layer == OFFICIAL else str(int(layer))
