"""What an h5ad file holds, in plain words, and which tasks and models can use it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.fingerprint import Fingerprint
from layerscope.cells.genes import identify, is_mitochondrial, organism
from layerscope.cells.guard import ACCEPTED, judge, matrices, matrix_key, where_counts_are, words
from layerscope.cells.h5ad_file import column_names, open_h5ad, read_column, read_index, read_table
from layerscope.cells.labels import natural_order, shortened, text
from layerscope.cells.matrix import stored_rows
from layerscope.cells.readers.h5ad import genes_of
from layerscope.errors import DataError

FEW, MANY = 2, 60
CONTROL = re.compile(
    r"^(control|ctrl|nt|ntc|non[-_ ]?targeting|negctrl|neg(ative)?[-_ ]?(ctrl|control)|scramble)\b", re.I
)
NAMES: tuple[tuple[str, str], ...] = (
    ("time", r"time|day|hour|week|stage"),
    ("perturbation", r"perturb|target|^condition$|^gene$"),
    ("guide", r"guide|sgrna"),
    ("clone", r"clone|barcode|lineage"),
    ("cell_type", r"cell_?type|annot|label|state|def_lab"),
    ("replicate", r"^rep"),
    ("donor", r"donor|patient|subject|individual"),
    ("batch", r"batch|sample|lane|library"),
)


class Needs(Protocol):
    """What a model needs of cells: see ``layerscope.models.catalogue.Family``."""

    @property
    def values(self) -> Collection[str]:
        """``counts``, ``log_normalised`` or both."""

    @property
    def identifiers(self) -> str:
        """``symbol``, ``ensembl`` or ``any``."""


@dataclass(frozen=True)
class Column:
    """A column of the cells' table: its name, labels with their numbers of cells, and what it may be."""

    name: str
    sizes: pd.Series
    numeric: bool
    perhaps: str


def check(path: str | Path, models: Mapping[str, Needs]) -> str:
    """Describe an h5ad file.

    Parameters
    ----------
    path
        The file.
    models
        What each model needs, by name.

    Returns
    -------
    Plain text: values, genes, columns, tasks, models, and a start for the configuration.

    Raises
    ------
    DataError
        If the file is no h5ad file.
    """
    path = Path(path)
    with open_h5ad(path) as stored:
        for part in ("obs", "var"):
            if part not in stored:
                raise DataError(f"{path.name}: not an h5ad file: it has no {part}")
        cell_ids = read_index(stored["obs"])
        n_cells = len(cell_ids)
        found = {name: _judge(stored, name, n_cells) for name in matrices(stored)}
        columns = [_column(stored, name) for name in column_names(stored["obs"])]
        best = _best(found)
        key = best or "X"
        table = genes_of(stored, key)
        genes = identify(read_index(table), read_table(table), {}, path.name)
        remedy = where_counts_are(stored, "", np.arange(n_cells))
    kind = _values(found[key]) if key in found else None
    sections = {
        f"{path.name}: {n_cells:,} cells x {len(genes):,} genes": _repeats(cell_ids),
        "Values": [*_said(found), *([remedy] if remedy and kind != "counts" else [])],
        "Genes": _genes(genes),
        "Columns of the cells (what each may be is a guess by its name)": [
            _line(column) for column in columns
        ],
        "Tasks": _tasks(columns),
        "Models": _models(kind, genes, models),
        "A start for config/datasets.yaml": _entry(path, key, kind, columns),
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items()
    )


def _repeats(cell_ids: Sequence[str]) -> list[str]:
    repeats = len(cell_ids) - len(set(cell_ids))
    return [f"{repeats:,} cell ids repeat: every cell needs its own name"] if repeats else []


def _judge(stored: h5py.File, name: str, n_cells: int) -> Fingerprint:
    return judge(stored_rows(stored[name]), np.arange(n_cells))


def _best(found: Mapping[str, Fingerprint]) -> str | None:
    for kinds in ACCEPTED.values():
        for name, fingerprint in found.items():
            if fingerprint.kind in kinds:
                return name
    return None


def _values(found: Fingerprint) -> str | None:
    return next((values for values, kinds in ACCEPTED.items() if found.kind in kinds), None)


def _said(found: Mapping[str, Fingerprint]) -> list[str]:
    return [f"{name}: {words(seen)}; {seen.seen()}" for name, seen in found.items()] or ["there is no matrix"]


def _genes(genes: pd.DataFrame) -> list[str]:
    kinds = {"symbol": "symbols", "ensembl_id": "Ensembl ids"}
    held = " and ".join(kinds[name] for name in genes.columns)
    mitochondrial = is_mitochondrial(genes)
    lines = [f"{held}, such as {', '.join(genes.iloc[:3, 0])}; species by their names: {organism(genes)}"]
    repeats = int(genes.iloc[:, 0].duplicated().sum())
    if repeats:
        lines.append(f"{repeats} names repeat (models add their counts up)")
    if mitochondrial is None:
        lines.append("no symbols: the mitochondrial filter cannot be applied")
    else:
        lines.append(f"{int(mitochondrial.sum())} mitochondrial genes (MT-)")
    return lines


