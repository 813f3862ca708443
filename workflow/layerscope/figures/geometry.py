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

from layerscope.errors import DataError
from layerscope.figures import wording
from layerscope.figures.models import Model, read_models, refuse_unknown
from layerscope.figures.sheet import Words, head_row, sheet, title_height, title_panel, width_of, wrap
from layerscope.figures.style import GREY, Style, look, model_entry, save, styles
from layerscope.tables import OFFICIAL, read_table

SHOWN = {
    "effective_rank": "Effective rank (RankMe)",
    "intrinsic_dimension": "Intrinsic dimension",
    "anisotropy": "Anisotropy",
    "mean_norm": "Mean norm",
}
LOGARITHMIC = ("mean_norm",)
TEXT = ("condition", "model", "layer")
SHAPE_TITLE = "The shape of each layer"
SHAPE_CAPTION = (
    "One row a condition, against the depth of the layer (0: the first block, 1: the last; what enters the "
    "first block and the official embedding are not drawn, the table has them, and two measures more). "
    "Effective rank and intrinsic dimension (TwoNN) say how many directions a layer uses; anisotropy (mean "
    "cosine) near 1 says that all its vectors point the same way. Grey broken lines are the controls of the "
    "model of the same sign. The mean norm is on a logarithmic axis."
)
MAP_COLUMNS, MAP_HEIGHT, MAP_GAP, BAR_ROOM = 4, 1.45, 0.12, 0.5
MAP_COLOURS = "cividis"
MAP_LABEL, MOST_LABELS, MAX_MAPS = 7.0, 5, 24
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
    models, looks = _described(table, settings, path)
    conditions = wording.condition_order(settings, table["condition"])
    caption = SHAPE_CAPTION + seed_note(models, settings) + wording.simulated_note(settings, conditions)
    kinds = {model.control: model for model in models if model.control}
    drawn = [*(model for model in models if not model.control), *kinds.values()]
    legend = [model_entry(_named(model), looks[model.name]) for model in drawn]
    words = Words(title=SHAPE_TITLE, subtitle=str(settings.get("title") or ""), legend=legend)
    with look():
        rows = [(len(SHOWN), 0.4)] * len(conditions)
        figure, grid = sheet(rows, 1.15, words, left=0.42, gap=0.42)
        for line, condition in zip(grid, conditions, strict=True):
            here = table[table["condition"] == condition]
            for axes, (measure, title) in zip(line, SHOWN.items(), strict=True):
                for model in models:
                    own = here[(here["model"] == model.name) & here["depth"].notna()].sort_values("depth")
                    width = 0.9 if model.control else 1.4
                    axes.plot(
                        own["depth"], own[measure], **looks[model.name].line, linewidth=width, markersize=2.8
                    )
                if measure in LOGARITHMIC:
                    axes.set_yscale("log")
                    axes.minorticks_off()
                axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
                axes.set_xlim(-0.05, 1.05)
                axes.set_title(title, fontsize=7)
            head_row(line[0], wording.condition_title(settings, condition), 0.26)
        grid[-1][0].set_xlabel(wording.DEPTH_LABEL, x=0.0, ha="left")
        save(figure, outputs, title=SHAPE_TITLE, caption=caption, table=path)


