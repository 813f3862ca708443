"""An extraction that keeps sums over groups of cells, and no cell (``keep: sums``).

The engine hands over finished cells in an order that depends on their lengths and on the clock. They wait
here until a stretch of the file is complete and are then summed in the order of the file, so that the sums
are the same to the last bit however often the run was interrupted. What waits is a stretch or two; what is
kept depends on the groups and on nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from layerscope.cells.canonical import read_obs
from layerscope.cells.h5ad_file import column_names, open_h5ad
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.job import Extraction, prepare
from layerscope.extraction.shards import Column, Finished
from layerscope.files import whole
from layerscope.tasks.perturbation.design import read_design
from layerscope.tasks.perturbation.sums_file import SumsWriter

log = logging.getLogger(__name__)

STRETCH = 2048
SAVE_SECONDS = 300.0
# a save may take this share of the time since the last one
SAVE_SHARE = 0.1


def extract_sums(weights: Path, cells: Path, design: Path | None, output: Path, job: Extraction) -> None:
    """Write the sums of a model's layers over a condition's cells; an interrupted run goes on where it was.

    Parameters
    ----------
    weights
        A release folder of the family.
    cells
        Canonical cells of a perturbation condition.
    design
        Their design of splits, for protocol ``strict``; None if that is not to be scored.
    output
        The file of sums to make (see ``sums_file``). While the run goes on, the
        sums so far are saved in a hidden file beside it, every five minutes.
    job
        What and how. The precision of storage does not matter: sums are float64.

    Raises
    ------
    ConfigError, DataError, ModelError
        If the settings, the cells or the weights do not allow it.
    """
    _demand_columns(cells)
    with closing(prepare(weights, cells, job)) as run:
        columns = [Column(column.layer, column.width, np.dtype(np.float32)) for column in run.columns]
        # neither the table of cells nor their names in the design stay in memory
        sums = SumsWriter(
            read_obs(cells),
            {column.layer: column.width for column in columns},
            read_design(design) if design is not None else None,
        )
        log.info("the sums take %.2g GB", sum(array.nbytes for array in sums.arrays().values()) / 1e9)
        identity = run.identity | {"design": sums.design_digest}
        saved = output.with_name(f".partial.{output.name}.npz")
        sink = SumsSink(saved, identity, columns, sums, len(run.stream))
        run.into(sink)
        with whole(output) as scratch:
            sums.write(scratch, run.counted(sink.refused, sink.n_shortened))
        sink.remove()


def _demand_columns(cells: Path) -> None:
    """Raise if sums cannot be kept of these cells, before a model is loaded."""
    with open_h5ad(cells) as stored:
        there = column_names(stored["obs"])
    for name in ("perturbation", "is_control"):
        if name not in there:
            raise DataError(f"{cells}: obs has no column {name!r}; sums are kept of perturbations alone")


class SumsSink:
    """Takes finished rows and sums them stretch by stretch in the order of the file.

    Parameters
    ----------
    saved
        Where to save the sums while the run goes on.
    run
        Whatever decides the result, as JSON: saved sums of a run that differs in it are thrown away.
    columns
        The layers.
    sums
        Where they are summed.
    n_cells
        Cells of the file.

    Raises
    ------
    ConfigError
        If the saved sums are damaged.
    """

    def __init__(
        self,
        saved: Path,
        run: Mapping[str, Any],
        columns: Sequence[Column],
        sums: SumsWriter,
        n_cells: int,
    ) -> None:
        self.columns = list(columns)
        self.refused: dict[int, str] = {}
        self.n_shortened = 0
        self._saved, self._head = saved, json.dumps(run, sort_keys=True)
        self._sums, self._n_cells, self._n_summed = sums, n_cells, 0
        self._waiting: dict[int, _Stretch] = {}
        self._take_up()
        self._last, self._spent = time.monotonic(), 0.0

    def done(self, n_cells: int) -> NDArray[np.bool_]:
        """Which of ``n_cells`` rows are summed: all up to one."""
        found = np.zeros(n_cells, dtype=bool)
        found[: self._n_summed] = True
        return found

    def append(self, finished: Finished) -> None:
        """Take finished rows; sum the stretches that they complete."""
        home = finished.rows // STRETCH
        for number in np.unique(home):
            inside = home == number
            rows = finished.rows[inside]
            stretch = self._stretch(int(number))
            for layer, matrix in stretch.layers.items():
                matrix[rows - number * STRETCH] = finished.layers[layer][inside]
            stretch.n_waited_for -= len(rows)
        for number in finished.shortened // STRETCH:
            self._stretch(int(number)).n_shortened += 1
        for row, reason in finished.refused.items():
            stretch = self._stretch(row // STRETCH)
            stretch.refused[row] = reason
            stretch.n_waited_for -= 1
        while (first := self._n_summed // STRETCH) in self._waiting and self._n_summed < self._n_cells:
            if self._waiting[first].n_waited_for:
                break
            self._sum(self._waiting.pop(first))
        if time.monotonic() - self._last > max(SAVE_SECONDS, self._spent / SAVE_SHARE):
            self._save()

    def remove(self) -> None:
        """Delete what was saved."""
        self._saved.unlink(missing_ok=True)

    def _stretch(self, number: int) -> _Stretch:
        size = min(STRETCH, self._n_cells - number * STRETCH)
        if number not in self._waiting:
            layers = {
                column.layer: np.full((size, column.width), np.nan, dtype=np.float32)
                for column in self.columns
            }
            self._waiting[number] = _Stretch(layers, size)
        return self._waiting[number]

    def _sum(self, stretch: _Stretch) -> None:
        for layer, matrix in stretch.layers.items():
            self._sums.add(layer, slice(self._n_summed, self._n_summed + len(matrix)), matrix)
        self.refused.update(stretch.refused)
        self.n_shortened += stretch.n_shortened
        self._n_summed += len(matrix)

    def _save(self) -> None:
        start = time.monotonic()
        about = {
            "run": self._head,
            "n_summed": self._n_summed,
            "n_shortened": self.n_shortened,
            "refused": {str(row): reason for row, reason in self.refused.items()},
        }
        with whole(self._saved) as scratch, scratch.open("wb") as stream:
            np.savez(stream, allow_pickle=False, about=np.array(json.dumps(about)), **self._sums.arrays())
            stream.flush()
            os.fsync(stream.fileno())
        self._last = time.monotonic()
        self._spent = self._last - start

    def _take_up(self) -> None:
        if not self._saved.is_file():
            return
        try:
            with np.load(self._saved) as stored:
                about = json.loads(str(stored["about"]))
                if about["run"] != self._head:
                    log.info("an interrupted run with other inputs or settings is thrown away")
                    return
                for name, array in self._sums.arrays().items():
                    array[...] = stored[name]
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise ConfigError(f"{self._saved}: damaged ({error}); delete it and run again") from error
        self._n_summed, self.n_shortened = about["n_summed"], about["n_shortened"]
        self.refused = {int(row): reason for row, reason in about["refused"].items()}
        log.info("taking up an interrupted run: %d cells are summed", self._n_summed)


@dataclass
class _Stretch:
    """Cells of one stretch of the file, as far as they are done; NaN where they are not, or are refused."""

    layers: dict[str, NDArray[np.float32]]
    n_waited_for: int
    refused: dict[int, str] = field(default_factory=dict)
    n_shortened: int = 0
