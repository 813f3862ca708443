"""The cells of one condition by the chosen and by the final layer of a model, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import read_cells, read_rows
from layerscope.figures import wording
from layerscope.figures.layer_choice import read_layers
from layerscope.figures.models import read_models
from layerscope.figures.sheet import Words, sheet, title_height, title_panel
from layerscope.figures.style import look, save
from layerscope.statistics.trust import decides

TITLE = "What the chosen and the final layer look like"
CAPTION = (
    "One sign a cell, at its first two diffusion components in each layer (scanpy: 15 nearest neighbours, "
    "Gaussian kernel). Such a picture shows two of many directions: distances, sizes and gaps in it mean "
    "little, and two pictures cannot be compared by eye. No score comes from it."
)
MAX_CELLS, MAX_LABELS, N_NEIGHBOURS = 2000, 7, 15
OTHER = "#d0d0d0"


def draw_layer_maps(
    *,
    layers: Path,
    embeddings: Sequence[Path],
    obs: Sequence[Path],
    settings: Mapping[str, Any],
    seed: int,
    output: Sequence[Path],
) -> None:
    """Draw the cells of one condition by two layers of one model, coloured by what the task asks.

    Parameters
    ----------
    layers
        The table of the layer choice.
    embeddings, obs
        Layers of the models, and tables of the cells, each in a folder of its condition's name.
    settings
        What is said of the study: ``models``, ``conditions``, ``order``, ``title``.
    seed
        Seed of the sample of cells.
    output
        Files to write, a format each.
    """
    row = shown(read_layers(layers), settings)
    if row is None:
        return _save(Words(TITLE, notes=["No layer was scored."]), {}, {}, CAPTION, layers, output)
    cells, model = _about(settings, row["condition"], "cells"), row["model"]
    path = next((path for path in embeddings if (path.parent.name, path.stem) == (cells, model)), None)
    if path is None:
        raise DataError(f"{layers}: {row['condition']}, {model}: no embeddings were given of {cells}/{model}")
    table = next(table for table in obs if table.parent.name == cells)
    ids, refused = read_cells(path)
    sample = sampled([not reason for reason in refused] if refused else [True] * len(ids), seed)
    known = pd.read_parquet(table).reindex([ids[cell] for cell in sample])
    column = next((name for name in _about(settings, row["condition"], "coloured_by") if name in known), "")
    labels = known[column] if column else pd.Series("", index=known.index)
    colours = colours_of(labels)
    maps = {}
    for layer, why in chosen_layers(row).items():
        maps[f"Layer {int(layer)}: {why}"] = _diffusion(read_rows(path, layer, sample), labels, colours, seed)
    others = {"all others": OTHER} if colours and not labels.isin(list(colours)).all() else {}
    sign: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4}
    legend = [Line2D([], [], color=of, label=str(label), **sign) for label, of in (colours | others).items()]
    condition = wording.condition_title(settings, row["condition"])
    title = read_models(settings)[model].title
    by = f"; coloured by {wording.plain(column)}" if column else ""
    subtitle = f"{condition}: {title}{by}"
    caption = f"{subtitle}. {len(sample):,} of {len(ids):,} cells. {CAPTION}"
    caption += wording.simulated_note(settings, [row["condition"]])
    return _save(Words(TITLE, subtitle, legend=legend), maps, colours, caption, layers, output)


def shown(table: pd.DataFrame, settings: Mapping[str, Any]) -> dict[Any, Any] | None:
    """The row of the layer choice that is drawn; None where no layer has a score.

    A layer to use comes first, then one that is not the final one, then the condition's place in the study,
    then the score.
    """
    rows = table[decides(table) & (table["best_layer"] != "")]
    if rows.empty:
        return None
    order = wording.condition_order(settings, rows["condition"])
    keys = pd.DataFrame(
        {
            "use": rows["verdict"] != "use_layer",
            "final": rows["best_layer"] == rows["final_layer"],
            "place": rows["condition"].map(order.index),
            "score": -rows["best_estimate"],
        }
    )
    first = keys.sort_values(list(keys), kind="stable").index[0]
    return dict(rows.loc[first])


def chosen_layers(row: Mapping[Any, Any]) -> dict[str, str]:
    """The one or two layers of a row that are drawn, and why."""
    use = row["verdict"] == "use_layer"
    chosen = row["use"] if use else row["best_layer"]
    why = "the one to use" if use else "the highest score (not sure)"
    if chosen == row["final_layer"]:
        return {chosen: "the final one, with the highest score"}
    return {chosen: why} | ({row["final_layer"]: "the final one"} if row["final_layer"] else {})


def sampled(usable: Sequence[bool], seed: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Places of at most :data:`MAX_CELLS` of the cells that can be drawn, in their order."""
    places = np.flatnonzero(usable)
    if len(places) > MAX_CELLS:
        places = np.random.default_rng(seed).choice(places, MAX_CELLS, replace=False)
    return np.sort(places)


