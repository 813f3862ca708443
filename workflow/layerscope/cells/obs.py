"""The cells' table of a condition, ``obs.parquet``: all that a scoring job reads of its cells.

Nothing that is imported here takes long to start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from layerscope.errors import DataError

METADATA = b"layerscope"


def write_obs(
    path: str | Path, obs: pd.DataFrame, provenance: Mapping[str, Any], root_cell: str | None = None
) -> None:
    """Write the standard columns of canonical cells as parquet; the same content gives the same bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    times = list(obs["time"].cat.categories) if "time" in obs else []
    about = {"provenance": provenance, "root_cell": root_cell, "times": times}
    table = pa.Table.from_pandas(obs)
    metadata = {**table.schema.metadata, METADATA: json.dumps(about, sort_keys=True).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path)


def read_obs(path: str | Path) -> pd.DataFrame:
    """Read the cells' table of a condition: the standard columns, indexed by cell id.

    ``path`` is ``obs.parquet``, or the file of canonical cells itself; a DataError if it is neither.
    """
    if Path(path).suffix != ".parquet":
        from layerscope.cells.canonical import read_part

        return read_part(path, "obs")
    times = _about(path)["times"]
    obs = pd.read_parquet(path, engine="pyarrow")
    for name in obs.columns[[isinstance(dtype, pd.CategoricalDtype) for dtype in obs.dtypes]]:
        # the order of categories is not part of the parquet format
        categories = times if name == "time" else sorted(obs[name].cat.categories)
        obs[name] = obs[name].cat.set_categories(categories, ordered=name == "time")
    return obs


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Read where the cells come from and how they were prepared; ``path`` as for :func:`read_obs`."""
    provenance: dict[str, Any] = _about(path)["provenance"]
    return provenance


def read_root_cell(path: str | Path) -> str | None:
    """Read the id of the one cell that the data name as root; ``path`` as for :func:`read_obs`."""
    root_cell: str | None = _about(path)["root_cell"]
    return root_cell


def _about(path: str | Path) -> dict[str, Any]:
    if Path(path).suffix != ".parquet":
        from layerscope.cells.canonical import read_about

        return read_about(path)
    from pyarrow import ArrowException, parquet

    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        metadata = parquet.read_schema(path).metadata or {}
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable parquet file ({error})") from error
    if METADATA not in metadata:
        raise DataError(f"{path}: not a table of canonical cells; make it with scripts/prepare_cells.py")
    about: dict[str, Any] = json.loads(metadata[METADATA])
    return about
