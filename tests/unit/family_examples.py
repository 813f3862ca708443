"""A small random release of every family, and cells that each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cell_files import write_h5ad
from model_examples import (
    all_layers,
    counts,
    run_extraction,
    write_geneformer,
    write_scfoundation,
    write_scgpt,
    write_tahoe_x1,
)
from nicheformer_examples import write_nicheformer
from scconcept_examples import write_scconcept
from state_se_examples import write_state_se
from transcriptformer_examples import write_transcriptformer
from uce_examples import SMALL, write_uce

from layerscope.models.base import FoundationModel
from layerscope.models.catalogue import implementation
from layerscope.models.settings import Settings

N_CELLS, N_GENES = 30, 40
SYMBOL, ENSEMBL = "G{}", "ENSG{:011d}"
# of the root mean square of a layer: what other batches, threads or machines may change
ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class Example:
    """A family, how to write a release of it for :data:`N_GENES` genes, and what it is to be told."""

    family: str
    write: Callable[[Path], Path]
    gene: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    # parameters that take no part in a forward pass, or are data
    untrained: frozenset[str] = frozenset()

    @property
    def genes(self) -> np.ndarray:
        return np.array([self.gene.format(i) for i in range(N_GENES)])

    def load(self, weights: Path, seed: int = 0, **settings: Any) -> FoundationModel:
        chosen = Settings({**self.settings, **settings}, self.family)
        return implementation(self.family).load(weights, chosen, seed)


EXAMPLES = {
    example.family: example
    for example in (
        Example(
            family="scfoundation",
            write=write_scfoundation,
            gene=SYMBOL,
            untrained=frozenset({"token_emb.emb_mask.weight", "token_emb.emb_pad.weight"}),
        ),
        Example(family="tahoe_x1", write=write_tahoe_x1, gene=ENSEMBL),
        Example(family="scgpt", write=write_scgpt, gene=SYMBOL),
        Example(family="geneformer", write=write_geneformer, gene=ENSEMBL),
        Example(
            family="uce",
            write=write_uce,
            gene=SYMBOL,
            settings=SMALL,
            untrained=frozenset({"pe_embedding.weight"}),
        ),
        Example(family="nicheformer", write=write_nicheformer, gene=ENSEMBL),
        Example(
            family="state_se",
            write=write_state_se,
            gene=SYMBOL,
            settings={"gene_order": "vocabulary"},
            untrained=frozenset({"proteins.weight"}),
        ),
        Example(
            family="transcriptformer",
            write=write_transcriptformer,
            gene=ENSEMBL,
            settings={"gene_order": "vocabulary", "min_expressed_genes": 1},
            untrained=frozenset({"gene_embeddings.embedding.weight"}),
        ),
        Example(family="scconcept", write=write_scconcept, gene=ENSEMBL, settings={"min_expressed_genes": 1}),
    )
}


@dataclass(frozen=True)
class Study:
    """A release of a family and a file of cells, of which the last expresses nothing."""

    example: Example
    folder: Path
    weights: Path
    cells: Path

    def extract(self, name: str = "out.h5ad", cells: Path | None = None, **job: Any) -> Path:
        job["settings"] = {**self.example.settings, **job.get("settings", {})}
        return run_extraction(
            self.weights, cells or self.cells, self.folder / name, self.example.family, **job
        )


def study_of(example: Example, folder: Path, n_cells: int = N_CELLS) -> Study:
    """A study in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = write_h5ad(folder / "cells.h5ad", counts(n_cells, N_GENES), example.genes)
    return Study(example, folder, example.write(folder / "weights"), cells)


def assert_layers_agree(one: Path, other: Path, order: np.ndarray | slice = slice(None)) -> None:
    """The layers of two files differ by rounding alone; the cells of the second are these of the first."""
    expected, found = all_layers(one), all_layers(other)
    assert expected.keys() == found.keys()
    for layer, matrix in expected.items():
        scale = float(np.sqrt(np.nanmean(matrix.astype(float) ** 2)))
        np.testing.assert_allclose(found[layer], matrix[order], rtol=0, atol=ROUNDING * scale, err_msg=layer)
