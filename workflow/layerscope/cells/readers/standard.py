"""The standard columns of a file's cells, made of the columns that it has."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerscope.cells.controls import control_labels
from layerscope.cells.labels import among, natural_order, text
from layerscope.cells.readers.columns import Columns, is_one_of
from layerscope.cells.settings import (
    FLAG_COLUMNS,
    STANDARD_COLUMNS,
    TEXT_COLUMNS,
    TRUTH_PREFIX,
    CellSettings,
)
from layerscope.cells.time_labels import Order, order_times
from layerscope.errors import ConfigError
from layerscope.tasks.catalogue import TASKS

LOG = logging.getLogger(__name__)


def standard_obs(
    cell_ids: Sequence[str], columns: Columns, settings: CellSettings, used: np.ndarray
) -> pd.DataFrame:
    """Make the standard columns of a file's cells, as the settings say.

    ``settings.columns`` maps standard names to the file's; a column that has a standard name already is taken
    unless it is mapped to null, and columns that start with ``true_`` pass through. Labels are expected among
    the ``used`` cells.
    """
    standard: dict[str, np.ndarray | pd.Categorical] = {}
    for name, column in _chosen_columns(columns, settings).items():
        standard[name] = _standard(name, column, columns, settings, used)
    if "time" in standard and not settings.uses_time and pd.isna(standard["time"]).all():
        del standard["time"]
    obs = pd.DataFrame(standard, index=pd.Index(cell_ids, dtype=object))
    _add_control(obs, columns, settings, used)
    _add_root(obs, columns, settings, used)
    return obs


def _standard(
    name: str, column: str, columns: Columns, settings: CellSettings, used: np.ndarray
) -> np.ndarray | pd.Categorical:
    key = f"columns: {name}"
    if name in TEXT_COLUMNS or name in settings.labels:
        named = settings.control if name == "perturbation" else settings.root.get(name, ())
        return columns.labels(column, key, settings.missing, named)
    if name == "time":
        return _time(column, columns, settings, used)
    if name == "reference_pseudotime":
        return columns.numbers(column, key)
    if name in FLAG_COLUMNS:
        return columns.flags(column, key)
    return columns.column(column, key).to_numpy()


def _chosen_columns(columns: Columns, settings: CellSettings) -> dict[str, str]:
    chosen = {name: name for name in STANDARD_COLUMNS if name in columns}
    chosen |= {name: name for name in columns.available if name.startswith(TRUTH_PREFIX)}
    for name, column in settings.columns.items():
        chosen.pop(name, None)
        if column is not None:
            chosen[name] = column
    chosen |= {name: name for name in settings.labels if name not in chosen}
    for name in (*(TASKS[settings.task].columns if settings.task else ()), *settings.needed):
        if name not in chosen:
            key = f"`columns: {name}`" if name in STANDARD_COLUMNS else f"`labels: [{name}]`"
            raise ConfigError(f"{columns.name}: set {key}; {among(name, columns.available)}")
    return chosen


def _time(column: str, columns: Columns, settings: CellSettings, used: np.ndarray) -> pd.Categorical:
    """Sampling times, ordered as the settings say, else as the file does, else as the labels read."""
    values = columns.column(column, "columns: time")
    named = (*settings.time_order, *settings.root.get("time", ()))
    labels = columns.as_labels(values, column, settings.missing, named)
    present = set(labels[used]) - {""}
    if settings.time_order:
        order = [label for label in settings.time_order if label in present]
        unlisted = natural_order(present - set(order))
        if unlisted:
            raise ConfigError(
                f"{columns.name}: time_order does not list {', '.join(map(repr, unlisted))}; "
                f"there are {', '.join(natural_order(present))}"
            )
        return pd.Categorical(labels, categories=order, ordered=True)
    listed: list[str] = []
    if isinstance(values.dtype, pd.CategoricalDtype):
        not_missing = (*settings.not_missing, *named)
        categories = text(pd.Series(values.cat.categories), settings.missing, not_missing)
        listed = [label for label in dict.fromkeys(categories) if label in present]
    if listed and values.cat.ordered:
        columns.stored_times = tuple(listed)
        read = order_times(present)
        if settings.uses_time and not (read.guess or read.conflict) and read.labels != listed:
            orders = f"{Order(listed)}, though they read as {read}"
            LOG.warning(
                "%s: column %r is ordered %s: if wrong, set `time_order`", columns.name, column, orders
            )
        return pd.Categorical(labels, categories=listed, ordered=True)
    order = time_order(present, listed, f"{columns.name}: column {column!r}", settings)
    return pd.Categorical(labels, categories=order, ordered=True)


def time_order(present: set[str], listed: Sequence[str], where: str, settings: CellSettings) -> list[str]:
    """Times as their labels read; guesses are said, and what has no order is refused where order counts."""
    order = order_times(present, listed)
    if order.conflict and settings.uses_time:
        raise ConfigError(f"{where}: {order.conflict}, so they have no order: set `time_order`")
    doubt = order.guess or order.conflict
    if doubt and (settings.uses_time or "time" in settings.columns):
        LOG.warning("%s: the order %s is a guess: %s. Set `time_order`", where, order, doubt)
    return order.labels


def _add_control(obs: pd.DataFrame, columns: Columns, settings: CellSettings, used: np.ndarray) -> None:
    if "perturbation" not in obs or not settings.control:
        if settings.of_screens and "is_control" not in obs:
            raise ConfigError(f"{columns.name}: set `control`: the label(s) of non-targeting cells")
        return
    values = obs["perturbation"].to_numpy()
    column = settings.columns.get("perturbation") or "perturbation"
    columns.expect(settings.control, values[used], column, "control")
    if alike := control_labels(natural_order(set(values[used]) - {"", *settings.control})):
        LOG.warning(
            "%s: column %r: %s look like controls, and count as perturbations: name them in `control`",
            columns.name, column, ", ".join(map(repr, alike[:5])) + (" ..." if len(alike) > 5 else ""),
        )  # fmt: skip
    obs["is_control"] = is_one_of(values, settings.control)


def _add_root(obs: pd.DataFrame, columns: Columns, settings: CellSettings, used: np.ndarray) -> None:
    if not settings.root:
        return
    root = np.ones(len(obs), dtype=bool)
    for name, labels in settings.root.items():
        if name in obs:
            values = obs[name].astype(object).fillna("").to_numpy()
        else:
            values = columns.labels(name, f"root: {name}", named=labels)
        columns.expect(labels, values[used], name, f"root: {name}")
        root &= is_one_of(values, labels)
    obs["is_root"] = root
