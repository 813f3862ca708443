"""Cells of several files put one after the other: their tables, and the genes that all of them have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerscope.cells.readers.source import SourceCells
from layerscope.cells.readers.standard import time_order
from layerscope.cells.settings import CellSettings
from layerscope.errors import DataError


def joined_obs(sources: Sequence[SourceCells], settings: CellSettings) -> pd.DataFrame:
    """The standard columns of all cells; a DataError if cell ids repeat."""
    if len(sources) == 1:
        obs = sources[0].obs
    else:
        obs = pd.concat([source.obs for source in sources])
        if "time" in obs:
            times = obs["time"].astype(object).fillna("")
            order = _joined_times(set(times) - {""}, sources, settings)
            obs["time"] = pd.Categorical(times, categories=order, ordered=True)
    if not obs.index.is_unique:
        few = ", ".join(obs.index[obs.index.duplicated()][:3])
        raise DataError(f"{sources[0].name}: cell ids repeat, such as {few}; every cell needs its own name")
    return obs


def _joined_times(present: set[str], sources: Sequence[SourceCells], settings: CellSettings) -> Sequence[str]:
    """As the settings order times, else as a file does that has them all, else as their labels read."""
    if settings.time_order:
        return [label for label in settings.time_order if label in present]
    orders = {source.stored_times for source in sources if source.stored_times}
    for order in sorted(orders):
        # the other files' orders are parts of it
        if present <= set(order) and all([t for t in order if t in part] == list(part) for part in orders):
            return order
    return time_order(present, (), " and ".join(source.name for source in sources), settings)


def joined_genes(sources: Sequence[SourceCells]) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    """The genes that all files have, and their columns in each; None where these are all."""
    first = sources[0].var
    if all(source.var.index.equals(first.index) for source in sources):
        return first, [None] * len(sources)
    shared = first.index
    for source in sources[1:]:
        shared = shared[shared.isin(source.var.index)]
    if not len(shared):
        names = ", ".join(source.name for source in sources)
        raise DataError(f"the inputs have no gene in common: {names}")
    return first.loc[shared], [source.var.index.get_indexer(shared) for source in sources]
