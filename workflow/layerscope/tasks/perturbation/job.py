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
from layerscope.tables import Score, Subject, depth, write_resamples, write_scores
from layerscope.tasks.perturbation.centroids import sum_groups
from layerscope.tasks.perturbation.design import read_design
from layerscope.tasks.perturbation.labels import group_cells
from layerscope.tasks.perturbation.scores import scores_of_all_cells
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
        Of the matrix products of thousands of perturbations.

    Raises
    ------
    ConfigError
        If the protocol is unknown, or has no design where it needs one.
    DataError
        If the files do not belong together.
    """
    with threadpool_limits(threads):
        rows, values = _score(
            protocol, embeddings, layer, cells, reference, condition, model, settings, seed, design
        )
    write_scores(output, rows)
    write_resamples(resamples, values)


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
) -> Scored:
    obs = read_obs(cells)
    about = {"condition": condition, "model": model, "layer": layer, "task": TASK, "protocol": protocol}

    def subject(provenance: Mapping[str, Any]) -> Subject:
        at = depth(layer, int(provenance.get("n_layers") or 0))
        return Subject(**about, depth=at, seed=seed)

    if protocol == "strict":
        if design is None:
            raise ConfigError("protocol strict needs --design, the design of splits of these cells")
        plan, references = read_design(design), read_reference(reference)
        if plan.cell_ids != obs.index.tolist() or plan.names != references.names:
            raise DataError(
                f"{design}: not the design of {cells} and {reference}; delete the three and run again"
            )
        if is_sums(embeddings):
            plain, unit, provenance = read_layer_sums(embeddings, layer, plan)
        else:
            vectors = read_layer(embeddings, layer)
            demand_same_cells(vectors, obs, embeddings, cells)
            provenance = vectors.provenance
            plain = sum_layer(vectors.matrix, plan)
            unit = sum_layer(vectors.matrix, plan, n_labellings=1, unit_norm=True)
        chosen = StrictSettings.read(settings)
        return strict_scores(plain, unit, references, plan, subject(provenance), chosen)
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol!r}")
    similarity = read_similarity(reference)
    if is_sums(embeddings):
        sums, provenance = read_everyone(embeddings, layer, similarity.names)
    else:
        vectors = read_layer(embeddings, layer)
        demand_same_cells(vectors, obs, embeddings, cells)
        provenance = vectors.provenance
        usable = np.asarray(np.isfinite(vectors.matrix).all(axis=1))
        group = group_cells(obs, similarity.names, usable)
        sums = sum_groups(vectors.matrix, group, len(similarity.names) + 1)
    of_protocol = PaperSettings if protocol == "paper" else ReleasedSettings
    return scores_of_all_cells(sums, obs, similarity, subject(provenance), of_protocol.read(settings))


def demand_same_cells(layer: Layer, obs: pd.DataFrame, embeddings: str | Path, cells: str | Path) -> None:
    """Refuse embeddings of other cells than the table's, or of the same in another order."""
    if list(layer.cell_ids) != obs.index.tolist():
        raise DataError(
            f"{embeddings}: its {len(layer.cell_ids)} cells are not the {len(obs)} cells of {cells} in "
            "their order; extract the layers again from these cells"
        )
