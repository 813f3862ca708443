"""Every layer of a model for cells that a session holds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from layerscope.doors import keywords
from layerscope.doors.cells import Cells, needed_gene_names, prepared
from layerscope.doors.layers import Layers
from layerscope.doors.models import ChosenModel, chosen_model
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import NOT_AVAILABLE
from layerscope.extraction.settings import ExtractionSettings
from layerscope.files import refuse_overwriting
from layerscope.layout import layer_names
from layerscope.sources.manifest import sha256

HOW = ("device", "dtype", "store", "token_budget")  # settings of the extraction that a call may set


@keywords.options_as_keywords()
def embed(
    cells: Cells,
    model: str,
    *,
    layers: str | Sequence[str] = "all",
    obsm: bool = False,
    weights: str | Path | None = None,
    accept_licence: bool = False,
    output: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    pooling: str = "",
    threads: int = 0,
    seed: int = 1,
    **more: Any,
) -> Layers:
    """Run a model over cells and return its layers.

    Parameters
    ----------
    cells
        An AnnData in memory or backed, which is not changed, or the path of an h5ad file.
    model
        Name of a model of ``config/models.yaml``: a foundation model, a control or a baseline.
    layers
        ``"all"``, or names of layers: ``"00"`` (what enters the first block), ``"01"`` ... and
        ``"official"``.
    obsm
        Also write the layers into ``cells.obsm``.
    weights
        A release folder of the model, in place of the cache (``$LAYERSCOPE_CACHE``); with it, ``model`` may
        also be the name of a family.
    accept_licence
        Whether you have read and accept the licence of the weights; nothing is fetched without.
    output
        File to keep the layers in (.h5ad), read by the workflow as well; an interrupted call goes on from
        there. Without one they lie in a temporary file, for as long as the result is used.
    settings
        Options of the family (``docs/models.md``), or of the baseline.
    pooling
        How a numbered layer's tokens become one vector per cell; empty for the family's own.
    threads
        To compute with; 0 for PyTorch's default.
    seed
        Of what tokenisation, or a baseline, draws.

    Returns
    -------
    Mapping from layer name to array, cells x width.

    Raises
    ------
    ConfigError, DataError, ModelError, SourceError
        If a keyword, the cells or the weights do not allow it: in one or two lines, with the remedy.
    """
    keywords.refuse_unknown(more, [*KEYWORDS, *keywords.COLUMNS], "embed")
    if obsm and isinstance(cells, str | Path):
        raise ConfigError("embed: obsm=True writes into an AnnData, and a path was given; use output=...")
    how = ExtractionSettings.read({name: more[name] for name in HOW if name in more}, "embed")
    chosen = chosen_model(model, weights, accept_licence=accept_licence)
    options = {**chosen.settings, **(settings or {})}
    chosen = replace(chosen, settings=options, pooling=pooling or chosen.pooling)
    scratch = tempfile.TemporaryDirectory(prefix="layerscope-")
    folder = Path(scratch.name)
    file = Path(output) if output is not None else folder / "layers.h5ad"
    if isinstance(cells, str | Path):
        refuse_overwriting(file, cells)
    of_cells, gene_names = keywords.of_cells(more), more.get(keywords.GENE_NAMES)
    if keywords.GENE_NAMES not in more:
        gene_names = needed_gene_names(cells, chosen.family, of_cells)
    canonical = prepared(cells, of_cells, "cells", folder, gene_names)
    if chosen.weights is None:
        from layerscope.models.baselines import compute_baseline

        _chosen_layers(layers, 0, chosen.name)
        compute_baseline(chosen.family, canonical, file, chosen.settings, seed)
    else:
        _run_model(chosen, canonical, file, layers, how, threads, seed)
    canonical.unlink()
    made = Layers(file, model=chosen.name, of=chosen.of, scratch=scratch)
    if reason := made.provenance.get(NOT_AVAILABLE):
        raise DataError(f"embed: {reason}; name it, such as cell_type='COLUMN', or take another model")
    if obsm and not isinstance(cells, str | Path):
        made.to_obsm(cells)
    return made


def _run_model(
    model: ChosenModel,
    cells: Path,
    output: Path,
    layers: str | Sequence[str],
    how: ExtractionSettings,
    threads: int,
    seed: int,
) -> None:
    from layerscope.extraction.job import Extraction, log_counts, prepare

    assert model.weights is not None
    job = Extraction(
        family=model.family,
        name=model.name,
        layers=model.layers,
        pooling=model.pooling,
        dtype=how.dtype,
        stored_dtype=how.store,
        device=how.device,
        threads=threads,
        token_budget=how.token_budget or 0,
        control=model.control,
        control_seed=model.control_seed,
        seed=seed,
        settings=model.settings,
    )
    with closing(prepare(model.weights, cells, job)) as run:
        refuse_overwriting(output, run.model.weights)
        wanted = _chosen_layers(layers, run.model.n_layers, model.name)
        columns = [column for column in run.columns if column.layer in wanted]
        # a later call prepares the same cells as another file, and may go on from what this one leaves
        identity = {**run.identity, "cells_file": sha256(cells), "columns": list(map(repr, columns))}
        run = replace(run, columns=columns, identity=identity)
        log_counts(run.write(output, range(len(run.stream))))


def _chosen_layers(layers: str | Sequence[str], n_layers: int, model: str) -> list[str]:
    there = layer_names(n_layers)
    wanted = there if layers == "all" else [layers] if isinstance(layers, str) else list(layers)
    for name in wanted:
        if name not in there:
            raise ConfigError(f"embed: {model} has no layer {name!r}; it has {', '.join(there)}")
    return wanted


KEYWORDS = {**keywords.words_of(ExtractionSettings, HOW), **keywords.words_of_cells()}
del KEYWORDS["selection"]  # perturbations are selected by the task's call alone
keywords.show(embed, KEYWORDS)
