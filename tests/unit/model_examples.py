"""Golden checkpoints, small random ones, and cells for them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml
from cell_files import write_h5ad as write_h5ad
from safetensors.torch import load_file, save_file
from scipy import sparse

from layerscope.extraction.embeddings_file import read_layer, read_layers
from layerscope.extraction.job import Extraction, extract
from layerscope.models import (
    geneformer,
    geneformer_files,
    scfoundation,
    scfoundation_files,
    scgpt,
    scgpt_files,
    tahoe_x1,
    tahoe_x1_files,
)
from layerscope.models.base import CellBlock, FoundationModel, Sentences, TokenBatch, pack
from layerscope.models.geneformer_network import GeneformerConfig, GeneformerEncoder
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.scgpt_network import ScGptConfig, ScGptEncoder
from layerscope.models.settings import Settings
from layerscope.models.tahoe_x1_network import TahoeX1Config, TahoeX1Encoder
from layerscope.models.vocabulary import Vocabulary

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SCFOUNDATION = GOLDEN / "scfoundation" / "A"
TAHOE_A = GOLDEN / "tahoe_x1" / "A" / "1b-model"
TAHOE_3B = GOLDEN / "tahoe_x1" / "C_3b_chem" / "3b-model"
SCGPT = GOLDEN / "scgpt" / "A"
GENEFORMER = GOLDEN / "geneformer" / "A"
GENEFORMER_V1, GENEFORMER_V2 = (GENEFORMER / f"Geneformer-{v}-tiny" for v in ("V1", "V2"))
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}
GENE_LIST = {"gene_list": "gene_index.tsv"}


def loader(family: ModuleType, golden: Path) -> Callable[..., Any]:
    """A function that loads a model of a family: the golden one by default."""

    def load(folder: Path = golden, seed: int = 0, **settings: Any) -> FoundationModel:
        named = GENE_LIST if folder == SCFOUNDATION else {}
        return family.load(folder, Settings({**named, **settings}, family.__name__), seed)

    return load


load_scfoundation = loader(scfoundation, SCFOUNDATION)
load_tahoe_x1 = loader(tahoe_x1, TAHOE_A)
load_scgpt = loader(scgpt, SCGPT)
load_geneformer = loader(geneformer, GENEFORMER_V2)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """What a golden file holds."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def states(
    model: FoundationModel, sentences: Sentences, cells: np.ndarray | None = None
) -> tuple[list[torch.Tensor], TokenBatch]:
    """Hidden states of every layer, and the batch that they are of."""
    with torch.inference_mode():
        batch = pack(sentences, cells)
        return [hidden.clone() for _, hidden in model.layers(batch)], batch


