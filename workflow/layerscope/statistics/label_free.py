"""Would a criterion that needs no labels have picked a layer that may be the best? A table, and no advice.

Criteria, each picks the layer with its highest value:

- ``twins``: two views of a cell, of half of its molecules each (control ``thinned``): the share of cells
  whose nearest cell in the other view is the cell itself, both ways.
- ``effective_rank``: RankMe (Garrido et al. 2023) of the layer.
- ``neighbours_kept``: R_NX (Lee et al. 2013), how many of a cell's neighbours in expression (``hvg_pca``) are
  its neighbours in the layer, 0 at random and 1 if all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Bools, Floats
from layerscope.extraction.embeddings_file import read_rows
from layerscope.geometry.comparison import common_cells
from layerscope.geometry.measures import effective_rank
from layerscope.geometry.settings import GeometrySettings
from layerscope.models.catalogue import THINNED
from layerscope.statistics.trust import decides
from layerscope.tables import OFFICIAL, read_table, write_table

EXPRESSION = "hvg_pca"
"""The baseline in which cells are near that express alike."""
N_NEIGHBOURS = 30
CRITERIA = ("twins", "effective_rank", "neighbours_kept")
ALL = "all"
COLUMNS = (
    *("condition", "task", "protocol", "model", "criterion", "layer", "value", "n_cells"),
    *("in_confidence_set", "at_random", "best_share", "best_share_at_random", "status", "reason"),
)
NO_VIEWS = f"no model of the study has two seeds of the control {THINNED!r}: define and name both"


def compare_label_free(
    curves: str | Path,
    output: str | Path,
    *,
    models: Mapping[str, Any],
    cells_of: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    embeddings: Sequence[str | Path] = (),
) -> None:
    """Compare the layers that criteria without labels pick with those that labels leave as possibly the best.

    Parameters
    ----------
    curves
        ``curves.tsv``: the confidence set of every condition and model, and how often each layer is the best.
    output
        The table to make: a row for each condition, model and criterion, and one for each criterion over all.
        ``in_confidence_set`` is 1 or 0, ``at_random`` the share of the layers that are in the set.
    models
        ``control`` and ``of`` of each model.
    cells_of
        The condition whose cells each condition is scored on.
    settings
        See :class:`~layerscope.geometry.settings.GeometrySettings`: ``cells`` are sampled.
    seed
        Seed of the sample.
    embeddings
        ``.../CONDITION/MODEL.h5ad`` of the models, of two views of each and of the expression baseline.

    Raises
    ------
    DataError
        If files of a condition are not of the same cells, or too few cells are accepted by all.
    """
    table = read_table(curves, text=("condition", "layer"))
    table = table[decides(table)] if len(table) else table
    files = {(path.parent.name, path.stem): path for path in map(Path, embeddings)}
    size = GeometrySettings.read(settings).cells
    measured: dict[tuple[str, str], tuple[pd.DataFrame, int]] = {}
    rows: list[dict[str, Any]] = []
    for (condition, model), curve in table.groupby(["condition", "model"], sort=False):
        cells, seen = cells_of.get(condition, condition), views(models, model)
        if not seen or (cells, model) not in files:
            continue
        if (cells, model) not in measured:
            four = [files[cells, name] for name in (model, *seen, EXPRESSION)]
            measured[cells, model] = criteria(four, curve["layer"].tolist(), seed, size)
        rows += judged(curve, *measured[cells, model])
    if not rows:
        rows = [{"status": "not_available", "reason": NO_VIEWS}]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    together = pd.DataFrame(list(_over_all(found)), columns=list(COLUMNS))
    write_table(output, pd.concat([found, together], ignore_index=True) if len(together) else found)


def views(models: Mapping[str, Any], model: str) -> list[str]:
    """The first two thinned views of a model; nothing where there are fewer."""
    seen = [name for name, entry in models.items() if (entry["control"], entry["of"]) == (THINNED, model)]
    return seen[:2] if len(seen) > 1 else []


def criteria(files: Sequence[Path], layers: Sequence[str], seed: int, size: int) -> tuple[pd.DataFrame, int]:
    """Values of the criteria, layers x criteria, and of how many cells."""
    cells = common_cells(files, seed, size)
    whole, first, second, expression = files
    near = neighbours(read_rows(expression, OFFICIAL, cells))
    values = {
        layer: (
            twins_found(read_rows(first, layer, cells), read_rows(second, layer, cells)),
            effective_rank(own.astype(np.float64)),
            neighbours_kept(neighbours(own), near),
        )
        for layer in layers
        for own in [read_rows(whole, layer, cells)]
    }
    return pd.DataFrame.from_dict(values, orient="index", columns=list(CRITERIA)), len(cells)


def judged(curve: pd.DataFrame, values: pd.DataFrame, n_cells: int) -> Iterator[dict[str, Any]]:
    """A row for each criterion: the layer that it picks, and whether that may be the best by labels."""
    about = curve.iloc[0][["condition", "task", "protocol", "model"]].to_dict()
    by_layer = curve.set_index("layer")
    for criterion in CRITERIA:
        own = values[criterion].dropna()
        row = {**about, "criterion": criterion, "n_cells": n_cells}
        if by_layer["p_best"].isna().any() or own.empty:
            what = "no layer has a value of it" if own.empty else "without resamples no layer is excluded"
            yield {**row, "status": "undefined", "reason": what}
            continue
        picked = by_layer.loc[own.idxmax()]
        yield {
            **row,
            "layer": picked.name,
            "value": own.max(),
            "in_confidence_set": float(picked["in_confidence_set"]),
            "at_random": by_layer["in_confidence_set"].mean(),
            "best_share": picked["best_share"],
            "best_share_at_random": 1 / len(by_layer),
            "status": "ok",
            "reason": "",
        }


def _over_all(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    shares = ["in_confidence_set", "at_random", "best_share", "best_share_at_random"]
    for criterion, own in rows[rows["status"] == "ok"].groupby("criterion", sort=False):
        n_rows = f"mean of {len(own)} conditions and models"
        yield {"condition": ALL, "criterion": criterion, "status": "ok", "reason": n_rows} | dict(
            own[shares].astype(float).mean()
        )


def twins_found(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Share of cells whose nearest row of the other view is their own, and no other is as near; both ways."""
    distances = squared_distances(first, second)
    twin = np.diagonal(distances).copy()
    np.fill_diagonal(distances, np.inf)
    return float(np.mean([(twin < distances.min(axis=axis)).mean() for axis in (0, 1)]))


def neighbours(cells: npt.ArrayLike) -> Bools:
    """Which cells are among the nearest of each (Euclidean), itself left out, ``(n_cells, n_cells)``."""
    distances = squared_distances(cells, cells)
    np.fill_diagonal(distances, np.inf)
    k = min(N_NEIGHBOURS, len(distances) - 2)
    nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
    near = np.zeros(distances.shape, dtype=bool)
    np.put_along_axis(near, nearest, True, axis=1)
    return near


def neighbours_kept(near: Bools, expected: Bools) -> float:
    """R_NX of two graphs of as many neighbours: overlap beyond what is expected at random, 1 if all."""
    n_others, k = len(near) - 1, int(near[0].sum())
    overlap = (near & expected).sum() / (len(near) * k)
    return float((n_others * overlap - k) / (n_others - k))


def squared_distances(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Squared Euclidean distances of rows, float64, shape ``(n_first, n_second)``."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    centre = one.mean(axis=0)
    one, other = one - centre, other - centre
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    return np.asarray(lengths - 2 * one @ other.T)
