"""Golden and small random releases of State Embedding, and cells for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from model_examples import GOLDEN, as_stored, dense_counts, loader, over_vocabulary
from safetensors.torch import save_file

from layerscope.models import state_se
from layerscope.models.base import CellBlock, Sentences
from layerscope.models.state_se_files import stored_as
from layerscope.models.state_se_network import StateConfig, StateEncoder

SETS = sorted(path.parent for path in (GOLDEN / "state_se").glob("*/golden.npz"))
RUNS = ("raw", "log", "small", "reversed")

load_state_se = loader(state_se, SETS[0])


def golden_counts(expected: dict[str, np.ndarray], run: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts and names of columns of a run."""
    panel = "small_" if run == "small" else ""
    counts, genes = dense_counts(expected, f"{panel}counts_"), expected[f"{panel}input_genes"]
    return (counts[:, ::-1], genes[::-1]) if run == "reversed" else (counts, genes)


def golden_block(
    model: state_se.StateEmbedding, expected: dict[str, np.ndarray], run: str, *, logarithms: bool
) -> CellBlock:
    """The cells of a run, whose values are said to be logarithms or counts."""
    counts, genes = golden_counts(expected, run)
    values = np.log1p(counts.astype(np.float64)) if run == "log" else counts
    return over_vocabulary(values, genes, model.vocabulary, log_normalised=logarithms)


def as_drawn(model: state_se.StateEmbedding, expected: dict[str, np.ndarray], run: str) -> Sentences:
    """The sentences that the owners' code drew."""
    ids, values = expected[f"{run}_tokens"].astype(np.int64), expected[f"{run}_token_counts"]
    ids[:, 0] = model.module.cell_id
    n_cells, length = ids.shape
    sentences = model.tokenise(golden_block(model, expected, run, logarithms=run == "log"))
    return replace(
        sentences,
        offsets=np.arange(n_cells + 1) * (length + 1),
        tokens={
            "ids": np.pad(ids, ((0, 0), (0, 1)), constant_values=model.module.dataset_id).ravel(),
            "values": np.pad(values, ((0, 0), (0, 1))).ravel(),
        },
    )


def write_state_se(folder: Path, n_genes: int = 40, hidden: int = 16, length: int = 24) -> Path:
    """A small random release; genes are G0, G1 ... in any order."""
    draw = np.random.default_rng(5)
    config = StateConfig(
        n_tokens=n_genes,
        token_width=12,
        n_bins=6,
        bin_width=8,
        output_size=14,
        n_dataset=3,
        hidden_size=hidden,
        n_layers=2,
        heads=2,
        feed_forward=3 * hidden,
    )
    encoder = StateEncoder.fresh(config, 7)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name.replace("encoder.", "gene_embedding_layer.") if name.startswith("encoder.") else name: tensor
        for name, tensor in as_stored(encoder, stored_as).items()
        if name != "proteins.weight"
    }
    surplus = {"pe_embedding.weight": torch.zeros(3, 12), "_bin_indices_cached": torch.arange(6)}
    save_file({**tensors, **surplus}, folder / "model.safetensors")
    vectors = torch.from_numpy(draw.normal(size=(n_genes, 12)).astype(np.float32))
    names = [f"G{i}" for i in draw.permutation(n_genes)]
    torch.save(
        {name: vector.clone() for name, vector in zip(names, vectors, strict=True)},
        folder / "protein_embeddings.pt",
    )
    stated = {
        "embeddings": {"current": "b", "a": {"size": 5}, "b": {"size": 12}},
        "dataset": {"pad_length": length, "cls_token_idx": 2},
        "model": {
            **{"counts": True, "rda": True, "dataset_correction": True},
            **{"emsize": hidden, "d_hid": 3 * hidden, "nhead": 2, "nlayers": 2, "output_dim": 14},
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(stated))
    return folder
