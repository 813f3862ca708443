"""Which matrix of an h5ad file holds the counts: by its kind, its name, and what ``X`` was made from."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from scipy import sparse

from layerscope.cells.fingerprint import LOGARITHMS, Fingerprint, Inverse
from layerscope.cells.guard import SAMPLE, judge
from layerscope.cells.h5ad_file import Table, column_names, read_column, unknown_filter
from layerscope.cells.matrix import sample_rows, stored_rows
from layerscope.cells.recovery import RecoveredCounts, decimals_of
from layerscope.cells.settings import Recovery
from layerscope.errors import DataError

TOTALS = ("total_counts", "n_counts", "nCount_RNA", "ncounts", "n_umi", "nUMI", "total_umis")
LAYERS = "layers/"
TOTAL_LAYERS = (
    r"counts?",
    r"raw[\W_]*(counts?|umis?)?",
    r"umis?([\W_]*counts?)?",
    r"matrix",
    r"total([\W_]*counts?)?",
)
SPLICED = r"spliced|mature|exon(ic)?"
SPLICED_LACKS = " (it lacks the unspliced counts, which belong to a cell's total)"
UNDO: dict[str, tuple[Inverse, ...]] = {
    **{kind: (inverse,) for kind, inverse, _ in LOGARITHMS},
    "log_counts": tuple(inverse for _, inverse, _ in LOGARITHMS),
    "square_root": (np.square,),
    "normalised": (lambda values: values,),
}
"""How values are perhaps led back to what they were before a logarithm, by their kind."""
N_COMPARED = 100
ALIKE = 1e-2
MIN_SHARE_ALIKE = 0.99


@dataclass(frozen=True)
class Choice:
    """The matrix that holds the counts, ``""`` where none can be chosen, and what to say of it."""

    name: str
    words: str = ""

    def remedy(self) -> str:
        """What a study is to say, where something can be said."""
        if self.name:
            return f"{self.name} holds whole numbers: set `matrix: {matrix_key(self.name)}`{self.words}"
        return f"{self.words}: set `matrix` to the one that holds the raw counts" if self.words else ""


@dataclass(frozen=True)
class Recoverable:
    """A matrix from whose values counts can be recovered, and what a study writes as `recover_counts`."""

    name: str
    key: dict[str, Any]

    def __str__(self) -> str:
        decimals = self.key.get("decimals")
        rounded = f", though its values were rounded to {decimals} decimals" if decimals else ""
        key = yaml.safe_dump(self.key, default_flow_style=True, sort_keys=False, width=200).strip()
        return (
            f"Counts can be recovered exactly from {self.name}{rounded}: set `matrix: "
            f"{matrix_key(self.name)}` and `recover_counts: {key}`"
        )


def judge_all(file: h5py.File, rows: np.ndarray) -> dict[str, Fingerprint]:
    """Fingerprints of all matrices of an h5ad file that can be read, by name."""
    return judge_readable(file, rows)[0]


def judge_readable(file: h5py.File, rows: np.ndarray) -> tuple[dict[str, Fingerprint], dict[str, str]]:
    """The same, and why the others cannot be read."""
    judged, reasons = {}, {}
    for name in matrices(file):
        try:
            judged[name] = judge(stored_rows(file[name]), rows)
        except (OSError, DataError) as error:
            reasons[name] = unknown_filter(file[name]) or str(error)
    return judged, reasons


def where_counts_are(file: h5py.File, used: str, rows: np.ndarray) -> str:
    """Say where in an h5ad file counts probably are, if not in the matrix ``used``; ``""`` if nowhere."""
    judged = judge_all(file, rows)
    counts = choose_counts(file, judged, rows, used)
    return counts.remedy() or str(recoverable_counts(file, judged, rows) or "")


def recoverable_counts(
    file: h5py.File, judged: Mapping[str, Fingerprint], rows: np.ndarray
) -> Recoverable | None:
    """The first matrix from which the counts of a sample of its cells can be recovered."""
    columns = column_names(file["obs"])
    total = next((column for column in TOTALS if column in columns), None)
    if total is None:
        return None
    totals = pd.to_numeric(read_column(file["obs"], total), errors="coerce").to_numpy(dtype=np.float64)
    chosen = rows[sample_rows(len(rows), SAMPLE)]
    for name, seen in judged.items():
        if seen.kind not in ("log_normalised", "normalised"):
            continue
        matrix, logged = stored_rows(file[name]), seen.kind == "log_normalised"
        values = np.concatenate([block.data for _, block in matrix.blocks(chosen)])
        key = {"total": total, "per": round(seen.total or 1e4), "logged": logged}
        if decimals := decimals_of(values):
            key["decimals"] = decimals
        with suppress(DataError):
            deque(RecoveredCounts(matrix, totals, Recovery.read(key)).blocks(chosen), maxlen=0)
            return Recoverable(name, key)
    return None


def choose_counts(
    file: h5py.File, judged: Mapping[str, Fingerprint], rows: np.ndarray, used: str = ""
) -> Choice:
    """Choose the matrix of counts, if there is one beside ``used``.

    ``X`` and ``raw`` come before layers. Of several layers whose names say nothing, the one from which ``X``
    was made; ``spliced`` only where there is no total, with a word about what it lacks.
    """
    names = [name for name, seen in judged.items() if seen.kind == "counts" and name != used]
    main = [name for name in names if not name.startswith(LAYERS)]
    usual = [name for pattern in TOTAL_LAYERS for name in names if _named(name, pattern)]
    if main or not names:
        return Choice(next(iter(main), ""))
    sources = _sources(file, names, judged, rows)
    if usual:
        return Choice(next((name for name in usual if name in (sources or ())), usual[0]))
    totals = [name for name in sources or () if not _named(name, SPLICED)]
    if totals or (len(names) == 1 and sources is None):
        return Choice((totals or names)[0])
    spliced = [name for name in names if _named(name, SPLICED)]
    if spliced:
        return Choice(spliced[0], SPLICED_LACKS)
    made = "" if sources is None else ", and X was made from none of them"
    return Choice("", f"Whole numbers are in {', '.join(names)}{made}")


def matrices(file: h5py.File) -> list[str]:
    """Names of the matrices in an h5ad file: ``X``, ``raw/X`` (``raw.X`` in old files), ``layers/NAME``."""
    there = []
    for name in ("X", "raw/X", "raw.X", *(f"layers/{name}" for name in file.get("layers", {}))):
        with suppress(KeyError, OSError, RuntimeError):  # a link may lead in a circle, or nowhere
            there += [name] if name in file and file[name] is not None else []
    return there


def matrix_key(name: str) -> str:
    """What a study writes to name a matrix of the file."""
    return "raw" if name in ("raw/X", "raw.X") else name


def _named(name: str, pattern: str) -> bool:
    return re.fullmatch(pattern, name.removeprefix(LAYERS), re.I) is not None


def _sources(
    file: h5py.File, names: list[str], judged: Mapping[str, Fingerprint], rows: np.ndarray
) -> list[str] | None:
    """Layers proportional to ``X`` in every cell, its logarithm undone; None where ``X`` does not tell."""
    made = judged.get("X")
    if made is None or made.kind not in UNDO:
        return None
    chosen = rows[sample_rows(len(rows), N_COMPARED)]
    x = _dense(file["X"], chosen)
    before = [inverse(x) for inverse in UNDO[made.kind]]
    layers = {name: _dense(file[name], chosen) for name in names}
    return [n for n, counts in layers.items() if any(_are_proportional(values, counts) for values in before)]


def _dense(stored: Table, rows: np.ndarray) -> np.ndarray:
    blocks = [block for _, block in stored_rows(stored).blocks(rows)]
    values: np.ndarray = sparse.vstack(blocks).toarray().astype(np.float64)
    return values


def _are_proportional(values: np.ndarray, counts: np.ndarray) -> bool:
    """Whether each row of values is the row of counts times a number."""
    if values.shape != counts.shape:
        return False
    factor = values.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    expected = counts * factor[:, None]
    seen = (values > 0) | (counts > 0)
    alike = np.abs(values - expected) <= ALIKE * np.maximum(expected, values)
    return bool(seen.any() and alike[seen].mean() >= MIN_SHARE_ALIKE)
