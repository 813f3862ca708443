"""The score row, and tables that are the same bytes for the same content.

Everything that is measured ends as rows of this one shape, whatever the task, so that figures, statistics and
the report need to know no task by name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from layerscope.errors import DataError
from layerscope.files import BAD_HEADER, refuse_overwriting, whole

OFFICIAL = "official"
CHOSEN_ON, SCORED_ON = "@chosen_on", "@scored_on"
"""Endings of the names under which resamples hold a metric's values on the two halves of each split."""
Status = Literal["ok", "undefined", "not_available"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score of one layer.

    Attributes
    ----------
    condition, model, task, protocol, metric
        What was scored, and how.
    layer
        ``"00"`` (what enters the first block), ``"01"`` ... (each block's output) or ``"official"``.
    depth
        ``(layer - 1) / (layers - 1)`` for numbered layers from 1; NaN otherwise.
    estimate, ci_low, ci_high
        The score and its 95% interval; NaN unless ``status`` is ``"ok"``.
    ceiling, null_mean, p_value
        Noise ceiling, mean under the null, and p-value; NaN where the protocol gives none.
    n_cells, n_items
        Cells that entered, and items that were resampled (perturbations, or cells in a trajectory).
    seed
        Seed of the resampling.
    status
        ``"ok"``; ``"undefined"`` where the score does not exist for these data (a constant layer, say);
        ``"not_available"`` where something that the protocol needs is missing.
    reason
        Why there is no number; empty if ``status`` is ``"ok"``. May hold a remark on an ``"ok"`` score.
    """

    condition: str
    model: str
    layer: str
    depth: float
    task: str
    protocol: str
    metric: str
    estimate: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    ceiling: float = math.nan
    null_mean: float = math.nan
    p_value: float = math.nan
    n_cells: int = 0
    n_items: int = 0
    seed: int = 0
    status: Status = "ok"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored and how: what all rows of a scoring job have in common (see :class:`Score`)."""

    condition: str
    model: str
    layer: str
    depth: float
    task: str
    protocol: str
    seed: int
    family: str = ""
    """Of the model: a baseline is not scored by a reference that was made from it. No column of a row."""

    def row(self, metric: str, **values: Any) -> Score:
        """A row of this subject; what ``values`` does not name keeps its default."""
        columns = asdict(self)
        del columns["family"]
        return Score(**columns, metric=metric, **values)


SCORE_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Score))
TEXT_COLUMNS = ("condition", "model", "layer", "task", "protocol", "metric", "status", "reason")


def depth(layer: str, n_layers: int) -> float:
    """Depth of a numbered layer in [0, 1]; NaN for ``"00"``, ``"official"`` and one-layer models."""
    if layer == OFFICIAL or int(layer) == 0 or n_layers < 2:
        return math.nan
    return (int(layer) - 1) / (n_layers - 1)


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as tab-separated text; numbers with nine significant digits, empty where missing."""
    with whole(path) as scratch:
        table.to_csv(scratch, sep="\t", index=False, float_format="%.9g", na_rep="", lineterminator="\n")


def read_table(path: str | Path, text: Sequence[str] = (), columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a tab-separated table; the columns named in ``text`` stay text (``"01"`` is not 1).

    Raises DataError if the file is missing, empty, no table, or was cut off, or lacks one of ``columns``.
    """
    table = _read(path, dtype=dict.fromkeys(text, str), na_values=[""])
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]!r} is missing; expected {', '.join(columns)}; "
            f"found {', '.join(table.columns)}. Is it another table?"
        )
    return table.fillna(dict.fromkeys(text, ""))


def _read(path: str | Path, **options: Any) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DataError(f"{path}: the table is empty. Delete it and run again")
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
    try:
        table = pd.read_csv(path, sep="\t", keep_default_na=False, **options)
    except (EmptyDataError, ParserError, UnicodeDecodeError) as error:
        reason = f"not a table of tab-separated text ({str(error).splitlines()[0]})"
        raise DataError(f"{path}: {reason}. Delete it and run again") from error
    if last != b"\n":
        raise DataError(f"{path}: the table was cut off in its last row. Delete it and run again")
    return table


def demand_numbers(path: str | Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a table read from a file if one of these columns holds something other than numbers."""
    for name in columns:
        if len(table) and table[name].dtype.kind not in "iuf":
            words = table.loc[pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna(), name]
            example = repr(words.iloc[0]) if len(words) else str(table[name].dtype)
            raise DataError(
                f"{path}: column {name!r} must hold numbers, found {example}. Delete it and run again"
            )


def join_tables(tables: Sequence[str | Path], output: str | Path) -> None:
    """Write the rows of several tables with the same columns as one table, every cell as it stands."""
    refuse_overwriting(output, *tables)
    contents = [_read(path, dtype=str) for path in tables]
    for path, table in zip(tables, contents, strict=True):
        if list(table.columns) != list(contents[0].columns):
            raise DataError(
                f"{path}: expected the columns of {tables[0]} ({', '.join(contents[0].columns)}); "
                f"found {', '.join(table.columns)}. Delete it and run again"
            )
    write_table(output, pd.concat(contents, ignore_index=True))


def write_scores(path: str | Path, scores: Iterable[Score]) -> None:
    """Write score rows as a table with the columns of :class:`Score`."""
    write_table(path, pd.DataFrame([asdict(score) for score in scores], columns=list(SCORE_COLUMNS)))


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read a table of score rows; raises DataError as :func:`read_table` does, and if it is another table."""
    table = read_table(path, text=TEXT_COLUMNS)
    if tuple(table.columns) != SCORE_COLUMNS:
        raise DataError(
            f"{path}: expected the columns {', '.join(SCORE_COLUMNS)}; found {', '.join(table.columns)}. "
            "Delete the file and run again"
        )
    demand_numbers(path, table, [name for name in SCORE_COLUMNS if name not in TEXT_COLUMNS])
    return table


def write_arrays(path: str | Path, **arrays: Any) -> None:
    """Write arrays as an uncompressed ``.npz``, always the same bytes for the same content."""
    with whole(path) as scratch, scratch.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def write_resamples(path: str | Path, resamples: Mapping[str, np.ndarray]) -> None:
    """Write the bootstrap values of each metric, shape ``(n_resamples,)``, as an uncompressed ``.npz``.

    Resample ``i`` draws the same items for every layer and model of a condition and protocol (it depends on
    the seed and the items alone), so that differences between layers are paired.
    """
    values = {name: np.asarray(of_metric, dtype=np.float64) for name, of_metric in resamples.items()}
    write_arrays(path, **values)


@contextmanager
def arrays_of(path: str | Path, what: str) -> Iterator[Any]:
    """Open an ``.npz`` file; a DataError if it is missing, or what the block reads of it is not ``what``."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with np.load(path) as arrays:
            yield arrays
    except (
        ValueError,
        KeyError,
        OSError,
        EOFError,
        AttributeError,
        TypeError,
        BadZipFile,
        *BAD_HEADER,
    ) as error:
        raise DataError(f"{path}: not {what} ({error}); delete it and run again") from error


def read_resamples(path: str | Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_resamples` wrote; raises DataError as :func:`arrays_of` does."""
    with arrays_of(path, "whole bootstrap values") as arrays:
        return {name: arrays[name] for name in arrays.files}
