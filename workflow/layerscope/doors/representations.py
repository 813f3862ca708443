"""What a call may give as layers: those of ``embed``, a mapping of arrays, or names of arrays in ``obsm``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from layerscope.doors.cells import Cells, as_array, names_of, stored_embedding
from layerscope.doors.layers import Layers
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import Layer
from layerscope.models.catalogue import FAMILIES
from layerscope.settings import NAME
from layerscope.statistics.evidence import Model
from layerscope.tables import OFFICIAL

One: TypeAlias = Layers | Mapping[str, Any] | str | Path
Given: TypeAlias = One | Sequence[One]
BLOCK = r"(?:layers?|blocks?)[_.: -]?(?P<number>\d{1,3})"
NUMBERED = re.compile(rf"(?:(?P<model>.+?)[_.:/ -]+)?{BLOCK}", re.IGNORECASE)
LAST = re.compile(rf"(?:(?P<model>.+?)[_.:/ -]+)?{OFFICIAL}", re.IGNORECASE)


@dataclass(frozen=True)
class Representation:
    """The layers of one model, to score: arrays (or what holds them) by layer name."""

    model: Model
    layers: Mapping[str, Any]
    names: list[str]  # of the cells, in the order of the rows
    provenance: Mapping[str, Any]

    def layer(self, name: str, cell_ids: pd.Index) -> Layer:
        """A layer of these cells, in their order; a DataError if it lacks a vector for one of them."""
        where = f"{self.model.name}, layer {name}"
        values, names = self.layers[name], self.names
        if isinstance(values, pd.DataFrame) and not isinstance(values.index, pd.RangeIndex):
            names = [str(cell) for cell in values.index]
        matrix = as_array(values)
        if matrix.ndim != 2 or len(matrix) != len(names):
            raise DataError(
                f"{where}: found the shape {matrix.shape}; expected a row for each of {len(names):,} cells"
            )
        if matrix.dtype.kind not in "biuf":
            raise DataError(f"{where}: found values of type {matrix.dtype}; expected numbers")
        rows = _rows(names, cell_ids, where)
        chosen = matrix[rows].astype(np.float32, copy=False)
        if np.isinf(chosen).any():
            raise DataError(f"{where}: a value is infinite (in float32); expected finite numbers, or NaN")
        return Layer([str(cell) for cell in cell_ids], chosen, dict(self.provenance))


def _rows(names: Sequence[str], cell_ids: pd.Index, where: str) -> Any:
    index = pd.Index(names, dtype=object)
    if not index.is_unique:
        raise DataError(f"{where}: names of cells repeat, such as {index[index.duplicated()][0]!r}")
    rows = index.get_indexer(cell_ids)
    if (rows < 0).any():
        missing = cell_ids[rows < 0]
        raise DataError(
            f"{where}: {len(missing):,} of {len(cell_ids):,} cells have no row, such as {missing[0]!r}; "
            "embed the cells that are scored"
        )
    return rows


def representations(given: Given, cells: Cells, name: str) -> list[Representation]:
    """What is given as layers, model by model.

    Keys such as ``layer_07``, ``scgpt_layer_07``, ``07`` or ``official`` are layers: of the model that they
    begin with, else of ``name``. Any other key is a model of its own with the layer ``official``.
    """
    listed = [given] if isinstance(given, Layers | Mapping | str | Path) else list(given)
    models: list[Representation] = []
    arrays: dict[str, Any] = {}
    for layers in listed:
        if isinstance(layers, Layers | Path):
            models.append(_of_layers(layers if isinstance(layers, Layers) else Layers(layers)))
        elif isinstance(layers, Mapping):
            arrays |= _once(layers, arrays)
        elif isinstance(layers, str):
            arrays |= _once({layers: stored_embedding(cells, layers)}, arrays)
        else:
            raise ConfigError(
                f"layers: found a {type(layers).__name__}; expected the result of embed, a mapping of arrays "
                "or names of arrays in obsm"
            )
    models += _of_arrays(arrays, cells, name) if arrays else []
    names = [representation.model.name for representation in models]
    twice = [model for model in names if names.count(model) > 1]
    if not names:
        raise ConfigError("layers: none are given")
    if twice:
        raise ConfigError(f"layers: the model {twice[0]!r} comes twice; give one of them another name")
    return models


def _once(more: Mapping[str, Any], arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    twice = [key for key in more if key in arrays]
    if twice:
        raise ConfigError(f"layers: {twice[0]!r} comes twice")
    return {str(key): value for key, value in more.items()}


def _of_layers(layers: Layers) -> Representation:
    about = layers.provenance
    n_layers, control = int(about.get("n_layers") or 0), str(about.get("control") or "")
    kind = "control" if control else "foundation" if n_layers else "baseline"
    model = Model(layers.model, kind, n_layers, control, layers.of)
    return Representation(model, layers, layers.cell_ids, about)


def _of_arrays(arrays: Mapping[str, Any], cells: Cells, name: str) -> list[Representation]:
    models: dict[str, dict[str, Any]] = {}
    for key, values in arrays.items():
        model, layer = model_and_layer(key, name)
        models.setdefault(model, {})
        if layer in models[model]:
            raise ConfigError(f"layers: layer {layer} of {model} comes twice, the second time as {key!r}")
        models[model][layer] = values
    cell_ids, representations = names_of(cells), []
    for name, layers in models.items():
        n_layers = max((int(layer) for layer in layers if layer != OFFICIAL), default=0)
        family = name if name in FAMILIES and not FAMILIES[name].foundation else ""
        about = {"model": name, "n_layers": n_layers, "family": family}
        known = Model(name, "foundation" if n_layers else "baseline", n_layers)
        representations.append(Representation(known, dict(sorted(layers.items())), cell_ids, about))
    return representations


def model_and_layer(key: str, name: str) -> tuple[str, str]:
    """Model and layer that a key stands for; ``name`` is the model where the key names none."""
    bare = key.removeprefix("obsm/").removeprefix("X_")
    if bare.isdecimal() and len(bare) <= 3:
        return name, f"{int(bare):02d}"
    if numbered := NUMBERED.fullmatch(bare):
        return _checked(numbered["model"] or name, key), f"{int(numbered['number']):02d}"
    if last := LAST.fullmatch(bare):
        return _checked(last["model"] or name, key), OFFICIAL
    return _checked(key.removeprefix("obsm/"), key), OFFICIAL


def _checked(model: str, key: str) -> str:
    if not NAME.fullmatch(model):
        raise ConfigError(
            f"layers: {key!r} names a model in tables: expected letters, digits, '_', '.', '+' and '-', "
            "starting with a letter or digit"
        )
    return model


def described(models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """Models as figures want them described."""
    described = {}
    for model in models:
        about = {"kind": model.kind, "layers": model.n_layers, "control": model.control, "of": model.of}
        described[model.name] = about | {"title": model.name}
    return described
