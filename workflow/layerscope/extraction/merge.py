"""Embeddings files of stretches of cells become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import (
    read_blocks,
    read_cells,
    read_layers,
    read_provenance,
    write_embeddings,
)
from layerscope.files import refuse_overwriting

COUNTS = ("n_refused", "refused", "n_shortened")


def merge(shards: Sequence[str | Path], output: str | Path) -> None:
    """Join the embeddings files of all stretches of a file of cells.

    Parameters
    ----------
    shards
        Files that :func:`layerscope.extraction.job.extract` made, first stretch to last.
    output
        The embeddings file to make.
    """
    refuse_overwriting(output, *shards)
    provenances = [read_provenance(path) for path in shards]
    layers = read_layers(shards[0])
    for path, provenance in zip(shards, provenances, strict=True):
        differing = sorted(
            name
            for name in provenance.keys() | provenances[0].keys()
            if name not in COUNTS and provenance.get(name) != provenances[0].get(name)
        )
        if differing or read_layers(path) != layers:
            what = ", ".join(differing) or "layers"
            raise DataError(f"{path}: other {what} than {shards[0]}; delete the shards and extract again")
    cell_ids, reasons = (list(chain(*parts)) for parts in zip(*map(read_cells, shards), strict=True))
    n_cells = provenances[0]["n_cells"]
    if len(cell_ids) != n_cells:
        which = f"{shards[0]} and {len(shards) - 1} others"
        raise DataError(f"{which} hold {len(cell_ids)} of {n_cells} cells; give every shard")
    refused = {row: reason for row, reason in enumerate(reasons) if reason}
    blocks = chain.from_iterable(map(read_blocks, shards))
    write_embeddings(output, cell_ids, blocks, provenances[0] | added_counts(provenances), refused)


def added_counts(provenances: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What provenances count over cells, of all stretches together."""
    n_refused, n_shortened = (sum(of[name] for of in provenances) for name in ("n_refused", "n_shortened"))
    reasons: Counter[str] = Counter()
    for provenance in provenances:
        reasons.update(provenance["refused"])
    return {"n_refused": n_refused, "refused": dict(sorted(reasons.items())), "n_shortened": n_shortened}
