"""What every reader hands on: cells of one file, their standard columns, and rows of values on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from layerscope.cells.canonical import FLAG_COLUMNS, STANDARD_COLUMNS, TEXT_COLUMNS, TRUTH_PREFIX
from layerscope.cells.labels import among, natural_order, shortened, text
from layerscope.cells.matrix import RowMatrix
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError
from layerscope.tasks.catalogue import TASKS

Step = tuple[str, str, np.ndarray]


@dataclass
class SourceCells:
    """Cells of one file, before any cell was left out."""

    name: str
    obs: pd.DataFrame
    """Standard columns, indexed by cell id."""
    var: pd.DataFrame
    """``symbol`` and/or ``ensembl_id``, indexed by unique gene names."""
    matrix: RowMatrix
    matrix_name: str = "X"
    left_out: list[Step] = field(default_factory=list)
    """Steps that leave cells out, in order: name, threshold, and the cells that pass."""
    root_cell: str | None = None
    """Id of the one root cell that the data name."""
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    """Key and label that the settings name and no cell of this file carries, and the message to give if no
    other file of the condition has the label either."""
    counts_elsewhere: Callable[[np.ndarray], str] = lambda _: ""
    """Says where the counts of these cells probably are, when the matrix is refused."""
    remarks: list[str] = field(default_factory=list)
    """What a reader of the log should know."""
    used_columns: list[str] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    """What had been left out when the file was cut from a larger one: rows of the summary."""

    @property
    def where(self) -> str:
        """The file and its matrix, for messages."""
        return f"{self.name}: {self.matrix_name}"


ReadColumn = Callable[[str], pd.Series]


def subset_steps(columns: Columns, settings: CellSettings) -> list[Step]:
    """The settings' ``subset`` and ``exclude`` as steps that leave cells out."""
    steps: list[Step] = []
    for key, wanted in (("subset", settings.subset), ("exclude", settings.exclude)):
        for column, labels in wanted.items():
            values = columns.labels(column, f"{key}: {column}")
            columns.expect(labels, values, column, f"{key}: {column}")
            carries, names = _is_one_of(values, labels), ", ".join(labels)
            steps.append((column, names, carries) if key == "subset" else (column, f"not {names}", ~carries))
    return steps


def kept_by(steps: Sequence[Step], n_cells: int) -> np.ndarray:
    """Which cells pass all steps, shape ``(n_cells,)``, bool."""
    kept = np.ones(n_cells, dtype=bool)
    for _, _, keep in steps:
        kept &= keep
    return kept


class Columns:
    """The columns of one file's cells, read by name, with messages that say what there is.

    ``also`` names what can be read beside the ``available`` columns, and is not listed in messages.
    """

    def __init__(
        self, name: str, available: Sequence[str], read: ReadColumn, also: Sequence[str] = ()
    ) -> None:
        self.name, self.available, self._read, self._also = name, list(available), read, list(also)
        self.absent: dict[tuple[str, str], str] = {}
        self.used: dict[str, None] = {}

    def __contains__(self, column: object) -> bool:
        return column in self.available

    def column(self, column: str, key: str) -> pd.Series:
        """Read a column, or refuse it with the columns that there are; ``key`` of the settings names it."""
        if column not in (*self.available, *self._also):
            raise DataError(
                f"{self.name}: no column {column!r} in obs; {among(column, self.available)}. Mend `{key}`"
            )
        self.used[column] = None
        return self._read(column)

    def labels(self, column: str, key: str, missing: Sequence[str] = ()) -> np.ndarray:
        """Read a column as labels, see :func:`layerscope.cells.labels.text`."""
        return text(self.column(column, key), missing)

    def expect(self, wanted: Iterable[str], values: np.ndarray, column: str, key: str) -> None:
        """Note in ``absent`` the labels that no cell carries, with what there is and the key to mend."""
        present = set(values)
        for label in wanted:
            if label not in present:
                choices = among(label, natural_order(value for value in present if value))
                problem = f"{self.name}: no cell is labelled {shortened(label)!r} in column {column!r}"
                self.absent[key, label] = f"{problem}; {choices}. Mend `{key}`"


