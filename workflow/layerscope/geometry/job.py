"""The table of the shape of layers: one row per layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.arrays import Floats
from layerscope.chance import Chance
from layerscope.extraction.embeddings_file import Layer, read_layer, read_layers
from layerscope.files import refuse_overwriting
from layerscope.geometry.alignment import MIN_CELLS
from layerscope.geometry.measures import MEASURES, varies
from layerscope.geometry.settings import GeometrySettings
from layerscope.tables import depth, write_table


def describe_geometry(
    embeddings: str | Path,
    condition: str,
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    output: str | Path,
) -> None:
    """Measure every layer of a model and write a table.

    Parameters
    ----------
    embeddings
        All layers of the model.
    condition, model
        Names for the rows.
    settings
        See :class:`~layerscope.geometry.settings.GeometrySettings`.
    seed
        Seed of the sample of cells, which is the same for every layer.
    output
        The table to make: ``condition``, ``model``, ``layer``, ``depth``, ``n_cells``, one column for each of
        :data:`~layerscope.geometry.measures.MEASURES`, and ``reason`` where a layer has no shape.
    """
    refuse_overwriting(output, embeddings)
    n_cells = GeometrySettings.read(settings).cells
    rows = []
    for name in read_layers(embeddings):
        layer = read_layer(embeddings, name)
        cells = layer.matrix[_sample(layer, seed, n_cells)].astype(np.float64)
        at = depth(name, int(layer.provenance.get("n_layers") or 0))
        about = {"condition": condition, "model": model, "layer": name, "depth": at, "n_cells": len(cells)}
        rows.append(about | measure(cells))
    write_table(output, pd.DataFrame(rows))


def measure(cells: Floats) -> dict[str, float | str]:
    """All measures of a layer, and why there are none."""
    if len(cells) < MIN_CELLS:
        reason = f"{len(cells)} cells that the model accepts; {MIN_CELLS} are needed"
        return dict.fromkeys(MEASURES, math.nan) | {"reason": reason}
    reason = "" if varies(cells) else "constant layer: all cells are the same"
    return {name: of(cells) for name, of in MEASURES.items()} | {"reason": reason}


def _sample(layer: Layer, seed: int, size: int) -> NDArray[np.int64]:
    """A random sample of the cells that the model accepts; the same whatever their order."""
    accepted = np.flatnonzero(np.isfinite(layer.matrix).all(axis=1))
    chance = Chance(seed, [layer.cell_ids[index] for index in accepted])
    return np.asarray(accepted[chance.sample(size)])
