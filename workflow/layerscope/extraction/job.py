"""Extract every layer of a model for every cell of a file."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layerscope import __version__
from layerscope.errors import ConfigError, ModelError
from layerscope.extraction.cell_stream import CellStream
from layerscope.extraction.embeddings_file import EmbeddingsWriter
from layerscope.extraction.engine import TOKEN_BUDGET, Engine
from layerscope.extraction.shards import Column, Shards, Sink
from layerscope.files import whole
from layerscope.models.base import FoundationModel
from layerscope.models.catalogue import implementation
from layerscope.models.controls import VALUES_PERMUTED, apply_control, permute_values
from layerscope.models.settings import Settings
from layerscope.models.weights import sha256
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
STORED_DTYPES = ("float32", "float16")
DEVICES = ("cpu", "cuda", "auto")
TRAINING = "provenance.json"
STREAM_SETTINGS = ("matrix", "values", "gene_column")
WINDOW_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What to extract, and how.

    Attributes
    ----------
    family
        A foundation family of :mod:`layerscope.models.catalogue`.
    name
        What the study calls the model; for the log and the provenance.
    layers
        How many layers the checkpoint must have; 0 takes what it has.
    pooling
        At the numbered layers; empty for the family's own default.
    dtype
        Of the blocks' matrices: ``float32``, ``bfloat16``, ``float16``.
    stored_dtype
        Of the file: ``float32`` or ``float16``.
    device
        ``cpu``, ``cuda``, or ``auto``: CUDA where there is a device.
    threads
        CPU threads of PyTorch; 0 leaves its default. Does not change results.
    token_budget
        Tokens of a batch; 0 for the device's default. Does not change results on a CPU.
    control, control_seed
        One of :data:`~layerscope.models.catalogue.CONTROLS`, or empty; and the seed of its draw.
    seed
        Of what tokenisation draws per cell.
    settings
        Of the model and of the reading of cells (``matrix``, ``values``, ``gene_column``).
    """

    family: str
    name: str = ""
    layers: int = 0
    pooling: str = ""
    dtype: str = "float32"
    stored_dtype: str = "float32"
    device: str = "auto"
    threads: int = 0
    token_budget: int = 0
    control: str = ""
    control_seed: int = 0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


def extract(
    weights: Path, cells: Path, output: Path, job: Extraction, shard: tuple[int, int] = (1, 1)
) -> None:
    """Write the embeddings file of a model for a file of cells; an interrupted run goes on where it was.

    Parameters
    ----------
    weights
        A release folder of the family.
    cells
        Any h5ad file.
    output
        The embeddings file (see :mod:`layerscope.extraction.embeddings_file`). While the run goes on, what is
        finished is kept in a hidden folder beside it.
    job
        What and how.
    shard
        ``(2, 5)`` runs the second of five nearly equal stretches of the cells, and the file holds these
        alone; :func:`layerscope.extraction.merge.merge` makes of all five what one run makes.

    Raises
    ------
    ConfigError, DataError, ModelError
        If the settings, the cells or the weights do not allow it.
    """
    with closing(prepare(weights, cells, job)) as run:
        rows = stretch(len(run.stream), *shard)
        identity = {**run.identity, "shard": list(shard)}
        with Shards(output.with_name(f".partial.{output.name}.shards"), identity, run.columns) as shards:
            run.into(shards, rows)
            _assemble(output, run, shards, rows)
            shards.remove()


