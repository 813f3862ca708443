"""What a file that was cut from a larger one says about that: kept in its ``uns``."""

from __future__ import annotations

import json
from typing import Any

import h5py

RECORD = "layerscope_slice"


def read_record(stored: h5py.File) -> dict[str, Any]:
    """Read the record of an open h5ad file; empty if it was not cut from a larger one.

    Returns
    -------
    ``name`` and ``url`` of the larger file, ``before`` (what was left out, as rows of the summary),
    ``selection``, ``n_cells`` and ``n_bytes`` of the larger file.
    """
    if "uns" not in stored or RECORD not in stored["uns"]:
        return {}
    record: dict[str, Any] = json.loads(stored["uns"][RECORD].asstr()[()])
    return record


def write_record(uns: h5py.Group, record: dict[str, Any]) -> None:
    """Write the record into the ``uns`` of a file that is being made."""
    from anndata.io import write_elem

    write_elem(uns, RECORD, json.dumps(record, sort_keys=True, ensure_ascii=False))
