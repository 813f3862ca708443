"""The golden sets of all families in one form: a model, tokens of cells, and what its owners' code gives.

They are those of ``tests/data/golden``; the README of each says how it was made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from layerscope.models.base import FoundationModel, Sentences

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))  # which reads the sets
import nicheformer_examples
import scconcept_examples
import state_se_examples
import transcriptformer_examples
import uce_examples
from model_examples import (
    GENEFORMER,
    GENEFORMER_V1,
    GENEFORMER_V2,
    GOLDEN,
    SCFOUNDATION,
    SCGPT,
    TAHOE_3B,
    arrays,
    block_of,
    load_geneformer,
    load_scfoundation,
    load_scgpt,
    load_tahoe_x1,
    tokens_of,
)


@dataclass(frozen=True, kw_only=True)
class GoldenSet:
    """Cells of a golden checkpoint as tokens, and the states that its owners' code gives them."""

    name: str
    model: FoundationModel
    sentences: Sentences
    layers: list[np.ndarray]  # of every token of all cells, cell after cell; one array a layer
    official: np.ndarray  # cells x width; fewer cells where the owners' code fails on the last


def golden_sets() -> Iterator[GoldenSet]:
    """Every family; both generations of Geneformer, Tahoe-X1 with and without its encoder of drugs."""
    yield _scfoundation()
    yield _tahoe_x1("tahoe_x1 1b", "A/full")
    yield _tahoe_x1("tahoe_x1 3b, drugs", "C_3b_chem/chem_on_pad_drug", folder=TAHOE_3B, chemistry="on")
    yield _scgpt()
    yield _geneformer("geneformer v1", GENEFORMER_V1)
    yield _geneformer("geneformer v2", GENEFORMER_V2)
    yield _uce()
    yield _transcriptformer()
    yield _nicheformer()
    yield _state_se()
    for name in scconcept_examples.SETS:
        yield _scconcept(name)


def _scfoundation() -> GoldenSet:
    expected = arrays(SCFOUNDATION / "expected.npz")
    model = load_scfoundation()
    counts = arrays(SCFOUNDATION / "input_counts.npz")["counts_aligned"]
    states = expected["hidden"][:, ~expected["padding_mask"]]
    return GoldenSet(
        name="scfoundation",
        model=model,
        sentences=model.tokenise(block_of(counts)),
        layers=list(states[: model.n_layers + 1]),
        official=expected["official_all_F_t4"][:10],
    )


def _tahoe_x1(name: str, case: str, **release: object) -> GoldenSet:
    expected = arrays(GOLDEN / "tahoe_x1" / f"{case}.npz")
    drugs = {"drug": expected["drug_ids"]} if "drug_ids" in expected else {}
    model = load_tahoe_x1(**release)
    return GoldenSet(
        name=name,
        model=model,
        sentences=tokens_of(expected["token_ids"], expected["values"], expected["cu_seqlens"], **drugs),
        layers=list(expected["hidden"][: model.n_layers + 1]),
        official=expected["cell_emb_official"],
    )


def _scgpt() -> GoldenSet:
    expected = arrays(SCGPT / "golden.npz")
    is_token = ~expected["pad_mask"]
    offsets = np.concatenate([[0], np.cumsum(is_token.sum(axis=1))])
    return GoldenSet(
        name="scgpt",
        model=load_scgpt(),
        sentences=tokens_of(expected["token_ids"][is_token], expected["token_values"][is_token], offsets),
        layers=list(expected["hidden"][:, is_token]),
        official=expected["official"],
    )


def _geneformer(name: str, folder: Path) -> GoldenSet:
    generation = name[-2:]
    expected = arrays(GENEFORMER / f"golden_{generation}.npz")
    cells, positions = np.nonzero(expected["attention_mask"])
    lengths = np.bincount(cells)
    special = 1 if generation == "v2" else 0
    return GoldenSet(
        name=name,
        model=load_geneformer(folder),
        sentences=Sentences(
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            tokens={"ids": expected["input_ids"][cells, positions], "positions": positions},
            cells={"genes_end": lengths - special},
            refused=[""] * len(lengths),
            shortened=np.zeros(len(lengths), dtype=bool),
        ),
        layers=list(expected["hidden"][:, cells, positions]),
        official=expected["cls" if special else "cell_mean"][-2],
    )


def _uce() -> GoldenSet:
    folder = uce_examples.SETS[0]
    expected = uce_examples.golden(folder)
    model = uce_examples.load_uce(folder, draw_seed_column=uce_examples.DRAW_SEED)
    sentences = model.tokenise(uce_examples.golden_block(model, expected))
    return GoldenSet(
        name="uce",
        model=model,
        sentences=sentences,
        layers=[_cut(expected[f"alone_h{layer}"], sentences) for layer in range(model.n_layers + 1)],
        official=expected["cell_embedding_alone"],
    )


def _transcriptformer() -> GoldenSet:
    folder = transcriptformer_examples.SETS[0]
    expected = transcriptformer_examples.golden(folder)
    model = transcriptformer_examples.load_transcriptformer(folder)
    sentences = model.tokenise(transcriptformer_examples.golden_block(model, expected))
    return GoldenSet(
        name="transcriptformer",
        model=model,
        sentences=sentences,
        layers=[_cut(expected[f"h{layer}"], sentences) for layer in range(model.n_layers + 1)],
        official=expected["cell_embedding"],
    )


def _nicheformer() -> GoldenSet:
    folder = nicheformer_examples.SETS[0]
    expected = arrays(folder / "golden.npz")
    model = nicheformer_examples.load_prepared(folder, "trained")
    sentences = model.tokenise(nicheformer_examples.golden_block(model, expected))
    ids = expected["trained_input_ids"].ravel()  # with ties in the order of their sort, as the states are
    return GoldenSet(
        name="nicheformer",
        model=model,
        sentences=replace(sentences, tokens={**sentences.tokens, "ids": ids}),
        layers=[states.reshape(len(ids), -1) for states in expected["trained_hidden"]],
        official=expected["trained_official"],
    )


def _state_se() -> GoldenSet:
    folder = state_se_examples.SETS[0]
    expected = arrays(folder / "golden.npz")
    model = state_se_examples.load_state_se(folder, min_expressed_genes=0)
    sentences = state_se_examples.as_drawn(model, expected, "log")
    layers = [expected[f"log_h{layer}"] for layer in range(model.n_layers + 1)]
    return GoldenSet(
        name="state_se",
        model=model,
        sentences=sentences,
        layers=[states.reshape(-1, model.hidden_size) for states in layers],
        official=expected["log_official"],
    )


def _scconcept(name: str) -> GoldenSet:
    expected = scconcept_examples.golden(name)
    model = scconcept_examples.load_golden(name)
    return GoldenSet(
        name=f"scconcept {name}",
        model=model,
        sentences=model.tokenise(scconcept_examples.golden_block(model, expected)),
        layers=list(expected["hidden"][:, expected["mask"]]),
        official=expected["official"],
    )


def _cut(padded: np.ndarray, sentences: Sentences) -> np.ndarray:
    """The tokens of cells that are padded to one length, cell after cell."""
    return np.concatenate([cell[:length] for cell, length in zip(padded, sentences.lengths, strict=True)])