def _column(stored: h5py.File, name: str) -> Column:
    column = read_column(stored["obs"], name)
    labels = pd.Series(text(column))
    sizes = labels[labels != ""].value_counts()
    numeric = column.dtype.kind == "f" or (column.dtype.kind in "iu" and len(sizes) > MANY)
    return Column(name, sizes, numeric, _perhaps(name, sizes, numeric))


def _perhaps(name: str, sizes: pd.Series, numeric: bool) -> str:
    if numeric:
        return "reference_pseudotime" if re.search(r"pseudotime|dpt", name, re.I) else ""
    if len(sizes) < FEW:
        return ""
    if any(CONTROL.match(label) for label in sizes.index) and not re.search("guide|sgrna", name, re.I):
        return "perturbation"
    for standard, pattern in NAMES:
        few_enough = len(sizes) <= MANY or standard in ("clone", "guide", "perturbation")
        if few_enough and re.search(pattern, name, re.I):
            return standard
    return ""


def _line(column: Column) -> str:
    guess = f"  [{column.perhaps}?]" if column.perhaps else ""
    if column.numeric:
        return f"{column.name}: numbers{guess}"
    shown = ", ".join(f"{shortened(label)} ({size:,})" for label, size in column.sizes.items() if size)
    if len(column.sizes) > 6:
        largest = ", ".join(f"{shortened(label)} ({size:,})" for label, size in column.sizes.iloc[:4].items())
        shown = f"{len(column.sizes):,} labels: {largest} ..."
    return f"{column.name}: {shown or 'empty'}{guess}"


def _first(columns: Iterable[Column], standard: str) -> Column | None:
    """The column that is perhaps the standard one: that of the same name, else the first."""
    perhaps = [column for column in columns if column.perhaps == standard]
    return next((column for column in perhaps if column.name == standard), perhaps[0] if perhaps else None)


def _control(column: Column | None) -> str | None:
    labels = column.sizes.index if column is not None else []
    return next((str(label) for label in labels if CONTROL.match(str(label))), None)


def _tasks(columns: Sequence[Column]) -> list[str]:
    start = _first(columns, "time") or _first(columns, "cell_type")
    trajectory = "needs a column of time or of cell type to name the root"
    if start is not None:
        trajectory = f"possible (root: say which label of {start.name} is the start)"
    perturbation = _first(columns, "perturbation")
    control = _control(perturbation)
    perturbed = "needs a column that names each cell's perturbation; none looks like one"
    if perturbation is not None:
        perturbed = (
            f"{perturbation.name} may name perturbations, but no label looks like a control: set `control`"
        )
        perturbed = f"possible ({perturbation.name}, control {control!r})" if control else perturbed
    types = _first(columns, "cell_type")
    typed = "needs a column of cell types; none looks like one"
    if types is not None:
        apart = _first(columns, "donor") or _first(columns, "batch")
        tested = f"tested across {apart.name}" if apart else "no donor or batch to test across"
        typed = f"possible ({types.name}, {tested})"
    return [f"trajectory: {trajectory}", f"perturbation: {perturbed}", f"cell_type: {typed}"]


def _models(kind: str | None, genes: pd.DataFrame, models: Mapping[str, Needs]) -> list[str]:
    if kind is None:
        return ["none: no matrix holds counts or normalised values that can be used"]
    values = "counts" if kind == "counts" else "log_normalised"
    lines = []
    for name, needs in models.items():
        lacks = []
        if values not in needs.values:  # noqa: PD011
            lacks.append("it needs raw counts")
        if needs.identifiers == "symbol" and "symbol" not in genes:
            lacks.append("it needs gene symbols")
        if needs.identifiers == "ensembl" and "ensembl_id" not in genes:
            lacks.append("it needs Ensembl ids")
        lines.append(f"{name}: {'no: ' + ' and '.join(lacks) if lacks else 'yes'}")
    if organism(genes) == "mouse":
        lines.append(
            "these are mouse genes: models trained on human genes know them only by their orthologues"
        )
    return lines


def _entry(path: Path, key: str, kind: str | None, columns: Sequence[Column]) -> list[str]:
    standard = dict.fromkeys(column.perhaps for column in columns if column.perhaps)
    mapping = {name: column.name for name in standard if (column := _first(columns, name))}
    lines = ["my_cells:", "  kind: h5ad", f"  source: {{path: {path}}}", f"  values: {kind or 'counts'}"]
    if key != "X":
        lines.append(f"  matrix: {matrix_key(key)}")
    if mapping:
        lines += ["  columns:", *(f"    {name}: {column}" for name, column in mapping.items())]
    time, control = _first(columns, "time"), _control(_first(columns, "perturbation"))
    if time is not None and control is None:
        lines.append(f"  root: {{time: {natural_order(map(str, time.sizes.index))[0]!r}}}")
    if control is not None:
        lines.append(f"  control: {control}")
    return lines
