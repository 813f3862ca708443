"""Planted layers: the truth of simulated cells, more or less of it by depth, under nuisance and noise.

No model makes them. Which layer is best is known, so that a study shows whether it finds that layer, and
finds none where all layers are alike. Equations: ``docs/embedded_study.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope import __version__
from layerscope.cells.canonical import provenance, read_cells
from layerscope.chance import cell_generator, generator
from layerscope.demo.program import ACTIVITIES, Array
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.files import refuse_overwriting
from layerscope.layout import layer_names
from layerscope.models.catalogue import PLANTED
from layerscope.models.entries import PlantedModel

WIDTH = 64
FALL = 1 / 4
NOISE = 0.12
"""Standard deviation of the noise, independent between layers, cells and dimensions."""
OF_KNOCK_DOWN, OF_COUNTS, OF_BATCH = 0.5, 0.15, 0.1
"""Lengths of what a layer shows of a knock-down beside its pathways, of the library size and of the batch."""
TYPICAL_COUNTS = 400.0


def plant_layers(
    *, model: str, cells: str | Path, layers: int, seed: int, output: str | Path, peak: int | None = None
) -> None:
    """Write planted layers as a file of embeddings: numbered ones alone, from 01 on.

    Parameters
    ----------
    model
        Their name.
    cells
        Prepared simulated cells.
    layers
        Number of the last layer.
    seed
        Of the directions and the noise.
    output
        The file to make.
    peak
        The layer that has most of the signal; without one, all are alike.

    Raises
    ------
    DataError
        If the cells do not tell their truth.
    """
    refuse_overwriting(output, cells)
    data = read_cells(cells)
    totals = np.asarray(data.X.sum(axis=1), dtype=np.float64).ravel()
    try:
        planted = planted_layers(data.obs, totals, signal(layers, peak), seed)
    except DataError as error:
        raise DataError(f"{cells}: {error}") from error
    about = {
        "model": model,
        "family": PLANTED,
        "n_layers": layers,
        "hidden_size": WIDTH,
        "dtype": "float32",
        "trained_on": PlantedModel.trained_on,
        "values": provenance(data).get("values"),
        "n_refused": 0,
        "peak": peak,
        "seed": seed,
        "layerscope_version": __version__,
    }
    named = dict(zip(layer_names(layers)[1:-1], planted, strict=True))
    write_embeddings(output, data.obs_names.tolist(), [named], about)


def signal(layers: int, peak: int | None) -> Array:
    """Share of the truth in layers from 01 on: all at the peak, a quarter of that with every layer away."""
    numbers = np.arange(1, layers + 1)
    distance = np.abs(numbers - (peak or numbers))
    return np.asarray(FALL**distance)


def planted_layers(obs: pd.DataFrame, totals: Array, signal: Array, seed: int) -> NDArray[np.float32]:
    """Layers of cells, shape ``(n_layers, n_cells, WIDTH)``; each cell's by its own row and name alone.

    ``obs`` has the activities of the programs and ``batch``, ``totals`` are the cells' counts, ``signal`` is
    the share of the truth in each layer.
    """
    absent = [name for name in ACTIVITIES if name not in obs]
    if absent:
        raise DataError(
            f"no column {absent[0]!r}: layers are planted in simulated cells, whose truth is known"
        )
    # each program has an axis of its own, and all else those that are left
    truth = np.zeros((len(obs), WIDTH))
    truth[:, : len(ACTIVITIES)] = obs[list(ACTIVITIES)]
    beside = np.zeros_like(truth)
    if "perturbation" in obs:
        beside = OF_KNOCK_DOWN * obs["true_efficacy"].to_numpy()[:, None] * _labels(obs["perturbation"], seed)
    nuisance = OF_COUNTS * np.log(totals / TYPICAL_COUNTS)[:, None] * _direction(seed, "counts")
    nuisance += OF_BATCH * _labels(obs["batch"], seed)
    shape = len(signal), WIDTH
    noise = np.stack([NOISE * cell_generator(seed, cell).normal(size=shape) for cell in obs.index], axis=1)
    share = signal[:, None, None]
    return (share * truth + (1 - share) * beside + nuisance + noise).astype(np.float32)


def _labels(labels: pd.Series, seed: int) -> Array:
    """The direction of each cell's label, shape ``(n_cells, WIDTH)``."""
    codes, names = pd.factorize(labels.astype(str))
    return np.asarray(np.stack([_direction(seed, name) for name in names])[codes])


def _direction(seed: int, name: str) -> Array:
    """The direction of what is no program, of a length about 1 and orthogonal to the programs."""
    free = WIDTH - len(ACTIVITIES)
    drawn = generator(seed, (name,), "planted direction").normal(size=free) / np.sqrt(free)
    return np.concatenate([np.zeros(len(ACTIVITIES)), drawn])
