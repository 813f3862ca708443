"""An extraction that keeps sums over groups of cells, and no cell (``keep: sums``).

A stretch of the cells at a time is extracted to a temporary embeddings file, added to the sums and deleted.
After each stretch the sums so far are saved, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from layerscope.cells.obs import read_obs
from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import read_blocks
from layerscope.extraction.job import Extraction, demand_file_name, log_counts, prepare
from layerscope.extraction.merge import added_counts
from layerscope.files import refuse_overwriting, whole
from layerscope.tasks.perturbation.sums_file import SumsWriter
from layerscope.tasks.screens.design import read_design
from layerscope.tasks.screens.labels import demand_labels
from layerscope.tasks.unavailable import read_reason

log = logging.getLogger(__name__)

# so the temporary file has a twentieth of the cells, and sums, which may be large, are saved twenty times
STRETCHES = 20
MIN_STRETCH_CELLS = 2048


def extract_sums(weights: Path, cells: Path, design: Path | None, output: Path, job: Extraction) -> None:
    """Write the sums of a model's layers over a condition's cells; an interrupted run goes on where it was.

    Parameters
    ----------
    weights
        A release folder of the family.
    cells
        Canonical cells of a perturbation condition.
    design
        Their design of splits, for protocol ``strict``; None if that is not to be scored. Where the cells
        allow none, its folder says so.
    output
        The file of sums to make (see ``sums_file``). While the run goes on, there are hidden files beside it.
    job
        What and how. The precision of storage does not matter: sums are float64.
    """
    demand_file_name(output)
    if design is not None and read_reason(design.parent):
        design = None
    refuse_overwriting(output, cells, *([design] if design is not None else []))
    demand_labels(read_obs(cells), str(cells))
    with closing(prepare(weights, cells, replace(job, stored_dtype="float32"))) as run:
        # neither the table of cells nor their names in the design stay in memory
        sums = SumsWriter(
            read_obs(cells),
            {column.layer: column.width for column in run.columns},
            read_design(design) if design is not None else None,
        )
        log.info("the sums take %.2g GB", sum(array.nbytes for array in sums.arrays().values()) / 1e9)
        identity = run.identity | {"design": sums.design_digest}
        saved = SavedSums(output.with_name(f".partial.{output.name}.npz"), identity, sums)
        part = output.with_name(f".partial.{output.name}.h5ad")
        n_cells = len(run.stream)
        size = max(-(-n_cells // STRETCHES), MIN_STRETCH_CELLS)
        for start in range(saved.n_summed, n_cells, size):
            stop = min(start + size, n_cells)
            provenance = run.write(part, range(start, stop))
            first = start
            for block in read_blocks(part):
                for layer, matrix in block.items():
                    sums.add(layer, slice(first, first + len(matrix)), matrix)
                first += len(matrix)
            saved.save(stop, provenance)
        log_counts(saved.counts)
        with whole(output) as scratch:
            sums.write(scratch, run.provenance | saved.counts)
        part.unlink(missing_ok=True)
        saved.path.unlink(missing_ok=True)


class SavedSums:
    """Sums of the first ``n_summed`` cells of a file, saved while the run goes on, and counts of the refused.

    What a run of the same ``identity`` (whatever decides the result) saved is taken up, else thrown away.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], sums: SumsWriter) -> None:
        self.path, self._sums = path, sums
        self._identity = json.dumps(identity, sort_keys=True)
        self.n_summed, self.counts = 0, added_counts([])
        if not path.is_file():
            return
        try:
            self._resume()
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise ConfigError(f"{path}: damaged ({error}); delete it and run again") from error

    def save(self, n_summed: int, provenance: Mapping[str, Any]) -> None:
        """Save the sums of the first ``n_summed`` cells, the last of which have this provenance."""
        self.n_summed, self.counts = n_summed, added_counts([self.counts, dict(provenance)])
        about = {"run": self._identity, "n_summed": self.n_summed, "counts": self.counts}
        with whole(self.path) as scratch, scratch.open("wb") as stream:
            np.savez(stream, allow_pickle=False, about=np.array(json.dumps(about)), **self._sums.arrays())
            stream.flush()
            os.fsync(stream.fileno())

    def _resume(self) -> None:
        with np.load(self.path) as saved:
            about = json.loads(str(saved["about"]))
            if about["run"] != self._identity:
                log.info("the sums of an interrupted run with different inputs or settings are thrown away")
                return
            for name, array in self._sums.arrays().items():
                array[...] = saved[name]
        self.n_summed, self.counts = about["n_summed"], about["counts"]
        log.info("taking up an interrupted run: %d cells are summed", self.n_summed)
