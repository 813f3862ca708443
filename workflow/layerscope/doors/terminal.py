"""``embed`` and ``score`` for the command: the calls of Python, with what they cost and return as text."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from layerscope.cells.fit import fit
from layerscope.doors.catalogues import model_run, weights_here
from layerscope.doors.cost import cost_lines, measured
from layerscope.doors.models import entries, trained
from layerscope.errors import ConfigError
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import FoundationModel
from layerscope.models.settings import assignments
from layerscope.settings import demand_known


def embed(file: Path, model: str, options: Mapping[str, Any], dry_run: bool) -> str:
    """Say what it will cost, then run a model over cells; what was made, in a sentence."""
    from layerscope.doors.embed import embed as embedded

    lines = embedding_cost(file, model, options)
    if lines:
        print("\n".join(lines), file=sys.stderr, flush=True)
    if dry_run:
        return "Nothing was run"
    layers = inspect.unwrap(embedded)(file, model, **options)  # its messages name options
    return f"{options['output']}: layers {', '.join(layers)} of {model}"


def embedding_cost(file: Path, model: str, options: Mapping[str, Any]) -> list[str]:
    """What a model will cost over the cells of a file; nothing for a baseline."""
    from layerscope.cells.describe import describe

    if options.get("weights") is None:
        demand_known(model, entries(), "embed", "model")
    of, network = trained(model) if model in entries() else (model, None)
    if not isinstance(network, FoundationModel):
        return []
    cells = describe(file)
    way = fit(FAMILIES[network.family], cells.values, cells.genes.var, species=network.species)
    if way.orthologs and "orthologs" not in options:
        raise ConfigError(
            f"{file}: mouse genes, and {model} knows human ones: take these by their orthologs, "
            f"--set 'orthologs={{table: {way.orthologs}}}', or another model (layerscope models)"
        )
    names = []
    if way.gene_names and not {"gene_names", "genes"} & set(options):
        names = [
            f"{file} lacks the names of genes that {model} knows: --gene-names {way.gene_names} is taken"
        ]
    n_cells = min(options.get("max_cells") or len(cells.cell_ids), len(cells.cell_ids))
    fetched = options.get("weights") is None and weights_here(of, network) != "cache"
    about = {"n_cells": n_cells, "genes_detected": cells.genes_detected}
    run = model_run(model, network, fetched, options.get("store", ""), **about)
    return names + cost_lines([run], measured(options.get("device", "auto")))


def score(
    file: Path, layers: Sequence[str], task: str, options: Mapping[str, Any], output: Path | None
) -> str:
    """Score layers, write the rows if there is a file to write them to, and return what to do in words."""
    from layerscope.doors.choice import recommend
    from layerscope.doors.scores import score as scored

    given = [Path(word) if Path(word).is_file() else word for word in layers]
    scores = scored(_embedded_cells(file, given), given, task=task, **options)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        scores.table.to_csv(output, sep="\t", index=False)
    return f"{scores}\n\n{recommend(scores).text}"


def _embedded_cells(file: Path, layers: Sequence[Path | str]) -> Any:
    """The file, or those of its cells that all files of layers have, where these are of fewer cells."""
    from layerscope.doors.cells import names_of
    from layerscope.extraction.embeddings_file import read_cells

    names = names_of(file)
    of_files = [set(read_cells(path)[0]) for path in layers if isinstance(path, Path)]
    chosen = [name for name in names if all(name in cells for cells in of_files)]
    if len(chosen) == len(names) or not chosen:
        return file
    from anndata import read_h5ad

    print(
        f"{len(chosen):,} of {len(names):,} cells have layers: these are scored", file=sys.stderr, flush=True
    )
    return read_h5ad(file, backed="r")[chosen]


def keywords(words: Sequence[str], option: str) -> dict[str, Any]:
    """Settings written as ``KEY=VALUE``, values as in a study's file."""
    return {key: yaml.safe_load(value) for key, value in assignments(words, option).items()}