def assert_stages(
    model: FoundationModel,
    sentences: Sentences,
    expected: Sequence[np.ndarray],
    after: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """The tokens' states at every layer, and ``after`` the last one, are those expected."""
    stages, _ = states(model, sentences)
    with torch.inference_mode():
        stages += [after(stages[-1])] if after else []
    for ours, theirs in zip(stages, expected, strict=True):
        np.testing.assert_allclose(ours[: sentences.offsets[-1]].numpy(), theirs, **TOLERANCE)


def assert_poolings(model: FoundationModel, sentences: Sentences, expected: dict[str, np.ndarray]) -> None:
    """Each pooling, and ``official``, is the one expected: poolings at each layer."""
    hidden, batch = states(model, sentences)
    with torch.inference_mode():
        for pooling, theirs in expected.items():
            for state, of_layer in zip(hidden, theirs, strict=True):
                np.testing.assert_allclose(model.pool(state, batch, pooling).numpy(), of_layer, **TOLERANCE)


def official(model: FoundationModel, sentences: Sentences) -> np.ndarray:
    """The official embedding of each cell."""
    hidden, batch = states(model, sentences)
    with torch.inference_mode():
        return model.official(hidden[model.official_layer], batch).numpy()


def tokens_of_cell(sentences: Sentences, cell: int, name: str = "ids") -> np.ndarray:
    """A column of the tokens of one cell."""
    return sentences.tokens[name][sentences.offsets[cell] : sentences.offsets[cell + 1]]


def restate(path: Path, **values: Any) -> Path:
    """Change values of a JSON or YAML file, nested ones too, or take them out (None); its folder."""
    read, write = (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
    path.write_text(write(_changed(read(path.read_text()), values)))
    return path.parent


def _changed(before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    nested = {name for name, value in values.items() if isinstance(value, dict) and before.get(name)}
    after = before | values | {name: _changed(before[name], values[name]) for name in nested}
    return {name: value for name, value in after.items() if value is not None}


def block_of(dense: np.ndarray, cell_ids: Sequence[str] | None = None, **more: Any) -> CellBlock:
    """Cells x genes of the vocabulary, dense, as a block."""
    cells, genes = np.nonzero(dense)
    given = {
        "totals": dense.sum(axis=1, dtype=float),
        "gene_columns": np.arange(dense.shape[1]),
        "n_columns": np.ones(dense.shape[1], dtype=int),
        **more,
    }
    return CellBlock(
        cell_ids=[f"cell{i}" for i in range(len(dense))] if cell_ids is None else list(cell_ids),
        offsets=np.concatenate([[0], np.cumsum((dense != 0).sum(axis=1))]),
        genes=genes,
        values=dense[cells, genes].astype(np.float64),
        **given,
    )


def tokens_of(ids: np.ndarray, values: np.ndarray, offsets: np.ndarray, **cells: np.ndarray) -> Sentences:
    """Sentences of tokens that are given."""
    n_cells = len(offsets) - 1
    return Sentences(
        offsets=np.asarray(offsets, dtype=np.int64),
        tokens={"ids": ids, "values": values},
        cells=cells,
        refused=[""] * n_cells,
        shortened=np.zeros(n_cells, dtype=bool),
    )


def golden_tahoe_counts(which: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts (dense) and gene ids of a golden set of Tahoe-X1."""
    held = arrays(GOLDEN / "tahoe_x1" / which / "input_counts.npz")
    return dense_counts(held, ""), held["gene_ids"]


def dense_counts(held: dict[str, np.ndarray], prefix: str = "counts_") -> np.ndarray:
    """Cells x genes of a golden set."""
    parts = tuple(held[f"{prefix}{name}"] for name in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, shape=tuple(held[f"{prefix}shape"])).toarray()


def over_vocabulary(
    counts: np.ndarray, genes: Sequence[str], known: Vocabulary | Sequence[str], **more: Any
) -> CellBlock:
    """Golden counts as a block over a vocabulary."""
    vocabulary = known if isinstance(known, Vocabulary) else Vocabulary(tuple(known), "golden")
    dense = np.zeros((len(counts), len(vocabulary.genes)))
    columns = np.full(dense.shape[1], -1)
    for column, gene in enumerate(genes):
        place = vocabulary.place(str(gene))
        if place >= 0:
            dense[:, place], columns[place] = counts[:, column], column
    return block_of(dense, gene_columns=columns, **more)


def write_scfoundation(folder: Path, n_genes: int = 40, hidden: int = 16, layers: int = 2) -> Path:
    """A small random scFoundation release; genes are G0, G1 ..."""
    config = ScFoundationConfig(
        n_genes=n_genes, hidden_size=hidden, n_layers=layers, heads=2, feed_forward=4 * hidden, bins=12
    )
    encoder = ScFoundationEncoder.fresh(config, 7)
    scfoundation_files.write_release(folder, {"cell": encoder}, [f"G{i}" for i in range(n_genes)])
    return folder


def write_tahoe_x1(folder: Path, n_genes: int = 40, hidden: int = 16, max_length: int = 24) -> Path:
    """A small random Tahoe-X1 release; genes are ENSG00000000000, ENSG00000000001 ..."""
    config = TahoeX1Config(
        vocabulary_size=n_genes + 3, hidden_size=hidden, n_layers=2, heads=2, feed_forward=4 * hidden
    )
    genes = [f"ENSG{i:011d}" for i in range(n_genes)]
    tahoe_x1_files.write_release(folder, TahoeX1Encoder.fresh(config, 7), genes, max_length=max_length)
    return folder


def as_stored(module: torch.nn.Module, stored_as: Callable[[str], Sequence[str]]) -> dict[str, torch.Tensor]:
    """The tensors of a network under the names, and in the parts, that a release stores them in."""
    parts = ((stored_as(name), tensor) for name, tensor in module.state_dict().items())
    return {
        name: part.clone()
        for names, tensor in parts
        for name, part in zip(names, tensor.chunk(len(names)), strict=True)
    }


def write_scgpt(folder: Path, n_genes: int = 40, hidden: int = 16, max_length: int = 24) -> Path:
    """A small random scGPT release; genes are G0, G1 ..., special tokens between them."""
    config = ScGptConfig(
        vocabulary_size=n_genes + 3, hidden_size=hidden, n_layers=2, heads=2, feed_forward=3 * hidden
    )
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(as_stored(ScGptEncoder.fresh(config, 7), scgpt_files.stored_as), folder / "best_model.pt")
    tokens = ["<eoc>", "G0", "<cls>", "<pad>", *(f"G{i}" for i in range(1, n_genes))]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    sizes = {"embsize": hidden, "nheads": 2, "d_hid": 3 * hidden, "nlayers": 2}
    values = {"n_bins": 11, "pad_value": -3, "pad_token": "<pad>", "max_seq_length": max_length}
    (folder / "args.json").write_text(json.dumps({**sizes, **values}))
    return folder


def write_geneformer(
    folder: Path, n_genes: int = 40, hidden: int = 16, max_length: int = 24, generation: int = 2
) -> Path:
    """A small random Geneformer with its dictionaries beside it; genes are ENSG00000000000 ..."""
    special = ["<mask>", "<pad>", "<eos>", "<cls>"][: 2 * generation]
    genes = [f"ENSG{i:011d}" for i in range(n_genes)]
    config = GeneformerConfig(
        vocabulary_size=n_genes + len(special),
        n_positions=max_length,
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
        initial_scale=0.2,
        pad_id=1,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tensors = as_stored(GeneformerEncoder.fresh(config, 7), geneformer_files.stored_as)
    save_file(tensors, folder / "model.safetensors")
    stated = {
        "vocab_size": config.vocabulary_size,
        "max_position_embeddings": max_length,
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 3 * hidden,
        "type_vocab_size": 2,
        "hidden_act": "relu",
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.2,
        "pad_token_id": 1,
    }
    (folder / "config.json").write_text(json.dumps(stated))
    medians = np.random.default_rng(3).uniform(0.5, 4, n_genes)
    dictionaries: dict[str, dict[str, Any]] = {
        "token_dictionary": {token: i for i, token in enumerate([*special, *genes])},
        "gene_median_dictionary": dict(zip(genes, medians, strict=True)),
        "ensembl_mapping_dict": {gene: gene for gene in genes},
    }
    for name, held in dictionaries.items():
        (folder / f"{name}_gcX.pkl").write_bytes(pickle.dumps(held, protocol=4))
    return folder


def counts(n_cells: int, n_genes: int, seed: int = 0) -> np.ndarray:
    """Counts of cells that express from a few to nearly all genes; the last one expresses none."""
    draw = np.random.default_rng(seed)
    rates = draw.uniform(0.1, 3.0, (n_cells, 1)) * draw.gamma(0.6, 1.0, n_genes)
    matrix = draw.poisson(rates)
    matrix[:, 0] += 2
    matrix[-1] = 0
    return matrix


def run_extraction(
    weights: Path, cells: Path, output: Path, family: str, shard: tuple[int, int] = (1, 1), **job: Any
) -> Path:
    """Extract on the CPU."""
    extract(weights, cells, output, Extraction(family=family, device="cpu", **job), shard)
    return output


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights that one of the writers here made."""
    if path.suffix == ".safetensors":
        return load_file(path)
    held = torch.load(path, weights_only=True)
    return held["cell"]["state_dict"] if "cell" in held else held.get("state_dict", held)


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put other tensors into a file of weights."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
        return
    held = torch.load(path, weights_only=True)
    if "cell" in held:
        held["cell"]["state_dict"] = tensors
    elif "state_dict" in held:
        held = {"state_dict": tensors}
    torch.save(held if "cell" in held or "state_dict" in held else tensors, path)


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Put other tensors into a file of weights: what ``change`` makes of a dictionary of them."""
    tensors = load_tensors(path)
    change(tensors)
    save_tensors(tensors, path)


def all_layers(path: Path) -> dict[str, np.ndarray]:
    """Every layer of an embeddings file."""
    return {layer: read_layer(path, layer).matrix for layer in read_layers(path)}