def draw_alignment(path: str | Path, outputs: Sequence[str | Path], *, settings: Mapping[str, Any]) -> None:
    """Draw the CKA of every two layers in ``alignment.tsv``, a map for each trained model and condition.

    Errors: as those of :func:`draw_shape`.
    """
    table = _read(path, {"other_model", "other_layer", "cka"})
    models = [model for model in _described(table, settings, path)[0] if model.kind == "foundation"]
    conditions = wording.condition_order(settings, table["condition"])
    notes = [] if models else ["No foundation model was described."]
    run = table.groupby("model")["condition"].agg(set)
    n_maps = np.cumsum([sum(name in run[model.name] for model in models) for name in conditions])
    drawn = conditions[: max(1, int((n_maps <= MAX_MAPS).sum()))]
    if len(drawn) < len(conditions):
        notes.append(f"Of {len(conditions)} conditions the first {len(drawn)} are drawn; the table has all.")
    caption = ALIKE_CAPTION + depth_note(table, models) + wording.simulated_note(settings, conditions)
    words = Words(title=ALIKE_TITLE, subtitle=str(settings.get("title") or ""), notes=notes)
    titles = {name: wording.condition_title(settings, name) for name in drawn}
    others = [name for name in table["other_model"].unique() if name not in table["model"].unique()]
    room: dict[str, float] = {"left": 0.2 + max((width_of(name, MAP_LABEL) for name in others), default=0.3)}
    room |= {"gap": MAP_GAP}
    header = title_height(titles.values(), min(MAP_COLUMNS, len(drawn)), **room)
    of_model = {model.name: [name for name in drawn if name in run[model.name]] for model in models}
    rows = [(model, line) for model in models for line in wrap(of_model[model.name], MAP_COLUMNS)]
    heads = [header + 0.2 * (line[0] == of_model[model.name][0]) for model, line in rows]
    with look():
        lengths = [(len(line), head) for (_, line), head in zip(rows, heads, strict=True)]
        figure, grid = sheet(lengths or [(1, 0)], MAP_HEIGHT, words, right=BAR_ROOM, **room)
        for (model, line), axes_of_row, head in zip(rows, grid, heads, strict=False):
            for condition, axes in zip(line, axes_of_row, strict=True):
                own = table[(table["condition"] == condition) & (table["model"] == model.name)]
                _map(axes, own, model.name, named=condition == line[0])
                title_panel(axes, titles[condition])
            if line[0] == of_model[model.name][0]:
                head_row(axes_of_row[0], model.title, head - 0.14)
        _colour_bar(figure, grid[0][-1])
        grid[-1][0].set_xlabel("Layer")
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
            nearest.append(f"{model.title} {row['cka']:.2f} ({where})")
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
    figure.colorbar(ScalarMappable(Normalize(0, 1), MAP_COLOURS), cax=axes, ticks=[0, 0.5, 1])
    axes.tick_params(labelsize=MAP_LABEL, length=2)
    axes.set_title("CKA", fontsize=MAP_LABEL)


def _read(path: str | Path, columns: set[str]) -> pd.DataFrame:
    table = read_table(path, text=[*TEXT, "other_model", "other_layer"], columns=[*TEXT, *sorted(columns)])
    if table.empty:
        raise DataError(f"{path}: there are no rows; expected a table of the geometry of layers")
    return table


def _described(
    table: pd.DataFrame, settings: Mapping[str, Any], path: str | Path
) -> tuple[list[Model], dict[str, Style]]:
    """The models that have rows, and the looks of all."""
    models = read_models(settings)
    refuse_unknown(table, models, path)
    return [model for model in models.values() if (table["model"] == model.name).any()], styles(models)


def _named(model: Model) -> str:
    return f"in grey: {wording.control_label(model.control)}" if model.control else model.title


def _map(axes: Any, rows: pd.DataFrame, model: str, named: bool) -> None:
    """One map: layers against layers, and below a line against the other representations."""
    layers = sorted(set(rows["layer"]))
    others = rows.loc[rows["other_model"] != model, ["other_model", "other_layer"]]
    against = [(model, layer) for layer in layers]
    against += sorted(set(others.itertuples(index=False, name=None)))
    values = rows.pivot_table(index=list(others), columns="layer", values="cka", dropna=False)
    values = values.reindex(index=pd.MultiIndex.from_tuples(against), columns=layers)
    shown = values.to_numpy(dtype=np.float64)
    axes.imshow(shown, vmin=0, vmax=1, cmap=MAP_COLOURS, aspect="auto", interpolation="nearest")
    if len(others):
        axes.axhline(len(layers) - 0.5, color="white", linewidth=2)
    beyond = [
        other if layer == OFFICIAL else f"{other} {_short(layer)}" for other, layer in against[len(layers) :]
    ]
    step = -(-len(layers) // MOST_LABELS)
    places = [*range(0, len(layers) - step, step), len(layers) - 1]
    names = [_short(layers[place]) for place in places]
    axes.set_xticks(places, names, fontsize=MAP_LABEL)
    below = list(range(len(layers), len(against)))
    axes.set_yticks([*places, *below], [*names, *beyond] if named else [], fontsize=MAP_LABEL)
    for row, column in np.argwhere(~np.isfinite(shown)):
        axes.text(column, row, "-", ha="center", va="center", fontsize=7, color=GREY)


def _short(layer: str) -> str:
    return "off." if layer == OFFICIAL else str(int(layer))
