"""Score one layer by how well it keeps which perturbations act alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.cells.canonical import read_obs
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import Layer, read_layer
from layerscope.perturbation.centroids import sum_groups, why_undefined
from layerscope.perturbation.pairs import Pairs, SameModule, Statistic, estimate, resample
from layerscope.perturbation.settings import PaperSettings
from layerscope.perturbation.similarity import cosine_matrix, read_similarity
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tables import Score, depth, write_resamples, write_scores

Array = NDArray[np.float64]
TASK = "perturbation"
MIN_PERTURBATIONS = 4
MODULE = "true_module"
MODULES_JOINED_BY = "+"
METRIC = "spearman"
MODULE_METRIC = "auc_same_module"


class Named(NamedTuple):
    """What a score is a score of."""

    condition: str
    model: str
    layer: str


def score_perturbation(
    protocol: str,
    embeddings: str | Path,
    layer: str,
    cells: str | Path,
    reference: str | Path,
    condition: str,
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    output: str | Path,
    resamples: str | Path,
) -> None:
    """Score one layer of one model against a condition's reference and write the rows and their resamples.

    Parameters
    ----------
    protocol
        ``"paper"``.
    embeddings, layer
        File of embeddings and the name of the layer in it.
    cells
        The condition's canonical cells, of which only the table is read.
    reference
        The condition's similarity matrix of profiles.
    condition, model
        Names for the rows.
    settings
        See :class:`~layerscope.perturbation.settings.PaperSettings`.
    seed
        Seed of the bootstrap.
    output, resamples
        The table of scores and the file of bootstrap values to make.

    Raises
    ------
    ConfigError
        If the protocol is unknown.
    DataError
        If the files do not belong together.
    """
    if protocol != "paper":
        raise ConfigError(f"protocol: expected paper, found {protocol!r}")
    chosen = PaperSettings.read(settings)
    obs = read_obs(cells)
    stored = read_layer(embeddings, layer)
    demand_same_cells(stored, obs, str(embeddings), str(cells))
    names, values = read_similarity(reference)
    rows, found = paper_scores(
        stored, obs, names, values, Named(condition, model, layer), seed=seed, n_resamples=chosen.resamples
    )
    write_scores(output, rows)
    write_resamples(resamples, found)


def paper_scores(
    layer: Layer,
    obs: pd.DataFrame,
    names: Sequence[str],
    reference: Array,
    named: Named,
    *,
    seed: int,
    n_resamples: int,
) -> tuple[list[Score], dict[str, Array]]:
    """Score a layer by protocol ``paper``.

    The centroid of a perturbation is the mean of its cells; the layer's similarity is the cosine of
    centroids; the score is Spearman's correlation of its upper triangle with the reference's. Where the cells
    carry their true module, ``auc_same_module`` says how well the layer's similarity tells pairs of one
    module from others.

    Parameters
    ----------
    layer
        Cells x dimensions; cells that the model refused are rows of NaN and are left out.
    obs
        The cells' table, in the same order.
    names, reference
        The reference's perturbations and their similarity, shape ``(n, n)``.
    named
        Names for the rows.
    seed, n_resamples
        Of the bootstrap over perturbations.

    Returns
    -------
    The rows, and the bootstrap values of each metric, shape ``(n_resamples,)``.
    """
    group = group_cells(obs, names, np.asarray(np.isfinite(layer.matrix).all(axis=1)))
    cells = sum_groups(layer.matrix, group, len(names))
    present = cells.counts > 0
    used = [name for name, there in zip(names, present, strict=True) if there]
    centroids = cells.means()[present]
    metrics = [METRIC, MODULE_METRIC] if MODULE in obs else [METRIC]
    common: dict[str, Any] = {
        **named._asdict(),
        "depth": depth(named.layer, int(layer.provenance.get("n_layers") or 0)),
        "task": TASK,
        "protocol": "paper",
        "n_cells": int(cells.counts.sum()),
        "n_items": len(used),
        "seed": seed,
    }
    reason = _too_few(used, names) or why_undefined(centroids)
    if reason:
        nothing = np.full(n_resamples, math.nan)
        rows = [Score(**common, metric=metric, status="undefined", reason=reason) for metric in metrics]
        return rows, dict.fromkeys(metrics, nothing)
    pairs = Pairs(len(used))
    similarity = pairs.of(cosine_matrix(centroids))
    statistics: dict[str, Statistic] = {
        METRIC: WeightedSpearman(similarity, pairs.of(reference[np.ix_(present, present)]))
    }
    if MODULE in obs:
        statistics[MODULE_METRIC] = SameModule(similarity, same_module(obs, used, pairs))
    found = resample(statistics, names, used, seed, n_resamples)
    rows = [
        _row(common, name, estimate(statistics[name], len(pairs)), found[name], names, used)
        for name in metrics
    ]
    return rows, found


def group_cells(obs: pd.DataFrame, names: Sequence[str], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Index into ``names`` of each cell's perturbation; -1 for control cells, others and unusable ones."""
    number = {name: index for index, name in enumerate(names)}
    labels = obs["perturbation"].astype(str)
    group: NDArray[np.int64] = labels.map(number).astype(float).fillna(-1).to_numpy().astype(np.int64)
    group[obs["is_control"].to_numpy(dtype=bool) | ~usable] = -1
    return group


def same_module(obs: pd.DataFrame, names: Sequence[str], pairs: Pairs) -> NDArray[np.bool_]:
    """Whether both perturbations of each pair act in a common module.

    ``true_module`` of their cells names the modules, joined by ``+`` where there are several.
    """
    labels = obs.groupby(obs["perturbation"].astype(str), observed=True)[MODULE].first().astype(str)
    modules = [set(labels[name].split(MODULES_JOINED_BY)) - {""} for name in names]
    return np.array([bool(modules[i] & modules[j]) for i, j in zip(pairs.first, pairs.second, strict=True)])


def demand_same_cells(layer: Layer, obs: pd.DataFrame, embeddings: str, cells: str) -> None:
    """Refuse embeddings of other cells than the table's, or of the same in another order."""
    if list(layer.cell_ids) != obs.index.tolist():
        raise DataError(
            f"{embeddings}: its {len(layer.cell_ids)} cells are not the {len(obs)} cells of {cells} in "
            "their order; "
            "extract the layers again from these cells"
        )


def _too_few(used: Sequence[str], names: Sequence[str]) -> str:
    if len(used) >= MIN_PERTURBATIONS:
        return ""
    return (
        f"{len(used)} of {len(names)} perturbations have cells here; at least {MIN_PERTURBATIONS} are needed"
    )


def _row(
    common: Mapping[str, Any],
    metric: str,
    value: float,
    values: Array,
    names: Sequence[str],
    used: Sequence[str],
) -> Score:
    if not math.isfinite(value):
        why = (
            "one of the similarity matrices is constant" if metric == METRIC else "all pairs are of one kind"
        )
        return Score(**common, metric=metric, status="undefined", reason=why)
    low, high = percentile_interval(values)
    missing = len(names) - len(used)
    remark = f"{missing} of {len(names)} perturbations have no cell that the model accepts" if missing else ""
    return Score(**common, metric=metric, estimate=value, ci_low=low, ci_high=high, reason=remark)