def stretch(n_cells: int, number: int, count: int) -> range:
    """Rows of the ``number``-th (from 1) of ``count`` nearly equal stretches of cells.

    Raises
    ------
    ConfigError
        If there is no such stretch.
    """
    if not 1 <= number <= count <= n_cells:
        raise ConfigError(f"shard {number} of {count}: there are {n_cells} cells; expected 1 to {count}")
    return range(n_cells * (number - 1) // count, n_cells * number // count)


@dataclass(frozen=True)
class Run:
    """A model and a file of cells, ready to go.

    Attributes
    ----------
    model, stream, pooling, device, budget
        See :class:`~layerscope.extraction.engine.Engine`.
    columns
        The layers as they are kept.
    provenance
        How the layers are made.
    identity
        Whatever decides the result, as JSON; an interrupted run of another identity is not taken up.
    """

    model: FoundationModel
    stream: CellStream
    pooling: str
    device: torch.device
    budget: int
    columns: list[Column]
    provenance: dict[str, Any]
    identity: dict[str, Any]

    def into(self, sink: Sink, cells: range | None = None) -> None:
        """Run every cell (or those rows) that the sink does not have."""
        Engine(self.model, self.stream, sink, self.pooling, self.device, self.budget).run(cells)

    def close(self) -> None:
        """Close the file of cells."""
        self.stream.close()

    def counted(self, refused: Mapping[int, str], n_shortened: int) -> dict[str, Any]:
        """The provenance with what became of the cells, which is also logged.

        Parameters
        ----------
        refused
            Row to reason, of the cells without a representation.
        n_shortened
            How many cells lost tokens to a length limit.
        """
        reasons = Counter(refused[row] for row in sorted(refused))
        for reason, n_cells in reasons.most_common():
            example = self.stream.cell_ids[min(row for row in refused if refused[row] == reason)]
            log.warning("refused cells: %d (such as %s): %s", n_cells, example, reason)
        if n_shortened:
            log.info("cells above the length limit, which lose genes to it: %d", n_shortened)
        return {
            **self.provenance,
            "n_refused": len(refused),
            "refused": dict(sorted(reasons.items())),
            "n_shortened": n_shortened,
        }


def prepare(weights: Path, cells: Path, job: Extraction) -> Run:
    """Load a model and open a file of cells; parameters and errors as those of :func:`extract`."""
    if job.threads:
        torch.set_num_threads(job.threads)
    device = _device(job.device)
    model = _model(weights, job)
    pooling = _pooling(model, job.pooling)
    stream = CellStream(cells, model, **_stream_settings(job.settings))
    if job.control == VALUES_PERMUTED:
        stream.change = partial(permute_values, seed=job.control_seed)
    log.info("%s", stream.match.summary)
    if stream.match.warning:
        log.warning("%s", stream.match.warning)
    columns = _columns(model, pooling, np.dtype(job.stored_dtype))
    provenance = _provenance(model, stream, job, pooling, device)
    model.set_precision(DTYPES[job.dtype])
    model.module.eval().to(device)
    return Run(
        model=model,
        stream=stream,
        pooling=pooling,
        device=device,
        budget=job.token_budget or TOKEN_BUDGET[device.type],
        columns=columns,
        provenance=provenance,
        identity={
            **provenance,
            "cells_file": _identity(cells),
            "columns": [repr(column) for column in columns],
        },
    )


def _model(weights: Path, job: Extraction) -> FoundationModel:
    settings = {name: value for name, value in job.settings.items() if name not in STREAM_SETTINGS}
    model: FoundationModel = implementation(job.family).load(
        weights, Settings(settings, job.family), job.seed
    )
    if job.layers and job.layers != model.n_layers:
        raise ModelError(
            f"{model.weights}: the checkpoint has {model.n_layers} layers, the study says {job.layers}; "
            "correct the model's `layers`"
        )
    if job.control:
        apply_control(model, job.control, job.control_seed)
    return model


def _stream_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(settings[name]) for name in STREAM_SETTINGS if name in settings}


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("--device cuda: PyTorch finds no CUDA device here; use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def _pooling(model: FoundationModel, name: str) -> str:
    chosen = name or model.default_pooling
    if chosen not in model.poolings:
        raise ConfigError(f"{model.family}: no pooling {chosen!r}; choose one of {', '.join(model.poolings)}")
    return chosen


def _columns(model: FoundationModel, pooling: str, dtype: np.dtype[Any]) -> list[Column]:
    """The layers as they are stored."""
    widths = model.widths(pooling)
    numbered = [Column(f"{layer:02d}", widths[0], dtype) for layer in range(model.n_layers + 1)]
    return [*numbered, Column(OFFICIAL, widths[1], dtype)]


def _provenance(
    model: FoundationModel, stream: CellStream, job: Extraction, pooling: str, device: torch.device
) -> dict[str, Any]:
    """How the embeddings are made; nothing that tells when, where or how fast."""
    kept = ("family", "dtype", "stored_dtype", "control", "control_seed", "seed")
    settings = asdict(job)
    return {
        **{name: settings[name] for name in kept},
        "model": job.name or job.family,
        "n_layers": model.n_layers,
        "hidden_size": model.hidden_size,
        "pooling": pooling,
        "official_pooling": model.official_pooling,
        "settings": {**model.settings, **_stream_settings(job.settings)},
        "device": device.type,
        "weights_sha256": sha256(model.weights),
        "vocabulary_sha256": hashlib.sha256("\n".join(model.vocabulary.genes).encode()).hexdigest(),
        "trained_on": _trained_on(model.weights.parent),
        "values": stream.values,
        "cells": {name: stream.provenance.get(name, "") for name in ("condition", "dataset")},
        "n_cells": len(stream),
        "gene_column": stream.match.column,
        "gene_match_rate": round(stream.match.rate, 6),
        "vocabulary_coverage": round(stream.match.coverage, 6),
        "layerscope_version": __version__,
        "torch_version": torch.__version__.partition("+")[0],
    }


def _trained_on(weights: Path) -> str:
    """What a checkpoint says of its own training, in an optional ``provenance.json`` beside the weights."""
    path = weights / TRAINING
    if not path.is_file():
        return ""
    return str(json.loads(path.read_text(encoding="utf-8")).get("trained_on", ""))


def _identity(cells: Path) -> dict[str, int]:
    """What tells a file of cells from another of the same name."""
    status = cells.stat()
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


def _assemble(output: Path, run: Run, shards: Shards, rows: range) -> None:
    """Write the embeddings file from the shards, and say how many cells were refused."""
    counted = run.counted(shards.refused, shards.n_shortened)
    row_bytes = sum(column.width * column.dtype.itemsize for column in shards.columns)
    size = max(WINDOW_BYTES // row_bytes, 1)
    with whole(output) as scratch, EmbeddingsWriter(scratch, len(rows)) as writer:
        for column in shards.columns:
            writer.add(column.layer, column.width, column.dtype)
        for start, layers in shards.windows(rows, size):
            for name, matrix in layers.items():
                writer.fill(name, start - rows.start, matrix)
        refused = {row - rows.start: reason for row, reason in shards.refused.items()}
        writer.finish(run.stream.cell_ids[rows.start : rows.stop], refused, counted)