def _is_one_of(values: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    carries: np.ndarray = pd.Index(values).isin(list(labels))
    return carries


def standard_obs(
    cell_ids: Sequence[str], columns: Columns, settings: CellSettings, used: np.ndarray
) -> pd.DataFrame:
    """Make the standard columns of a file's cells, as the settings say.

    ``settings.columns`` maps standard names to the file's; a column that has a standard name already is taken
    unless it is mapped to null, and columns that start with ``true_`` pass through. Labels are expected among
    the ``used`` cells.
    """
    chosen = _chosen_columns(columns, settings)
    standard: dict[str, object] = {}
    for name, column in chosen.items():
        key = f"columns: {name}"
        if name in TEXT_COLUMNS:
            standard[name] = columns.labels(column, key, settings.missing)
        elif name == "time":
            labels = columns.labels(column, key, settings.missing)
            standard[name] = _time(labels, used, settings, columns.name)
        elif name == "reference_pseudotime":
            standard[name] = _numbers(columns, column, key)
        elif name in FLAG_COLUMNS:
            standard[name] = flag(columns, column, key)
        else:
            standard[name] = columns.column(column, key).to_numpy()
    obs = pd.DataFrame(standard, index=pd.Index(cell_ids, dtype=object))
    _add_control(obs, columns, settings, used)
    _add_root(obs, columns, settings, used)
    return obs


def _chosen_columns(columns: Columns, settings: CellSettings) -> dict[str, str]:
    for name in settings.columns:
        if name not in STANDARD_COLUMNS:
            raise ConfigError(f"columns: unknown key {name!r}; {among(name, STANDARD_COLUMNS)}")
    chosen = {name: name for name in STANDARD_COLUMNS if name in columns}
    chosen |= {name: name for name in columns.available if name.startswith(TRUTH_PREFIX)}
    for name, column in settings.columns.items():
        chosen.pop(name, None)
        if column is not None:
            chosen[name] = column
    for name in TASKS[settings.task].columns if settings.task else ():
        if name not in chosen:
            raise ConfigError(f"{columns.name}: set `columns: {name}`; {among(name, columns.available)}")
    return chosen


def _time(labels: np.ndarray, used: np.ndarray, settings: CellSettings, where: str) -> pd.Categorical:
    present = set(labels[used]) - {""}
    order = [label for label in settings.time_order if label in present] or natural_order(present)
    unlisted = natural_order(present - set(order))
    if unlisted:
        raise ConfigError(
            f"{where}: time_order does not list {', '.join(map(repr, unlisted))}; "
            f"there are {', '.join(natural_order(present))}"
        )
    return pd.Categorical(labels, categories=order, ordered=True)


def _numbers(columns: Columns, column: str, key: str) -> np.ndarray:
    labels = columns.labels(column, key)
    parsed = pd.to_numeric(columns.column(column, key).astype(object), errors="coerce")
    numbers: np.ndarray = parsed.to_numpy(dtype=np.float64)
    words = list(dict.fromkeys(labels[(labels != "") & np.isnan(numbers)]))
    if words:
        few = ", ".join(repr(shortened(label)) for label in words[:3])
        raise DataError(f"{columns.name}: column {column!r} must hold numbers, found {few}. Mend `{key}`")
    return numbers


def flag(columns: Columns, column: str, key: str) -> np.ndarray:
    """Read a column of true and false, however they are written; missing is false."""
    values = columns.labels(column, key)
    flags = {"true": True, "1": True, "false": False, "0": False, "": False}
    unknown = sorted({str(value) for value in values if str(value).casefold() not in flags})
    if unknown:
        few = ", ".join(map(shortened, unknown[:3]))
        raise DataError(
            f"{columns.name}: column {column!r} must hold true or false, found {few}. Mend `{key}`"
        )
    return np.array([flags[str(value).casefold()] for value in values], dtype=bool)


def _add_control(obs: pd.DataFrame, columns: Columns, settings: CellSettings, used: np.ndarray) -> None:
    if "perturbation" not in obs or not settings.control:
        if settings.task == "perturbation" and "is_control" not in obs:
            raise ConfigError(f"{columns.name}: set `control`: the label(s) of non-targeting cells")
        return
    values = obs["perturbation"].to_numpy()
    columns.expect(
        settings.control, values[used], settings.columns.get("perturbation") or "perturbation", "control"
    )
    obs["is_control"] = _is_one_of(values, settings.control)


def _add_root(obs: pd.DataFrame, columns: Columns, settings: CellSettings, used: np.ndarray) -> None:
    if not settings.root:
        return
    root = np.ones(len(obs), dtype=bool)
    for name, labels in settings.root.items():
        if name in obs:
            values = obs[name].astype(object).fillna("").to_numpy()
        else:
            values = columns.labels(name, f"root: {name}")
        columns.expect(labels, values[used], name, f"root: {name}")
        root &= _is_one_of(values, labels)
    obs["is_root"] = root