def colours_of(labels: pd.Series) -> dict[Any, str]:
    """Colour of each of the most frequent labels, along a scale if they have an order; none of numbers."""
    counts = labels[labels.astype(str) != ""].value_counts()
    names = list(counts[counts > 0].index)
    numbers = pd.api.types.is_numeric_dtype(labels)
    if numbers and len(names) > MAX_LABELS:
        return {}
    if numbers or getattr(labels.dtype, "ordered", False):
        names = list(pd.Series(names, dtype=labels.dtype).sort_values())
        scale = mpl.colormaps["viridis"](np.linspace(0, 0.95, len(names)))
    else:
        names = names[:MAX_LABELS]
        scale = mpl.colormaps["Dark2"](range(len(names)))
    return dict(zip(names, map(to_hex, scale), strict=True))


def _about(settings: Mapping[str, Any], condition: str, key: str) -> Any:
    about = settings.get("conditions", {}).get(condition) or {}
    return about.get(key) or {"cells": condition, "coloured_by": []}[key]


def _diffusion(
    matrix: np.ndarray[Any, Any], labels: pd.Series, colours: Mapping[Any, str], seed: int
) -> anndata.AnnData:
    """Cells with the diffusion components of one layer."""
    values = labels.where(labels.isin(list(colours))).astype(object) if colours else labels
    obs = pd.DataFrame({"label": values.to_numpy()}, index=[str(cell) for cell in labels.index])
    if colours:
        obs["label"] = pd.Categorical(obs["label"], categories=list(colours))
    adata = anndata.AnnData(obs=obs, obsm={"layer": matrix})
    # the kernel of UMAP would be compiled first, for longer than all else takes here
    sc.pp.neighbors(adata, N_NEIGHBOURS, use_rep="layer", method="gauss", random_state=seed)
    sc.tl.diffmap(adata, random_state=seed)
    adata.obsm["X_diffmap"] = adata.obsm["X_diffmap"][:, 1:]  # the first only says how dense cells lie
    return adata


def _save(
    words: Words,
    maps: Mapping[str, anndata.AnnData],
    colours: Mapping[Any, str],
    caption: str,
    table: Path,
    output: Sequence[Path],
) -> None:
    palette = {"palette": list(colours.values())} if colours else {}
    options: dict[str, Any] = {"na_color": OTHER, "size": 14, "legend_loc": "none", "show": False, **palette}
    with look():
        figure, grid = sheet([(len(maps) or 1, title_height(maps, len(maps) or 1))], 2.7, words, left=0.3)
        for axes, (title, adata) in zip(grid[0], maps.items(), strict=False):
            sc.pl.diffmap(adata, color="label", ax=axes, title="", **options)
            for points in axes.collections:
                points.set_rasterized(True)
            title_panel(axes, title)
        if not maps:
            grid[0][0].set_axis_off()
        save(figure, output, title=words.title, caption=caption, table=table)
