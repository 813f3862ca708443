"""All score rows of a study in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.errors import ConfigError, DataError
from layerscope.files import whole
from layerscope.tables import SCORE_COLUMNS, Score, read_scores, write_table

KEY = ["condition", "task", "protocol", "metric", "model", "layer"]
UNAVAILABLE_KEYS = ("condition", "model", "task", "protocol", "reason")


def gather(paths: Iterable[str | Path], unavailable: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Put the score rows of many files into one sorted table.

    Parameters
    ----------
    paths
        Files of score rows.
    unavailable
        What could not be run, with :data:`UNAVAILABLE_KEYS` (optionally ``layer`` and ``metric``): each
        becomes a row with status ``not_available``.

    Raises
    ------
    DataError
        If a file has other columns or another status, or two rows are about the same score.
    ConfigError
        If an entry of ``unavailable`` lacks a key.
    """
    tables = []
    for path in paths:
        table = read_scores(path)
        unknown = set(table["status"]) - {"ok", "undefined", "not_available"}
        if unknown:
            raise DataError(f"{path}: unknown status {sorted(unknown)[0]!r}. Delete the file and run again")
        tables.append(table.assign(origin=str(path)))
    absent = pd.DataFrame(
        [asdict(_absent(entry)) for entry in unavailable], columns=list(SCORE_COLUMNS)
    ).assign(origin="--unavailable")
    tables = [table for table in (*tables, absent) if len(table)]
    if not tables:
        return pd.DataFrame(columns=list(SCORE_COLUMNS))
    together = pd.concat(tables, ignore_index=True)
    repeated = together[together.duplicated(KEY, keep=False)]
    if len(repeated):
        first = repeated.iloc[0]
        origins = repeated.loc[(repeated[KEY] == first[KEY]).all(axis=1), "origin"]
        raise DataError(
            f"{' and '.join(origins.unique())}: the same score twice "
            f"({', '.join(f'{key} {first[key]!r}' for key in KEY)}). Delete what an earlier run left"
        )
    ordered: pd.DataFrame = together.sort_values(KEY, kind="stable", ignore_index=True)
    return ordered[list(SCORE_COLUMNS)]


def _absent(entry: Mapping[str, Any]) -> Score:
    missing = [key for key in UNAVAILABLE_KEYS if key not in entry]
    if missing:
        raise ConfigError(f"--unavailable: an entry lacks {missing[0]!r}; found {dict(entry)}")
    about: dict[str, Any] = {"layer": "", "metric": "", "depth": float("nan"), "status": "not_available"}
    about |= {key: str(entry[key]) for key in (*UNAVAILABLE_KEYS, "layer", "metric") if key in entry}
    return Score(**about)


def write_gathered(table: pd.DataFrame, output: str | Path, parquet: str | Path) -> None:
    """Write the table as text and as parquet, same rows, same order."""
    import pyarrow
    from pyarrow.parquet import write_table as write_parquet

    write_table(output, table)
    with whole(parquet) as scratch:
        write_parquet(pyarrow.Table.from_pandas(table, preserve_index=False), scratch, compression="zstd")
