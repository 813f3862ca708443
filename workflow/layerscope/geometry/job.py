"""Tables of geometry: one row per layer, and one per pair of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.chance import Chance
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import Layer, read_layer, read_layers
from layerscope.geometry.alignment import MIN_CELLS, debiased_cka
from layerscope.geometry.measures import MEASURES, varies
from layerscope.tables import depth, write_table

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GeometrySettings:
    """Settings of the geometry.

    Attributes
    ----------
    cells
        Cells of which the measures are had: a random sample where there are more.
    alignment_cells
        Likewise for the alignment, whose memory grows with their square.
    """

    cells: int = 5000
    alignment_cells: int = 2000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < MIN_CELLS:
                raise ConfigError(
                    f"{field.name}: expected a whole number of at least {MIN_CELLS}, found {value!r}"
                )

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> GeometrySettings:
        """Make settings from a mapping; what it does not name keeps its default."""
        names = [field.name for field in fields(cls)]
        unknown = [name for name in settings if name not in names]
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]!r}; expected some of {', '.join(names)}")
        return cls(**settings)


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
        See :class:`GeometrySettings`.
    seed
        Seed of the sample of cells, which is the same for every layer.
    output
        The table to make: ``condition``, ``model``, ``layer``, ``depth``, ``n_cells``, one column for each of
        :data:`~layerscope.geometry.measures.MEASURES`, and ``reason`` where a layer has no shape.
    """
    chosen = GeometrySettings.read(settings)
    rows = []
    for name in read_layers(embeddings):
        layer = read_layer(embeddings, name)
        cells = layer.matrix[_sample(layer, seed, chosen.cells)].astype(np.float64)
        about = {
            "condition": condition,
            "model": model,
            "layer": name,
            "depth": depth(name, int(layer.provenance.get("n_layers") or 0)),
            "n_cells": len(cells),
        }
        rows.append(about | measure(cells))
    write_table(output, pd.DataFrame(rows))


def measure(cells: Array) -> dict[str, float | str]:
    """All measures of a layer, and why there are none."""
    if len(cells) < MIN_CELLS:
        reason = f"{len(cells)} cells that the model accepts; {MIN_CELLS} are needed"
        return dict.fromkeys(MEASURES, math.nan) | {"reason": reason}
    reason = "" if varies(cells) else "constant layer: all cells are the same"
    return {name: of(cells) for name, of in MEASURES.items()} | {"reason": reason}


def compare_layers(
    embeddings: str | Path,
    others: Sequence[str | Path],
    condition: str,
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    output: str | Path,
) -> None:
    """Align every layer of a model with every layer of itself and of others, and write a table.

    Parameters
    ----------
    embeddings
        All layers of the model.
    others
        Files of embeddings of the same cells (baselines, other models), named by their file's name.
    condition, model
        Names for the rows.
    settings
        See :class:`GeometrySettings`.
    seed
        Seed of the sample of cells.
    output
        The table to make: ``condition``, ``model``, ``layer``, ``other_model``, ``other_layer``, ``cka``,
        ``n_cells``.

    Raises
    ------
    DataError
        If the files are not of the same cells, or too few cells are accepted by all.
    """
    chosen = GeometrySettings.read(settings)
    files = {model: Path(embeddings), **{Path(other).stem: Path(other) for other in others}}
    first = read_layer(embeddings, read_layers(embeddings)[0])
    order = Chance(seed, first.cell_ids).keys(0).argsort(kind="stable")
    accepted = np.ones(len(order), dtype=bool)
    for path in files.values():
        layer = read_layer(path, read_layers(path)[-1])
        if layer.cell_ids != first.cell_ids:
            raise DataError(
                f"{path}: not the cells of {embeddings}; compare representations of the same cells"
            )
        accepted &= np.isfinite(layer.matrix).all(axis=1)
    sample = np.sort(order[accepted[order]][: chosen.alignment_cells])
    if len(sample) < MIN_CELLS:
        raise DataError(
            f"{embeddings}: {len(sample)} cells are accepted by all models; {MIN_CELLS} are needed"
        )
    own = _layers(files[model], sample)
    rows: list[dict[str, Any]] = []
    for name, path in files.items():
        against = own if name == model else _layers(path, sample)
        found = debiased_cka(list(own.values()), None if name == model else list(against.values()))
        rows += [
            {
                "condition": condition,
                "model": model,
                "layer": layer,
                "other_model": name,
                "other_layer": other,
                "cka": float(found[row, column]),
                "n_cells": len(sample),
            }
            for row, layer in enumerate(own)
            for column, other in enumerate(against)
        ]
    write_table(output, pd.DataFrame(rows))


def _layers(path: Path, sample: NDArray[np.int64]) -> dict[str, Array]:
    return {name: read_layer(path, name).matrix[sample].astype(np.float64) for name in read_layers(path)}


def _sample(layer: Layer, seed: int, size: int) -> NDArray[np.int64]:
    """A random sample of the cells that the model accepts; the same whatever their order."""
    accepted = np.flatnonzero(np.isfinite(layer.matrix).all(axis=1))
    chance = Chance(seed, [layer.cell_ids[index] for index in accepted])
    return np.asarray(accepted[chance.sample(size)])
