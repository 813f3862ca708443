"""Extract every layer of a model for every cell of a file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from layerscope import __version__
from layerscope.errors import KNOWN_COUNTS, ConfigError, ModelError
from layerscope.extraction.cell_stream import CellStream, organism_of
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.extraction.engine import TOKEN_BUDGET, Engine
from layerscope.extraction.partial_run import Column, PartialRun
from layerscope.files import refuse_overwriting
from layerscope.models.base import FoundationModel
from layerscope.models.catalogue import implementation
from layerscope.models.controls import CHANGES, apply_control
from layerscope.models.integrity import demand_checksum, digest, files_read
from layerscope.models.settings import STREAM_SETTINGS, Settings
from layerscope.sources.manifest import read_manifest
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TRAINING = "provenance.json"
EXPECTED_SHARE = 0.5  # of the counts, in genes that the model knows


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What to extract, and how."""

    family: str  # a foundation family of layerscope.models.catalogue
    name: str = ""  # of the model, for the log and the provenance
    layers: int = 0  # that the checkpoint must have; 0 takes what it has
    up_to: int = 0  # the last block to run; 0 runs all
    pooling: str = ""  # at the numbered layers; empty for the family's own default
    dtype: str = "float32"  # of the blocks' matrices: float32, bfloat16 or float16
    stored_dtype: str = "float32"  # of the file: float32 or float16
    device: str = "auto"  # cpu, cuda, or auto: CUDA where there is a device
    threads: int = 0  # of PyTorch on the CPU; 0 leaves its default
    token_budget: int = 0  # tokens of a batch; 0 for the device's default
    control: str = ""  # one of layerscope.models.catalogue.CONTROLS, or empty
    control_seed: int = 0
    seed: int = 0  # of what tokenisation draws per cell
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the model and of STREAM_SETTINGS
    sha256: Mapping[str, str] = field(default_factory=dict)  # known of files of weights, by name


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
        The embeddings file; while the run goes on, what is finished is in a hidden folder beside it.
    job
        What and how.
    shard
        ``(2, 5)`` runs the second of five nearly equal stretches of the cells, and the file holds these
        alone; :func:`layerscope.extraction.merge.merge` joins all five.
    """
    demand_file_name(output)
    refuse_overwriting(output, cells)
    with closing(prepare(weights, cells, job)) as run:
        refuse_overwriting(output, run.model.weights)
        log_counts(run.write(output, stretch(len(run.stream), *shard)))


def demand_file_name(output: Path) -> None:
    """Refuse a folder as output before anything is run."""
    if output.is_dir():
        raise ConfigError(f"--output {output}: a folder; name a file in it")


def stretch(n_cells: int, number: int, count: int) -> range:
    """Rows of the ``number``-th (from 1) of ``count`` nearly equal stretches of cells."""
    if not 1 <= number <= count <= n_cells:
        raise ConfigError(
            f"--shard {number} {count}: shard {number} of {count}: there are {n_cells} cells; expected 1 to "
            f"{count} of at most {n_cells} shards"
        )
    return range(n_cells * (number - 1) // count, n_cells * number // count)


@dataclass(frozen=True)
class Run:
    """A model and a file of cells, ready to go (see :class:`~layerscope.extraction.engine.Engine`)."""

    model: FoundationModel
    stream: CellStream
    pooling: str
    device: torch.device
    budget: int
    columns: list[Column]
    provenance: dict[str, Any]  # how the layers are made
    identity: dict[str, Any]  # whatever decides the result

    def write(self, output: Path, cells: range) -> dict[str, Any]:
        """Write the embeddings file of some of the cells; returns its provenance, with counts of cells."""
        folder = output.with_name(f".partial.{output.name}.run")
        identity = {**self.identity, "cells": [cells.start, cells.stop]}
        with PartialRun(folder, identity, self.columns, cells) as partial_run:
            Engine(self.model, self.stream, partial_run, self.pooling, self.device, self.budget).run()
            reasons = dict(sorted(Counter(partial_run.refused.values()).items()))
            counts = {"n_refused": len(partial_run.refused), "refused": reasons}
            provenance = self.provenance | counts | {"n_shortened": partial_run.n_shortened}
            refused = {row - cells.start: reason for row, reason in partial_run.refused.items()}
            cell_ids = self.stream.cell_ids[cells.start : cells.stop]
            write_embeddings(output, cell_ids, partial_run.blocks(), provenance, refused)
            partial_run.remove()
        return provenance

    def close(self) -> None:
        """Close the file of cells."""
        self.stream.close()


def log_counts(provenance: Mapping[str, Any]) -> None:
    """Log how many cells were refused, and why, and how many were shortened."""
    for reason, n_cells in provenance["refused"].items():
        log.warning("refused cells: %d: %s", n_cells, reason)
    if provenance["n_shortened"]:
        log.info("cells above the length limit, which lose genes to it: %d", provenance["n_shortened"])


def prepare(weights: Path, cells: Path, job: Extraction) -> Run:
    """Load a model and open a file of cells; parameters and errors as those of :func:`extract`."""
    if not weights.is_dir():
        reason = (
            "a file; expected the folder of the release that it is in"
            if weights.is_file()
            else "no such folder"
        )
        raise ConfigError(f"--weights {weights}: {reason}")
    if job.threads:
        torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("highest")  # images of NVIDIA's ask for TF32, three digits, elsewhere
    device = _device(job.device)
    for name, known in job.sha256.items():
        if not (weights / name).is_file():
            raise ConfigError(f"--sha256 {name}: {weights} has no such file; name one of the release's files")
        demand_checksum(weights / name, known, "--sha256")
    with files_read() as files:
        model = _model(weights, job, organism_of(cells))
    pooling = job.pooling or model.default_pooling
    model.demand_pooling(pooling)
    stream = CellStream(cells, model, **_stream_settings(job.settings))
    if job.control in CHANGES:
        change = CHANGES[job.control]
        stream.change = lambda block: change(block, job.control_seed)
    log.info("%s", stream.match.summary)
    if stream.match.warning:
        log.warning("%s", stream.match.warning)
    share = stream.share_known()
    if share < EXPECTED_SHARE:
        log.warning("%.0f%% %s", 100 * share, KNOWN_COUNTS)
    columns = _columns(model, pooling, np.dtype(job.stored_dtype), job.up_to or model.n_layers)
    provenance = _provenance(model, stream, job, pooling, device)
    provenance["share_of_counts_known"] = round(share, 4)
    provenance["weights"] = {os.path.relpath(path, weights): _origin(path) for path in sorted(files)}
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
            "cells_file": {"bytes": cells.stat().st_size, "modified": cells.stat().st_mtime_ns},
            "columns": [repr(column) for column in columns],
        },
    )


def _model(weights: Path, job: Extraction, organism: str) -> FoundationModel:
    settings = {name: value for name, value in job.settings.items() if name not in STREAM_SETTINGS}
    model: FoundationModel = implementation(job.family).load(
        weights, Settings(settings, job.family, organism), job.seed
    )
    if job.layers and job.layers != model.n_layers:
        raise ModelError(
            f"{model.weights}: the checkpoint has {model.n_layers} layers, but --layers (in a study, the "
            f"model's `layers`) says {job.layers}; correct it, or name other weights"
        )
    if job.up_to > model.n_layers:
        raise ConfigError(
            f"--up-to {job.up_to} (in a study, the model's `up_to`): the checkpoint {model.weights} has "
            f"{model.n_layers} layers; expected 1 to {model.n_layers}"
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


def _columns(model: FoundationModel, pooling: str, dtype: np.dtype[Any], up_to: int) -> list[Column]:
    """The layers as they are stored: the official embedding only where it is made of a block that is run."""
    widths = model.widths(pooling)
    numbered = [Column(f"{layer:02d}", widths[0], dtype) for layer in range(up_to + 1)]
    return [*numbered, *([Column(OFFICIAL, widths[1], dtype)] if model.official_layer <= up_to else [])]


def _provenance(
    model: FoundationModel, stream: CellStream, job: Extraction, pooling: str, device: torch.device
) -> dict[str, Any]:
    """How the embeddings are made; nothing that tells when, where or how fast."""
    of_job = ("family", "dtype", "stored_dtype", "control", "control_seed", "seed")
    return {
        **{name: getattr(job, name) for name in of_job},
        "model": job.name or job.family,
        "n_layers": model.n_layers,
        **({"up_to": job.up_to} if 0 < job.up_to < model.n_layers else {}),
        "hidden_size": model.hidden_size,
        "pooling": pooling,
        "official_pooling": model.official_pooling,
        "settings": {**model.settings, **_stream_settings(job.settings)},
        "device": device.type,
        "weights_sha256": digest(model.weights),
        "vocabulary_sha256": hashlib.sha256("\n".join(model.vocabulary.genes).encode()).hexdigest(),
        "trained_on": _trained_on(model.weights.with_name(TRAINING)),
        "values": stream.values,
        "cells": {name: stream.provenance.get(name, "") for name in ("condition", "dataset")},
        "n_cells": len(stream),
        "gene_column": stream.match.column,
        "gene_match_rate": round(stream.match.rate, 6),
        "vocabulary_coverage": round(stream.match.coverage, 6),
        "layerscope_version": __version__,
        "torch_version": torch.__version__.partition("+")[0],
    }


def _origin(path: Path) -> dict[str, str]:
    """Checksum of a file of weights, and the address and revision that it was fetched from."""
    manifest = read_manifest(path)
    fetched = str(manifest.get("url", "")).startswith("http")  # not a file of this machine
    origin = {key: str(manifest[key]) for key in ("url", "revision") if fetched and key in manifest}
    return {"sha256": digest(path)} | origin


def _trained_on(path: Path) -> str:
    """What a checkpoint says of its own training, in an optional file beside the weights."""
    return str(json.loads(path.read_text(encoding="utf-8")).get("trained_on", "")) if path.is_file() else ""
