"""Score one layer of one model from its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from layerscope.cells.canonical import read_obs
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import Layer, read_layer
from layerscope.tables import Score, depth, write_resamples, write_scores
from layerscope.tasks.perturbation.centroids import sum_groups
from layerscope.tasks.perturbation.design import read_design
from layerscope.tasks.perturbation.scores import group_cells, scores_of_all_cells
from layerscope.tasks.perturbation.settings import PaperSettings, ReleasedSettings, StrictSettings
from layerscope.tasks.perturbation.similarity import read_similarity
from layerscope.tasks.perturbation.strict import strict_scores
from layerscope.tasks.perturbation.strict_reference import read_reference
from layerscope.tasks.perturbation.sums import sum_layer
from layerscope.tasks.perturbation.sums_reader import is_sums, read_everyone, read_layer_sums

Scored = tuple[list[Score], dict[str, NDArray[np.float64]]]
PROTOCOLS = ("paper", "released", "strict")
TASK = "perturbation"


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
    design: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Score one layer of one model against a condition's reference and write the rows and their resamples.

    Parameters
    ----------
    protocol
        One of :data:`PROTOCOLS`.
    embeddings, layer
        File of embeddings, or of sums, and the name of the layer in it.
    cells
        The condition's canonical cells, of which only the table is read.
    reference
        The condition's reference of this protocol.
    condition, model
        Names for the rows.
    settings
        The protocol's, see :mod:`layerscope.tasks.perturbation.settings`.
    seed
        Seed of the bootstrap (and of the Mantel permutations).
    output, resamples
        The table of scores and the file of bootstrap values to make.
    design
        The condition's design of splits, for protocol ``strict``.
    threads
        Of use for thousands of perturbations; the result does not depend on it.

    Raises
    ------
    ConfigError
        If the protocol is unknown, or has no design where it needs one.
    DataError
        If the files do not belong together.
    """
    with threadpool_limits(1):  # the last bits must not depend on the number of threads
        rows, found = _score(
            protocol, embeddings, layer, cells, reference, condition, model, settings, seed, design, threads
        )
    write_scores(output, rows)
    write_resamples(resamples, found)


def _score(
    protocol: str,
    embeddings: str | Path,
    layer: str,
    cells: str | Path,
    reference: str | Path,
    condition: str,
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    design: str | Path | None,
    threads: int,
) -> Scored:
    obs = read_obs(cells)
    about = {"condition": condition, "model": model, "layer": layer, "task": TASK, "protocol": protocol}
    if protocol == "strict":
        if design is None:
            raise ConfigError("protocol strict needs --design, the design of splits of these cells")
        strict = StrictSettings.read(settings)
        return _strict(embeddings, layer, cells, obs, reference, design, about, strict, seed)
    if protocol in PROTOCOLS:
        chosen: PaperSettings | ReleasedSettings = (
            PaperSettings if protocol == "paper" else ReleasedSettings
        ).read(settings)
        return _all_cells(embeddings, layer, cells, obs, reference, about, chosen, seed, threads)
    raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol!r}")


def _all_cells(
    embeddings: str | Path,
    layer: str,
    cells: str | Path,
    obs: pd.DataFrame,
    reference: str | Path,
    about: dict[str, Any],
    settings: PaperSettings | ReleasedSettings,
    seed: int,
    threads: int,
) -> Scored:
    names, values = read_similarity(reference)
    if is_sums(embeddings):
        sums, provenance = read_everyone(embeddings, layer, names)
    else:
        stored = read_layer(embeddings, layer)
        demand_same_cells(stored, obs, embeddings, cells)
        provenance = stored.provenance
        usable = np.asarray(np.isfinite(stored.matrix).all(axis=1))
        sums = sum_groups(stored.matrix, group_cells(obs, names, usable), len(names) + 1)
    return scores_of_all_cells(
        sums,
        obs,
        names,
        values,
        about | _depth(layer, provenance),
        seed=seed,
        n_resamples=settings.resamples,
        n_splits=settings.splits,
        threads=threads,
    )


def _strict(
    embeddings: str | Path,
    layer: str,
    cells: str | Path,
    obs: pd.DataFrame,
    reference: str | Path,
    design: str | Path,
    about: dict[str, Any],
    settings: StrictSettings,
    seed: int,
) -> Scored:
    plan, references = read_design(design), read_reference(reference)
    if plan.cell_ids != obs.index.tolist() or plan.names != references.names:
        raise DataError(
            f"{design}: not the design of {cells} and {reference}; delete the three and run again"
        )
    if is_sums(embeddings):
        plain, unit, provenance = read_layer_sums(embeddings, layer, plan)
    else:
        stored = read_layer(embeddings, layer)
        demand_same_cells(stored, obs, embeddings, cells)
        provenance = stored.provenance
        plain = sum_layer(stored.matrix, plan)
        unit = sum_layer(stored.matrix, plan, n_labellings=1, unit_norm=True)
    return strict_scores(plain, unit, references, plan, settings, about | _depth(layer, provenance), seed)


def demand_same_cells(layer: Layer, obs: pd.DataFrame, embeddings: str | Path, cells: str | Path) -> None:
    """Refuse embeddings of other cells than the table's, or of the same in another order."""
    if list(layer.cell_ids) != obs.index.tolist():
        raise DataError(
            f"{embeddings}: its {len(layer.cell_ids)} cells are not the {len(obs)} cells of {cells} in "
            "their order; "
            "extract the layers again from these cells"
        )


def _depth(layer: str, provenance: Mapping[str, Any]) -> dict[str, float]:
    return {"depth": depth(layer, int(provenance.get("n_layers") or 0))}
