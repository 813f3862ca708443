"""Embeddings files of stretches of cells become one, as a single run would have written it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import (
    REFUSED,
    ROWS_AT_ONCE,
    EmbeddingsWriter,
    read_layers,
    read_provenance,
    windows,
)
from layerscope.files import whole

COUNTED = ("n_refused", "refused", "n_shortened")


def merge(shards: Sequence[str | Path], output: str | Path) -> None:
    """Join the embeddings files of all stretches of a file of cells.

    Parameters
    ----------
    shards
        Files that :func:`layerscope.extraction.job.extract` made, first stretch to last.
    output
        The embeddings file to make; the same bytes as of one run over all cells.

    Raises
    ------
    DataError
        If a file is missing or was made in another way than the others, or if cells are missing.
    """
    provenances = [read_provenance(path) for path in shards]
    layers = read_layers(shards[0])
    for path, provenance in zip(shards, provenances, strict=True):
        differing = sorted(
            name
            for name in provenance.keys() | provenances[0].keys()
            if name not in COUNTED and provenance.get(name) != provenances[0].get(name)
        )
        if differing or read_layers(path) != layers:
            what = ", ".join(differing) or "layers"
            raise DataError(f"{path}: other {what} than {shards[0]}; delete the shards and extract again")
    n_cells, n_given = provenances[0]["n_cells"], sum(map(_n_cells, shards))
    if n_given != n_cells:
        raise DataError(
            f"{shards[0]} and {len(shards) - 1} others hold {n_given} of {n_cells} cells; give every shard"
        )
    with whole(output) as scratch, EmbeddingsWriter(scratch, n_cells) as writer:
        start = 0
        for path in shards:
            for matrices in windows(path, layers):
                if start == 0:
                    for name, matrix in matrices.items():
                        writer.add(name, matrix.shape[1], matrix.dtype)
                for name, matrix in matrices.items():
                    writer.fill(name, start, matrix)
                start += len(next(iter(matrices.values())))
        refused = {row: reason for row, reason in enumerate(_texts(shards, REFUSED)) if reason}
        writer.finish(_texts(shards, "_index"), refused, provenances[0] | _counts(provenances))


def _n_cells(path: str | Path) -> int:
    with h5py.File(path, "r") as file:
        return len(file["obs"]["_index"])


def _texts(shards: Sequence[str | Path], column: str) -> Iterator[str]:
    """Yield a column of ``obs``, shard after shard."""
    for path in shards:
        with h5py.File(path, "r") as file:
            stored = file["obs"][column].asstr()
            for start in range(0, len(stored), ROWS_AT_ONCE):
                yield from stored[start : start + ROWS_AT_ONCE]


def _counts(provenances: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is counted over cells, of all shards together."""
    reasons: Counter[str] = Counter()
    for provenance in provenances:
        reasons.update(provenance["refused"])
    return {
        "n_refused": sum(provenance["n_refused"] for provenance in provenances),
        "refused": dict(sorted(reasons.items())),
        "n_shortened": sum(provenance["n_shortened"] for provenance in provenances),
    }
