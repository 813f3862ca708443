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
from layerscope.cells.guard import ACCEPTED, judge_all, matrix_key, where_counts_are, words
from layerscope.cells.h5ad_file import column_names, open_h5ad, read_column, read_index, read_table
from layerscope.cells.labels import natural_order, shortened, text
from layerscope.cells.readers.h5ad import genes_of
from layerscope.errors import DataError

MIN_LABELS, MAX_LABELS = 2, 60
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
    """A column of the cells' table: the cells of each label, and the standard column that it may be."""

    name: str
    sizes: pd.Series
    numeric: bool
    guess: str


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
    with open_h5ad(path) as file:
        for part in ("obs", "var"):
            if part not in file:
                raise DataError(f"{path.name}: not an h5ad file: it has no {part}")
        cell_ids = read_index(file["obs"])
        n_cells = len(cell_ids)
        everything = np.arange(n_cells)
        judged = judge_all(file, everything)
        columns = [_column(file, name) for name in column_names(file["obs"])]
        key = _most_useful(judged)
        table = read_table(genes_of(file, key))
        genes = identify(table.index.tolist(), table, {}, path.name)
        remedy = where_counts_are(file, "", everything, judged)
    kind = _values(judged[key]) if key in judged else None
    values = [f"{name}: {words(seen)}; {seen.seen()}" for name, seen in judged.items()]
    repeats = n_cells - len(set(cell_ids))
    sections = {
        f"{path.name}: {n_cells:,} cells x {len(genes):,} genes": (
            [f"{repeats:,} cell ids repeat: every cell needs its own name"] if repeats else []
        ),
        "Values": [*(values or ["there is no matrix"]), *([remedy] if remedy and kind != "counts" else [])],
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


def _most_useful(judged: Mapping[str, Fingerprint]) -> str:
    """The first matrix of counts, else of log-normalised, else of normalised values, else X."""
    usable = (name for kinds in ACCEPTED.values() for name, seen in judged.items() if seen.kind in kinds)
    return next(usable, "X")


def _values(seen: Fingerprint) -> str | None:
    return next((values for values, kinds in ACCEPTED.items() if seen.kind in kinds), None)


def _genes(genes: pd.DataFrame) -> list[str]:
    kinds = {"symbol": "symbols", "ensembl_id": "Ensembl ids"}
    held = " and ".join(kinds[name] for name in genes.columns)
    lines = [f"{held}, such as {', '.join(genes.iloc[:3, 0])}; species by their names: {organism(genes)}"]
    repeats = int(genes.iloc[:, 0].duplicated().sum())
    if repeats:
        lines.append(f"{repeats} names repeat (models add their counts up)")
    mitochondrial = is_mitochondrial(genes)
    if mitochondrial is None:
        return [*lines, "no symbols: the mitochondrial filter cannot be applied"]
    return [*lines, f"{int(mitochondrial.sum())} mitochondrial genes (MT-)"]


def _column(file: h5py.File, name: str) -> Column:
    column = read_column(file["obs"], name)
    labels = pd.Series(text(column))
    sizes = labels[labels != ""].value_counts()
    numeric = column.dtype.kind == "f" or (column.dtype.kind in "iu" and len(sizes) > MAX_LABELS)
    return Column(name, sizes, numeric, _guess(name, sizes, numeric))


def _guess(name: str, sizes: pd.Series, numeric: bool) -> str:
    if numeric:
        return "reference_pseudotime" if re.search(r"pseudotime|dpt", name, re.I) else ""
    if len(sizes) < MIN_LABELS:
        return ""
    if any(CONTROL.match(label) for label in sizes.index) and not re.search("guide|sgrna", name, re.I):
        return "perturbation"
    for standard, pattern in NAMES:
        few_enough = len(sizes) <= MAX_LABELS or standard in ("clone", "guide", "perturbation")
        if few_enough and re.search(pattern, name, re.I):
            return standard
    return ""


def _line(column: Column) -> str:
    guess = f"  [{column.guess}?]" if column.guess else ""
    if column.numeric:
        return f"{column.name}: numbers{guess}"
    many = len(column.sizes) > 6
    largest = column.sizes.iloc[: 4 if many else 6].items()
    shown = ", ".join(f"{shortened(label)} ({size:,})" for label, size in largest) or "empty"
    return f"{column.name}: {f'{len(column.sizes):,} labels: {shown} ...' if many else shown}{guess}"


def _first(columns: Iterable[Column], standard: str) -> Column | None:
    """The column that is perhaps the standard one: that of the same name, else the first."""
    guessed = [column for column in columns if column.guess == standard]
    return next((column for column in guessed if column.name == standard), guessed[0] if guessed else None)


def _control(column: Column | None) -> str | None:
    labels = column.sizes.index if column is not None else []
    return next((str(label) for label in labels if CONTROL.match(str(label))), None)


def _tasks(columns: Sequence[Column]) -> list[str]:
    types = _first(columns, "cell_type")
    trajectory = "needs a column of time or of cell type to name the root"
    if start := _first(columns, "time") or types:
        trajectory = f"possible (root: say which label of {start.name} is the start)"
    perturbation = "needs a column that names each cell's perturbation; none looks like one"
    if target := _first(columns, "perturbation"):
        perturbation = (
            f"{target.name} may name perturbations, but no label looks like a control: set `control`"
        )
        if control := _control(target):
            perturbation = f"possible ({target.name}, control {control!r})"
    cell_type = "needs a column of cell types; none looks like one"
    if types:
        apart = _first(columns, "donor") or _first(columns, "batch")
        across = f"tested across {apart.name}" if apart else "no donor or batch to test across"
        cell_type = f"possible ({types.name}, {across})"
    return [f"trajectory: {trajectory}", f"perturbation: {perturbation}", f"cell_type: {cell_type}"]


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
    standard = dict.fromkeys(column.guess for column in columns if column.guess)
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
